//! The machine's end of the control channel.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use solum_spec::control::{Decoder, FromMachine, ToMachine, encode};

use crate::kernel_log;

/// How long a host that is not there yet, or does not read, may delay the machine. It is spent once.
///
/// A virtio-serial port is announced (`PORT_NAME`) a moment before its host is (`PORT_OPEN`; Virtio 1.2, section 5.3.6.2),
/// so the first message finds nobody although somebody listens.
const PATIENCE: Duration = Duration::from_secs(1);

/// Pause between two looks at a port without a host: poll(2) reports its hang-up at once, so it cannot be waited for
/// (drivers/char/virtio_console.c, `port_fops_poll`).
const PAUSE: Duration = Duration::from_millis(1);

/// An open channel to the host.
pub struct Channel {
    port: File,
    decoder: Decoder,
    patience: Duration,
    /// The host took or sent something, so it was there. Until then its absence is no hang-up.
    met: bool,
    /// The host spoke nonsense or went away. Nothing more is read, but the outcome is still told.
    deaf: bool,
    /// The host did not take a message. It may have half of it, and could make nothing of what follows.
    mute: bool,
}

impl Channel {
    /// `port` must have been opened non-blocking.
    pub fn new(port: File) -> Self {
        Self { port, decoder: Decoder::new(), patience: PATIENCE, met: false, deaf: false, mute: false }
    }

    /// What to wait on for messages of the host. A host that never was there is not waited for: the port would be
    /// readable all the time.
    pub fn readable(&self) -> Option<BorrowedFd<'_>> {
        (self.met && !self.deaf).then(|| self.port.as_fd())
    }

    /// Whether a host was there and took everything.
    pub fn has_host(&self) -> bool {
        self.met && !self.mute
    }

    /// Sends a message. A host that does not read loses it and all that follow; the machine does not stop for that.
    pub fn tell(&mut self, message: &FromMachine) {
        if self.mute {
            return;
        }
        let taken = self.write(&encode(message));
        self.met |= taken;
        self.mute = !taken;
    }

    /// Whether the host took all of it.
    fn write(&mut self, mut rest: &[u8]) -> bool {
        let end = Instant::now() + self.patience;
        while !rest.is_empty() {
            match self.port.write(rest) {
                Ok(0) => return false,
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let Some(left) = end.checked_duration_since(Instant::now()) else { return false };
                    self.wait_for_room(left);
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// Waits until the host may take more, or until it is worth another look.
    fn wait_for_room(&self, left: Duration) {
        let mut port = [PollFd::new(&self.port, PollFlags::OUT)];
        let Ok(timeout) = Timespec::try_from(left) else { return };
        if poll(&mut port, Some(&timeout)).is_ok() && !port[0].revents().contains(PollFlags::OUT) {
            std::thread::sleep(PAUSE);
        }
    }

    /// The next message of the host, if one is there.
    pub fn receive(&mut self) -> Option<ToMachine> {
        while !self.deaf {
            match self.decoder.decode() {
                Ok(Some(message)) => return Some(message),
                Ok(None) => self.read()?,
                Err(error) => {
                    kernel_log::warning(&format!("the host sent {error}; it is not listened to any more"));
                    self.deaf = true;
                }
            }
        }
        None
    }

    /// Waits until the host has closed the channel, which is its word that it has taken everything.
    ///
    /// A machine that is off has forgotten what its devices had not yet handed over: a write to a virtio port
    /// returns when the buffer is queued (drivers/char/virtio_console.c, `port_fops_write`).
    pub fn wait_for_hang_up(&mut self, patience: Duration) {
        let end = Instant::now() + patience;
        while self.met && !self.deaf {
            while self.receive().is_some() {}
            let Some(left) = end.checked_duration_since(Instant::now()) else { return };
            let Ok(timeout) = Timespec::try_from(left) else { return };
            if !self.deaf {
                let _ = poll(&mut [PollFd::new(&self.port, PollFlags::IN)], Some(&timeout));
            }
        }
    }

    fn read(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        match self.port.read(&mut buffer) {
            // A virtio-serial port reads as ended while no host is connected to it.
            Ok(0) if !self.met => return None,
            Ok(0) => self.deaf = true,
            Ok(length) => {
                self.met = true;
                self.decoder.push(&buffer[..length]);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            // An unplugged port is readable for ever, with an error each time.
            Err(_) => self.deaf = true,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use solum_spec::control::Outcome;
    use std::io::Seek;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    fn pair() -> (Channel, UnixStream) {
        let (machine, host) = UnixStream::pair().unwrap();
        machine.set_nonblocking(true).unwrap();
        (Channel::new(File::from(OwnedFd::from(machine))), host)
    }

    #[test]
    fn both_sides_hear_each_other() {
        let (mut channel, mut host) = pair();
        assert_eq!(channel.receive(), None);
        host.write_all(&[encode(&ToMachine::Stop), encode(&ToMachine::Signal(10))].concat()).unwrap();
        assert_eq!(channel.receive(), Some(ToMachine::Stop));
        assert_eq!(channel.receive(), Some(ToMachine::Signal(10)));
        let ended = FromMachine::Ended(Outcome::Exited(7));
        channel.tell(&ended);
        drop(channel);
        let mut bytes = Vec::new();
        host.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, encode(&ended));
    }

    #[test]
    fn the_machine_waits_for_its_host_to_take_everything() {
        let (mut channel, mut host) = pair();
        let reader = std::thread::spawn(move || {
            let mut frame = vec![0; encode(&FromMachine::Started).len()];
            host.read_exact(&mut frame).unwrap();
            host.write_all(&encode(&ToMachine::Stop)).unwrap();
        });
        channel.tell(&FromMachine::Started);
        channel.wait_for_hang_up(Duration::from_secs(60));
        assert!(channel.deaf, "it ended with the hang-up, not with patience");
        reader.join().unwrap();
    }

    #[test]
    fn a_host_that_talks_nonsense_is_not_listened_to() {
        let (mut channel, mut host) = pair();
        host.write_all(&[0xff; 64]).unwrap();
        assert_eq!(channel.receive(), None);
        assert!(channel.readable().is_none());
    }

    #[test]
    fn a_host_that_went_away_does_not_keep_the_machine_busy() {
        let (mut channel, host) = pair();
        channel.tell(&FromMachine::Started);
        drop(host);
        assert_eq!(channel.receive(), None);
        assert!(channel.readable().is_none());
        channel.tell(&FromMachine::Started);
        channel.tell(&FromMachine::Started);
    }

    #[test]
    fn a_host_that_is_not_there_yet_is_heard_later() {
        // Nobody has written to the file yet, so it reads as ended, like a port without a host.
        let mut file = tempfile::tempfile().unwrap();
        let mut channel = Channel::new(file.try_clone().unwrap());
        assert_eq!(channel.receive(), None);
        assert!(channel.readable().is_none(), "poll would return at once, for ever");
        channel.wait_for_hang_up(Duration::from_secs(60));
        file.write_all(&encode(&ToMachine::Stop)).unwrap();
        file.rewind().unwrap();
        assert_eq!(channel.receive(), Some(ToMachine::Stop));
        assert!(channel.readable().is_some());
    }

    #[test]
    fn a_host_that_does_not_read_gets_whole_messages_only() {
        let (mut channel, mut host) = pair();
        channel.patience = Duration::ZERO;
        let warning = FromMachine::Warning("x".repeat(50_000));
        while !channel.mute {
            channel.tell(&warning);
        }
        let mut taken = vec![0; encode(&warning).len()];
        host.read_exact(&mut taken).unwrap();
        channel.tell(&FromMachine::Started);
        drop(channel);
        host.read_to_end(&mut taken).unwrap();
        assert!(
            !taken.ends_with(&encode(&FromMachine::Started)),
            "it would be read as a part of the warning"
        );
    }
}
