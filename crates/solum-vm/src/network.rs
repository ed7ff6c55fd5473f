//! The network between the machines of one system: a switch in this process, with a cable to each of them. It needs no
//! privilege, and nothing of the host's own network is reached through it.

mod switch;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use switch::{Outlets, Switch};

/// The longest frame that QEMU passes on (net/net.h, `NET_BUFSIZE`).
const FRAME: usize = 4096 + 65536;
/// What waits for a machine that does not take it. More is lost, as on any Ethernet.
const WAITING: usize = 1 << 20;
/// Bytes read at once.
const READ: usize = 256 << 10;

/// A switch that runs until all cables are pulled.
#[derive(Debug)]
pub struct Network {
    thread: Option<JoinHandle<()>>,
    /// Wakes the thread. Closes when the network is dropped, which ends the thread.
    bell: Option<UnixStream>,
    /// New cables, and where they are plugged in.
    plugs: Sender<(usize, UnixStream)>,
}

impl Network {
    /// A network with so many places for cables.
    ///
    /// # Errors
    ///
    /// If there are no sockets or threads.
    pub fn start(places: usize) -> io::Result<Self> {
        let (bell, rung) = UnixStream::pair()?;
        rung.set_nonblocking(true)?;
        let (plugs, plugged) = channel();
        let carry = move || carry((0..places).map(|_| None).collect(), &rung, &plugged);
        let thread = std::thread::Builder::new().name("network".into()).spawn(carry)?;
        Ok(Self { thread: Some(thread), bell: Some(bell), plugs })
    }

    /// A cable from this place, to be plugged into a machine. One that was there before is pulled.
    ///
    /// # Errors
    ///
    /// If there are no sockets.
    pub fn plug(&self, place: usize) -> io::Result<OwnedFd> {
        let (ours, cable) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        // The thread outlives this, so it hears both.
        let _ = self.plugs.send((place, ours));
        if let Some(mut bell) = self.bell.as_ref() {
            bell.write_all(&[0])?;
        }
        Ok(cable.into())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.bell.take();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been reported by it.
            let _ = thread.join();
        }
    }
}

/// Our end of a cable. QEMU's stream sockets carry frames with their length in front, in big endian (net/socket.c).
struct Port {
    socket: UnixStream,
    input: Vec<u8>,
    output: VecDeque<u8>,
}

impl Port {
    fn new(socket: UnixStream) -> Self {
        Self { socket, input: Vec::new(), output: VecDeque::new() }
    }

    /// The frames that came; an error if the cable is pulled.
    fn read(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut buffer = vec![0; READ];
        match self.socket.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => self.input.extend_from_slice(&buffer[..length]),
            Err(error) if is_later(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        let mut frames = Vec::new();
        let mut at = 0;
        while let Some((length, rest)) = self.input.get(at..).and_then(|input| input.split_first_chunk::<4>())
        {
            let length = u32::from_be_bytes(*length) as usize;
            if length > FRAME {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let Some(frame) = rest.get(..length) else { break };
            frames.push(frame.to_vec());
            at += 4 + length;
        }
        self.input.drain(..at);
        Ok(frames)
    }

    fn send(&mut self, frame: &[u8]) {
        if self.output.len() + frame.len() > WAITING {
            return;
        }
        self.output.extend((frame.len() as u32).to_be_bytes());
        self.output.extend(frame);
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.socket.write(self.output.as_slices().0) {
                Ok(length) => drop(self.output.drain(..length)),
                Err(error) if is_later(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Carries frames until nobody wants the network any more.
fn carry(mut ports: Vec<Option<Port>>, rung: &UnixStream, plugged: &Receiver<(usize, UnixStream)>) {
    let mut switch = Switch::default();
    while wait(&ports, rung) {
        while let Ok((place, socket)) = plugged.try_recv() {
            switch.pulled(place);
            if let Some(port) = ports.get_mut(place) {
                *port = Some(Port::new(socket));
            }
        }
        for from in 0..ports.len() {
            let Some(port) = &mut ports[from] else { continue };
            let Ok(frames) = port.read() else {
                ports[from] = None;
                switch.pulled(from);
                continue;
            };
            for frame in frames {
                let outlets = switch.frame(from, &frame);
                for (to, port) in ports.iter_mut().enumerate() {
                    if let Some(port) = port.as_mut().filter(|_| outlets.has(to, from)) {
                        port.send(&frame);
                    }
                }
            }
        }
        for port in &mut ports {
            if port.as_mut().is_some_and(|port| port.write().is_err()) {
                *port = None;
            }
        }
    }
}

/// Waits until there is something to do; false if the network is over.
fn wait(ports: &[Option<Port>], mut rung: &UnixStream) -> bool {
    let mut polled = vec![PollFd::from_borrowed_fd(rung.as_fd(), PollFlags::IN)];
    polled.extend(ports.iter().flatten().map(|port| {
        let write = if port.output.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        PollFd::from_borrowed_fd(port.socket.as_fd(), PollFlags::IN | write)
    }));
    match poll(&mut polled, None) {
        Ok(_) if polled[0].revents().is_empty() => true,
        Ok(_) => match rung.read(&mut [0; 64]) {
            Ok(length) => length > 0,
            Err(error) => is_later(&error),
        },
        Err(error) => error == Errno::INTR,
    }
}

impl Outlets {
    fn has(self, port: usize, from: usize) -> bool {
        match self {
            Self::One(one) => port == one,
            Self::AllOthers => port != from,
            Self::None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(to: u8, from: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        bytes[..12].copy_from_slice(&[2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from]);
        bytes
    }

    fn say(cable: &mut UnixStream, frame: &[u8]) {
        cable.write_all(&(frame.len() as u32).to_be_bytes()).unwrap();
        cable.write_all(frame).unwrap();
    }

    fn hear(cable: &mut UnixStream) -> Vec<u8> {
        let mut length = [0; 4];
        cable.read_exact(&mut length).unwrap();
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        cable.read_exact(&mut frame).unwrap();
        frame
    }

    fn network(cables: usize) -> (Network, Vec<UnixStream>) {
        let network = Network::start(cables).unwrap();
        let cables = (0..cables).map(|place| network.plug(place).unwrap().into()).collect();
        (network, cables)
    }

    #[test]
    fn a_frame_to_nobody_known_goes_to_all_others_and_an_answer_to_one() {
        let (_network, mut cables) = network(3);
        say(&mut cables[0], &frame(1, 0, 60));
        assert_eq!(hear(&mut cables[1]), frame(1, 0, 60));
        assert_eq!(hear(&mut cables[2]), frame(1, 0, 60));
        say(&mut cables[1], &frame(0, 1, 1514));
        assert_eq!(hear(&mut cables[0]), frame(0, 1, 1514));
        // Had the third got the answer, it would come before this.
        say(&mut cables[1], &frame(9, 1, 61));
        assert_eq!(hear(&mut cables[2]), frame(9, 1, 61));
    }

    #[test]
    fn who_does_not_listen_or_talks_nonsense_stops_nobody_else() {
        let (_network, mut cables) = network(4);
        say(&mut cables[3], &frame(9, 3, 60));
        cables[..3].iter_mut().for_each(|cable| drop(hear(cable)));
        cables[2].write_all(&[0xFF; 8]).unwrap();
        for _ in 0..4000 {
            say(&mut cables[0], &frame(3, 0, 1514));
        }
        say(&mut cables[0], &frame(1, 0, 60));
        assert_eq!(hear(&mut cables[1]), frame(1, 0, 60));
        assert_eq!(cables[2].read(&mut [0; 16]).unwrap_or(0), 0, "its cable is pulled");
        let pulled = cables.remove(3);
        drop(pulled);
        say(&mut cables[1], &frame(0, 1, 60));
        assert_eq!(hear(&mut cables[0]), frame(0, 1, 60));
    }

    #[test]
    fn a_machine_that_comes_back_gets_a_new_cable_whatever_became_of_the_old_one() {
        let (network, mut cables) = network(3);
        let mut dangling = cables.remove(1);
        say(&mut dangling, &frame(9, 1, 60));
        cables.iter_mut().for_each(|cable| drop(hear(cable)));
        let mut again = UnixStream::from(network.plug(1).unwrap());
        assert_eq!(dangling.read(&mut [0; 16]).unwrap_or(0), 0, "its cable is pulled");
        // Nobody knows where it is before it has said something.
        say(&mut cables[0], &frame(1, 0, 61));
        assert_eq!(hear(&mut again), frame(1, 0, 61));
        assert_eq!(hear(&mut cables[1]), frame(1, 0, 61));
        drop(again);
        let mut again = UnixStream::from(network.plug(1).unwrap());
        say(&mut again, &frame(0, 1, 62));
        assert_eq!(hear(&mut cables[0]), frame(0, 1, 62));
    }
}
