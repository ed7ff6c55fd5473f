//! TCP connections from outside of the system to units that listen.

use std::collections::VecDeque;
use std::rc::Rc;

use solum::clock::{Source, Waker};
use solum::tcp::{Converse, Listen};
use solum::{Error, Result};
use solum_spec::plan::Plan;

use crate::event::Event;
use crate::kernel::Kernel;
use crate::network::{Path, Way};
use crate::sim::{Cargo, MachineNote, Sim};
use crate::storage::PowerCut;
use crate::task;

/// How many bytes may be on their way, or wait to be read, in one direction.
const WINDOW_BYTES: usize = 64 << 10;
/// How many connections wait for a listener that does not accept.
const BACKLOG: usize = 128;
/// A machine that is not up does not answer who wants to connect, who tries again after so many nanoseconds (RFC 6298,
/// section 2.1), and after twice as many from the fifth time on (Linux's `tcp_syn_linear_timeouts`).
const DIAL_AGAIN_NS: u64 = 1_000_000_000;
const DIALS_ALIKE: u32 = 4;
/// The most that one segment carries.
const SEGMENT_BYTES: usize = 16 << 10;

/// The ends of a connection.
const CLIENT: usize = 0;
const UNIT: usize = 1;

/// What travels on a connection.
pub struct Segment {
    connection: usize,
    /// To which end.
    to: usize,
    content: Content,
}

enum Content {
    Open,
    Data(Vec<u8>),
    /// Nothing follows.
    Finish,
    /// The other end knows nothing of this connection.
    Reset,
}

struct End {
    device: u64,
    /// Who writes, for the trace.
    actor: u32,
    inbox: VecDeque<u8>,
    /// Bytes that are on their way to it.
    coming: usize,
    /// The other end says nothing more.
    finished: bool,
    reset: bool,
    /// Whoever had it has let it go.
    is_closed: bool,
    last_arrival_ns: u64,
}

impl End {
    /// Takes what arrived; whether it is refused, because nobody will read it and whoever writes has to learn that.
    fn take(&mut self, content: Content) -> bool {
        match content {
            Content::Open => {}
            Content::Data(data) => {
                self.coming -= data.len();
                if self.is_closed {
                    return true;
                }
                self.inbox.extend(data);
            }
            Content::Finish => self.finished = true,
            Content::Reset => self.reset = true,
        }
        false
    }
}

struct Connection {
    machine: usize,
    /// The life of the machine that accepted it.
    life: Option<u32>,
    listener: usize,
    /// How many times it was tried in vain.
    dials: u32,
    /// What the client sent meanwhile.
    early: Vec<Content>,
    ends: [End; 2],
}

struct Listener {
    name: String,
    machine: usize,
    number: u16,
    unit: usize,
    device: u64,
    waiting: VecDeque<usize>,
}

/// All connections and listeners.
pub struct Connections {
    listeners: Vec<Listener>,
    connections: Vec<Connection>,
}

impl Connections {
    /// The listeners of a plan.
    pub fn new(kernel: &Kernel, plan: &Plan, machines: &[MachineNote]) -> Self {
        let listeners = plan
            .listeners
            .iter()
            .map(|listener| Listener {
                name: listener.machine.clone(),
                machine: machines.iter().position(|machine| machine.name == listener.machine).unwrap_or(0),
                number: listener.number,
                unit: plan
                    .units
                    .iter()
                    .position(|unit| unit.machine == listener.machine && unit.name == listener.unit)
                    .unwrap_or(0),
                device: kernel.device(),
                waiting: VecDeque::new(),
            })
            .collect();
        Self { listeners, connections: Vec::new() }
    }

    /// Where a machine listens.
    pub fn listener(&self, machine: &str, number: u16) -> Option<usize> {
        self.listeners.iter().position(|listener| listener.name == machine && listener.number == number)
    }
}

impl Sim {
    /// Begins a connection from outside; its place, before anybody answered.
    pub(crate) fn dial(&self, actor: u32, listener: usize) -> usize {
        let place = {
            let connections = &mut *self.connections.borrow_mut();
            let known = &connections.listeners[listener];
            let end = |actor| End {
                device: self.kernel.device(),
                actor,
                inbox: VecDeque::new(),
                coming: 0,
                finished: false,
                reset: false,
                is_closed: false,
                last_arrival_ns: 0,
            };
            let ends = [end(actor), end(known.unit as u32)];
            let (life, dials, early) = (None, 0, Vec::new());
            let connection = Connection { machine: known.machine, life, listener, dials, early, ends };
            connections.connections.push(connection);
            connections.connections.len() - 1
        };
        self.send_segment(place, UNIT, Content::Open);
        place
    }

    fn send_segment(&self, place: usize, to: usize, content: Content) {
        let bytes = match &content {
            Content::Data(data) => data.len(),
            _ => 0,
        };
        let (way, mut last_ns) = {
            let connection = &mut self.connections.borrow_mut().connections[place];
            let (inside, outside) = (connection.machine, self.outside());
            let path = match to {
                UNIT => Path { from: outside, to: inside },
                _ => Path { from: inside, to: outside },
            };
            let way = Way { path, from: connection.ends[1 - to].actor, to: connection.ends[to].actor };
            connection.ends[to].coming += bytes;
            (way, connection.ends[to].last_arrival_ns)
        };
        let cargo = Cargo::Tcp(Segment { connection: place, to, content });
        let weather = &self.terms.weather;
        self.network.borrow_mut().send(&self.kernel, weather, way, &mut last_ns, bytes, cargo);
        self.connections.borrow_mut().connections[place].ends[to].last_arrival_ns = last_ns;
    }

    pub(crate) fn segment_arrived(&self, segment: Segment) {
        let Segment { connection: place, to, content } = segment;
        if to == UNIT && matches!(content, Content::Open) {
            return self.dial_arrived(place);
        }
        let (device, refuses) = {
            let connection = &mut self.connections.borrow_mut().connections[place];
            let (is_up, life) = self.up_and_life(connection.machine);
            match connection.life {
                None if to == UNIT => return connection.early.push(content),
                Some(_) if to == UNIT && !is_up => return,
                Some(known) if to == UNIT && known != life => {
                    // The machine was started anew, and knows nothing of it.
                    (connection.ends[to].device, !matches!(content, Content::Reset))
                }
                _ => {
                    let refuses = connection.ends[to].take(content);
                    (connection.ends[to].device, refuses)
                }
            }
        };
        if refuses {
            self.send_segment(place, 1 - to, Content::Reset);
        }
        self.kernel.notify(device);
    }

    fn up_and_life(&self, machine: usize) -> (bool, u32) {
        let machine = &self.machines.borrow()[machine];
        (machine.is_up(), machine.life)
    }

    /// Somebody wants to connect.
    fn dial_arrived(&self, place: usize) {
        let device = {
            let connections = &mut *self.connections.borrow_mut();
            let connection = &mut connections.connections[place];
            let (is_up, life) = self.up_and_life(connection.machine);
            if !is_up {
                let doublings = connection.dials.saturating_sub(DIALS_ALIKE - 1);
                connection.dials += 1;
                self.kernel.after(DIAL_AGAIN_NS << doublings.min(7), Event::Dial(place));
                return;
            }
            let listener = &mut connections.listeners[connection.listener];
            if listener.waiting.len() < BACKLOG {
                connection.life = Some(life);
                let early = std::mem::take(&mut connection.early);
                // Nobody has let go of it yet, so nothing is refused.
                for content in early {
                    connection.ends[UNIT].take(content);
                }
                listener.waiting.push_back(place);
                Some(listener.device)
            } else {
                None
            }
        };
        match device {
            Some(device) => self.kernel.notify(device),
            None => self.send_segment(place, CLIENT, Content::Reset),
        }
    }

    /// Nobody answered who wanted to connect. Perhaps nobody wants to any more.
    pub(crate) fn dial_again(&self, place: usize) {
        let is_wanted = {
            let connections = self.connections.borrow();
            !connections.connections[place].early.iter().any(|content| matches!(content, Content::Finish))
        };
        if is_wanted {
            self.send_segment(place, UNIT, Content::Open);
        }
    }

    /// A machine is up again: who still has a connection to its earlier life learns that it is over.
    pub(crate) fn connections_of_earlier_lives_end(&self, machine: usize) {
        let life = self.machines.borrow()[machine].life;
        let over: Vec<usize> = {
            let connections = &mut *self.connections.borrow_mut();
            let listeners = connections.listeners.iter_mut();
            listeners.filter(|known| known.machine == machine).for_each(|known| known.waiting.clear());
            let known = connections.connections.iter().enumerate();
            known
                .filter(|(_, known)| {
                    known.machine == machine && known.life.is_some_and(|known| known != life)
                })
                .filter(|(_, known)| !known.ends[CLIENT].finished && !known.ends[CLIENT].reset)
                .map(|(place, _)| place)
                .collect()
        };
        over.into_iter().for_each(|place| self.send_segment(place, CLIENT, Content::Reset));
    }
}

/// A listener in the hands of its unit.
pub struct SimListener {
    sim: Rc<Sim>,
    listener: usize,
    device: u64,
}

impl SimListener {
    /// The listener with this place in the plan.
    pub fn new(sim: &Rc<Sim>, listener: usize) -> Option<Self> {
        let device = sim.connections.borrow().listeners.get(listener)?.device;
        Some(Self { sim: Rc::clone(sim), listener, device })
    }
}

impl Listen for SimListener {
    fn accept(&mut self) -> Result<Option<Box<dyn Converse>>> {
        if !task::may_wait() {
            return Err(Error::Closed);
        }
        let place = self.sim.connections.borrow_mut().listeners[self.listener].waiting.pop_front();
        Ok(place.map(|place| Box::new(SimStream::new(&self.sim, place, UNIT)) as Box<dyn Converse>))
    }
}

impl Source for SimListener {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        if !self.sim.connections.borrow().listeners[self.listener].waiting.is_empty() {
            return true;
        }
        waker.device(self.device);
        false
    }
}

/// One end of a connection.
pub struct SimStream {
    sim: Rc<Sim>,
    place: usize,
    side: usize,
    device: u64,
}

impl SimStream {
    fn new(sim: &Rc<Sim>, place: usize, side: usize) -> Self {
        let device = sim.connections.borrow().connections[place].ends[side].device;
        Self { sim: Rc::clone(sim), place, side, device }
    }

    /// The end of whoever began it.
    pub fn outside(sim: &Rc<Sim>, place: usize) -> Self {
        Self::new(sim, place, CLIENT)
    }

    fn room(&self) -> usize {
        let connections = self.sim.connections.borrow();
        let peer = &connections.connections[self.place].ends[1 - self.side];
        WINDOW_BYTES.saturating_sub(peer.coming + peer.inbox.len())
    }

    fn is_reset(&self) -> bool {
        self.sim.connections.borrow().connections[self.place].ends[self.side].reset
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let is_known = {
            let connections = self.sim.connections.borrow();
            let connection = &connections.connections[self.place];
            let machine = &self.sim.machines.borrow()[connection.machine];
            // A machine without power says nothing more.
            self.side == CLIENT || (machine.is_on && Some(machine.life) == connection.life)
        };
        if !is_known || self.is_reset() {
            return;
        }
        let has_unread = {
            let end = &mut self.sim.connections.borrow_mut().connections[self.place].ends[self.side];
            end.is_closed = true;
            !std::mem::take(&mut end.inbox).is_empty()
        };
        // What was not read is not to be taken for read (tcp_close in Linux's net/ipv4/tcp.c).
        let content = if has_unread { Content::Reset } else { Content::Finish };
        self.sim.send_segment(self.place, 1 - self.side, content);
    }
}

impl Converse for SimStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let (read, peer_device) = {
            let connections = &mut *self.sim.connections.borrow_mut();
            let connection = &mut connections.connections[self.place];
            let peer_device = connection.ends[1 - self.side].device;
            let end = &mut connection.ends[self.side];
            let length = buffer.len().min(end.inbox.len());
            match length {
                0 if end.reset => return Err(Error::Device("connection reset by peer".to_owned())),
                0 if end.finished => return Ok(Some(0)),
                0 => return Ok(None),
                length => {
                    buffer.iter_mut().zip(end.inbox.drain(..length)).for_each(|(to, byte)| *to = byte);
                    (length, peer_device)
                }
            }
        };
        self.sim.kernel.notify(peer_device);
        Ok(Some(read))
    }

    fn write(&mut self, data: &[u8]) -> Result<Option<usize>> {
        if !task::may_wait() {
            return Err(Error::Closed);
        }
        if self.is_reset() {
            return Err(Error::Device("connection reset by peer".to_owned()));
        }
        let length = data.len().min(self.room()).min(SEGMENT_BYTES);
        if length == 0 && !data.is_empty() {
            return Ok(None);
        }
        let machine = self.sim.connections.borrow().connections[self.place].machine;
        let cut = if self.side == UNIT { self.sim.choose_power_cut(machine) } else { PowerCut::No };
        if cut == PowerCut::Before {
            self.sim.lose_power_here(machine);
            return Err(Error::Closed);
        }
        self.sim.send_segment(self.place, 1 - self.side, Content::Data(data[..length].to_vec()));
        if cut == PowerCut::After {
            self.sim.lose_power_here(machine);
        }
        Ok(Some(length))
    }

    fn arm_write<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        if self.room() > 0 || self.is_reset() {
            return true;
        }
        waker.device(self.device);
        false
    }

    fn peer(&self) -> String {
        match self.side {
            UNIT => format!("client {}", self.place),
            _ => format!("connection {}", self.place),
        }
    }
}

impl Source for SimStream {
    fn arm<'a>(&'a mut self, waker: &mut Waker<'a>) -> bool {
        let is_ready = {
            let connections = self.sim.connections.borrow();
            let end = &connections.connections[self.place].ends[self.side];
            !end.inbox.is_empty() || end.finished || end.reset
        };
        if !is_ready {
            waker.device(self.device);
        }
        is_ready
    }
}
