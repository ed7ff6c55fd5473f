//! Why a machine or process could not be run at all.

use std::fmt;
use std::io;
use std::path::PathBuf;

use solum_spec::{ByteSize, Protocol, Publish, reason};

use crate::kernel_line::LineError;
use crate::user_network::NetworkError;

/// Why a run could not be had.
#[derive(Debug)]
pub enum VmError {
    /// The kernel's command line cannot be written.
    Line(LineError),
    /// QEMU cannot be the network around the machine's address.
    Network(NetworkError),
    /// The emulator is not installed.
    NoEmulator(PathBuf),
    /// A program or emulator could not be started.
    Spawn(PathBuf, io::Error),
    /// The emulator refused the machine; the text is its own.
    Refused(String),
    /// A port of the host that should be published is taken, or may not be used.
    Port(Publish, io::Error),
    /// QEMU's user-mode network publishes on IPv4 addresses only.
    PublishNeedsIpv4(Publish),
    /// Ports are published, but the machine has no network.
    PublishNeedsNetwork(Publish),
    /// A directory that should be shared cannot be, for this reason.
    Share(PathBuf, io::Error),
    /// A file that should be a disk cannot be, for this reason.
    Disk(PathBuf, io::Error),
    /// A kernel or initramfs cannot be read.
    File(PathBuf, io::Error),
    /// The kernel file is not one that QEMU can boot; the text says what it is.
    NotAKernel(PathBuf, &'static str),
    /// This kernel and initramfs need at least so many mebibytes of memory.
    MemoryTooSmall {
        /// What the machine was given.
        given: ByteSize,
        /// The least that has a chance, in mebibytes.
        needed: u64,
    },
    /// The program's output could not be written, so some of it is lost.
    Output(io::Error),
    /// The host refused something the run needs.
    Host(io::Error),
}

impl fmt::Display for VmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(error) => error.fmt(f),
            Self::Network(error) => error.fmt(f),
            Self::NoEmulator(path) => write!(f, "the emulator {} is not installed", path.display()),
            Self::Spawn(path, error) => write!(f, "{} cannot be started: {}", path.display(), reason(error)),
            Self::Refused(text) => write!(f, "QEMU refused the machine: {text}"),
            Self::Port(publish, error) => {
                let address = std::net::SocketAddr::new(publish.address, publish.host_port);
                write!(f, "{} port {address} cannot be published: {}", publish.protocol, reason(error))
            }
            Self::PublishNeedsIpv4(publish) => {
                write!(f, "{publish} cannot be published: QEMU's user network listens on IPv4 addresses only")
            }
            Self::PublishNeedsNetwork(publish) => {
                write!(f, "{publish} cannot be published, because the machine has no network")
            }
            Self::Share(path, error) => write!(f, "{} cannot be shared: {}", path.display(), reason(error)),
            Self::Disk(path, error) => write!(f, "{} cannot be a disk: {}", path.display(), reason(error)),
            Self::File(path, error) => write!(f, "{} cannot be read: {}", path.display(), reason(error)),
            Self::NotAKernel(path, what) => write!(f, "{} is {what}", path.display()),
            Self::MemoryTooSmall { given, needed } => {
                write!(f, "{given} of memory are too few: this kernel and image need {needed} MiB at least")
            }
            Self::Output(error) => write!(f, "the program's output was lost: {}", reason(error)),
            Self::Host(error) => write!(f, "the host cannot carry out the run: {}", reason(error)),
        }
    }
}

impl std::error::Error for VmError {}

impl VmError {
    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Output(_) => "free some space where the output goes, or send it elsewhere",
            Self::Line(error) => return Some(error.hint()),
            Self::Network(error) => return Some(error.hint()),
            Self::NoEmulator(_) => {
                "install it: `apt-get install qemu-system-x86` (Debian, Ubuntu), `dnf install qemu-system-x86-core` \
                 (Fedora), `pacman -S qemu-base` (Arch)"
            }
            Self::Disk(..) => {
                "a disk is an existing file that you may write, or FILE:ro; make one, for example with `mke2fs -t ext4 FILE 64M`"
            }
            // qemu(1) on images, "file locking".
            Self::Refused(text) if text.contains(" lock") => {
                "another machine uses that file as its disk: end it first, or give this one a copy"
            }
            Self::Refused(_) => "--dry-run prints the command, to be tried by hand",
            Self::Port(publish, error) => return port_hint(publish, error),
            Self::PublishNeedsIpv4(_) => "leave the address out, or write 127.0.0.1 or 0.0.0.0",
            Self::PublishNeedsNetwork(_) => "give the machine a network, or publish nothing",
            Self::Share(..) => "a share is an existing directory that you may read, written DIR:/path[:ro]",
            Self::NotAKernel(..) => {
                "give --kernel a bzImage (often called vmlinuz) or the name of a provider"
            }
            Self::MemoryTooSmall { given, needed } => return Some(memory_hint(*given, *needed)),
            Self::Spawn(..) | Self::File(..) | Self::Host(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// Nobody wants a machine of so few bytes: whoever wrote the number meant another unit.
fn memory_hint(given: ByteSize, needed: u64) -> String {
    match given.as_bytes() {
        bytes @ 1..1024 => {
            let enough = needed.max(bytes);
            let meant = format!("a number without a unit is bytes; {bytes} MiB would be --memory {bytes}M");
            if enough == bytes { meant } else { format!("{meant}, and {enough}M are enough") }
        }
        _ => format!("try --memory {needed}M"),
    }
}

fn port_hint(publish: &Publish, error: &io::Error) -> Option<String> {
    let Publish { host_port, machine_port, .. } = publish;
    let protocol = if publish.protocol == Protocol::Udp { "/udp" } else { "" };
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let other = if *host_port < 60_000 { host_port + 1 } else { host_port - 1 };
            Some(format!(
                "`ss -lnp 'sport = :{host_port}'` shows who has it; another one: --publish {other}:{machine_port}{protocol}"
            ))
        }
        io::ErrorKind::PermissionDenied => Some(format!(
            "ports below 1024 need privileges; another one: --publish 8080:{machine_port}{protocol}"
        )),
        io::ErrorKind::AddrNotAvailable => Some("`ip address` shows this host's addresses".to_owned()),
        _ => None,
    }
}

impl From<LineError> for VmError {
    fn from(error: LineError) -> Self {
        Self::Line(error)
    }
}

impl From<NetworkError> for VmError {
    fn from(error: NetworkError) -> Self {
        Self::Network(error)
    }
}

impl From<io::Error> for VmError {
    fn from(error: io::Error) -> Self {
        Self::Host(error)
    }
}
