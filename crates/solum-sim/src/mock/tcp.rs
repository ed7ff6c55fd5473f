//! Connections that come to a program that listens.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use solum::clock::{Source, Waker};
use solum::tcp::{Converse, Listen};
use solum::{Error, Result};

use super::clock::Clock;
use super::script::Script;

/// A listener, and the peers that connect to it.
///
/// ```
/// use solum_sim::mock;
///
/// // The program: it says everything twice.
/// fn echo(mut port: solum::Tcp) -> solum::Result<()> {
///     loop {
///         let mut stream = port.accept(None)?;
///         let mut buffer = [0; 100];
///         loop {
///             match stream.read(&mut buffer, None)? {
///                 0 => break,
///                 length => stream.write_all(&[&buffer[..length], &buffer[..length]].concat(), None)?,
///             }
///         }
///     }
/// }
///
/// let tcp = mock::Tcp::new();
/// let peer = tcp.connect();
/// peer.sends("ab").sends("c").ends();
/// assert_eq!(echo(tcp.port(&mock::Clock::new())), Err(solum::Error::Closed), "nobody else comes");
/// assert_eq!(peer.text(), "ababcc");
/// assert!(peer.is_hung_up());
/// ```
///
/// Each thing that a peer sends is read by itself. When nobody comes and nobody sends any more, waiting gives
/// [`Error::Closed`]: see [`Clock`].
#[derive(Clone, Default)]
pub struct Tcp {
    listening: Rc<RefCell<Listening>>,
}

#[derive(Default)]
struct Listening {
    arriving: Script<Peer>,
    peers: Vec<Peer>,
    fails: bool,
}

impl Tcp {
    /// A listener to which nobody connects yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A port with this listener.
    pub fn port(&self, clock: &Clock) -> solum::Tcp {
        solum::Tcp::new(self.driver(clock), clock.driver())
    }

    /// What makes a port of it.
    pub fn driver(&self, clock: &Clock) -> Box<dyn Listen> {
        let listening = Rc::clone(&self.listening);
        clock.watch(move || listening.borrow().is_over());
        Box::new(Listener { listening: Rc::clone(&self.listening), clock: clock.clone() })
    }

    /// Somebody connects.
    pub fn connect(&self) -> Peer {
        let mut listening = self.listening.borrow_mut();
        let peer = Peer::default();
        peer.wire.borrow_mut().name = format!("peer {}", listening.peers.len() + 1);
        listening.peers.push(peer.clone());
        listening.arriving.push(peer.clone());
        peer
    }

    /// Nobody connects for so long after whoever connected before was accepted.
    pub fn pause(&self, duration: Duration) {
        self.listening.borrow_mut().arriving.pause(duration);
    }

    /// Gives it again, if somebody else still has it.
    pub(super) fn downgrade(&self) -> impl Fn() -> Option<Self> + 'static {
        let listening = Rc::downgrade(&self.listening);
        move || listening.upgrade().map(|listening| Self { listening })
    }

    /// From now on listening fails, or works again.
    pub fn set_failing(&self, fails: bool) {
        self.listening.borrow_mut().fails = fails;
    }
}

impl Listening {
    fn is_over(&self) -> bool {
        self.arriving.is_over() && self.peers.iter().all(Peer::is_over)
    }
}

/// Who connected.
#[derive(Clone, Default)]
pub struct Peer {
    wire: Rc<RefCell<Wire>>,
}

#[derive(Default)]
struct Wire {
    name: String,
    sends: Script<Piece>,
    /// A part of a piece that did not fit into the program's buffer.
    rest: Vec<u8>,
    state: State,
    received: Vec<u8>,
    /// How many bytes it still takes.
    takes: Option<usize>,
    reaction: Option<Reaction>,
}

enum Piece {
    Bytes(Vec<u8>),
    End,
    Break(String),
}

/// How the connection is for the program.
#[derive(Clone, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The peer sends no more.
    Ended,
    Broken(String),
    /// The program ended it.
    HungUp,
}

type Reaction = Box<dyn FnMut(&Peer, Heard<'_>)>;

/// What a peer hears of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// It wrote these bytes.
    Bytes(&'a [u8]),
    /// It ended the connection.
    HungUp,
}

impl Peer {
    /// What the program sees as its name.
    pub fn named(&self, name: &str) -> &Self {
        self.wire.borrow_mut().name = name.to_owned();
        self
    }

    /// It sends these bytes, to be read at once or, if the program's buffer is small, in parts.
    pub fn sends(&self, bytes: impl AsRef<[u8]>) -> &Self {
        self.push(Piece::Bytes(bytes.as_ref().to_vec()))
    }

    /// It sends nothing for so long after the program read what was before.
    pub fn pause(&self, duration: Duration) -> &Self {
        self.wire.borrow_mut().sends.pause(duration);
        self
    }

    /// It sends no more; the program reads the end of the stream. It still takes what the program writes.
    pub fn ends(&self) -> &Self {
        self.push(Piece::End)
    }

    /// The connection breaks; the program gets an error.
    pub fn breaks(&self) -> &Self {
        self.push(Piece::Break("connection reset by peer".into()))
    }

    fn push(&self, piece: Piece) -> &Self {
        self.wire.borrow_mut().sends.push(piece);
        self
    }

    /// It takes so many more bytes, and then none: whoever writes has to wait. `None` takes all.
    pub fn set_takes(&self, bytes: Option<usize>) {
        self.wire.borrow_mut().takes = bytes;
    }

    /// It does this when the program writes or hangs up; it may send something.
    ///
    /// ```
    /// use solum_sim::mock::{self, Heard};
    ///
    /// let tcp = mock::Tcp::new();
    /// let peer = tcp.connect();
    /// peer.reacts(|peer, heard| match heard {
    ///     Heard::Bytes(b"user?") => drop(peer.sends("me")),
    ///     Heard::Bytes(_) => drop(peer.ends()),
    ///     Heard::HungUp => {}
    /// });
    /// let mut port = tcp.port(&mock::Clock::new());
    /// let mut stream = port.accept(None)?;
    /// let mut buffer = [0; 10];
    /// stream.write_all(b"user?", None)?;
    /// assert_eq!(stream.read(&mut buffer, None), Ok(2));
    /// stream.write_all(b"bye", None)?;
    /// assert_eq!(stream.read(&mut buffer, None), Ok(0));
    /// # Ok::<(), solum::Error>(())
    /// ```
    pub fn reacts(&self, reaction: impl FnMut(&Peer, Heard<'_>) + 'static) -> &Self {
        self.wire.borrow_mut().reaction = Some(Box::new(reaction));
        self
    }

    /// What the program wrote.
    pub fn received(&self) -> Vec<u8> {
        self.wire.borrow().received.clone()
    }

    /// What the program wrote, as a text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.wire.borrow().received).into_owned()
    }

    /// Whether the program ended the connection.
    pub fn is_hung_up(&self) -> bool {
        self.wire.borrow().state == State::HungUp
    }

    pub(super) fn has_more_to_send(&self) -> bool {
        !self.wire.borrow().sends.is_over()
    }

    /// Sends what another had no time to send, when that would have.
    pub(super) fn goes_on_for(&self, other: &Self) {
        let sends = std::mem::take(&mut other.wire.borrow_mut().sends);
        self.wire.borrow_mut().sends = sends;
    }

    fn is_over(&self) -> bool {
        let wire = self.wire.borrow();
        wire.state != State::Open || (wire.rest.is_empty() && wire.sends.is_over())
    }

    fn react(&self, heard: Heard<'_>) {
        // It may use the peer, so nothing is borrowed meanwhile.
        let reaction = self.wire.borrow_mut().reaction.take();
        if let Some(mut reaction) = reaction {
            reaction(self, heard);
            self.wire.borrow_mut().reaction.get_or_insert(reaction);
        }
    }
}

struct Listener {
    listening: Rc<RefCell<Listening>>,
    clock: Clock,
}

impl Listen for Listener {
    fn accept(&mut self) -> Result<Option<Box<dyn Converse>>> {
        let mut listening = self.listening.borrow_mut();
        if listening.fails {
            return Err(Error::Device("listening failed".into()));
        }
        let peer = listening.arriving.next(self.clock.now());
        Ok(peer.map(|peer| Box::new(Stream { peer, clock: self.clock.clone() }) as Box<dyn Converse>))
    }
}

impl Source for Listener {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        let mut listening = self.listening.borrow_mut();
        listening.fails || listening.arriving.arm(self.clock.now(), waker)
    }
}

/// The program's end of a connection.
struct Stream {
    peer: Peer,
    clock: Clock,
}

impl Converse for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let mut wire = self.peer.wire.borrow_mut();
        if wire.rest.is_empty() && wire.state == State::Open {
            match wire.sends.next(self.clock.now()) {
                None => return Ok(None),
                Some(Piece::Bytes(bytes)) if bytes.is_empty() => return Ok(None),
                Some(Piece::Bytes(bytes)) => wire.rest = bytes,
                Some(Piece::End) => wire.state = State::Ended,
                Some(Piece::Break(why)) => wire.state = State::Broken(why),
            }
        }
        match &wire.state {
            State::Broken(why) => Err(Error::Device(why.clone())),
            State::Ended | State::HungUp => Ok(Some(0)),
            State::Open => {
                let length = buffer.len().min(wire.rest.len());
                buffer[..length].copy_from_slice(&wire.rest[..length]);
                wire.rest.drain(..length);
                Ok(Some(length))
            }
        }
    }

    fn write(&mut self, data: &[u8]) -> Result<Option<usize>> {
        let mut wire = self.peer.wire.borrow_mut();
        if let State::Broken(why) = &wire.state {
            return Err(Error::Device(why.clone()));
        }
        let length = wire.takes.unwrap_or(usize::MAX).min(data.len());
        if length == 0 && !data.is_empty() {
            return Ok(None);
        }
        wire.takes = wire.takes.map(|takes| takes - length);
        wire.received.extend_from_slice(&data[..length]);
        drop(wire);
        self.peer.react(Heard::Bytes(&data[..length]));
        Ok(Some(length))
    }

    fn arm_write<'a>(&'a mut self, _: &mut Waker<'a>) -> bool {
        let wire = self.peer.wire.borrow();
        wire.takes != Some(0) || matches!(wire.state, State::Broken(_))
    }

    fn peer(&self) -> String {
        self.peer.wire.borrow().name.clone()
    }
}

impl Source for Stream {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        let mut wire = self.peer.wire.borrow_mut();
        !wire.rest.is_empty() || wire.state != State::Open || wire.sends.arm(self.clock.now(), waker)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.peer.wire.borrow_mut().state = State::HungUp;
        if !std::thread::panicking() {
            self.peer.react(Heard::HungUp);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_read_in_pieces_with_pauses_and_may_break() {
        let (clock, tcp) = (Clock::new(), Tcp::new());
        tcp.pause(Duration::from_secs(1));
        let peer = tcp.connect();
        peer.named("10.0.0.1:4000").sends("abc").pause(Duration::from_secs(2)).sends("d").breaks();
        let mut port = tcp.port(&clock);
        let mut stream = port.accept(None).unwrap();
        assert_eq!(
            (stream.peer().as_str(), clock.now().since_beginning()),
            ("10.0.0.1:4000", Duration::from_secs(1))
        );
        let mut buffer = [0; 2];
        let lengths: Vec<_> = (0..3).map(|_| stream.read(&mut buffer, None)).collect();
        assert_eq!(lengths, [Ok(2), Ok(1), Ok(1)]);
        assert_eq!(clock.now().since_beginning(), Duration::from_secs(3));
        assert!(matches!(stream.read(&mut buffer, None), Err(Error::Device(_))));
        assert!(stream.write_all(b"x", None).is_err());
    }

    #[test]
    fn a_peer_that_does_not_read_is_waited_for() {
        let (clock, tcp) = (Clock::new(), Tcp::new());
        let peer = tcp.connect();
        peer.set_takes(Some(3));
        let later = peer.clone();
        clock.at(Duration::from_secs(5), move || later.set_takes(None));
        let mut stream = tcp.port(&clock).accept(None).unwrap();
        stream.write_all(b"abcdef", None).unwrap();
        assert_eq!((peer.text().as_str(), clock.now().since_beginning()), ("abcdef", Duration::from_secs(5)));
        assert!(!peer.is_hung_up());
        drop(stream);
        assert!(peer.is_hung_up());
    }

    #[test]
    fn listening_can_fail() {
        let (clock, tcp) = (Clock::new(), Tcp::new());
        tcp.set_failing(true);
        assert!(matches!(tcp.port(&clock).accept(None), Err(Error::Device(_))));
    }
}
