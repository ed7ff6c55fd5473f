//! A person at the terminal types at the keyboard of a system.
//!
//! A terminal tells of characters, not of keys: each is a key that is pressed and let go at once.

use std::io::{self, Read};
use std::thread;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use solum_spec::keyboard::{KeyChange, chord, typed};
use solum_spec::plan::Plan;
use solum_vm::Handle;

use crate::terminal;

/// While this lives, what is typed at the terminal goes to a system, and is not shown.
pub struct Typing {
    before: Termios,
}

impl Typing {
    /// Listens, if there is a person at the terminal, and a single keyboard. Ctrl-C and its like stay what they are.
    pub fn begin(plan: &Plan, handle: Handle) -> Option<Self> {
        if plan.keys.len() != 1 || !terminal::is_interactive() || !terminal::is_in_foreground() {
            return None;
        }
        let before = tcgetattr(rustix::stdio::stdin()).ok()?;
        let mut unshown = before.clone();
        unshown.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &unshown).ok()?;
        // It waits for the next character until this process ends.
        thread::spawn(move || listen(&handle));
        Some(Self { before })
    }
}

impl Drop for Typing {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.before);
    }
}

fn listen(handle: &Handle) {
    let mut buffer = [0; 256];
    while let Ok(length @ 1..) = io::stdin().lock().read(&mut buffer) {
        keys(&buffer[..length]).into_iter().for_each(|key| handle.key(key));
    }
}

/// What a terminal sends for keys without a character (ECMA-48 and xterm's "Control Sequences", PC-style function keys).
const SEQUENCES: &[(&[u8], &str)] = &[
    (b"\x1b[A", "up"),
    (b"\x1b[B", "down"),
    (b"\x1b[C", "right"),
    (b"\x1b[D", "left"),
    (b"\x1bOA", "up"),
    (b"\x1bOB", "down"),
    (b"\x1bOC", "right"),
    (b"\x1bOD", "left"),
    (b"\x1b[H", "home"),
    (b"\x1b[F", "end"),
    (b"\x1b[2~", "insert"),
    (b"\x1b[3~", "delete"),
    (b"\x1b[5~", "pageup"),
    (b"\x1b[6~", "pagedown"),
    (b"\x1bOP", "f1"),
    (b"\x1bOQ", "f2"),
    (b"\x1bOR", "f3"),
    (b"\x1bOS", "f4"),
    (b"\x1b", "escape"),
    (b"\x7f", "backspace"),
];

/// The keys behind what was read from a terminal at once. What no key is known for is left out.
fn keys(mut bytes: &[u8]) -> Vec<KeyChange> {
    let mut keys = Vec::new();
    while let Some(first) = bytes.first() {
        let sequence = SEQUENCES.iter().find(|(sequence, _)| bytes.starts_with(sequence));
        let (length, found) = match (sequence, first) {
            (Some((sequence, word)), _) => (sequence.len(), chord(word).ok()),
            (None, b'\t' | b'\r' | b'\n' | b' '..=b'~') => (1, typed(char::from(*first))),
            (None, 1..=26) => (1, chord(&format!("ctrl+{}", char::from(first - 1 + b'a'))).ok()),
            _ => (1, None),
        };
        keys.extend(found.into_iter().flatten());
        bytes = &bytes[length..];
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(bytes: &[u8]) -> Vec<u16> {
        keys(bytes).iter().filter(|key| key.is_pressed).map(|key| key.code).collect()
    }

    #[test]
    fn characters_and_sequences_are_keys() {
        use solum_spec::keyboard::code;
        assert_eq!(pressed(b"\x1b[A\x1bOD"), [code::UP, code::LEFT]);
        assert_eq!(pressed(b"aB\r"), [code::A, code::LEFT_SHIFT, code::B, code::ENTER]);
        assert_eq!(pressed(b"\x1b"), [code::ESCAPE]);
        assert_eq!(pressed(b"\x01\x7f"), [code::LEFT_CONTROL, code::A, code::BACKSPACE]);
        assert_eq!(pressed("ü\0".as_bytes()), Vec::<u16>::new());
    }

    #[test]
    fn every_sequence_has_a_key_and_none_hides_a_longer_one() {
        for (index, (sequence, word)) in SEQUENCES.iter().enumerate() {
            assert!(chord(word).is_ok(), "{word}");
            assert!(!SEQUENCES[index + 1..].iter().any(|(later, _)| later.starts_with(sequence)), "{word}");
        }
    }
}
