//! The keys by which a person ends a machine: ACPI's buttons, and those of keyboards.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use solum_spec::control::Ending;

use crate::devices::{Announcements, entries, has_bit, read_trimmed};

/// The keys and what they ask for (include/uapi/linux/input-event-codes.h: `KEY_POWER`, `KEY_RESTART`).
const KEYS: [(u16, Ending); 2] = [(116, Ending::PowerOff), (0x198, Ending::Reboot)];

/// Every input device with such a key, also those that are plugged in later.
pub struct Buttons {
    devices: Vec<(OsString, File)>,
    announcements: Option<Announcements>,
}

impl Buttons {
    /// Those that are there now.
    pub fn find() -> Self {
        let mut buttons = Self { devices: Vec::new(), announcements: Announcements::listen().ok() };
        buttons.open_new();
        buttons
    }

    /// What to wait on.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let devices = self.devices.iter().map(|(_, device)| device.as_fd());
        devices.chain(self.announcements.iter().map(AsFd::as_fd))
    }

    /// What somebody asked for by pressing a key.
    pub fn pressed(&mut self) -> Option<Ending> {
        if self.announcements.as_ref().is_some_and(Announcements::drain) {
            self.open_new();
        }
        let mut asked = None;
        self.devices.retain(|(_, device)| match pressed(device) {
            Ok(ending) => {
                asked = asked.or(ending);
                true
            }
            // It is gone, and would be readable for ever.
            Err(_) => false,
        });
        asked
    }

    /// Waits until somebody presses one, or asks PID 1 in another way, but so long at most.
    pub fn wait(&mut self, patience: Duration) {
        let end = Instant::now() + patience;
        while self.pressed().is_none() {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(timeout) = Timespec::try_from(left) else { return };
            let mut descriptors: Vec<PollFd<'_>> =
                self.descriptors().map(|button| PollFd::from_borrowed_fd(button, PollFlags::IN)).collect();
            // Nothing, or an error: a signal (poll(2)).
            if !poll(&mut descriptors, Some(&timeout)).is_ok_and(|ready| ready > 0) {
                return;
            }
        }
    }

    fn open_new(&mut self) {
        for entry in entries("/sys/class/input") {
            let Some(name) = entry.file_name() else { continue };
            let is_known = self.devices.iter().any(|(known, _)| known == name);
            if is_known || !name.as_encoded_bytes().starts_with(b"event") {
                continue;
            }
            let keys = read_trimmed(entry.join("device/capabilities/key")).unwrap_or_default();
            if !KEYS.iter().any(|(key, _)| has_bit(&keys, usize::from(*key))) {
                continue;
            }
            let mut options = OpenOptions::new();
            options.read(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
            if let Ok(device) = options.open(Path::new("/dev/input").join(name)) {
                self.devices.push((name.to_owned(), device));
            }
        }
    }
}

/// The first pressed key among what the device reports (Documentation/input/event-codes.rst).
///
/// # Errors
///
/// The device is gone.
fn pressed(mut device: &File) -> io::Result<Option<Ending>> {
    // struct input_event: two words of time, then type: u16, code: u16, value: i32.
    const TIME: usize = 2 * size_of::<usize>();
    const EVENT: usize = TIME + 8;
    let mut asked = None;
    let mut buffer = [0; 16 * EVENT];
    loop {
        let length = match device.read(&mut buffer) {
            Ok(0) => return Ok(asked),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(asked),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for event in buffer[..length].chunks_exact(EVENT) {
            let half = |at: usize| u16::from_ne_bytes([event[TIME + at], event[TIME + at + 1]]);
            // EV_KEY is 1, and a key that goes down is 1, too.
            let is_press = (half(0), half(4) | half(6)) == (1, 1);
            let key = KEYS.iter().find(|(key, _)| is_press && *key == half(2));
            asked = asked.or(key.map(|(_, ending)| *ending));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    #[test]
    fn only_a_pressed_power_or_restart_key_counts() {
        let event = |kind: u16, code: u16, value: i32| {
            let mut bytes = vec![0; 2 * size_of::<usize>()];
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(code.to_ne_bytes());
            bytes.extend(value.to_ne_bytes());
            bytes
        };
        let cases = [
            (vec![event(1, 116, 1), event(0, 0, 0)], Some(Ending::PowerOff)),
            (vec![event(1, 408, 1)], Some(Ending::Reboot)),
            (
                vec![event(0, 0, 0); 40].into_iter().chain([event(1, 116, 1)]).collect(),
                Some(Ending::PowerOff),
            ),
            (vec![event(1, 116, 0), event(1, 408, 2)], None),
            (vec![event(1, 30, 1), event(3, 116, 1)], None),
            (vec![], None),
        ];
        for (events, asked) in cases {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&events.concat()).unwrap();
            file.rewind().unwrap();
            assert_eq!(pressed(&file).unwrap(), asked, "{events:?}");
        }
    }

    #[test]
    fn a_button_that_is_gone_is_told_from_one_that_rests() {
        let (resting, _other_end) = std::os::unix::net::UnixStream::pair().unwrap();
        resting.set_nonblocking(true).unwrap();
        assert_eq!(pressed(&File::from(std::os::fd::OwnedFd::from(resting))).unwrap(), None);
        // A directory cannot be read, as little as a device that was unplugged.
        assert!(pressed(&File::open("/").unwrap()).is_err());
    }
}
