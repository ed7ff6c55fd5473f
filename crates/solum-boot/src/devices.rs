//! Finding the devices a machine's life hangs on: console, control channel.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use rustix::termios::{
    Action, InputModes, LocalModes, OptionalActions, OutputModes, tcflow, tcgetattr, tcsetattr,
};
use solum_spec::control::STREAM_PORTS;

/// Virtio device number of a console device (Virtio 1.2, section 5.3).
const VIRTIO_CONSOLE: &str = "0x0003";

/// The kernel's announcements of devices, so that waiting for one needs no polling.
pub struct Announcements(OwnedFd);

impl Announcements {
    /// Listens from now on. Open it before loading modules, or announcements are missed.
    pub fn listen() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))?;
        // Group 1 is what the kernel itself sends (lib/kobject_uevent.c).
        bind(&socket, &SocketAddrNetlink::new(0, 1))?;
        Ok(Self(socket))
    }

    /// Asks `find` now and after each announcement, until it finds something or `patience` is over.
    pub fn wait_for<T>(&self, patience: Duration, mut find: impl FnMut() -> Option<T>) -> Option<T> {
        let end = Instant::now() + patience;
        loop {
            if let Some(found) = find() {
                return Some(found);
            }
            let left = end.checked_duration_since(Instant::now())?;
            let timeout = Timespec::try_from(left).ok()?;
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&timeout)) {
                Ok(0) => return find(),
                Ok(_) => {
                    self.drain();
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return find(),
            }
        }
    }

    /// Forgets what was announced; whether that was anything.
    pub fn drain(&self) -> bool {
        let mut message = [0; 4096];
        let mut any = false;
        while recv(&self.0, &mut message[..], RecvFlags::DONTWAIT).is_ok() {
            any = true;
        }
        any
    }
}

impl AsFd for Announcements {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether this machine has a virtio console device, whose ports appear a moment after its driver.
pub fn has_virtio_console() -> bool {
    entries("/sys/bus/virtio/devices")
        .any(|device| read_trimmed(device.join("device")).is_some_and(|id| id == VIRTIO_CONSOLE))
}

/// The device file of the virtio-serial port of this name, if the host plugged one in.
pub fn port(name: &str) -> Option<PathBuf> {
    entries("/sys/class/virtio-ports").find_map(|port| {
        let named = read_trimmed(port.join("name")).is_some_and(|own| own == name);
        named
            .then(|| Path::new("/dev").join(port.file_name().unwrap_or_default()))
            .filter(|file| file.exists())
    })
}

/// Whether the program's standard streams are there: ports of their own, or a console.
pub fn has_streams() -> bool {
    Path::new(CONSOLE).exists() || STREAM_PORTS.iter().all(|name| port(name).is_some())
}

/// Opens the control channel, without waiting and without becoming its terminal.
pub fn open_control(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32)
        .open(path)
}

/// The virtio console, which leaves every byte as it is.
pub const CONSOLE: &str = "/dev/hvc0";

/// What the program reads and writes.
pub struct Streams {
    /// Standard input, output and error.
    pub files: [File; 3],
    /// They are one terminal, with this path.
    pub terminal: Option<&'static str>,
}

/// Opens the program's standard streams: the host's ports for them, else the virtio console, else the kernel's.
pub fn open_streams() -> io::Result<Streams> {
    let [input, output, error] = STREAM_PORTS.map(port);
    if let (Some(input), Some(output), Some(error)) = (input, output, error) {
        let write = |path: &Path| OpenOptions::new().write(true).open(path);
        return Ok(Streams { files: [File::open(input)?, write(&output)?, write(&error)?], terminal: None });
    }
    let path = if Path::new(CONSOLE).exists() { CONSOLE } else { "/dev/console" };
    let console = open_terminal(path)?;
    Ok(Streams { files: [console.try_clone()?, console.try_clone()?, console], terminal: Some(path) })
}

/// Opens a terminal. Bytes written to it arrive unchanged, and what is typed is not echoed, because the terminal
/// in front of the user does that already.
fn open_terminal(path: &str) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let terminal =
        OpenOptions::new().read(true).write(true).custom_flags(OFlags::NOCTTY.bits() as i32).open(path)?;
    if let Ok(mut modes) = tcgetattr(&terminal) {
        modes.output_modes -= OutputModes::OPOST;
        modes.local_modes -= LocalModes::ECHO;
        let _ = tcsetattr(&terminal, OptionalActions::Now, &modes);
    }
    Ok(terminal)
}

/// The first input device that has all these keys (Documentation/input/event-codes.rst).
pub fn keyboard(keys: &[u16]) -> Option<PathBuf> {
    let has_keys = |entry: &PathBuf| {
        let bitmap = read_trimmed(entry.join("device/capabilities/key")).unwrap_or_default();
        keys.iter().all(|key| has_bit(&bitmap, usize::from(*key)))
    };
    let mut found: Vec<PathBuf> = entries("/sys/class/input")
        .filter(has_keys)
        .filter_map(|entry| Some(Path::new("/dev/input").join(entry.file_name()?)))
        .filter(|path| path.exists() && path.display().to_string().contains("event"))
        .collect();
    found.sort();
    found.into_iter().next()
}

/// Reads one bit of a bitmap as sysfs prints it: machine words in hexadecimal, the highest first.
pub(crate) fn has_bit(bitmap: &str, bit: usize) -> bool {
    let word = bitmap.split(' ').rev().nth(bit / usize::BITS as usize);
    word.and_then(|word| usize::from_str_radix(word, 16).ok())
        .is_some_and(|word| word >> (bit % usize::BITS as usize) & 1 == 1)
}

pub(crate) fn entries(directory: &str) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

pub(crate) fn read_trimmed(path: PathBuf) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Lets a terminal go on that somebody stopped, by Ctrl-S or tcflow(3), and no more be stopped by a key.
pub fn let_flow(terminal: impl AsFd) {
    // Of one that has hung up nothing is expected.
    let _ = tcflow(&terminal, Action::OOn);
    if let Ok(mut modes) = tcgetattr(&terminal) {
        // That starts what Ctrl-S has stopped, which the call before does not (drivers/tty/n_tty.c, `n_tty_set_termios`).
        modes.input_modes -= InputModes::IXON;
        let _ = tcsetattr(&terminal, OptionalActions::Now, &modes);
    }
}

/// Waits until everything written to a terminal has left the machine, for so long at most: tcdrain(3) would wait for ever
/// where nobody takes it.
pub fn drain(terminal: impl AsFd, patience: Duration) {
    const PAUSE: Duration = Duration::from_millis(2);
    let end = Instant::now() + patience;
    while !has_left(terminal.as_fd()) && Instant::now() < end {
        std::thread::sleep(PAUSE);
    }
}

/// Whether all that was written to a terminal has left its driver, and the hardware where that can be asked.
fn has_left(terminal: BorrowedFd<'_>) -> bool {
    // `TIOCSER_TEMT` in include/uapi/asm-generic/ioctls.h: the transmitter is empty.
    const IS_EMPTY: libc::c_int = 1;
    let (mut waiting, mut transmitter): (libc::c_int, libc::c_int) = (0, 0);
    let raw = terminal.as_raw_fd();
    // SAFETY: each of these requests writes one integer (ioctl_tty(2); drivers/tty/serial/serial_core.c, `uart_get_lsr_info`),
    // to one that outlives the call, and the descriptor is open.
    let is_known = unsafe {
        libc::ioctl(raw, libc::TIOCOUTQ, &raw mut waiting);
        libc::ioctl(raw, libc::TIOCSERGETLSR, &raw mut transmitter) == 0
    };
    waiting == 0 && (!is_known || transmitter & IS_EMPTY != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysfs_bitmaps_are_read_from_the_right() {
        assert!(has_bit("10000000000000 0", 116));
        assert!(!has_bit("10000000000000 0", 52));
        assert!(has_bit("10000000000000", 52));
        assert!(!has_bit("0", 116));
        assert!(!has_bit("not hex", 1));
    }

    #[test]
    fn waiting_ends_with_patience() {
        let Ok(announcements) = Announcements::listen() else {
            println!("skipped: no netlink sockets here");
            return;
        };
        assert_eq!(announcements.wait_for(Duration::ZERO, || None::<()>), None);
        assert_eq!(announcements.wait_for(Duration::ZERO, || Some(7)), Some(7));
    }
}
