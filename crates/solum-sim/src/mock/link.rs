//! The other end of a link that a program calls: a service, or a closure.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use solum::link::{self, Bulk, Call, Caller, Interface, Reply};
use solum::port::InterfaceId;
use solum::{Error, Moment, Result};

use super::clock::Clock;

type Answers = Rc<RefCell<dyn FnMut(&mut Call<'_>) -> Result<()>>>;

/// What comes of a call to a [`Link`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFate {
    /// It is answered.
    Answered,
    /// It fails, and the peer does not see it.
    Fails(Error),
    /// The peer dies before it sees the call, and is started again. A call that may be repeated is; another fails with
    /// [`Error::Gone`].
    DiesBefore,
    /// The peer answers and dies before the answer is through, and is started again. A call that may be repeated is done twice;
    /// another fails with [`Error::Gone`].
    DiesAfter,
}

/// The peer of a port of type [`solum::Link`]: what the program calls.
///
/// ```
/// use std::collections::BTreeMap;
/// use solum_sim::mock;
///
/// #[solum::interface]
/// pub trait Words {
///     /// What a word means.
///     #[retry]
///     fn meaning(&mut self, word: String) -> Option<String>;
/// }
///
/// struct Dictionary(BTreeMap<String, String>);
///
/// impl WordsService for Dictionary {
///     fn meaning(&mut self, word: String) -> Option<String> {
///         self.0.get(&word).cloned()
///     }
/// }
///
/// let clock = mock::Clock::new();
/// // A service …
/// let words = BTreeMap::from([("solum".into(), "alone".into())]);
/// let peer = mock::Link::<Words>::new(Box::new(Dictionary(words)));
/// let mut port = peer.port(&clock);
/// assert_eq!(port.meaning("solum".into())?, Some("alone".into()));
/// assert_eq!(peer.calls(), 1);
///
/// // … or a closure, which sees the calls as they travel: methods by number, from 0, and their arguments as a tuple.
/// let peer = mock::Link::<Words>::answering(|call| {
///     let (word,): (String,) = call.arguments()?;
///     call.answer(&Some(word.to_uppercase()));
///     Ok(())
/// });
/// assert_eq!(peer.port(&clock).meaning("a".into())?, Some("A".into()));
///
/// // It dies and is started again.
/// peer.set_nth(1, mock::CallFate::DiesAfter);
/// let mut port = peer.port(&clock);
/// assert_eq!(port.meaning("b".into())?, Some("B".into()), "it was asked again");
/// assert_eq!((peer.calls(), peer.epoch()), (3, 2));
/// # Ok::<(), solum::Error>(())
/// ```
pub struct Link<I: Interface> {
    peer: Rc<RefCell<Peer>>,
    interface: PhantomData<fn() -> I>,
}

impl<I: Interface> Clone for Link<I> {
    fn clone(&self) -> Self {
        Self { peer: Rc::clone(&self.peer), interface: PhantomData }
    }
}

struct Peer {
    answers: Answers,
    epoch: u32,
    is_away: bool,
    calls: u64,
    methods: Vec<u16>,
    /// For calls that are still to come, by how many come before.
    nth: Vec<(u64, CallFate)>,
}

/// An interface that is served by a closure.
struct ByClosure<I>(PhantomData<fn() -> I>);

impl<I: Interface> Interface for ByClosure<I> {
    const ID: InterfaceId = I::ID;
    type Service = dyn FnMut(&mut Call<'_>) -> Result<()>;

    fn dispatch(service: &mut Self::Service, call: &mut Call<'_>) -> Result<()> {
        service(call)
    }
}

impl<I: Interface> Link<I> {
    /// A peer that is this service.
    pub fn new(service: Box<I::Service>) -> Self {
        let mut service = service;
        Self::answering(move |call| I::dispatch(&mut service, call))
    }

    /// A peer that is this closure. To set no answer is to answer nothing, which is what a method without a result does.
    pub fn answering(answer: impl FnMut(&mut Call<'_>) -> Result<()> + 'static) -> Self {
        let answers: Answers = Rc::new(RefCell::new(answer));
        let peer = Peer { answers, epoch: 1, is_away: false, calls: 0, methods: Vec::new(), nth: Vec::new() };
        Self { peer: Rc::new(RefCell::new(peer)), interface: PhantomData }
    }

    /// A port with this peer.
    pub fn port(&self, clock: &Clock) -> solum::Link<I> {
        solum::Link::new(self.driver(clock), clock.driver())
    }

    /// What makes a port of it. Several ports may have the same peer.
    pub fn driver(&self, clock: &Clock) -> Box<dyn Caller> {
        // It is borrowed only while it answers, so it may look at its own mock.
        let answers = Rc::clone(&self.peer);
        let service: Box<<ByClosure<I> as Interface>::Service> = Box::new(move |call| {
            let answers = Rc::clone(&answers.borrow().answers);
            let mut answer = answers.borrow_mut();
            answer(call)
        });
        let inside = link::Link::<ByClosure<I>>::local(service, clock.driver()).into_caller();
        Box::new(Line { peer: Rc::clone(&self.peer), inside, failed: Vec::new(), last_call: 0 })
    }

    /// Another service takes its place, as when the unit was replaced; the epoch is the same.
    pub fn replace(&self, service: Box<I::Service>) {
        let mut service = service;
        let answer = move |call: &mut Call<'_>| I::dispatch(&mut service, call);
        self.peer.borrow_mut().answers = Rc::new(RefCell::new(answer));
    }

    /// The peer was started again: it has the next epoch. What it kept in memory is the service's own affair.
    pub fn restart(&self) {
        let mut peer = self.peer.borrow_mut();
        peer.epoch += 1;
        peer.is_away = false;
    }

    /// The peer is gone, and every call fails with [`Error::Gone`], until [`restart`](Self::restart).
    pub fn go_away(&self) {
        self.peer.borrow_mut().is_away = true;
    }

    /// This is what comes of the n-th call from now (1 is the next).
    pub fn set_nth(&self, nth: u64, fate: CallFate) {
        self.peer.borrow_mut().nth.push((nth.saturating_sub(1), fate));
    }

    /// How many calls the peer was sent, each repetition counted too.
    pub fn calls(&self) -> u64 {
        self.peer.borrow().calls
    }

    /// The methods that were called, by number, each repetition too.
    pub fn methods(&self) -> Vec<u16> {
        self.peer.borrow().methods.clone()
    }

    /// Which life of the peer it is.
    pub fn epoch(&self) -> u32 {
        self.peer.borrow().epoch
    }
}

impl Peer {
    fn fate(&mut self) -> CallFate {
        let index = self.nth.iter().position(|(before, _)| *before == 0);
        let fate = index.map(|index| self.nth.remove(index).1);
        for (before, _) in &mut self.nth {
            *before = before.saturating_sub(1);
        }
        match fate {
            _ if self.is_away => CallFate::Fails(Error::Gone { epoch: self.epoch }),
            fate => fate.unwrap_or(CallFate::Answered),
        }
    }
}

/// The calling end.
struct Line {
    peer: Rc<RefCell<Peer>>,
    inside: Box<dyn Caller>,
    /// Calls that will not be answered.
    failed: Vec<(u32, Error)>,
    last_call: u32,
}

impl Line {
    fn failed(&mut self, error: Error) -> u32 {
        // The calls inside are counted from 1 up.
        self.last_call += 1;
        let call = u32::MAX - self.last_call;
        self.failed.push((call, error));
        call
    }

    fn ask(&mut self, method: u16, payload: &[u8], bulk: &mut Bulk<'_>) -> Result<u32> {
        {
            let mut peer = self.peer.borrow_mut();
            peer.calls += 1;
            peer.methods.push(method);
        }
        let again = match bulk {
            Bulk::Nothing => Bulk::Nothing,
            Bulk::Send(pieces) => Bulk::Send(pieces),
            Bulk::Receive(length) => Bulk::Receive(*length),
        };
        self.inside.submit(method, true, payload, again, None)
    }
}

impl Caller for Line {
    fn submit(
        &mut self,
        method: u16,
        retry: bool,
        payload: &[u8],
        mut bulk: Bulk<'_>,
        _deadline: Option<Moment>,
    ) -> Result<u32> {
        let (fate, epoch) = {
            let mut peer = self.peer.borrow_mut();
            (peer.fate(), peer.epoch)
        };
        match fate {
            CallFate::Answered => return self.ask(method, payload, &mut bulk),
            CallFate::Fails(error) => return Ok(self.failed(error)),
            CallFate::DiesBefore => {}
            CallFate::DiesAfter => {
                let call = self.ask(method, payload, &mut bulk)?;
                // Nobody hears the answer.
                let _ = self.inside.complete(call, &mut []);
            }
        }
        self.peer.borrow_mut().epoch += 1;
        if retry { self.ask(method, payload, &mut bulk) } else { Ok(self.failed(Error::Gone { epoch })) }
    }

    fn complete(&mut self, call: u32, received: &mut [&mut [u8]]) -> Result<Reply> {
        if let Some(index) = self.failed.iter().position(|(number, _)| *number == call) {
            return Err(self.failed.swap_remove(index).1);
        }
        let reply = self.inside.complete(call, received)?;
        Ok(Reply { epoch: self.peer.borrow().epoch, ..reply })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[solum::interface]
    trait Counter {
        /// Adds one, and gives the sum.
        #[once]
        fn add(&mut self) -> u32;
        /// What it is.
        #[retry]
        fn sum(&mut self) -> u32;
    }

    #[derive(Default)]
    struct Sum(u32);

    impl CounterService for Sum {
        fn add(&mut self) -> u32 {
            self.0 += 1;
            self.0
        }

        fn sum(&mut self) -> u32 {
            self.0
        }
    }

    #[test]
    fn a_peer_that_dies_is_seen_as_a_program_sees_it() {
        let peer = Link::<Counter>::new(Box::new(Sum::default()));
        let mut port = peer.port(&Clock::new());
        assert_eq!((port.add(), port.server_epoch()), (Ok(1), Some(1)));
        peer.set_nth(1, CallFate::DiesAfter);
        assert_eq!(port.add(), Err(Error::Gone { epoch: 1 }), "it may not be repeated");
        assert_eq!((port.sum(), port.server_epoch()), (Ok(2), Some(2)), "but it was done");
        peer.set_nth(2, CallFate::DiesBefore);
        assert_eq!((port.sum(), port.add()), (Ok(2), Err(Error::Gone { epoch: 2 })));
        peer.set_nth(1, CallFate::DiesBefore);
        assert_eq!((port.sum(), port.server_epoch()), (Ok(2), Some(4)));
        peer.set_nth(1, CallFate::Fails(Error::Deadline));
        assert_eq!(port.sum(), Err(Error::Deadline));
        peer.go_away();
        assert_eq!(port.sum(), Err(Error::Gone { epoch: 4 }));
        peer.restart();
        peer.replace(Box::new(Sum(9)));
        assert_eq!((port.sum(), peer.epoch()), (Ok(9), 5));
        assert_eq!(peer.methods(), [0, 0, 1, 1, 1, 1]);
    }

    #[test]
    fn bytes_beside_a_call_go_and_come_back() {
        let disk = super::super::Disk::new(4096);
        let peer = Link::<solum::Disk>::new(disk.driver());
        let clock = Clock::new();
        let served = solum::served_disk::linked(peer.driver(&clock), clock.driver()).unwrap();
        let mut port = solum::Disk::new(served);
        peer.set_nth(1, CallFate::DiesAfter);
        port.write_at(512, &[7; 512]).unwrap();
        let mut block = [0; 512];
        port.read_at(512, &mut block).unwrap();
        assert_eq!((block[0], disk.bytes()[512], disk.counts().writes), (7, 7, 2));
    }
}
