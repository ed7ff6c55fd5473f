//! Keyboards that are played: whoever has one reads input events as from Linux's own.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use solum_spec::keyboard::KeyChange;

/// Bytes of a `struct input_event` (linux/input.h): two times of eight bytes, type, code and value.
const EVENT_BYTES: usize = 24;
/// The types of events (linux/input-event-codes.h): one about a key, and the end of what happened at once.
const EV_KEY: u16 = 1;
const EV_SYN: u16 = 0;

/// The keyboards of a place, one for each machine that has one.
#[derive(Debug, Default)]
pub struct Keyboards {
    plugged: BTreeMap<String, Option<OwnedFd>>,
}

impl Keyboards {
    /// Keyboards of these machines; nobody has them yet.
    pub fn new(machines: impl IntoIterator<Item = String>) -> Self {
        Self { plugged: machines.into_iter().map(|machine| (machine, None)).collect() }
    }

    /// The only machine that has a keyboard.
    pub fn only(&self) -> Option<&str> {
        let mut machines = self.plugged.keys();
        machines.next().filter(|_| machines.next().is_none()).map(String::as_str)
    }

    /// The events of a keyboard, for a unit that is started. The unit that had it before has it no more.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open(&mut self, machine: &str) -> io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Packets, so that an event is read whole or not at all.
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        self.plugged.insert(machine.to_owned(), Some(ours));
        Ok(theirs)
    }

    /// Lets this happen at the keyboard of a machine, or at the only one there is.
    ///
    /// # Errors
    ///
    /// A sentence: there is no such keyboard, no unit that has it, or one that does not read.
    pub fn press(&self, machine: Option<&str>, keys: &[KeyChange]) -> Result<(), String> {
        let machine = self.choose(machine)?;
        let Some(socket) = self.plugged.get(machine).and_then(Option::as_ref) else {
            return Err(format!("no unit has the keyboard of {machine} yet"));
        };
        for key in keys {
            for event in events(*key) {
                send(socket, &event, SendFlags::NOSIGNAL).map_err(|error| match error {
                    Errno::AGAIN => format!("the unit at the keyboard of {machine} does not read its keys"),
                    Errno::PIPE | Errno::CONNRESET => {
                        format!("the unit that had the keyboard of {machine} does not run")
                    }
                    error => format!("the keyboard of {machine}: {error}"),
                })?;
            }
        }
        Ok(())
    }

    /// The machine of this name, or the only one, if it has a keyboard.
    ///
    /// # Errors
    ///
    /// A sentence that says which machines have one.
    pub fn choose<'a>(&'a self, machine: Option<&'a str>) -> Result<&'a str, String> {
        let names = || self.plugged.keys().cloned().collect::<Vec<_>>().join(", ");
        match machine {
            Some(machine) if self.plugged.contains_key(machine) => Ok(machine),
            _ if self.plugged.is_empty() => Err("no machine of the system has a keyboard".into()),
            Some(machine) => Err(format!("no keyboard is at `{machine}`; there are those of {}", names())),
            None => self.only().ok_or_else(|| format!("there are several keyboards: those of {}", names())),
        }
    }
}

/// What Linux says when this happens to a key, each a `struct input_event`.
pub fn events(key: KeyChange) -> [[u8; EVENT_BYTES]; 2] {
    [event(EV_KEY, key.code, key.is_pressed.into()), event(EV_SYN, 0, 0)]
}

fn event(kind: u16, code: u16, value: i32) -> [u8; EVENT_BYTES] {
    let mut event = [0; EVENT_BYTES];
    event[16..18].copy_from_slice(&kind.to_ne_bytes());
    event[18..20].copy_from_slice(&code.to_ne_bytes());
    event[20..24].copy_from_slice(&value.to_ne_bytes());
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use solum_spec::keyboard::chord;

    #[test]
    fn a_pressed_key_is_read_as_linuxs_input_events() {
        let mut keyboards = Keyboards::new(["desk".to_owned()]);
        let unit = keyboards.open("desk").unwrap();
        keyboards.press(None, &chord("left").unwrap()).unwrap();
        let mut read = Vec::new();
        let mut buffer = [0; 2 * EVENT_BYTES];
        while let Ok(length) = rustix::io::read(&unit, &mut buffer) {
            assert_eq!(length, EVENT_BYTES);
            let half = |at: usize| u16::from_ne_bytes([buffer[at], buffer[at + 1]]);
            read.push((half(16), half(18), half(20)));
        }
        assert_eq!(read, [(1, 105, 1), (0, 0, 0), (1, 105, 0), (0, 0, 0)]);
    }

    #[test]
    fn who_presses_is_told_why_nobody_feels_it() {
        let keys = chord("a").unwrap();
        let press = |keyboards: &Keyboards, machine| keyboards.press(machine, &keys).unwrap_err();
        assert_eq!(press(&Keyboards::default(), None), "no machine of the system has a keyboard");
        let mut two = Keyboards::new(["a".to_owned(), "b".to_owned()]);
        assert_eq!(press(&two, None), "there are several keyboards: those of a, b");
        assert_eq!(press(&two, Some("c")), "no keyboard is at `c`; there are those of a, b");
        assert_eq!(press(&two, Some("a")), "no unit has the keyboard of a yet");
        let unit = two.open("a").unwrap();
        let full = std::iter::repeat_with(|| two.press(Some("a"), &keys)).find_map(Result::err);
        assert_eq!(full.unwrap(), "the unit at the keyboard of a does not read its keys");
        drop(unit);
        assert_eq!(press(&two, Some("a")), "the unit that had the keyboard of a does not run");
    }
}
