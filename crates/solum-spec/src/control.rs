//! The control channel: what a machine and its host say to each other.
//!
//! It is a byte stream of its own (a virtio-serial port named [`PORT_NAME`] in a virtual machine), so nothing is
//! ever parsed from the console. Each message is a frame: the length of the payload as a little-endian `u32`,
//! then the payload in postcard's encoding. The machine speaks first, with [`FromMachine::Hello`].

use std::net::IpAddr;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Name of the virtio-serial port, as `/sys/class/virtio-ports/*/name` shows it.
pub const PORT_NAME: &str = "org.solum.control";

/// The word of the kernel's command line by which a host says that it plugs in no such port.
pub const NO_CONTROL_WORD: &str = "solum.control=none";

/// The virtio-serial ports that are a program's standard input, output and error where nobody sits at a terminal:
/// byte streams with back-pressure and an end, which a console is not.
pub const STREAM_PORTS: [&str; 3] = ["org.solum.stdin", "org.solum.stdout", "org.solum.stderr"];

/// The serial number by which a machine finds the disk with this place in its plan: a virtio block device has at most 20
/// bytes of it (Virtio 1.2, section 5.2.6.1).
pub fn disk_serial(place: usize) -> String {
    format!("solum-disk-{place}")
}

/// Version of the messages; both sides come from the same release, so they must be equal.
pub const PROTOCOL: u16 = 2;

/// The largest payload of a frame, in bytes. Anything longer is a broken peer.
pub const PAYLOAD_MAX: usize = 64 * 1024;

/// What a machine tells its host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromMachine {
    /// PID 1 runs. `protocol` is [`PROTOCOL`] of its build.
    Hello {
        /// Version of the messages.
        protocol: u16,
    },
    /// The program was started.
    Started,
    /// An interface has an address.
    Network(NetworkReport),
    /// The clock was set.
    Clock(ClockReport),
    /// A file system was mounted, or is left alone.
    Storage(StorageReport),
    /// Something the user should know; the machine goes on.
    Warning(String),
    /// The program ended, and so does the machine now.
    Ended(Outcome),
    /// What the machine does after that, if it does not power off. Told before [`Ended`](Self::Ended).
    Ending(Ending),
}

/// What becomes of a machine when everything in it has ended and is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// It is switched off.
    PowerOff,
    /// It starts anew.
    Reboot,
    /// It stands still.
    Halt,
}

/// What a host asks of its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToMachine {
    /// Stop the program in an orderly way, then power off.
    Stop,
    /// Send the program this signal (Linux numbers).
    Signal(u8),
    /// The size of the terminal that shows the console, in characters.
    Resize {
        /// Lines.
        rows: u16,
        /// Characters in a line.
        columns: u16,
    },
}

/// Linux signal numbers, the same on every architecture that Solum supports (signal(7)).
pub const SIGKILL: u8 = 9;
/// See [`SIGKILL`].
pub const SIGTERM: u8 = 15;
/// The exit status that a shell, and a program made like one, turns SIGTERM into.
pub const EXITED_BY_SIGTERM: u8 = 128 + SIGTERM;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// With this exit status.
    Exited(u8),
    /// By this signal (Linux numbers).
    Signaled(u8),
    /// By the kernel, because it needed more memory than it may have.
    OutOfMemory,
}

impl Status {
    /// This status as the outcome of a program; `killed` says that it was sent SIGKILL after its grace.
    pub const fn outcome(self, killed: bool) -> Outcome {
        match self {
            Self::Exited(status) => Outcome::Exited(status),
            Self::Signaled(signal) => Outcome::Signaled { signal, after_grace: killed && signal == SIGKILL },
            Self::OutOfMemory => Outcome::Signaled { signal: SIGKILL, after_grace: false },
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "ended with status {status}"),
            Self::Signaled(signal) => write!(f, "was ended by signal {signal}{}", signal_name(*signal)),
            Self::OutOfMemory => {
                f.write_str("was ended by the kernel, because it needed more memory than it may have")
            }
        }
    }
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It returned this exit status.
    Exited(u8),
    /// It was ended by this signal (Linux numbers).
    Signaled {
        /// The signal's number.
        signal: u8,
        /// PID 1 sent it, because the program did not stop within its grace.
        after_grace: bool,
    },
    /// It could not be started; the text says why.
    NotStarted(String),
    /// PID 1 could not bring the machine up; the text says why.
    MachineFailed(String),
    /// Its supervisor ended it, because it was not ready in time or not healthy any more; the text says which.
    GivenUp(String),
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "the program ended with status {status}"),
            Self::Signaled { signal, after_grace: false } => {
                write!(f, "the program was ended by signal {signal}{}", signal_name(*signal))
            }
            Self::Signaled { signal, after_grace: true } => {
                write!(
                    f,
                    "the program did not stop in time and was ended by signal {signal}{}",
                    signal_name(*signal)
                )
            }
            Self::NotStarted(why) | Self::MachineFailed(why) | Self::GivenUp(why) => f.write_str(why),
        }
    }
}

/// The name of a signal in brackets, for the signals that end programs (signal(7), x86 and Arm numbers).
pub fn signal_name(signal: u8) -> &'static str {
    match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        3 => " (SIGQUIT)",
        4 => " (SIGILL, an illegal instruction)",
        6 => " (SIGABRT, it gave up)",
        7 => " (SIGBUS, a bad memory access)",
        8 => " (SIGFPE, an arithmetic error)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV, a bad memory access)",
        13 => " (SIGPIPE)",
        14 => " (SIGALRM)",
        15 => " (SIGTERM)",
        31 => " (SIGSYS, a forbidden system call)",
        _ => "",
    }
}

/// An interface that has an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkReport {
    /// The kernel's name, like `eth0`.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Length of the network prefix in bits.
    pub prefix: u8,
    /// The default router, if there is one.
    pub gateway: Option<IpAddr>,
    /// Time servers that the DHCP server offered (option 42).
    pub time_servers: Vec<IpAddr>,
}

/// A file system that the description names was mounted, or could not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StorageReport {
    /// It is there.
    Mounted {
        /// Where.
        target: String,
        /// The device that it is on, and its kind; for people.
        what: String,
    },
    /// It is not there, and the machine goes on without it: it is not required.
    Missing {
        /// Where it would be.
        target: String,
        /// Why, as a sentence for people.
        why: String,
    },
    /// It is not there, and the program is not started without it.
    Failed {
        /// Where it would be.
        target: String,
        /// Why, as a sentence for people.
        why: String,
    },
    /// All of them have been seen to.
    Complete,
}

/// The clock was set from a time server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReport {
    /// The server that was believed.
    pub server: String,
    /// By how much the clock was wrong, in milliseconds; positive if it was behind.
    pub offset_ms: i64,
}

/// Encodes one message as a frame.
pub fn encode<M: Serialize>(message: &M) -> Vec<u8> {
    // Serialising plain structures into memory has no way to fail.
    let payload = postcard::to_stdvec(message).unwrap_or_default();
    let mut frame = Vec::with_capacity(4 + payload.len());
    frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    frame.extend_from_slice(&payload);
    frame
}

/// Takes bytes as they arrive and gives back whole messages.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes that were read from the channel.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, or `None` if more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`FrameError`]; there is no way back into step with the peer, so the stream is useless after it.
    pub fn decode<M: DeserializeOwned>(&mut self) -> Result<Option<M>, FrameError> {
        let Some((header, rest)) = self.buffer.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*header) as usize;
        if length > PAYLOAD_MAX {
            return Err(FrameError::TooLong(length));
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let message = match postcard::take_from_bytes(payload) {
            Ok((message, [])) => message,
            _ => return Err(FrameError::Malformed),
        };
        self.buffer.drain(..4 + length);
        Ok(Some(message))
    }
}

/// The peer does not speak this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A frame announces more than [`PAYLOAD_MAX`] bytes.
    TooLong(usize),
    /// A payload is not one of the messages.
    Malformed,
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong(length) => {
                write!(f, "a control frame of {length} bytes, where {PAYLOAD_MAX} are allowed")
            }
            Self::Malformed => f.write_str("a control frame that is no message"),
        }
    }
}

impl std::error::Error for FrameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_any_splitting() {
        let messages = [
            FromMachine::Hello { protocol: PROTOCOL },
            FromMachine::Warning("share /data could not be mounted".into()),
            FromMachine::Ended(Outcome::Signaled { signal: 9, after_grace: true }),
        ];
        let stream: Vec<u8> = messages.iter().flat_map(encode).collect();
        for chunk in 1..stream.len() {
            let mut decoder = Decoder::new();
            let mut seen = Vec::new();
            for bytes in stream.chunks(chunk) {
                decoder.push(bytes);
                while let Some(message) = decoder.decode::<FromMachine>().unwrap() {
                    seen.push(message);
                }
            }
            assert_eq!(seen, messages, "in chunks of {chunk}");
        }
    }

    #[test]
    fn garbage_is_an_error_and_never_an_allocation() {
        let mut decoder = Decoder::new();
        decoder.push(&[0xff; 8]);
        assert_eq!(decoder.decode::<ToMachine>(), Err(FrameError::TooLong(0xffff_ffff)));
        let mut decoder = Decoder::new();
        decoder.push(&[1, 0, 0, 0, 0x7f]);
        assert_eq!(decoder.decode::<ToMachine>(), Err(FrameError::Malformed));
        let mut decoder = Decoder::new();
        decoder.push(&[2, 0, 0, 0, 0, 0]);
        assert_eq!(decoder.decode::<ToMachine>(), Err(FrameError::Malformed), "bytes after the message");
    }
}
