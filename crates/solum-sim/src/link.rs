//! Links: the session code that ships, over frames that travel through the simulated world.
//!
//! Within a machine both ends share memory, and each sees at once whether the other is there. Between machines everything goes
//! over the connection of the two, as a relay would carry it: frames and news of who is there arrive in order, and when the
//! connection ends, so do the sessions on it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use solum::clock::Waker;
use solum::link::over::Carrier;
use solum_link::{
    Broken, Frame, Kind, Layout, Pool, Range, Received, SendError, Session, Transport, WaitOutcome, Want,
};
use solum_spec::plan::Plan;

use crate::event::Event;
use crate::kernel::Kernel;
use crate::network::{DEAD_AFTER_NS, Path, Way};
use crate::sim::{Cargo, MachineNote, Sim};
use crate::storage::PowerCut;
use crate::task;

/// How long a relay waits before it dials again, in nanoseconds (`solum_link::relay`, first delay).
const REDIAL_NS: u64 = 100_000_000;
/// So many frames that were read are kept, with payloads of so many bytes at most.
const SPARE_FLIGHTS: usize = 64;
const SPARE_BYTES: usize = 4096;
/// What a frame takes of the ring beside its payload.
const FRAME_BYTES: usize = 64;

/// The side of a link, and its place among the two.
const CLIENT: usize = 0;
const SERVER: usize = 1;

/// What travels on a link between machines, or within one.
pub struct Parcel {
    link: u32,
    /// To which side.
    side: u32,
    /// The life of the connection it travels on; within a machine the start of the receiver that it is for.
    life: u32,
    content: Content,
}

enum Content {
    Frame(Box<Flight>),
    /// Who is there, of the sender's side: its machine's life and its start.
    News(Option<(u32, u32)>),
}

/// A frame on its way. Its memory serves for the next one.
#[derive(Default)]
struct Flight {
    frame: Received,
    bulk: Bulk,
}

/// Bytes of the pool that travel with a frame between machines.
type Bulk = Option<Box<[u8]>>;

/// What a unit asks its end all the time.
#[derive(Default)]
struct Seen {
    /// How many frames are in the inbox.
    frames: Cell<usize>,
    /// The peer that it sees.
    peer: Cell<Option<u32>>,
    /// Whether one came or went since it last waited.
    has_changed: Cell<bool>,
}

struct End {
    unit: usize,
    machine: usize,
    device: u64,
    /// Which start of the unit has opened it.
    epoch: u32,
    is_open: bool,
    inbox: VecDeque<Box<Flight>>,
    /// Bytes that are on their way to it, or wait for it.
    inbox_bytes: usize,
    seen: Rc<Seen>,
    /// What the peer's number stands for: a life of its machine and a start of the unit.
    alias: (Option<(u32, u32)>, u32),
    /// Whether the other side found the inbox full, and has to be told when it is not.
    is_wanted: bool,
    last_arrival_ns: u64,
}

struct Link {
    ends: [End; 2],
    /// Its connection, if it leads to another machine.
    pair: Option<usize>,
    /// The memory of both ends; each has its own, if they are on two machines.
    pools: [Option<Pool>; 2],
}

/// Two machines that links connect.
struct Pair {
    machines: [usize; 2],
    /// The lives of the two when it was established; none if it is down.
    up: Option<[u32; 2]>,
    life: u32,
    /// Since when nothing gets through in one direction at least.
    unreachable_since_ns: Option<u64>,
}

/// All links, and the connections below them.
pub struct Links {
    links: Vec<Link>,
    pairs: Vec<Pair>,
    longest: usize,
    /// Frames that were read.
    #[expect(clippy::vec_box, reason = "a frame goes from hand to hand, and stays where it is")]
    spare: Vec<Box<Flight>>,
}

impl Links {
    /// The links of a plan.
    pub fn new(kernel: &Kernel, plan: &Plan, machines: &[MachineNote]) -> Self {
        let unit_of = |name: &str| plan.units.iter().position(|unit| unit.full_name() == name).unwrap_or(0);
        let mut pairs: Vec<Pair> = Vec::new();
        let mut links = Vec::new();
        for link in &plan.links {
            let end = |name: &str| {
                let unit = unit_of(name);
                let machine = machines.iter().position(|machine| machine.name == plan.units[unit].machine);
                End {
                    unit,
                    machine: machine.unwrap_or(0),
                    device: kernel.device(),
                    epoch: 0,
                    is_open: false,
                    inbox: VecDeque::new(),
                    inbox_bytes: 0,
                    seen: Rc::default(),
                    alias: (None, 0),
                    is_wanted: false,
                    last_arrival_ns: 0,
                }
            };
            let ends = [end(&link.client), end(&link.server)];
            let mut both = [ends[CLIENT].machine, ends[SERVER].machine];
            both.sort_unstable();
            let pair = (both[0] != both[1]).then(|| {
                pairs.iter().position(|pair| pair.machines == both).unwrap_or_else(|| {
                    pairs.push(Pair { machines: both, up: None, life: 0, unreachable_since_ns: None });
                    pairs.len() - 1
                })
            });
            links.push(Link { ends, pair, pools: [None, None] });
        }
        // As in a ring, the longest message takes a quarter of it.
        let longest = Layout::default().ring_bytes as usize / 4 - FRAME_BYTES;
        Self { links, pairs, longest, spare: Vec::new() }
    }

    /// The devices of a unit's ends that have to be told.
    fn ends_of(&self, unit: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.links.iter().enumerate().flat_map(move |(index, link)| {
            [CLIENT, SERVER]
                .into_iter()
                .filter(move |side| link.ends[*side].unit == unit)
                .map(move |side| (index, side))
        })
    }

    /// A pool for the unit at this side, and for the other side the memory it will see.
    fn pool(&mut self, link: usize, side: usize) -> std::io::Result<Pool> {
        let link = &mut self.links[link];
        let bytes = Layout::default().pool_bytes;
        // Between machines each side has memory of its own; within one, both have the same.
        let place = if link.pair.is_some() { side } else { CLIENT };
        if link.pools[place].is_none() {
            link.pools[place] = Some(Pool::pair(bytes)?.0);
        }
        match &link.pools[place] {
            Some(pool) => Ok(pool.opened_again()),
            None => Err(std::io::ErrorKind::NotFound.into()),
        }
    }
}

impl End {
    /// The peer is this one now, or nobody.
    fn sees(&mut self, peer: Option<(u32, u32)>) {
        let peer = peer.map(|peer| {
            if self.alias.0 != Some(peer) {
                self.alias = (Some(peer), self.alias.1 + 1);
            }
            self.alias.1
        });
        if self.seen.peer.get() != peer {
            self.seen.peer.set(peer);
            self.seen.has_changed.set(true);
        }
    }

    fn clear(&mut self) {
        self.inbox.clear();
        self.inbox_bytes = 0;
        self.seen.frames.set(0);
    }
}

/// One end of a link in the hands of its unit.
pub struct SimEnd {
    sim: Rc<Sim>,
    link: usize,
    side: usize,
    machine: usize,
    epoch: u32,
    device: u64,
    seen: Rc<Seen>,
    pool: Pool,
    /// It found no room for a frame, and is to be told when there is some.
    lacks_room: bool,
    /// Which part of the pool goes with a request from another machine, until it is answered.
    asked: VecDeque<(Session, u32, Range)>,
}

impl SimEnd {
    /// Opens the end: from now on the other side sees the unit.
    pub fn open(sim: &Rc<Sim>, link: usize, side: solum_link::Side, starts: u32) -> Result<Self, String> {
        let side = if side == solum_link::Side::Client { CLIENT } else { SERVER };
        let (pool, device, machine, seen) = {
            let links = &mut *sim.links.borrow_mut();
            let pool = links.pool(link, side).map_err(|error| format!("a link has no memory: {error}"))?;
            let end = &mut links.links[link].ends[side];
            end.clear();
            (end.epoch, end.is_open) = (starts, true);
            end.seen.has_changed.set(false);
            (pool, end.device, end.machine, Rc::clone(&end.seen))
        };
        sim.link_changed(link, side);
        Ok(Self {
            sim: Rc::clone(sim),
            link,
            side,
            machine,
            epoch: starts,
            device,
            seen,
            pool,
            lacks_room: false,
            asked: VecDeque::new(),
        })
    }

    fn other(&self) -> usize {
        1 - self.side
    }

    fn bulk_of(&self, range: Option<Range>) -> Bulk {
        let range = range?;
        let mut bytes = vec![0; range.length as usize].into_boxed_slice();
        self.pool.copy_out(range, &mut bytes).ok()?;
        Some(bytes)
    }
}

impl Drop for SimEnd {
    fn drop(&mut self) {
        let is_current = {
            let end = &mut self.sim.links.borrow_mut().links[self.link].ends[self.side];
            let is_current = end.is_open && end.epoch == self.epoch;
            if is_current {
                end.is_open = false;
                end.seen.peer.set(None);
                end.clear();
            }
            is_current
        };
        if is_current {
            self.sim.link_changed(self.link, self.side);
        }
    }
}

impl Transport for SimEnd {
    fn send(&mut self, frame: &Frame<'_>) -> Result<(), SendError> {
        if !task::may_wait() {
            return Err(SendError::Broken);
        }
        let other = self.other();
        let bytes = frame.payload.len() + FRAME_BYTES;
        let mut links = self.sim.links.borrow_mut();
        let Links { links: all, pairs, longest, spare } = &mut *links;
        if frame.payload.len() > *longest {
            return Err(SendError::TooLong { max: *longest });
        }
        let link = &mut all[self.link];
        let peer = &mut link.ends[other];
        if peer.inbox_bytes + bytes > Layout::default().ring_bytes as usize {
            peer.is_wanted = true;
            self.lacks_room = true;
            return Err(SendError::Full);
        }
        let (life, is_remote) = match link.pair {
            Some(pair) => match pairs[pair].up {
                Some(_) => (pairs[pair].life, true),
                // It is lost together with the peer, of which the session learns next.
                None => return Ok(()),
            },
            None if !peer.is_open => return Ok(()),
            None => (peer.epoch, false),
        };
        let cut = self.sim.choose_power_cut(self.machine);
        if cut != PowerCut::Before {
            peer.inbox_bytes += bytes;
            let mut flight = spare.pop().unwrap_or_default();
            let into = &mut flight.frame;
            let Frame { kind, method, call, session, range, payload } = *frame;
            (into.kind, into.method, into.call) = (kind, method, call);
            (into.session, into.range) = (session, range);
            into.payload.clear();
            into.payload.extend_from_slice(payload);
            if is_remote {
                into.range = range.or_else(|| Self::range_asked_for(&mut self.asked, frame));
                flight.bulk = self.bulk_of(into.range);
            }
            let length = bytes + flight.bulk.as_ref().map_or(0, |bytes| bytes.len());
            let (number, side) = (self.link as u32, other as u32);
            let parcel = Parcel { link: number, side, life, content: Content::Frame(flight) };
            self.sim.send_parcel(link, parcel, length);
        }
        drop(links);
        if cut != PowerCut::No {
            self.sim.lose_power_here(self.machine);
        }
        Ok(())
    }

    #[inline]
    fn receive_into(&mut self, into: &mut Received) -> Result<bool, Broken> {
        if !task::may_wait() {
            // What is dropped with a unit that was killed says nothing, and hears nothing.
            return Err(Broken);
        }
        if self.seen.frames.get() == 0 {
            return Ok(false);
        }
        self.take(into)
    }

    fn wait(&mut self, want: Want, deadline: Option<Instant>) -> WaitOutcome {
        let local_ns =
            deadline.map(|deadline| deadline.saturating_duration_since(self.sim.base).as_nanos() as u64);
        loop {
            // Its clock may run otherwise than when it began to wait.
            let clock = self.sim.machines.borrow()[self.machine].clock;
            let deadline_ns = local_ns.map(|local_ns| clock.run_ns(local_ns));
            if self.is_ready(want) {
                self.sim.kernel.give_way();
                return WaitOutcome::Ready;
            }
            if deadline_ns.is_some_and(|deadline_ns| deadline_ns <= self.sim.kernel.now_ns()) {
                return WaitOutcome::Deadline;
            }
            if !self.sim.kernel.wait(&[self.device], deadline_ns) {
                return WaitOutcome::Deadline;
            }
            if want == Want::Space && self.is_ready(want) {
                return WaitOutcome::Ready;
            }
        }
    }

    fn now(&self) -> Instant {
        let local_ns = self.sim.machines.borrow()[self.machine].clock.local_ns(self.sim.kernel.now_ns());
        self.sim.base + Duration::from_nanos(local_ns)
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn peer_epoch(&self) -> Option<u32> {
        self.seen.peer.get()
    }

    fn longest_payload(&self) -> usize {
        self.sim.links.borrow().longest
    }

    fn pool(&self) -> &Pool {
        &self.pool
    }
}

impl SimEnd {
    /// A request from another machine came with a part of the pool: the answer takes its content back.
    fn remember(&mut self, session: Session, call: u32, range: Range) {
        self.asked.retain(|(known, ..)| *known == session);
        self.asked.push_back((session, call, range));
    }

    fn range_asked_for(asked: &mut VecDeque<(Session, u32, Range)>, frame: &Frame<'_>) -> Option<Range> {
        let is_it =
            |(session, call, _): &(Session, u32, Range)| *session == frame.session && *call == frame.call;
        let place = asked.iter().position(is_it).filter(|_| frame.kind == Kind::Response)?;
        asked.remove(place).map(|(.., range)| range)
    }

    /// Takes a frame out of the inbox.
    fn take(&mut self, into: &mut Received) -> Result<bool, Broken> {
        let (bulk, told) = {
            let links = &mut *self.sim.links.borrow_mut();
            let link = &mut links.links[self.link];
            let end = &mut link.ends[self.side];
            let Some(mut flight) = end.inbox.pop_front() else { return Ok(false) };
            let taken = flight.frame.payload.len() + FRAME_BYTES;
            end.inbox_bytes = end.inbox_bytes.saturating_sub(taken);
            end.seen.frames.set(end.inbox.len());
            let was_wanted = std::mem::take(&mut end.is_wanted);
            std::mem::swap(into, &mut flight.frame);
            let bulk = flight.bulk.take();
            if flight.frame.payload.capacity() <= SPARE_BYTES && links.spare.len() < SPARE_FLIGHTS {
                links.spare.push(flight);
            }
            (bulk, was_wanted.then(|| link.ends[self.other()].device))
        };
        if let (Some(bulk), Some(range)) = (bulk, into.range) {
            self.pool.copy_in(range, &bulk).map_err(|_| Broken)?;
            match into.kind {
                Kind::Request => self.remember(into.session, into.call, range),
                // As in a ring, an answer names no part of the pool: who asked knows which.
                _ => into.range = None,
            }
        }
        if let Some(device) = told {
            self.sim.kernel.notify(device);
        }
        Ok(true)
    }

    /// Whether there is something to do. A peer that came or went is told once.
    fn is_ready(&mut self, want: Want) -> bool {
        if self.seen.has_changed.take() {
            return true;
        }
        match want {
            Want::Any => self.seen.frames.get() > 0 || (self.lacks_room && self.has_room()),
            Want::Space => self.has_room(),
        }
    }

    /// Whether there is room for any frame. If not, it is told when there is.
    fn has_room(&mut self) -> bool {
        let links = &mut *self.sim.links.borrow_mut();
        let peer = &mut links.links[self.link].ends[1 - self.side];
        peer.is_wanted = peer.inbox_bytes + links.longest > Layout::default().ring_bytes as usize;
        self.lacks_room &= peer.is_wanted;
        !peer.is_wanted
    }
}

impl Carrier for SimEnd {
    fn arm<'a>(&'a mut self, want: Want, waker: &mut Waker<'a>) -> bool {
        if self.is_ready(want) {
            return true;
        }
        waker.device(self.device);
        false
    }

    fn disarm(&mut self) {}
}

impl Sim {
    /// Sends something to a side of its link.
    fn send_parcel(&self, link: &mut Link, parcel: Parcel, bytes: usize) {
        let side = parcel.side as usize;
        let (from, to) = (&link.ends[1 - side], &link.ends[side]);
        let path = Path { from: from.machine, to: to.machine };
        let way = Way { path, from: from.unit as u32, to: to.unit as u32 };
        let last_ns = &mut link.ends[side].last_arrival_ns;
        let network = &mut *self.network.borrow_mut();
        network.send(&self.kernel, &self.terms.weather, way, last_ns, bytes, Cargo::Link(parcel));
    }

    pub(crate) fn parcel_arrived(&self, parcel: Parcel) {
        let Parcel { life, content, .. } = parcel;
        let (link, side) = (parcel.link as usize, parcel.side as usize);
        let device = {
            let links = &mut *self.links.borrow_mut();
            let Link { ends, pair, .. } = &mut links.links[link];
            let is_current = match pair {
                Some(pair) => links.pairs[*pair].up.is_some() && links.pairs[*pair].life == life,
                None => ends[side].epoch == life,
            };
            let end = &mut ends[side];
            if !is_current || !end.is_open {
                return;
            }
            match content {
                Content::Frame(flight) => {
                    end.inbox.push_back(flight);
                    end.seen.frames.set(end.inbox.len());
                }
                Content::News(peer) => end.sees(peer),
            }
            end.device
        };
        self.kernel.notify(device);
    }

    /// A unit opened its end, or left it.
    fn link_changed(&self, link: usize, side: usize) {
        let (is_remote, machine) = {
            let links = self.links.borrow();
            (links.links[link].pair, links.links[link].ends[side].machine)
        };
        match is_remote {
            Some(pair) => {
                self.send_news(link, side);
                // Who comes anew asks who is there.
                let is_open = self.links.borrow().links[link].ends[side].is_open;
                if is_open && self.links.borrow().pairs[pair].up.is_some() {
                    self.send_news(link, 1 - side);
                }
            }
            None => {
                let life = self.machines.borrow()[machine].life;
                let device = {
                    let ends = &mut self.links.borrow_mut().links[link].ends;
                    let here = ends[side].is_open.then_some((life, ends[side].epoch));
                    let there = ends[1 - side].is_open.then_some((life, ends[1 - side].epoch));
                    ends[1 - side].sees(here);
                    ends[side].sees(there);
                    ends[1 - side].device
                };
                self.kernel.notify(device);
            }
        }
    }

    /// Tells the other machine who is at this side.
    fn send_news(&self, link: usize, side: usize) {
        let (news, life, is_up) = {
            let links = self.links.borrow();
            let Some(pair) = links.links[link].pair else { return };
            let end = &links.links[link].ends[side];
            let machine = &self.machines.borrow()[end.machine];
            let news = end.is_open.then_some((machine.life, end.epoch));
            (news, links.pairs[pair].life, links.pairs[pair].up.is_some() && machine.is_on)
        };
        if is_up {
            let (number, side) = (link as u32, 1 - side as u32);
            let parcel = Parcel { link: number, side, life, content: Content::News(news) };
            self.send_parcel(&mut self.links.borrow_mut().links[link], parcel, FRAME_BYTES);
        }
    }

    /// Something about the way between two machines has changed: it is looked at when that has lasted.
    pub(crate) fn way_changed(&self, machines: [usize; 2]) {
        let mut both = machines;
        both.sort_unstable();
        let place = self.links.borrow().pairs.iter().position(|pair| pair.machines == both);
        let Some(pair) = place else { return };
        let now_ns = self.kernel.now_ns();
        let is_reachable = self.lives_within_reach(both).is_some();
        let since = &mut self.links.borrow_mut().pairs[pair].unreachable_since_ns;
        match (is_reachable, *since) {
            (true, _) => {
                *since = None;
                self.kernel.after(REDIAL_NS, Event::Connection { pair });
            }
            (false, None) => {
                *since = Some(now_ns);
                self.kernel.after(DEAD_AFTER_NS, Event::Connection { pair });
            }
            (false, Some(_)) => {}
        }
    }

    /// The lives of two machines, if each gets through to the other.
    fn lives_within_reach(&self, [a, b]: [usize; 2]) -> Option<[u32; 2]> {
        let network = self.network.borrow();
        let is_blocked =
            network.is_blocked(Path { from: a, to: b }) || network.is_blocked(Path { from: b, to: a });
        let machines = self.machines.borrow();
        let are_on = machines[a].is_on && machines[b].is_on;
        (are_on && !is_blocked).then(|| [machines[a].life, machines[b].life])
    }

    /// A machine lost its power, or is up again.
    pub(crate) fn ways_changed(&self, machine: usize) {
        let pairs: Vec<[usize; 2]> = {
            let links = self.links.borrow();
            let own = links.pairs.iter().filter(|pair| pair.machines.contains(&machine));
            own.map(|pair| pair.machines).collect()
        };
        pairs.into_iter().for_each(|machines| self.way_changed(machines));
    }

    pub(crate) fn look_at_connection(&self, pair: usize) {
        let (machines, up, since_ns) = {
            let pair = &self.links.borrow().pairs[pair];
            (pair.machines, pair.up, pair.unreachable_since_ns)
        };
        let lives = self.lives_within_reach(machines);
        let is_dead = since_ns.is_some_and(|since_ns| since_ns + DEAD_AFTER_NS <= self.kernel.now_ns());
        // Who was started anew in the meantime knows nothing of it.
        let is_replaced = lives.is_some() && up != lives;
        if up.is_some() && (is_dead || is_replaced) {
            self.connection_ends(pair);
        }
        if is_replaced {
            self.connection_begins(pair, lives);
        }
    }

    fn links_of(&self, pair: usize) -> Vec<usize> {
        let links = self.links.borrow();
        (0..links.links.len()).filter(|link| links.links[*link].pair == Some(pair)).collect()
    }

    fn connection_ends(&self, pair: usize) {
        let of_pair = self.links_of(pair);
        let mut devices = Vec::new();
        {
            let links = &mut *self.links.borrow_mut();
            links.pairs[pair].up = None;
            for link in &of_pair {
                for end in &mut links.links[*link].ends {
                    end.sees(None);
                    // The same peer over another connection is another one: what was on its way to it is lost.
                    end.alias.0 = None;
                    end.clear();
                    devices.push(end.device);
                }
            }
        }
        devices.into_iter().for_each(|device| self.kernel.notify(device));
        let [a, b] = self.links.borrow().pairs[pair].machines;
        let is_link = |cargo: &Cargo| matches!(cargo, Cargo::Link(_));
        let network = &mut *self.network.borrow_mut();
        network.drop_held(&self.kernel, Path { from: a, to: b }, is_link);
        network.drop_held(&self.kernel, Path { from: b, to: a }, is_link);
    }

    fn connection_begins(&self, pair: usize, lives: Option<[u32; 2]>) {
        {
            let links = &mut *self.links.borrow_mut();
            links.pairs[pair].up = lives;
            links.pairs[pair].life += 1;
            // What the earlier one still had on its way holds up nothing.
            let of_pair = links.links.iter_mut().filter(|link| link.pair == Some(pair));
            of_pair.flat_map(|link| &mut link.ends).for_each(|end| end.last_arrival_ns = 0);
        }
        for link in self.links_of(pair) {
            self.send_news(link, CLIENT);
            self.send_news(link, SERVER);
        }
    }

    /// Whether what a unit held of its links is given back: nothing of what ended is open.
    pub(crate) fn open_ends(&self, unit: usize) -> usize {
        let links = self.links.borrow();
        links.ends_of(unit).filter(|(link, side)| links.links[*link].ends[*side].is_open).count()
    }
}
