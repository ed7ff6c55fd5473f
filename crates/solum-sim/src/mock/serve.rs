//! The clients of a program that serves.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::marker::PhantomData;
use std::rc::{Rc, Weak};

use solum::clock::{self, Source, Waker};
use solum::link::{Answerer, Bulk, Caller, Incoming, Interface, Reply, Token};
use solum::served_disk;
use solum::{Error, Moment, Result};

use super::actor::{Actor, Stage};
use super::clock::Clock;
use super::plain::Health;

/// The program is in its first life.
const EPOCH: u32 = 1;

/// The clients of a port of type [`solum::Serve`]: plain code that calls the program, and looks at its answers.
///
/// ```
/// use solum::Error;
/// use solum_sim::mock;
///
/// #[solum::interface]
/// pub trait Adder {
///     /// The sum of all numbers so far.
///     #[once]
///     fn add(&mut self, number: u64) -> u64;
/// }
///
/// // The program.
/// struct Sum(u64);
///
/// impl AdderService for Sum {
///     fn add(&mut self, number: u64) -> u64 {
///         self.0 += number;
///         self.0
///     }
/// }
///
/// fn adder(mut requests: solum::Serve<Adder>) -> solum::Result<()> {
///     requests.run(&mut Sum(0))
/// }
///
/// // Its test. The closure runs while the program waits for calls; a panic in it is a panic of the test.
/// let clients = mock::Serve::<Adder>::new();
/// clients.client(|link| {
///     assert_eq!(link.add(2), Ok(2));
///     assert_eq!(link.add(3), Ok(5));
/// });
/// let end = adder(clients.port(&mock::Clock::new(), &mock::Health::new()));
/// assert_eq!(end, Err(Error::Closed), "all clients are done");
/// assert!(clients.are_done());
/// ```
///
/// Several clients take turns. When all are done, waiting for calls gives [`Error::Closed`]: see [`Clock`]. Clients that wait
/// for an answer when the program ends get [`Error::Gone`]; what they call after that is not answered, and they end there.
pub struct Serve<I: Interface> {
    counter: Rc<RefCell<Counter>>,
    interface: PhantomData<fn() -> I>,
}

impl<I: Interface> Clone for Serve<I> {
    fn clone(&self) -> Self {
        Self { counter: Rc::clone(&self.counter), interface: PhantomData }
    }
}

impl<I: Interface> Default for Serve<I> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where clients stand in line.
#[derive(Default)]
struct Counter {
    clients: Vec<Client>,
    /// What the program was not told yet.
    coming: VecDeque<Incoming>,
    open: BTreeMap<(usize, u32), Vec<u8>>,
    is_closed: bool,
}

struct Client {
    /// `None` while it plays, and when it is done.
    actor: Option<Actor>,
    wire: Rc<Wire>,
    has_come: bool,
    is_done: bool,
}

/// What a client and the program share.
#[derive(Default)]
struct Wire {
    stage: RefCell<Weak<Stage>>,
    clock: RefCell<Option<Clock>>,
    sent: RefCell<VecDeque<Sent>>,
    answers: RefCell<BTreeMap<u32, Result<Answer>>>,
    deadlines: RefCell<BTreeMap<u32, Option<Moment>>>,
    last_call: Cell<u32>,
    waits: Cell<Wait>,
}

struct Sent {
    call: u32,
    method: u16,
    payload: Vec<u8>,
    bulk: Vec<u8>,
}

struct Answer {
    payload: Vec<u8>,
    bulk: Vec<u8>,
}

/// What a client waits for.
#[derive(Clone, Copy, Default)]
enum Wait {
    /// Its first turn.
    #[default]
    Turn,
    Answer(u32, Option<Moment>),
    Until(Option<Moment>),
}

impl<I: Interface> Serve<I> {
    /// No clients yet.
    pub fn new() -> Self {
        Self { counter: Rc::default(), interface: PhantomData }
    }

    /// A client: it begins when the program first waits for calls. The bytes beside calls of `solum::Disk` are best moved by
    /// [`disk_client`](Serve::disk_client).
    pub fn client(&self, body: impl FnOnce(&mut solum::Link<I>) + 'static) -> &Self {
        self.client_with_clock(move |link, _| body(link))
    }

    /// A client that also waits, by the program's clock. It may sleep on the clock; it cannot wait for other things there.
    pub fn client_with_clock(
        &self,
        body: impl FnOnce(&mut solum::Link<I>, &solum::Clock) + 'static,
    ) -> &Self {
        self.caller(move |caller, clock| {
            let mut link = solum::Link::new(caller, Rc::clone(&clock));
            body(&mut link, &solum::Clock::new(clock));
        })
    }

    fn caller(&self, body: impl FnOnce(Box<dyn Caller>, Rc<dyn clock::Driver>) + 'static) -> &Self {
        let wire = Rc::new(Wire::default());
        let own = Rc::clone(&wire);
        let (actor, stage) = Actor::new(move || {
            let clock = Rc::new(ClientClock { wire: Rc::clone(&own) });
            body(Box::new(Calling { wire: own }), clock);
        });
        *wire.stage.borrow_mut() = Rc::downgrade(&stage);
        let client = Client { actor: Some(actor), wire, has_come: false, is_done: false };
        self.counter.borrow_mut().clients.push(client);
        self
    }

    /// A port with these clients.
    pub fn port(&self, clock: &Clock, health: &Health) -> solum::Serve<I> {
        solum::Serve::new(self.driver(clock), clock.driver(), health.driver())
    }

    /// What makes a port of it.
    pub fn driver(&self, clock: &Clock) -> Box<dyn Answerer> {
        // The clients have the clock, so the clock does not keep the clients.
        let counter = Rc::downgrade(&self.counter);
        clock.watch(move || counter.upgrade().is_none_or(|counter| counter.borrow().is_over()));
        Box::new(Answering { counter: Rc::clone(&self.counter), clock: clock.clone() })
    }

    /// Whether every client came to the end of its code.
    pub fn are_done(&self) -> bool {
        self.counter.borrow().clients.iter().all(|client| client.is_done)
    }
}

impl Serve<solum::Disk> {
    /// A client of a program that serves a disk, with that disk in its hands.
    ///
    /// ```
    /// use solum_sim::mock;
    ///
    /// // The program: it passes a disk on.
    /// let (below, clients) = (mock::Disk::new(4096), mock::Serve::<solum::Disk>::new());
    /// clients.disk_client(|disk| {
    ///     assert_eq!(disk.capacity(), 4096);
    ///     disk.write_at(512, &[7; 512]).unwrap();
    ///     disk.flush().unwrap();
    /// });
    /// let mut served = clients.port(&mock::Clock::new(), &mock::Health::new());
    /// assert!(served.run(&mut *below.driver()).is_err());
    /// assert_eq!(below.durable()[512], 7);
    /// ```
    pub fn disk_client(&self, body: impl FnOnce(&mut solum::Disk) + 'static) -> &Self {
        self.caller(move |caller, clock| match served_disk::linked(caller, clock) {
            Ok(driver) => body(&mut solum::Disk::new(driver)),
            Err(error) => panic!("the program did not say how large its disk is: {error}"),
        })
    }
}

impl Counter {
    fn is_over(&self) -> bool {
        self.coming.is_empty() && self.clients.iter().all(|client| client.is_done)
    }

    /// The next client that has something to do. It comes without its actor, so that nothing is borrowed while it plays.
    fn next_turn(&mut self, now: Moment) -> Option<(usize, Actor)> {
        let is_closed = self.is_closed;
        let may_go_on = |client: &Client| client.actor.is_some() && (is_closed || client.wire.may_go_on(now));
        let index = self.clients.iter().position(may_go_on)?;
        let client = &mut self.clients[index];
        if !std::mem::replace(&mut client.has_come, true) {
            self.coming.push_back(Incoming::Came(index));
        }
        Some((index, client.actor.take()?))
    }

    /// A client had its turn.
    fn had_turn(&mut self, index: usize, actor: Actor, is_done: bool) {
        let client = &mut self.clients[index];
        for sent in client.wire.sent.borrow_mut().drain(..) {
            let Sent { call, method, payload, bulk } = sent;
            let token = Token { client: index, call, bulk: bulk.len() };
            self.open.insert((index, call), bulk);
            self.coming.push_back(Incoming::Request { token, method, payload });
        }
        client.is_done = is_done;
        if is_done {
            self.open.retain(|(whose, _), _| *whose != index);
            self.coming.push_back(Incoming::Gone(index));
        } else if !self.is_closed {
            client.actor = Some(actor);
        }
    }

    fn answer(&mut self, token: &Token, outcome: std::result::Result<&[u8], &str>) {
        let Some(bulk) = self.open.remove(&(token.client, token.call)) else { return };
        let answer = match outcome {
            Ok(payload) => Ok(Answer { payload: payload.to_vec(), bulk }),
            Err(text) => Err(Error::Refused(text.to_owned())),
        };
        self.clients[token.client].wire.answers.borrow_mut().insert(token.call, answer);
    }
}

impl Wire {
    fn may_go_on(&self, now: Moment) -> bool {
        let is_over = |deadline: Option<Moment>| deadline.is_some_and(|deadline| deadline <= now);
        match self.waits.get() {
            Wait::Turn => true,
            Wait::Answer(call, deadline) => self.answers.borrow().contains_key(&call) || is_over(deadline),
            Wait::Until(moment) => is_over(moment),
        }
    }

    fn wake_at(&self) -> Option<Moment> {
        match self.waits.get() {
            Wait::Turn => None,
            Wait::Answer(_, moment) | Wait::Until(moment) => moment,
        }
    }

    fn now(&self) -> Moment {
        self.clock.borrow().as_ref().map(Clock::now).unwrap_or_default()
    }

    /// Ends the client's turn.
    fn wait(&self, wait: Wait) -> Result<()> {
        self.waits.set(wait);
        let stage = self.stage.borrow().upgrade().ok_or(Error::Closed)?;
        if stage.pause() { Ok(()) } else { Err(Error::Closed) }
    }
}

/// The calling end of a client's link.
struct Calling {
    wire: Rc<Wire>,
}

impl Caller for Calling {
    fn submit(
        &mut self,
        method: u16,
        _retry: bool,
        payload: &[u8],
        bulk: Bulk<'_>,
        deadline: Option<Moment>,
    ) -> Result<u32> {
        let call = self.wire.last_call.get() + 1;
        self.wire.last_call.set(call);
        let bulk = match bulk {
            Bulk::Nothing => Vec::new(),
            Bulk::Send(pieces) => pieces.concat(),
            Bulk::Receive(length) => vec![0; length],
        };
        self.wire.deadlines.borrow_mut().insert(call, deadline);
        self.wire.sent.borrow_mut().push_back(Sent { call, method, payload: payload.to_vec(), bulk });
        Ok(call)
    }

    fn complete(&mut self, call: u32, received: &mut [&mut [u8]]) -> Result<Reply> {
        let deadline = self.wire.deadlines.borrow_mut().remove(&call).ok_or(Error::Broken)?;
        loop {
            if let Some(answer) = self.wire.answers.borrow_mut().remove(&call) {
                let Answer { payload, bulk } = answer?;
                let mut rest = bulk.as_slice();
                for piece in received {
                    let (filling, more) = rest.split_at_checked(piece.len()).ok_or(Error::Broken)?;
                    piece.copy_from_slice(filling);
                    rest = more;
                }
                return Ok(Reply { payload, epoch: EPOCH });
            }
            if deadline.is_some_and(|deadline| deadline <= self.wire.now()) {
                return Err(Error::Deadline);
            }
            self.wire.wait(Wait::Answer(call, deadline))?;
        }
    }
}

/// The program's clock as a client has it: it waits by ending its turn.
struct ClientClock {
    wire: Rc<Wire>,
}

impl clock::Driver for ClientClock {
    fn now(&self) -> Moment {
        self.wire.now()
    }

    fn wall(&self) -> Result<std::time::Duration> {
        let clock = self.wire.clock.borrow();
        clock.as_ref().ok_or(Error::Closed)?.port().wall()
    }

    fn select(&self, sources: &mut [&mut dyn Source], deadline: Option<Moment>) -> Result<Option<usize>> {
        if !sources.is_empty() {
            return Err(Error::Device(
                "a client of a mock can sleep, and wait for answers, but for nothing else".into(),
            ));
        }
        while deadline.is_none_or(|deadline| deadline > self.now()) {
            self.wire.wait(Wait::Until(deadline))?;
        }
        Ok(None)
    }
}

/// The program's end of all clients' links.
struct Answering {
    counter: Rc<RefCell<Counter>>,
    clock: Clock,
}

impl Answering {
    /// Gives a turn to every client that has something to do.
    fn play(&self) {
        let now = self.clock.now();
        for client in &self.counter.borrow().clients {
            client.wire.clock.borrow_mut().get_or_insert_with(|| self.clock.clone());
        }
        loop {
            // A body of its own: nothing may be borrowed while a client plays.
            let turn = self.counter.borrow_mut().next_turn(now);
            let Some((index, mut actor)) = turn else { return };
            let is_done = actor.play();
            self.counter.borrow_mut().had_turn(index, actor, is_done);
        }
    }
}

impl Source for Answering {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        self.play();
        let counter = self.counter.borrow();
        let waiting = counter.clients.iter().filter(|client| !client.is_done);
        for moment in waiting.filter_map(|client| client.wire.wake_at()) {
            waker.wake_at(moment);
        }
        !counter.coming.is_empty()
    }
}

impl Answerer for Answering {
    fn next(&mut self, deadline: Option<Moment>) -> Result<Incoming> {
        let clock = self.clock.driver();
        loop {
            self.play();
            if let Some(incoming) = self.counter.borrow_mut().coming.pop_front() {
                return Ok(incoming);
            }
            clock.select(&mut [self], deadline)?.ok_or(Error::Deadline)?;
        }
    }

    fn receive(&mut self, call: &Token, buffer: &mut [u8]) -> Result<()> {
        let counter = self.counter.borrow();
        let Some(bulk) = counter.open.get(&(call.client, call.call)) else { return Ok(()) };
        buffer.copy_from_slice(bulk.get(..buffer.len()).ok_or(Error::Broken)?);
        Ok(())
    }

    fn send(&mut self, call: &Token, data: &[u8]) -> Result<()> {
        let mut counter = self.counter.borrow_mut();
        let Some(bulk) = counter.open.get_mut(&(call.client, call.call)) else { return Ok(()) };
        bulk.get_mut(..data.len()).ok_or(Error::Broken)?.copy_from_slice(data);
        Ok(())
    }

    fn reply(&mut self, call: Token, outcome: std::result::Result<&[u8], &str>) -> Result<()> {
        self.counter.borrow_mut().answer(&call, outcome);
        Ok(())
    }
}

impl Drop for Answering {
    /// The program ended: who is still answered hears it, and who is not hears that.
    fn drop(&mut self) {
        // Clients would only add their own panics to one that is under way.
        if std::thread::panicking() {
            return;
        }
        self.play();
        {
            let mut counter = self.counter.borrow_mut();
            counter.is_closed = true;
            for client in &mut counter.clients {
                if !client.has_come {
                    client.actor = None;
                }
                if let Wait::Answer(call, _) = client.wire.waits.get() {
                    let gone = Err(Error::Gone { epoch: EPOCH });
                    client.wire.answers.borrow_mut().entry(call).or_insert(gone);
                } else {
                    // One that sleeps would find nobody when it wakes.
                    client.actor = None;
                }
            }
        }
        self.play();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[solum::interface]
    trait Echo {
        /// The same again.
        #[retry]
        fn echo(&mut self, text: String) -> Result<String, String>;
    }

    struct Parrot(Vec<String>);

    impl EchoService for Parrot {
        fn echo(&mut self, text: String) -> std::result::Result<String, String> {
            self.0.push(text.clone());
            if text.is_empty() { Err("nothing to say".into()) } else { Ok(text) }
        }
    }

    fn served(clients: &Serve<Echo>, clock: &Clock) -> solum::Serve<Echo> {
        clients.port(clock, &Health::new())
    }

    #[test]
    fn clients_take_turns_and_sleep_without_waiting() {
        let (clock, clients) = (Clock::new(), Serve::<Echo>::new());
        clients.client(|link| {
            for text in ["a", "b"] {
                assert_eq!(link.echo(text.into()), Ok(text.into()));
            }
            assert_eq!(link.echo(String::new()), Err(solum::CallError::Service("nothing to say".into())));
            assert_eq!(link.server_epoch(), Some(1));
        });
        clients.client_with_clock(|link, clock| {
            clock.sleep(3600 * SECOND).unwrap();
            link.echo("late".into()).unwrap();
        });
        let mut parrot = Parrot(Vec::new());
        assert_eq!(served(&clients, &clock).run(&mut parrot), Err(Error::Closed));
        assert_eq!(parrot.0, ["a", "b", "", "late"]);
        assert!(clients.are_done() && clock.now().since_beginning() == 3600 * SECOND);
    }

    #[test]
    fn a_program_that_does_not_answer_is_noticed_in_time() {
        let (clock, clients) = (Clock::new(), Serve::<Echo>::new());
        clock.end_at(100 * SECOND);
        clients.client(|link| {
            assert_eq!(link.echo("a".into()), Err(solum::CallError::Link(Error::Deadline)));
        });
        let mut port = served(&clients, &clock);
        clock.port().select(&mut [&mut port], None).unwrap();
        while clock.port().sleep(SECOND).is_ok() {
            let _ = clock.port().select(&mut [&mut port], Some(clock.now()));
        }
        assert!(clients.are_done());
    }

    #[test]
    fn clients_of_a_program_that_ends_find_it_gone() {
        let (clock, clients) = (Clock::new(), Serve::<Echo>::new());
        let seen = Rc::new(RefCell::new(Vec::new()));
        for name in ["first", "second"] {
            let seen = Rc::clone(&seen);
            clients.client(move |link| {
                loop {
                    let answer = link.echo(name.into());
                    seen.borrow_mut().push((name, answer));
                }
            });
        }
        served(&clients, &clock).next(&mut Parrot(Vec::new()), None).unwrap();
        let gone = || Err(solum::CallError::Link(Error::Gone { epoch: 1 }));
        let expected = [("first", Ok("first".into())), ("first", gone()), ("second", gone())];
        assert_eq!(*seen.borrow(), expected);
        assert!(!clients.are_done());
    }

    #[test]
    #[should_panic(expected = "it is not what I wanted")]
    fn what_a_client_does_not_like_ends_the_test() {
        let (clock, clients) = (Clock::new(), Serve::<Echo>::new());
        clients.client(|link| assert_eq!(link.echo("a".into()), Ok("b".into()), "it is not what I wanted"));
        let _ = served(&clients, &clock).run(&mut Parrot(Vec::new()));
    }

    #[test]
    fn calls_that_make_no_sense_are_refused_in_words() {
        let (clock, clients) = (Clock::new(), Serve::<Echo>::new());
        clients.client(|link| {
            let unknown = link.call::<_, ()>(7, true, &());
            assert_eq!(unknown, Err(Error::Refused("the peer refused: there is no method 7".into())));
        });
        let _ = served(&clients, &clock).run(&mut Parrot(Vec::new()));
        assert!(clients.are_done());
    }
}
