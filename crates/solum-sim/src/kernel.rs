//! The scheduler: virtual time, who runs, who waits for what, and every choice.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use crate::choices::{About, Choices};
use crate::escape::Guard;
use crate::event::Event;
use crate::faults::Fault;
use crate::pulse::Pulse;
use crate::random::Random;
use crate::task::{self, Task};
use crate::trace::{Record, Trace};
use crate::weather::{Policy, Weather};

/// A task by its place; a place is used again, with another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId {
    index: u32,
    generation: u32,
}

/// Operations that take no time, one after the other, after which time passes all the same: a loop that only looks at the
/// clock must see it move.
const FREE_OPERATIONS: u32 = 1000;
/// How much time passes then, in nanoseconds.
const TOLL_NS: u64 = 1000;

/// Whose steps are watched, from without and from other threads.
pub struct Watched {
    /// How many actors are units, which may not reach past their ports.
    pub units: u32,
    /// Where it is told how far the run is.
    pub pulse: Arc<Pulse>,
}

/// Time, tasks and choices of a run.
pub struct Kernel {
    state: RefCell<State>,
    /// What every operation looks at, without borrowing the state.
    now_ns: Cell<u64>,
    has_failed: Cell<bool>,
    has_condemned: Cell<bool>,
    running: Cell<Option<TaskId>>,
    free_operations: Cell<u32>,
    /// How many actors are units; those behind them are clients.
    units: u32,
    pulse: Arc<Pulse>,
}

struct State {
    now_ns: u64,
    agenda: Agenda,
    places: Vec<Place>,
    free: Vec<u32>,
    ready: VecDeque<TaskId>,
    /// Tasks to be ended as soon as none runs.
    condemned: Vec<TaskId>,
    /// The last wait for each device, by whom and which of theirs; it may be over.
    waiting: Vec<Option<(u32, u32)>>,
    choices: Choices,
    trace: Trace,
    policy: Policy,
    window_ns: u64,
    gathers_until_ns: u64,
    steps: u64,
    failure: Option<String>,
    /// How often each kind of fault happened.
    faults: BTreeMap<Fault, u64>,
}

/// What happens later, in its order; what is for the same moment happens in the order in which it was entered.
#[derive(Default)]
struct Agenda {
    /// If there is one, it is before all others: what is entered is mostly what happens next.
    first: Option<Entry>,
    rest: BinaryHeap<Reverse<Entry>>,
    /// How many entries there were.
    entries: u64,
}

impl Agenda {
    fn enter(&mut self, at_ns: u64, event: Event) {
        self.entries += 1;
        let entry = Entry { at_ns, number: self.entries, event };
        match &self.first {
            Some(first) if entry.key() < first.key() => {
                let later = self.first.replace(entry);
                self.rest.extend(later.map(Reverse));
            }
            None if self.rest.peek().is_none_or(|Reverse(first)| entry.key() < first.key()) => {
                self.first = Some(entry);
            }
            _ => self.rest.push(Reverse(entry)),
        }
    }

    fn next_ns(&self) -> Option<u64> {
        match &self.first {
            Some(first) => Some(first.at_ns),
            None => self.rest.peek().map(|Reverse(entry)| entry.at_ns),
        }
    }

    fn pop(&mut self) -> Option<Entry> {
        self.first.take().or_else(|| self.rest.pop().map(|Reverse(entry)| entry))
    }
}

struct Entry {
    at_ns: u64,
    number: u64,
    event: Event,
}

impl Entry {
    /// No two of them are alike.
    fn key(&self) -> u128 {
        u128::from(self.at_ns) << 64 | u128::from(self.number)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

struct Place {
    generation: u32,
    /// Who it is, in the trace.
    actor: u32,
    task: Option<Task>,
    waits: bool,
    /// How many waits there were at this place: an older one than this is over.
    wait: u32,
    /// Until when it waits.
    deadline_ns: Option<u64>,
    /// The earliest entry of the agenda that looks at the deadline.
    timer_ns: Option<u64>,
}

impl Kernel {
    /// A kernel without tasks, at the beginning of time.
    pub fn new(
        choices: Choices,
        weather: &Weather,
        window_ns: u64,
        watched: Watched,
        keep_trace: bool,
    ) -> Self {
        let state = State {
            now_ns: 0,
            agenda: Agenda::default(),
            places: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            condemned: Vec::new(),
            waiting: Vec::new(),
            choices,
            trace: Trace::new(keep_trace),
            policy: weather.policy(),
            window_ns,
            gathers_until_ns: 0,
            steps: 0,
            failure: None,
            faults: BTreeMap::new(),
        };
        Self {
            state: RefCell::new(state),
            now_ns: Cell::new(0),
            has_failed: Cell::new(false),
            has_condemned: Cell::new(false),
            running: Cell::new(None),
            free_operations: Cell::new(0),
            units: watched.units,
            pulse: watched.pulse,
        }
    }

    /// Nanoseconds since the beginning of the run.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }

    /// Records what happens now.
    #[inline]
    pub fn record(&self, record: &Record<'_>) {
        let state = &mut *self.state.borrow_mut();
        state.trace.add(state.now_ns, record);
    }

    /// Makes a choice below `bound`; `suggest` makes it where a seed does.
    pub fn pick(
        &self,
        about: About,
        index: u32,
        bound: u32,
        suggest: impl FnOnce(&mut Random) -> u32,
    ) -> u32 {
        let state = &mut *self.state.borrow_mut();
        state.choices.pick(state.now_ns, about, index, bound, suggest)
    }

    /// A fault happens: `index` says at what, `detail` more.
    pub fn fault(&self, fault: Fault, index: u32, detail: u64) {
        let state = &mut *self.state.borrow_mut();
        *state.faults.entry(fault).or_default() += 1;
        state.trace.add(state.now_ns, &Record::Fault(fault, index, detail));
    }

    /// How often each kind of fault happened.
    pub fn faults(&self) -> BTreeMap<Fault, u64> {
        self.state.borrow().faults.clone()
    }

    /// The run has failed. Only the first reason counts.
    pub fn fail(&self, why: String) {
        let state = &mut *self.state.borrow_mut();
        if state.failure.is_none() {
            state.trace.add(state.now_ns, &Record::Failed(why.as_str().into()));
            state.failure = Some(why);
            self.has_failed.set(true);
        }
    }

    /// Why the run has failed.
    pub fn failure(&self) -> Option<String> {
        self.state.borrow().failure.clone()
    }

    /// Whether the run has failed.
    #[inline]
    pub fn has_failed(&self) -> bool {
        self.has_failed.get()
    }

    /// Lets something happen after so many nanoseconds.
    pub fn after(&self, delay_ns: u64, event: Event) {
        let state = &mut *self.state.borrow_mut();
        let at_ns = state.now_ns.saturating_add(delay_ns);
        state.agenda.enter(at_ns, event);
    }

    /// As [`after`](Self::after), for a moment. What is over happens now.
    pub fn at(&self, at_ns: u64, event: Event) {
        let state = &mut *self.state.borrow_mut();
        let at_ns = at_ns.max(state.now_ns);
        state.agenda.enter(at_ns, event);
    }

    /// Adds a task, which is ready.
    pub fn spawn(&self, actor: u32, task: Task) -> TaskId {
        let state = &mut *self.state.borrow_mut();
        let index = state.free.pop().unwrap_or_else(|| {
            state.places.push(Place {
                generation: 0,
                actor,
                task: None,
                waits: false,
                wait: 0,
                deadline_ns: None,
                timer_ns: None,
            });
            (state.places.len() - 1) as u32
        });
        let place = &mut state.places[index as usize];
        place.actor = actor;
        place.task = Some(task);
        let id = TaskId { index, generation: place.generation };
        state.ready.push_back(id);
        id
    }

    /// Ends a task where it waits, as soon as none runs; the running one too.
    pub fn condemn(&self, id: TaskId) {
        self.state.borrow_mut().condemned.push(id);
        self.has_condemned.set(true);
    }

    /// Whether the running task has been condemned, and is to wait for its end.
    fn is_condemned(&self) -> bool {
        let running = self.running.get();
        self.has_condemned.get() && self.state.borrow().condemned.iter().any(|id| Some(*id) == running)
    }

    /// A number for something that can be waited for.
    pub fn device(&self) -> u64 {
        let waiting = &mut self.state.borrow_mut().waiting;
        waiting.push(None);
        (waiting.len() - 1) as u64
    }

    /// Something happened to a device: whoever waits for it looks again.
    pub fn notify(&self, device: u64) {
        let state = &mut *self.state.borrow_mut();
        let Some((index, wait)) = state.waiting.get_mut(device as usize).and_then(Option::take) else {
            return;
        };
        match &state.places[index as usize] {
            place if place.waits && place.wait == wait => {
                let generation = place.generation;
                state.wake(TaskId { index, generation });
            }
            _ => {}
        }
    }

    /// Waits, as the running task, for one of these devices or for a moment. False if nothing runs that may wait: then it is
    /// being ended.
    pub fn wait(&self, devices: &[u64], deadline_ns: Option<u64>) -> bool {
        let Some(id) = self.running.get().filter(|_| task::may_wait()) else { return false };
        {
            let state = &mut *self.state.borrow_mut();
            state.let_wait(id, devices, deadline_ns);
        }
        self.free_operations.set(0);
        task::suspend();
        true
    }

    /// Waits so many nanoseconds.
    pub fn pass(&self, duration_ns: u64) -> bool {
        let until_ns = self.now_ns().saturating_add(duration_ns);
        self.wait(&[], Some(until_ns))
    }

    /// Gives others their turn. It takes no time, but for whoever does nothing else.
    pub fn give_way(&self) -> bool {
        let Some(id) = self.running.get() else { return false };
        let free = self.free_operations.get() + 1;
        self.free_operations.set(free);
        if free >= FREE_OPERATIONS {
            return self.pass(TOLL_NS);
        }
        if self.is_condemned() {
            return self.wait(&[], None);
        }
        {
            let state = &mut *self.state.borrow_mut();
            if state.ready.is_empty() {
                // There is nobody to choose instead.
                return true;
            }
            if !task::may_wait() {
                return false;
            }
            state.ready.push_back(id);
        }
        task::suspend();
        true
    }

    /// Lets a task run; or, if none is ready, lets time pass up to the next event, which is returned, unless that is beyond
    /// `limit_ns`.
    #[inline]
    pub fn step(&self, limit_ns: u64) -> Step {
        let next = {
            let state = &mut *self.state.borrow_mut();
            let next = state.next(limit_ns);
            self.now_ns.set(state.now_ns);
            next
        };
        match next {
            Next::Run(id, actor, task) => {
                self.run(id, actor, task);
                Step::Ran
            }
            Next::Event(event) => {
                self.free_operations.set(0);
                Step::Event(event)
            }
            Next::Over => Step::Over { is_idle: self.state.borrow().agenda.next_ns().is_none() },
        }
    }

    #[inline]
    fn run(&self, id: TaskId, actor: u32, task: Task) {
        self.running.set(Some(id));
        self.pulse.beat(actor, self.state.borrow().steps);
        let guard = (actor < self.units).then(|| Guard::enter(actor));
        let left = task.resume();
        drop(guard);
        self.running.set(None);
        {
            let state = &mut *self.state.borrow_mut();
            match left {
                Some(task) => {
                    if let Some(place) = state.place(id) {
                        place.task = Some(task);
                    }
                }
                None => state.vacate(id),
            }
        }
        self.end_condemned();
    }

    /// Ends tasks that were condemned. What they drop may condemn others.
    #[inline]
    pub fn end_condemned(&self) {
        if self.has_condemned.get() {
            self.end_all_condemned();
        }
    }

    #[cold]
    fn end_all_condemned(&self) {
        loop {
            let Some(id) = self.state.borrow_mut().condemned.pop() else {
                self.has_condemned.set(false);
                return;
            };
            let task = self.state.borrow_mut().place(id).and_then(|place| place.task.take());
            if let Some(task) = task {
                // Nothing runs that may wait.
                task.end();
                self.state.borrow_mut().vacate(id);
            }
        }
    }

    /// Ends all tasks.
    pub fn end_all(&self) {
        let all: Vec<TaskId> = {
            let state = self.state.borrow();
            let ids = state.places.iter().enumerate().filter(|(_, place)| place.task.is_some());
            ids.map(|(index, place)| TaskId { index: index as u32, generation: place.generation }).collect()
        };
        self.state.borrow_mut().condemned.extend(all);
        self.has_condemned.set(true);
        self.end_condemned();
    }

    /// How many records and how many steps there were.
    pub fn counts(&self) -> (u64, u64) {
        let state = self.state.borrow();
        (state.trace.events(), state.steps)
    }

    /// How many choices about something were made so far, for each index.
    pub fn made(&self, about: About, indices: usize) -> Vec<u32> {
        self.state.borrow().choices.made(about, indices)
    }

    /// The end of the run.
    pub fn finish(self) -> (Choices, Trace) {
        let state = self.state.into_inner();
        (state.choices, state.trace)
    }
}

/// What a step did.
pub enum Step {
    /// A task ran.
    Ran,
    /// Time passed, and this happens.
    Event(Event),
    /// Nothing happens any more before the limit.
    Over {
        /// Nor ever after.
        is_idle: bool,
    },
}

impl State {
    fn place(&mut self, id: TaskId) -> Option<&mut Place> {
        self.places.get_mut(id.index as usize).filter(|place| place.generation == id.generation)
    }

    fn vacate(&mut self, id: TaskId) {
        let Some(place) = self.place(id) else { return };
        place.generation = place.generation.wrapping_add(1);
        place.waits = false;
        place.deadline_ns = None;
        place.timer_ns = None;
        self.free.push(id.index);
    }

    #[inline]
    fn let_wait(&mut self, id: TaskId, devices: &[u64], deadline_ns: Option<u64>) {
        let Some(place) = self.place(id) else { return };
        place.waits = true;
        place.wait = place.wait.wrapping_add(1);
        place.deadline_ns = deadline_ns;
        let (timer_ns, wait) = (place.timer_ns, place.wait);
        for device in devices {
            self.waiting[*device as usize] = Some((id.index, wait));
        }
        // An entry that comes too early looks at the deadline and is entered again; a wait that ends before its deadline, as
        // nearly all do, then costs the agenda nothing.
        if let Some(at_ns) = deadline_ns
            && timer_ns.is_none_or(|timer_ns| timer_ns > at_ns)
        {
            let at_ns = at_ns.max(self.now_ns);
            self.agenda.enter(at_ns, Event::Timer(id));
            if let Some(place) = self.place(id) {
                place.timer_ns = Some(at_ns);
            }
        }
    }

    fn wake(&mut self, id: TaskId) {
        let Some(place) = self.place(id).filter(|place| place.waits) else { return };
        place.waits = false;
        self.ready.push_back(id);
    }

    /// A task's timer has come: it may be for a deadline that was moved since.
    fn timer(&mut self, id: TaskId, at_ns: u64) {
        let Some(place) = self.place(id) else { return };
        if place.timer_ns != Some(at_ns) {
            // An earlier one was entered since, and then this.
            return;
        }
        place.timer_ns = None;
        match place.deadline_ns.filter(|_| place.waits) {
            Some(deadline_ns) if deadline_ns <= at_ns => self.wake(id),
            Some(deadline_ns) => {
                place.timer_ns = Some(deadline_ns);
                self.agenda.enter(deadline_ns, Event::Timer(id));
            }
            None => {}
        }
    }

    /// Chooses who of those that are ready runs next.
    #[inline]
    fn choose(&mut self) -> Option<TaskId> {
        let count = self.ready.len() as u32;
        if count == 0 {
            return None;
        }
        self.steps += 1;
        if count == 1 {
            return self.ready.pop_front();
        }
        let (now_ns, steps) = (self.now_ns, self.steps);
        let Self { policy, ready, places, choices, .. } = self;
        let actors = || ready.iter().map(|id| places[id.index as usize].actor);
        let chosen = choices
            .pick(now_ns, About::Schedule, 0, count, |random| policy.choose(steps, count, actors(), random));
        let id = self.ready.remove(chosen as usize)?;
        if chosen != 0 {
            let actor = self.places[id.index as usize].actor;
            self.trace.add(now_ns, &Record::Runs(actor));
        }
        Some(id)
    }

    /// What is next. Timers are done here.
    #[inline]
    fn next(&mut self, limit_ns: u64) -> Next {
        loop {
            let next_ns = self.agenda.next_ns().filter(|at_ns| *at_ns <= limit_ns);
            // What happens within the window of the first is as if it were at the same time: who is ready by then is chosen
            // from.
            if next_ns.is_none_or(|at_ns| at_ns > self.gathers_until_ns)
                && let Some(id) = self.choose()
            {
                if let Some(place) = self.place(id)
                    && let Some(task) = place.task.take()
                {
                    place.waits = false;
                    return Next::Run(id, place.actor, task);
                }
                continue;
            }
            let (Some(at_ns), Some(entry)) = (next_ns, next_ns.and_then(|_| self.agenda.pop())) else {
                return Next::Over;
            };
            if self.ready.is_empty() {
                self.gathers_until_ns = at_ns.saturating_add(self.window_ns);
            }
            self.now_ns = self.now_ns.max(at_ns);
            match entry.event {
                Event::Timer(id) => self.timer(id, at_ns),
                event => return Next::Event(event),
            }
        }
    }
}

enum Next {
    Run(TaskId, u32, Task),
    Event(Event),
    Over,
}
