//! What is on its way from one machine to another, and what holds it up.
//!
//! Between machines everything travels on TCP. So a packet that is lost, comes twice or overtakes another is not seen as such
//! by who receives: lost ones are sent again, doubles are dropped, and what came too early waits for what came before it. What
//! is seen is time; and if nothing gets through for too long, the end of the connection.

use crate::choices::About;
use crate::faults::{Envelope, Fault};
use crate::kernel::Kernel;
use crate::trace::Record;
use crate::weather::Weather;

/// When a lost packet is sent again, in nanoseconds (Linux's least, `TCP_RTO_MIN`).
const RETRANSMISSION_NS: u64 = 200_000_000;
/// A connection on which nothing was heard for so long is given up, in nanoseconds (`solum_link::stream::DEAD_AFTER`).
pub const DEAD_AFTER_NS: u64 = 3_000_000_000;
/// How much longer everything takes on a clogged path.
const CLOG: u64 = 200;
/// Delays are chosen in so many steps of their spread.
const DELAY_STEPS: u32 = 256;

/// How long messages take when nothing is wrong, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Within a machine.
    pub local_ns: u64,
    /// Between machines, at least.
    pub remote_ns: u64,
    /// Between machines, this much more at most.
    pub spread_ns: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { local_ns: 2_000, remote_ns: 100_000, spread_ns: 100_000 }
    }
}

/// From one node to another. Nodes are machines and, behind them, the world outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Where from.
    pub from: usize,
    /// Where to.
    pub to: usize,
}

/// From whom to whom something goes.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Between which nodes.
    pub path: Path,
    /// Who sends it, in the trace.
    pub from: u32,
    /// Who gets it.
    pub to: u32,
}

/// A message on its way.
struct Message<C> {
    /// Its number in the trace.
    number: u32,
    /// When what was sent before on the same stream arrives.
    last_ns: u64,
    cargo: C,
}

#[derive(Clone, Default)]
struct PathState {
    /// How many faults block it.
    blocks: u32,
    /// How many faults clog it.
    clogs: u32,
    /// Messages that wait for it to be free.
    held: Vec<u32>,
    /// What was held arrives then, and nothing before it.
    not_before_ns: u64,
}

/// All messages that are on their way.
pub struct Network<C> {
    nodes: usize,
    latency: Latency,
    paths: Vec<PathState>,
    messages: Vec<Option<Message<C>>>,
    free: Vec<u32>,
    sent: u32,
    envelope: Envelope,
    /// Whether all faults have stopped.
    pub is_calm: bool,
}

impl<C> Network<C> {
    /// A network of so many machines, and the world outside.
    pub fn new(machines: usize, latency: Latency, envelope: &Envelope) -> Self {
        let nodes = machines + 1;
        let paths = vec![PathState::default(); nodes * nodes];
        Self {
            nodes,
            latency,
            paths,
            messages: Vec::new(),
            free: Vec::new(),
            sent: 0,
            envelope: envelope.clone(),
            is_calm: false,
        }
    }

    fn index(&self, path: Path) -> usize {
        path.from * self.nodes + path.to
    }

    /// Sends something. `last_ns` is when what was sent before on the same stream arrives: nothing arrives before it.
    pub fn send(
        &mut self,
        kernel: &Kernel,
        weather: &Weather,
        Way { path, from, to }: Way,
        last_ns: &mut u64,
        bytes: usize,
        cargo: C,
    ) {
        let index = self.index(path);
        self.sent = self.sent.wrapping_add(1);
        let number = self.sent;
        kernel.record(&Record::Sent(number, from, to, bytes as u32));
        let slot = self.keep(Message { number, last_ns: *last_ns, cargo });
        if self.paths[index].blocks > 0 {
            self.paths[index].held.push(slot);
            return;
        }
        let delay_ns = self.delay_ns(kernel, weather, path, index);
        let at_ns = (kernel.now_ns() + delay_ns).max(*last_ns).max(self.paths[index].not_before_ns);
        *last_ns = at_ns;
        kernel.at(at_ns, crate::event::Event::Arrive(slot));
    }

    fn keep(&mut self, message: Message<C>) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                self.messages[slot as usize] = Some(message);
                slot
            }
            None => {
                self.messages.push(Some(message));
                (self.messages.len() - 1) as u32
            }
        }
    }

    fn delay_ns(&self, kernel: &Kernel, weather: &Weather, path: Path, index: usize) -> u64 {
        let Latency { local_ns, remote_ns, spread_ns } = self.latency;
        let is_local = path.from == path.to;
        let (base_ns, spread_ns) = if is_local { (local_ns, local_ns) } else { (remote_ns, spread_ns) };
        // Seldom it takes much longer; in a rough weather, very much.
        let rough = if self.may(Fault::Delay) { weather.roughness } else { 0 };
        let bound = if self.may(Fault::Delay) { u32::MAX } else { DELAY_STEPS };
        let steps = kernel.pick(About::Delay, index as u32, bound, |random| {
            let usual = random.below(DELAY_STEPS.into()) as u32;
            if rough > 0 && random.once_in(16) {
                usual + random.log_uniform(rough) * DELAY_STEPS
            } else {
                usual
            }
        });
        if steps > DELAY_STEPS {
            kernel.fault(Fault::Delay, index as u32, u64::from(steps / DELAY_STEPS));
        }
        let delay_ns = spread_ns * u64::from(steps) / u64::from(DELAY_STEPS);
        if is_local {
            return base_ns + delay_ns;
        }
        let clogged = if self.paths[index].clogs > 0 { CLOG } else { 1 };
        base_ns * clogged + delay_ns + self.packet_fault(kernel, weather, index)
    }

    fn may(&self, fault: Fault) -> bool {
        !self.is_calm && self.envelope.has(fault)
    }

    /// What goes wrong with the packet, and how much longer it takes therefore.
    fn packet_fault(&self, kernel: &Kernel, weather: &Weather, index: usize) -> u64 {
        const KINDS: [Fault; 3] = [Fault::Drop, Fault::Duplication, Fault::Reordering];
        let bound = if self.is_calm { 1 } else { 4 };
        let chosen = kernel.pick(About::Packet, index as u32, bound, |random| {
            let hit = KINDS.iter().position(|kind| random.once_in(weather.once_in(*kind).into()));
            hit.map_or(0, |kind| kind as u32 + 1)
        });
        let kind = KINDS.get((chosen as usize).wrapping_sub(1)).filter(|kind| self.may(**kind));
        let Some(kind) = kind else { return 0 };
        kernel.fault(*kind, index as u32, 0);
        match kind {
            Fault::Drop => RETRANSMISSION_NS,
            Fault::Reordering => 10 * self.latency.remote_ns,
            _ => 0,
        }
    }

    /// A message arrived: what it is, unless it was lost.
    #[inline]
    pub fn arrived(&mut self, kernel: &Kernel, slot: u32) -> Option<C> {
        let message = self.messages.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        kernel.record(&Record::Arrived(message.number));
        Some(message.cargo)
    }

    /// Whether anything gets through.
    pub fn is_blocked(&self, path: Path) -> bool {
        self.paths[self.index(path)].blocks > 0
    }

    /// Nothing gets through any more, until whatever else blocks it is over, too.
    pub fn block(&mut self, path: Path) {
        let index = self.index(path);
        self.paths[index].blocks += 1;
    }

    /// Something that blocked it is over. What waited is sent again.
    pub fn unblock(&mut self, kernel: &Kernel, path: Path) {
        let index = self.index(path);
        let state = &mut self.paths[index];
        state.blocks = state.blocks.saturating_sub(1);
        if state.blocks == 0 {
            let again_ns = kernel.now_ns() + RETRANSMISSION_NS;
            state.not_before_ns = again_ns;
            for slot in std::mem::take(&mut state.held) {
                let last_ns = self.messages[slot as usize].as_ref().map_or(0, |message| message.last_ns);
                kernel.at(again_ns.max(last_ns), crate::event::Event::Arrive(slot));
            }
        }
    }

    /// Everything takes much longer, or does not any more.
    pub fn clog(&mut self, path: Path, begins: bool) {
        let index = self.index(path);
        let clogs = &mut self.paths[index].clogs;
        *clogs = if begins { *clogs + 1 } else { clogs.saturating_sub(1) };
    }

    /// Drops what is held on a path and is not wanted any more.
    pub fn drop_held(&mut self, kernel: &Kernel, path: Path, is_unwanted: impl Fn(&C) -> bool) {
        let index = self.index(path);
        let held = std::mem::take(&mut self.paths[index].held);
        for slot in held {
            let message = &mut self.messages[slot as usize];
            match message {
                Some(held) if is_unwanted(&held.cargo) => {
                    kernel.record(&Record::Lost(held.number));
                    *message = None;
                    self.free.push(slot);
                }
                _ => self.paths[index].held.push(slot),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use solum_spec::plan::Plan;

    use super::*;
    use crate::choices::Choices;
    use crate::event::Event;
    use crate::kernel::{Step, Watched};
    use crate::pulse::Pulse;
    use crate::recipe::Recipe;
    use crate::weather::Strategy;

    const PATH: Path = Path { from: 0, to: 1 };

    fn kernel(seed: u64, weather: &Weather) -> Kernel {
        let pulse = Pulse::new(&Recipe::seed(seed), &Arc::new(Plan::default()));
        Kernel::new(Choices::seeded(vec![(0, seed)]), weather, 0, Watched { units: 0, pulse }, true)
    }

    /// Sends a message every millisecond while the way is cut, clogged and free again; what arrives, in order.
    fn arrivals(seed: u64) -> Vec<u32> {
        let envelope = Envelope::default();
        let weather = Weather::of(seed, &envelope, Strategy::Mixed);
        let kernel = kernel(seed, &weather);
        let mut network = Network::new(2, Latency::default(), &envelope);
        let (mut last_ns, mut arrived) = (0, Vec::new());
        for number in 0..50 {
            match number % 10 {
                1 => network.block(PATH),
                4 => network.unblock(&kernel, PATH),
                5 => network.clog(PATH, true),
                8 => network.clog(PATH, false),
                _ => {}
            }
            network.send(&kernel, &weather, Way { path: PATH, from: 0, to: 1 }, &mut last_ns, 1, number);
            while let Step::Event(Event::Arrive(slot)) = kernel.step(u64::from(number) * 1_000_000) {
                arrived.extend(network.arrived(&kernel, slot));
            }
        }
        while let Step::Event(Event::Arrive(slot)) = kernel.step(u64::MAX) {
            arrived.extend(network.arrived(&kernel, slot));
        }
        arrived
    }

    #[test]
    fn what_is_sent_on_a_stream_arrives_in_its_order_whatever_goes_wrong() {
        for seed in 0..200 {
            assert_eq!(arrivals(seed), (0..50).collect::<Vec<_>>(), "seed {seed}");
        }
    }

    #[test]
    fn nothing_goes_wrong_any_more_once_it_is_calm() {
        let envelope = Envelope::default();
        for seed in 0..50 {
            let weather = Weather::of(seed, &envelope, Strategy::Mixed);
            let kernel = kernel(seed, &weather);
            let mut network = Network::new(2, Latency::default(), &envelope);
            network.is_calm = true;
            let mut last_ns = 0;
            for number in 0..200 {
                network.send(&kernel, &weather, Way { path: PATH, from: 0, to: 1 }, &mut last_ns, 1, number);
            }
            assert!(kernel.faults().is_empty(), "seed {seed}: {:?}", kernel.faults());
        }
    }
}
