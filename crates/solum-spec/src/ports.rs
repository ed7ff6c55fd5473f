//! What a program says of its ports. It travels in the executable, as an ELF note, and is read by the builder.
//!
//! The bytes are made while the program is compiled ([`note`] is `const`) and read back by [`parse`]: one format byte,
//! a little-endian `u16` with the number of ports, then for each port its direction, its count, the interface's version
//! (`u16`) and fingerprint (`u64`), and two strings, each a length byte and UTF-8: the port's name and the interface's.

use std::fmt;

/// Type of the ELF note, below the owner `Solum`; type 1 marks a single-file machine.
pub const NOTE_TYPE: u32 = 2;

/// The first byte of the note's description.
const FORMAT: u8 = 1;

/// Bytes of a port beside its two strings.
const FIXED_BYTES: usize = 1 + 1 + 2 + 8 + 1 + 1;

/// What can be said through a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interface<S> {
    /// The name of the Rust trait, or one of the built-in names: `disk`, `screen`, `keys`, `clock`, `entropy`, `console`,
    /// `http`, `tcp`, `units`.
    pub name: S,
    /// Counted up by its author when the meaning changes.
    pub version: u16,
    /// A hash of methods and types as they are written; 0 for what is built in.
    pub fingerprint: u64,
}

/// Which side of an interface a program is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The program calls: something has to be plugged in.
    Uses,
    /// The program answers: other units may be wired to it.
    Serves,
}

/// How many things can be plugged into one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Count {
    /// Exactly one (`Disk`).
    One,
    /// One or none (`Option<Disk>`).
    Optional,
    /// Any number, in order (`Vec<Disk>`).
    Many,
}

/// A port, as its program declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Port<S> {
    /// The name of the field.
    pub name: S,
    /// What is spoken.
    pub interface: Interface<S>,
    /// Who speaks first.
    pub direction: Direction,
    /// How many may be plugged in.
    pub count: Count,
}

/// A port as it is written in a program's code.
pub type StaticPort = Port<&'static str>;

/// A port as a builder reads it from an executable.
pub type Declaration = Port<String>;

/// The length of [`note`]'s result in bytes.
pub const fn note_size(ports: &[StaticPort]) -> usize {
    let mut size = 1 + 2;
    let mut index = 0;
    while index < ports.len() {
        size += FIXED_BYTES + ports[index].name.len() + ports[index].interface.name.len();
        index += 1;
    }
    size
}

/// The description of the ELF note for these ports, and zeros up to `SIZE`, which is at least [`note_size`] of them.
///
/// # Panics
///
/// While compiling, if a name is longer than 255 bytes, there are more than 65,535 ports, or `SIZE` is too small.
pub const fn note<const SIZE: usize>(ports: &[StaticPort]) -> [u8; SIZE] {
    assert!(ports.len() <= u16::MAX as usize, "a program has at most 65535 ports");
    let mut bytes = [0; SIZE];
    let mut at = 0;
    at = put(&mut bytes, at, &[FORMAT]);
    at = put(&mut bytes, at, &(ports.len() as u16).to_le_bytes());
    let mut index = 0;
    while index < ports.len() {
        let port = &ports[index];
        at = put(&mut bytes, at, &[port.direction as u8, port.count as u8]);
        at = put(&mut bytes, at, &port.interface.version.to_le_bytes());
        at = put(&mut bytes, at, &port.interface.fingerprint.to_le_bytes());
        at = put_text(&mut bytes, at, port.name);
        at = put_text(&mut bytes, at, port.interface.name);
        index += 1;
    }
    assert!(at == note_size(ports), "every byte was counted");
    bytes
}

const fn put(bytes: &mut [u8], mut at: usize, part: &[u8]) -> usize {
    let mut index = 0;
    while index < part.len() {
        bytes[at] = part[index];
        at += 1;
        index += 1;
    }
    at
}

const fn put_text(bytes: &mut [u8], at: usize, text: &str) -> usize {
    assert!(text.len() <= u8::MAX as usize, "a name has at most 255 bytes");
    let at = put(bytes, at, &[text.len() as u8]);
    put(bytes, at, text.as_bytes())
}

/// Reads the description of a note.
///
/// # Errors
///
/// [`NoteError`] for bytes that [`note`] of this version cannot have made.
pub fn parse(bytes: &[u8]) -> Result<Vec<Declaration>, NoteError> {
    let mut reader = Reader(bytes);
    match reader.byte() {
        Some(FORMAT) => {}
        Some(other) => return Err(NoteError::Format(other)),
        None => return Err(NoteError::Malformed),
    }
    let count = reader.array().map(u16::from_le_bytes).ok_or(NoteError::Malformed)?;
    let ports: Vec<_> =
        (0..count).map(|_| reader.port()).collect::<Option<_>>().ok_or(NoteError::Malformed)?;
    if reader.0.is_empty() { Ok(ports) } else { Err(NoteError::Malformed) }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::from(self.byte()?);
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(taken).ok().map(str::to_owned)
    }

    fn port(&mut self) -> Option<Declaration> {
        let direction = match self.byte()? {
            0 => Direction::Uses,
            1 => Direction::Serves,
            _ => return None,
        };
        let count = match self.byte()? {
            0 => Count::One,
            1 => Count::Optional,
            2 => Count::Many,
            _ => return None,
        };
        let version = u16::from_le_bytes(self.array()?);
        let fingerprint = u64::from_le_bytes(self.array()?);
        let name = self.text()?;
        let interface = Interface { name: self.text()?, version, fingerprint };
        Some(Port { name, interface, direction, count })
    }
}

/// Why a note is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteError {
    /// Made by another version of Solum, with this format byte.
    Format(u8),
    /// Cut off, or no note of ports at all.
    Malformed,
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(found) => write!(
                f,
                "its ports are written in format {found}, and this version of Solum reads format {FORMAT}"
            ),
            Self::Malformed => f.write_str("the note about its ports is damaged"),
        }
    }
}

impl std::error::Error for NoteError {}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: &[StaticPort] = &[
        Port {
            name: "members",
            interface: Interface { name: "disk", version: 1, fingerprint: 0 },
            direction: Direction::Uses,
            count: Count::Many,
        },
        Port {
            name: "files",
            interface: Interface { name: "Files", version: 7, fingerprint: 0x0123_4567_89ab_cdef },
            direction: Direction::Serves,
            count: Count::One,
        },
    ];
    const NOTE: [u8; note_size(PORTS)] = note(PORTS);

    #[test]
    fn what_a_program_declares_is_what_the_builder_reads() {
        let read = parse(&NOTE).unwrap();
        assert_eq!(read.len(), 2);
        for (read, declared) in read.iter().zip(PORTS) {
            assert_eq!(
                (read.name.as_str(), read.interface.name.as_str()),
                (declared.name, declared.interface.name)
            );
            assert_eq!((read.direction, read.count), (declared.direction, declared.count));
            assert_eq!(read.interface.version, declared.interface.version);
            assert_eq!(read.interface.fingerprint, declared.interface.fingerprint);
        }
    }

    #[test]
    fn a_program_without_ports_says_so() {
        assert_eq!(parse(&note::<{ note_size(&[]) }>(&[])), Ok(vec![]));
    }

    #[test]
    fn damaged_notes_are_refused() {
        for end in 0..NOTE.len() {
            assert_eq!(parse(&NOTE[..end]), Err(NoteError::Malformed), "{end} bytes");
        }
        assert_eq!(parse(&[&NOTE[..], &[0]].concat()), Err(NoteError::Malformed), "a byte too many");
        assert_eq!(parse(&[9, 0, 0]), Err(NoteError::Format(9)));
        let mut other = NOTE;
        other[3] = 2;
        assert_eq!(parse(&other), Err(NoteError::Malformed), "no such direction");
    }
}
