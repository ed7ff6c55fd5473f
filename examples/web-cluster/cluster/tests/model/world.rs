//! The world: one choice after the other, all from one seed.

use std::collections::VecDeque;

use cluster::cache::{Cache, Fetched, Look};
use cluster::front::{self, Front};
use cluster::sequencer::{self, Answer, Request, Sequencer, Stored};
use cluster::{Key, LEASE_AT_MOST_MS, Unreached};
use cluster_check::history::{self, Action, Operation};

use crate::units::{
    Ask, CacheUnit, Call, Clock, Doing, FrontUnit, Message, Reply, SequencerUnit, Store, Who,
};

const FRONTS: usize = 3;
const KEYS: u64 = 2;
const OPERATIONS: usize = 60;
/// How often a front tries to reach the sequencer.
const TRIES: u32 = 3;
/// How many acts a world may take to come to rest.
const REST_ACTS: u64 = 20_000;

/// A part of the protocol that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Caches are not told that a key is written.
    NoRecall,
    /// A cache goes on for ever with what it has.
    EndlessLease,
    /// A sequencer that was started again thinks that nobody has a lease.
    ForgottenLeases,
    /// A cache takes whatever a front brings, however late.
    NoTicket,
    /// A write that is repeated gets another number.
    NewNumber,
    /// A write is acknowledged before it lasts.
    NoSync,
    /// A sequencer that was started again gives out the same numbers.
    SameEpoch,
    /// Clocks disagree by more than was agreed.
    WildClocks,
}

impl Flaw {
    pub const ALL: [Self; 8] = [
        Self::NoRecall,
        Self::EndlessLease,
        Self::ForgottenLeases,
        Self::NoTicket,
        Self::NewNumber,
        Self::NoSync,
        Self::SameEpoch,
        Self::WildClocks,
    ];
}

pub struct World {
    random: u64,
    flaw: Option<Flaw>,
    step: u64,
    now_ms: u64,
    last_call: Call,
    fronts: Vec<FrontUnit>,
    caches: Vec<CacheUnit>,
    sequencer: SequencerUnit,
    store: Store,
    messages: Vec<Message>,
    /// Key and operation; an operation that did not happen is taken out.
    operations: Vec<Option<(u64, Operation)>>,
}

fn key(number: u64) -> Key {
    Key::new(format!("k{number}")).expect("a letter and a number")
}

impl World {
    pub fn new(seed: u64, flaw: Option<Flaw>) -> Self {
        let still = Clock { begin_ms: 0, percent: 100 };
        let mut world = Self {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            flaw,
            step: 0,
            now_ms: 0,
            last_call: 0,
            fronts: Vec::new(),
            caches: Vec::new(),
            sequencer: SequencerUnit {
                sequencer: Sequencer::new(0, 0, 0),
                clock: still,
                inbox: VecDeque::new(),
                serving: None,
                doing: Doing::Nothing,
            },
            store: Store::default(),
            messages: Vec::new(),
            operations: Vec::new(),
        };
        for _ in 0..FRONTS {
            let (front, cache) = (world.new_front(), world.new_cache());
            world.fronts.push(front);
            world.caches.push(cache);
        }
        world.start_sequencer();
        world
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % bound
    }

    fn new_clock(&mut self) -> Clock {
        let begin_ms = self.below(1_000_000);
        let percent = match self.flaw {
            Some(Flaw::WildClocks) => [40, 250][self.below(2) as usize],
            _ => 90 + self.below(23),
        };
        Clock { begin_ms, percent }
    }

    fn new_front(&mut self) -> FrontUnit {
        FrontUnit { front: Front::default(), clock: self.new_clock(), waiting: None, operation: None }
    }

    fn new_cache(&mut self) -> CacheUnit {
        CacheUnit { cache: Cache::new(self.below(u64::MAX), 1 << 20), clock: self.new_clock() }
    }

    fn start_sequencer(&mut self) {
        if self.flaw != Some(Flaw::SameEpoch) || self.store.epoch == 0 {
            self.store.epoch += 1;
        }
        // It begins with a sync.
        self.store.durable = self.store.visible.clone();
        let clock = self.new_clock();
        let now_ms = clock.read(self.now_ms);
        let begin_ms = match self.flaw {
            Some(Flaw::ForgottenLeases) => now_ms.saturating_sub(LEASE_AT_MOST_MS),
            _ => now_ms,
        };
        self.sequencer.sequencer = Sequencer::new(self.store.epoch, FRONTS, begin_ms);
        self.sequencer.clock = clock;
        self.sequencer.inbox.clear();
        self.sequencer.serving = None;
        self.sequencer.doing = Doing::Nothing;
    }

    /// Something happens.
    pub fn act(&mut self) {
        self.step += 1;
        match self.below(100) {
            0..50 => self.deliver(),
            50..68 => self.begin_operation(),
            68..88 => self.go_on(),
            88..92 => self.pass_time(),
            92..96 => self.give_up_one(),
            _ => self.strike(),
        }
    }

    fn pass_time(&mut self) {
        let most = [10, 300, 1500][self.below(3) as usize];
        self.now_ms += 1 + self.below(most);
    }

    fn strike(&mut self) {
        match self.below(6) {
            0 | 1 => {
                let index = self.below(FRONTS as u64) as usize;
                self.close(index, None);
                self.fronts[index] = self.new_front();
            }
            2 => {
                let index = self.below(FRONTS as u64) as usize;
                self.caches[index] = self.new_cache();
            }
            3 => self.start_sequencer(),
            4 => {
                self.store.visible = self.store.durable.clone();
                self.start_sequencer();
            }
            _ => {
                // The file server: what was not synced is lost, which the sequencer is told.
                self.store.visible = self.store.durable.clone();
                if let Doing::Syncing(key, record) = &self.sequencer.doing {
                    self.sequencer.doing = Doing::Writing(key.clone(), record.clone());
                }
            }
        }
    }

    fn deliver(&mut self) {
        if self.messages.is_empty() {
            return;
        }
        let index = self.below(self.messages.len() as u64) as usize;
        let is_repeated = self.below(12) == 0;
        let message = match is_repeated {
            true => self.messages[index].clone(),
            false => self.messages.swap_remove(index),
        };
        match message {
            Message::Ask { from, call, to: Who::Sequencer, ask } => self.queue(from, call, ask),
            Message::Ask { from, call, to: Who::Cache(cache), ask } => self.ask_cache(cache, from, call, ask),
            Message::Ask { .. } => {}
            Message::Reply { to: Who::Front(front), call, reply } => self.tell_front(front, call, reply),
            Message::Reply { to: Who::Sequencer, call, reply } => {
                let is_waited_for = matches!(self.sequencer.doing, Doing::Calling(waited) if waited == call);
                if let (Reply::Incarnation(incarnation), true) = (reply, is_waited_for) {
                    self.step_sequencer(sequencer::Event::Reached(Ok(incarnation)));
                }
            }
            Message::Reply { .. } => {}
        }
    }

    fn queue(&mut self, from: Who, call: Call, ask: Ask) {
        let request = match ask {
            Ask::Reserve => Request::Reserve,
            Ask::Write(number, key, value) => Request::Write { number, key, value },
            Ask::Read(key, presence) => Request::Read { key, presence },
            _ => return,
        };
        self.sequencer.inbox.push_back((from, call, request));
    }

    fn ask_cache(&mut self, index: usize, from: Who, call: Call, ask: Ask) {
        let CacheUnit { cache, clock } = &mut self.caches[index];
        let now_ms = clock.read(self.now_ms);
        let reply = match ask {
            Ask::Look(key) => Reply::Look(cache.look(key, now_ms)),
            Ask::Fill(mut fetched) => {
                if self.flaw == Some(Flaw::NoTicket)
                    && let Look::Miss { ticket, .. } = cache.look(fetched.key.clone(), u64::MAX)
                {
                    fetched.ticket = ticket;
                }
                cache.fill(fetched);
                Reply::Filled
            }
            Ask::Recall(term, key) => Reply::Incarnation(cache.recall(term, &key)),
            Ask::Identify => Reply::Incarnation(cache.incarnation()),
            _ => return,
        };
        self.messages.push(Message::Reply { to: from, call, reply });
    }

    /// The sequencer does what needs nobody else.
    fn go_on(&mut self) {
        match std::mem::replace(&mut self.sequencer.doing, Doing::Nothing) {
            Doing::Nothing => {
                if let Some((from, call, request)) = self.sequencer.inbox.pop_front() {
                    self.sequencer.serving = Some((from, call));
                    self.step_sequencer(sequencer::Event::Asked(request));
                }
            }
            Doing::Waiting(until_ms) if self.sequencer.clock.read(self.now_ms) >= until_ms => {
                self.step_sequencer(sequencer::Event::Waited);
            }
            Doing::Writing(key, record) => {
                self.store.visible.insert(key.clone(), record.clone());
                self.sequencer.doing = Doing::Syncing(key, record);
            }
            Doing::Syncing(..) => {
                if self.flaw != Some(Flaw::NoSync) {
                    self.store.durable = self.store.visible.clone();
                }
                self.step_sequencer(sequencer::Event::Saved(Ok(())));
            }
            doing => self.sequencer.doing = doing,
        }
    }

    fn step_sequencer(&mut self, event: sequencer::Event) {
        let mut event = event;
        loop {
            let now_ms = self.sequencer.clock.read(self.now_ms);
            self.sequencer.doing = match self.sequencer.sequencer.step(now_ms, event) {
                sequencer::Effect::Load(key) => {
                    let record = self.store.visible.get(&key).cloned();
                    event = sequencer::Event::Loaded(Ok(Stored { record, ..Stored::default() }));
                    continue;
                }
                sequencer::Effect::Recall { cache, .. } if self.flaw == Some(Flaw::NoRecall) => {
                    event = sequencer::Event::Reached(Ok(self.caches[cache].cache.incarnation()));
                    continue;
                }
                sequencer::Effect::Recall { cache, term, key } => {
                    Doing::Calling(self.send(Who::Sequencer, Who::Cache(cache), Ask::Recall(term, key)))
                }
                sequencer::Effect::Identify { cache } => {
                    Doing::Calling(self.send(Who::Sequencer, Who::Cache(cache), Ask::Identify))
                }
                sequencer::Effect::Wait { until_ms } => Doing::Waiting(until_ms),
                sequencer::Effect::Save { key, record } => Doing::Writing(key, record),
                sequencer::Effect::Answer(answer) => {
                    self.answer(answer);
                    Doing::Nothing
                }
            };
            return;
        }
    }

    fn answer(&mut self, answer: Answer) {
        let Some((to, call)) = self.sequencer.serving.take() else { return };
        let reply = match answer {
            Answer::Reserved(number) => Reply::Reserved(number),
            Answer::Written => Reply::Written(Ok(())),
            Answer::Read(mut reading) => {
                if let (Some(Flaw::EndlessLease), Some(lease)) = (self.flaw, &mut reading.lease) {
                    lease.until_ms = u64::MAX;
                }
                Reply::Read(Ok(reading))
            }
            Answer::Refused(refusal) => Reply::Written(Err(refusal)),
        };
        self.messages.push(Message::Reply { to, call, reply });
    }

    fn send(&mut self, from: Who, to: Who, ask: Ask) -> Call {
        self.last_call += 1;
        self.messages.push(Message::Ask { from, call: self.last_call, to, ask });
        self.last_call
    }

    fn begin_operation(&mut self) {
        let index = self.below(FRONTS as u64) as usize;
        if self.fronts[index].operation.is_some() || self.operations.len() >= OPERATIONS {
            return;
        }
        let number = self.below(KEYS);
        let action = match self.below(10) {
            0..6 => Action::Read(None),
            6..9 => Action::Put(self.operations.len() as u64),
            _ => Action::Delete,
        };
        self.begin(index, number, action);
    }

    fn begin(&mut self, index: usize, number: u64, action: Action) {
        let request = match action {
            Action::Read(_) => front::Request::Get(key(number)),
            Action::Put(value) => front::Request::Write(key(number), Some(value.to_le_bytes().to_vec())),
            Action::Delete => front::Request::Write(key(number), None),
        };
        self.fronts[index].operation = Some(self.operations.len());
        self.operations.push(Some((number, Operation::open(action, self.step))));
        self.step_front(index, front::Event::Asked(request));
    }

    fn step_front(&mut self, index: usize, event: front::Event) {
        let unit = &mut self.fronts[index];
        let now_ms = unit.clock.read(self.now_ms);
        let (to, ask) = match unit.front.step(now_ms, event) {
            front::Effect::Look(key) => (Who::Cache(index), Ask::Look(key)),
            front::Effect::Fill(fetched) => (Who::Cache(index), Ask::Fill(fetched)),
            front::Effect::Read(key, presence) => (Who::Sequencer, Ask::Read(key, presence)),
            front::Effect::Reserve => (Who::Sequencer, Ask::Reserve),
            front::Effect::Write(number, key, value) => (Who::Sequencer, Ask::Write(number, key, value)),
            front::Effect::Answer(answer) => return self.close(index, Some(answer)),
        };
        let call = self.send(Who::Front(index), to, ask.clone());
        self.fronts[index].waiting = Some((call, to, ask, 0));
    }

    /// An operation is over, or its front is.
    fn close(&mut self, index: usize, answer: Option<front::Answer>) {
        let unit = &mut self.fronts[index];
        unit.waiting = None;
        let Some(place) = unit.operation.take() else { return };
        let Some((_, operation)) = &mut self.operations[place] else { return };
        match (operation.action, answer) {
            (Action::Read(_), Some(front::Answer::Found { record, .. })) => {
                let value =
                    record.value.map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
                *operation = Operation::answered(Action::Read(value), operation.began, self.step);
            }
            (_, Some(front::Answer::Written(_))) => operation.ended = Some(self.step),
            (Action::Put(_) | Action::Delete, None | Some(front::Answer::Unknown)) => {}
            (_, Some(front::Answer::Refused(refusal))) => panic!("{refusal}"),
            _ => self.operations[place] = None,
        }
    }

    fn tell_front(&mut self, index: usize, call: Call, reply: Reply) {
        if self.fronts[index].waiting.as_ref().is_none_or(|(waited, ..)| *waited != call) {
            return;
        }
        self.fronts[index].waiting = None;
        let event = match reply {
            Reply::Look(look) => front::Event::Looked(Ok(look)),
            Reply::Filled => front::Event::Filled,
            Reply::Reserved(number) => front::Event::Reserved(Ok(number)),
            Reply::Written(written) => front::Event::Written(Ok(written)),
            Reply::Read(reading) => front::Event::Read(Ok(reading)),
            Reply::Incarnation(_) => return,
        };
        self.step_front(index, event);
    }

    fn give_up_one(&mut self) {
        match self.below(FRONTS as u64 + 2) as usize {
            index if index < FRONTS => self.give_up(index),
            _ => self.give_up_call(),
        }
    }

    fn give_up_call(&mut self) {
        if matches!(self.sequencer.doing, Doing::Calling(_)) {
            self.step_sequencer(sequencer::Event::Reached(Err(Unreached)));
        }
    }

    fn give_up(&mut self, index: usize) {
        let Some((_, to, ask, tries)) = self.fronts[index].waiting.take() else { return };
        if to == Who::Sequencer && tries + 1 < TRIES {
            let ask = self.repeated(ask);
            let call = self.send(Who::Front(index), to, ask.clone());
            self.fronts[index].waiting = Some((call, to, ask, tries + 1));
            return;
        }
        let event = match ask {
            Ask::Look(_) => front::Event::Looked(Err(Unreached)),
            Ask::Fill(Fetched { .. }) => front::Event::Filled,
            Ask::Reserve => front::Event::Reserved(Err(Unreached)),
            Ask::Write(..) => front::Event::Written(Err(Unreached)),
            _ => front::Event::Read(Err(Unreached)),
        };
        self.step_front(index, event);
    }

    fn repeated(&mut self, ask: Ask) -> Ask {
        match ask {
            Ask::Write(_, key, value)
                if self.flaw == Some(Flaw::NewNumber) && matches!(self.sequencer.doing, Doing::Nothing) =>
            {
                let asked = sequencer::Event::Asked(Request::Reserve);
                match self.sequencer.sequencer.step(0, asked) {
                    sequencer::Effect::Answer(Answer::Reserved(number)) => Ask::Write(number, key, value),
                    other => panic!("{other:?}"),
                }
            }
            ask => ask,
        }
    }

    /// From now on nothing goes wrong, until everybody has got an answer.
    pub fn come_to_rest(&mut self) -> Result<(), String> {
        for _ in 0..REST_ACTS {
            self.step += 1;
            let is_idle = matches!(self.sequencer.doing, Doing::Nothing) && self.sequencer.inbox.is_empty();
            let waits = self.fronts.iter().position(|unit| unit.waiting.is_some());
            if waits.is_none() && is_idle && self.messages.is_empty() {
                return Ok(());
            }
            let lost = (0..FRONTS).find(|index| self.is_lost(*index));
            match self.below(4) {
                0 => self.now_ms += 5,
                1 => self.go_on(),
                2 => match self.sequencer.doing {
                    Doing::Calling(call) if !self.is_on_its_way(call) => self.give_up_call(),
                    _ => lost.into_iter().for_each(|index| self.give_up(index)),
                },
                _ => self.deliver(),
            }
        }
        Err("it does not come to rest".into())
    }

    fn is_on_its_way(&self, call: Call) -> bool {
        self.messages.iter().any(|message| message.call() == call)
            || self.sequencer.inbox.iter().any(|(_, queued, _)| *queued == call)
            || self.sequencer.serving.is_some_and(|(_, served)| served == call)
    }

    fn is_lost(&self, index: usize) -> bool {
        let waiting = self.fronts[index].waiting.as_ref();
        waiting.is_some_and(|(call, ..)| !self.is_on_its_way(*call))
    }

    pub fn read_everything(&mut self) -> Result<(), String> {
        for number in 0..KEYS {
            for index in 0..FRONTS {
                self.begin(index, number, Action::Read(None));
                self.come_to_rest()?;
                if self.operations.last().is_none_or(Option::is_none) {
                    return Err(format!("front {index} cannot read key {number}"));
                }
            }
        }
        Ok(())
    }

    pub fn history(&self) -> &Vec<Option<(u64, Operation)>> {
        &self.operations
    }

    pub fn check(&self) -> Result<(), String> {
        for number in 0..KEYS {
            let of_key = self.operations.iter().flatten().filter(|(of, _)| *of == number);
            let history: Vec<Operation> = of_key.map(|(_, operation)| *operation).collect();
            history::check(&history).map_err(|violation| format!("key {number}: {violation}"))?;
        }
        Ok(())
    }
}
