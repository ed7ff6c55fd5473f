//! The single-file machine: a program that is all of its machine's user space.
//!
//! ```no_run
//! fn main() -> std::io::Result<()> {
//!     let machine = solum::machine::boot();
//!     let shutdown = machine.shutdown()?;
//!     println!("up");
//!     shutdown.wait();
//!     Ok(())
//! }
//! ```
//!
//! Started by a kernel as PID 1, [`boot`] splits the process: PID 1 stays behind to keep the machine (mounts,
//! network, clock, orphans, power), and `main` goes on in a child of it, running the same file. However that child
//! ends (it returns, panics, is killed), the machine is switched off in good order and its host learns the status.
//! Started as an ordinary process, `boot` does nothing but hand out a [`Machine`].

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use solum_boot::{pid1, process, role};
pub use solum_spec::description::WhenEnded;
use solum_spec::description::{self, Description, Network, Unit};

/// Marks the executable as one that needs no init beside it; `solum run` and `solum take` look for this note.
/// Layout: System V gABI, "Note Section". Owner and type: `solum_image::executable`.
#[repr(C)]
struct Note {
    name_size: u32,
    description_size: u32,
    kind: u32,
    name: [u8; 8],
}

// SAFETY: the section holds nothing but this constant, laid out as an ELF note; nobody links against it.
#[unsafe(link_section = ".note.solum")]
#[used]
static NOTE: Note = Note { name_size: 6, description_size: 0, kind: 1, name: *b"Solum\0\0\0" };

/// How long a program may take to stop unless it says otherwise, in milliseconds.
const GRACE_MS: u32 = 10_000;

/// What a program wants of its machine. Start from [`Options::new`].
///
/// These are defaults for an image that says nothing. If it has a description, that one holds and every option here is
/// ignored, also those of which the description's author said nothing. `solum run` and `solum take` write one as soon as
/// they are given anything that it would say: arguments, `--env`, `--share`, `--wait`, `--network`, `--time-server`,
/// `--name`, `--when-ended` or `--grace`.
#[derive(Clone, Debug)]
pub struct Options {
    host_name: String,
    network: bool,
    time_servers: Vec<String>,
    grace: Duration,
    when_ended: WhenEnded,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    /// Addresses by DHCP and SLAAC on every Ethernet interface, ten seconds to stop.
    pub fn new() -> Self {
        Self {
            host_name: "machine".into(),
            network: true,
            time_servers: Vec::new(),
            grace: Duration::from_millis(GRACE_MS.into()),
            when_ended: WhenEnded::default(),
        }
    }

    /// The machine's name (RFC 1123).
    pub fn host_name(mut self, name: impl Into<String>) -> Self {
        self.host_name = name.into();
        self
    }

    /// Leaves every interface but loopback alone.
    pub fn without_network(mut self) -> Self {
        self.network = false;
        self
    }

    /// Adds an NTP server (RFC 5905), a name or an address; those that DHCP offers come first.
    pub fn time_server(mut self, server: impl Into<String>) -> Self {
        self.time_servers.push(server.into());
        self
    }

    /// How long the program may take from the request to stop until it is killed.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// What the machine does when the program ended by itself; it switches itself off if nothing is said.
    pub fn when_ended(mut self, what: WhenEnded) -> Self {
        self.when_ended = what;
        self
    }

    /// Brings the machine up if this process is PID 1 of one; see [`boot`].
    pub fn boot(self) -> Machine {
        role::play_if_asked();
        if is_machine() {
            pid1::run(self.description());
        }
        // Reading the note is what keeps it in the executable.
        std::hint::black_box(&NOTE);
        Machine { _made_by_boot: () }
    }

    /// The image's description if it has one, else what the options and the kernel's command line say.
    fn description(self) -> Result<Description, String> {
        let mut description = match fs::read(description::PATH) {
            Ok(bytes) => Description::from_bytes(&bytes).map_err(|error| error.to_string())?,
            Err(_) => self.own_description(),
        };
        description.unit.path = "/init".into();
        Ok(description)
    }

    fn own_description(self) -> Description {
        // The kernel gives PID 1 the words after `--` as arguments, and every NAME=VALUE it does not know.
        let kernels_own = |(name, value): &(String, String)| {
            [("HOME", "/"), ("TERM", "linux")].contains(&(name.as_str(), value.as_str()))
        };
        let lossless = |text: std::ffi::OsString| text.into_string().ok();
        Description {
            host_name: self.host_name,
            modules: Vec::new(),
            shares: Vec::new(),
            file_systems: Vec::new(),
            network: if self.network { Network::Automatic } else { Network::None },
            time_servers: self.time_servers,
            when_ended: self.when_ended,
            // It has what it finds.
            memory_bytes: None,
            cpus: None,
            unit: Unit {
                name: "init".into(),
                path: String::new(),
                arguments: std::env::args_os().skip(1).filter_map(lossless).collect(),
                environment: std::env::vars_os()
                    .filter_map(|(name, value)| Some((lossless(name)?, lossless(value)?)))
                    .filter(|variable| !kernels_own(variable))
                    .collect(),
                user_id: 0,
                wait: Vec::new(),
                grace_ms: u32::try_from(self.grace.as_millis()).unwrap_or(u32::MAX),
            },
        }
    }
}

/// Makes this program the whole user space of its machine, if a kernel started it as such. Call it first in
/// `main`: what stands before it runs once more in PID 1 and in each of its roles.
pub fn boot() -> Machine {
    Options::new().boot()
}

/// A kernel that boots into its initramfs has mounted nothing yet. In a container, PID 1 finds `/proc` in place.
fn is_machine() -> bool {
    std::process::id() == 1 && !Path::new("/proc/self").exists()
}

/// What a program holds while its machine is up.
#[derive(Clone, Debug)]
pub struct Machine {
    _made_by_boot: (),
}

impl Machine {
    /// Tells when the machine is asked to end.
    ///
    /// From the first call on, `SIGTERM` and `SIGINT` do not end the process any more: they do nothing but tell every
    /// holder of the handle. Until then they end the program, as any other, so call it before telling anybody that the
    /// program is up.
    ///
    /// # Errors
    ///
    /// The process has no free descriptor.
    pub fn shutdown(&self) -> io::Result<Shutdown> {
        // Signals belong to the whole process, and so does their one watch.
        static WATCH: Mutex<Option<Shutdown>> = Mutex::new(None);
        let mut watch = WATCH.lock().unwrap_or_else(PoisonError::into_inner);
        let shutdown = match watch.take() {
            Some(shutdown) => shutdown,
            None => Shutdown::watch()?,
        };
        Ok(watch.insert(shutdown).clone())
    }

    /// Whether there is a machine of its own around the program; an ordinary process otherwise.
    pub fn is_own(&self) -> bool {
        std::env::var_os(process::MACHINE_VARIABLE).is_some()
    }
}

/// The request to end: power button, Ctrl-Alt-Del, hypervisor, host or `SIGTERM`; `SIGINT` too, for a process at a terminal.
///
/// Its descriptor becomes readable with the request and stays so, for programs that poll.
#[derive(Clone, Debug)]
pub struct Shutdown {
    requested: Arc<UnixStream>,
}

impl Shutdown {
    fn watch() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        for signal in [SIGTERM, SIGINT] {
            pipe::register(signal, write.try_clone()?)?;
        }
        Ok(Self { requested: Arc::new(read) })
    }

    /// Blocks until the machine is asked to end.
    pub fn wait(&self) {
        while !self.wait_for(Duration::MAX) {}
    }

    /// Blocks until the machine is asked to end or `timeout` is over; whether it was asked.
    pub fn wait_for(&self, timeout: Duration) -> bool {
        // What is beyond the clock's range is for ever.
        let end = Instant::now().checked_add(timeout);
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            // The byte is never read, so the request stays visible to everyone who holds the handle.
            match poll(&mut [PollFd::new(&*self.requested, PollFlags::IN)], timeout.as_ref()) {
                Ok(0) => return false,
                Ok(_) => return true,
                // A signal came in between, most likely the one that is waited for.
                Err(_) => {}
            }
        }
    }

    /// Whether the machine was asked to end.
    pub fn is_requested(&self) -> bool {
        self.wait_for(Duration::ZERO)
    }
}

impl AsFd for Shutdown {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.requested.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_is_what_the_builder_looks_for() {
        assert_eq!(size_of::<Note>(), 20);
        assert_eq!(NOTE.name_size as usize, solum_image::executable::NOTE_OWNER.len() + 1);
        assert_eq!(NOTE.name[..5], *solum_image::executable::NOTE_OWNER);
        assert_eq!(NOTE.kind, solum_image::executable::NOTE_SINGLE_FILE_MACHINE);
    }

    #[test]
    fn an_ordinary_process_is_told_of_the_request_to_end() {
        let machine = boot();
        assert!(!machine.is_own());
        let shutdown = machine.shutdown().unwrap();
        assert!(!shutdown.is_requested());
        assert!(!shutdown.wait_for(Duration::from_millis(1)));
        let waiting = std::thread::spawn({
            let shutdown = shutdown.clone();
            move || shutdown.wait_for(Duration::MAX)
        });
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert!(waiting.join().unwrap(), "a time without end ends with the request");
        shutdown.wait();
        assert!(shutdown.is_requested(), "the request stays");
        assert!(machine.shutdown().unwrap().is_requested(), "and everyone sees it");
    }
}
