//! What kind of file a program is, and whether it can be all of a machine's user space.

use std::fmt;

use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, FileKind};
use solum_spec::ports::{self, Declaration, NoteError};

/// A processor architecture that Solum makes machines for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// 64-bit x86 (AMD64).
    X86_64,
    /// 64-bit Arm (AArch64).
    Aarch64,
}

impl Architecture {
    /// The architecture this very code was compiled for.
    pub const HOST: Self = if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 };

    /// The name that Rust's targets and `uname -m` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Owner name of the ELF notes by which a program tells the builder about itself.
pub const NOTE_OWNER: &[u8] = b"Solum";

/// Type of the note of a program that can be PID 1 itself (`solum::machine::boot`).
pub const NOTE_SINGLE_FILE_MACHINE: u32 = 1;

/// A static executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executable {
    /// What it runs on.
    pub architecture: Architecture,
    /// It brings up the machine itself, so it needs no init beside it.
    pub is_machine: bool,
    /// The ports it declares; `None` for a plain program, which reaches the world by system calls.
    pub ports: Option<Vec<Declaration>>,
}

/// Why a file cannot be a machine's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The file has no bytes.
    Empty,
    /// It begins with `#!` and names an interpreter.
    Script(String),
    /// It is not an ELF file.
    NotElf,
    /// It is an ELF file, but its headers do not fit its length.
    Truncated,
    /// It is an ELF file for another processor.
    OtherArchitecture {
        /// What it was compiled for, if that is known.
        found: String,
        /// What the machine is.
        wanted: Architecture,
    },
    /// It needs a dynamic linker at run time.
    Dynamic {
        /// The dynamic linker's path.
        interpreter: String,
    },
    /// It is an ELF file, but no program: an object file, a library or a core dump.
    NotAProgram(&'static str),
    /// What it says of its ports is not understood.
    Ports(NoteError),
    /// It says twice what its ports are.
    PortsTwice,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "is an empty file"),
            Self::Script(interpreter) => {
                write!(f, "is a script for `{interpreter}`, and a machine has no interpreter to run it")
            }
            Self::NotElf => write!(f, "is not an executable: it is not in the ELF format"),
            Self::Truncated => write!(f, "is a damaged executable: its ELF headers point beyond its end"),
            Self::OtherArchitecture { found, wanted } => {
                write!(f, "was compiled for {found}, but the machine is {wanted}")
            }
            Self::Dynamic { interpreter } => write!(
                f,
                "is dynamically linked: it asks for the interpreter {interpreter}, and a machine has no shared libraries"
            ),
            Self::NotAProgram(kind) => write!(f, "is {kind}, not a program"),
            Self::Ports(error) => write!(f, "cannot be wired: {error}"),
            Self::PortsTwice => write!(f, "cannot be wired: it declares its ports twice"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Empty | Self::Truncated => "build the program again".into(),
            Self::Script(_) => "give a static executable, or a Cargo package directory".into(),
            Self::NotElf => "give a static Linux executable, or a Cargo package directory".into(),
            Self::OtherArchitecture { wanted, .. } => format!("compile it for {wanted}-linux"),
            Self::Dynamic { .. } => "link it statically:\n  \
                Rust: cargo build --target x86_64-unknown-linux-musl, or give the package directory to solum\n  \
                Go:   CGO_ENABLED=0 go build\n  \
                C:    cc -static"
                .into(),
            Self::NotAProgram(_) => "give the linked executable".into(),
            Self::Ports(_) => "build the program with the `solum` crate of this version".into(),
            Self::PortsTwice => "a program has one `#[solum::program]`".into(),
        })
    }
}

/// Looks at a file's bytes and says whether it can be the program of a machine of architecture `wanted`.
///
/// # Errors
///
/// Every [`Refusal`] says what the file is instead.
pub fn inspect(bytes: &[u8], wanted: Architecture) -> Result<Executable, Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::Empty);
    }
    if let Some(rest) = bytes.strip_prefix(b"#!") {
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        return Err(Refusal::Script(String::from_utf8_lossy(line).trim().to_owned()));
    }
    if !bytes.starts_with(&elf::ELFMAG) {
        return Err(Refusal::NotElf);
    }
    match FileKind::parse(bytes) {
        Ok(FileKind::Elf64) => inspect_elf64(bytes, wanted),
        Ok(FileKind::Elf32) => Err(Refusal::OtherArchitecture { found: "a 32-bit processor".into(), wanted }),
        _ => Err(Refusal::Truncated),
    }
}

fn inspect_elf64(bytes: &[u8], wanted: Architecture) -> Result<Executable, Refusal> {
    let header = elf::FileHeader64::<Endianness>::parse(bytes).map_err(|_| Refusal::Truncated)?;
    let endian = header.endian().map_err(|_| Refusal::Truncated)?;
    let architecture = match header.e_machine(endian) {
        elf::EM_X86_64 => Architecture::X86_64,
        elf::EM_AARCH64 => Architecture::Aarch64,
        other => return Err(Refusal::OtherArchitecture { found: machine_name(other), wanted }),
    };
    if architecture != wanted {
        return Err(Refusal::OtherArchitecture { found: architecture.to_string(), wanted });
    }
    match header.e_type(endian) {
        elf::ET_EXEC | elf::ET_DYN => {}
        elf::ET_REL => return Err(Refusal::NotAProgram("an object file")),
        elf::ET_CORE => return Err(Refusal::NotAProgram("a core dump")),
        _ => return Err(Refusal::NotAProgram("an ELF file of an unknown type")),
    }
    let segments = header.program_headers(endian, bytes).map_err(|_| Refusal::Truncated)?;
    let (mut is_machine, mut ports) = (false, None);
    for segment in segments {
        let data = segment.data(endian, bytes).map_err(|()| Refusal::Truncated)?;
        match segment.p_type(endian) {
            elf::PT_INTERP => {
                let path = data.split(|byte| *byte == 0).next().unwrap_or_default();
                let interpreter = String::from_utf8_lossy(path).into_owned();
                return Err(Refusal::Dynamic { interpreter });
            }
            elf::PT_NOTE => {
                let Ok(Some(mut notes)) = segment.notes(endian, bytes) else { continue };
                while let Ok(Some(note)) = notes.next() {
                    match note.n_type(endian).0 {
                        _ if note.name() != NOTE_OWNER => {}
                        NOTE_SINGLE_FILE_MACHINE => is_machine = true,
                        ports::NOTE_TYPE => {
                            let declared = ports::parse(note.desc()).map_err(Refusal::Ports)?;
                            if ports.replace(declared).is_some() {
                                return Err(Refusal::PortsTwice);
                            }
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    // A shared library has no interpreter either, but nowhere to start (gABI, e_entry).
    if header.e_entry(endian) == 0 {
        return Err(Refusal::NotAProgram("a shared library"));
    }
    Ok(Executable { architecture, is_machine, ports })
}

fn machine_name(machine: elf::Machine) -> String {
    match machine {
        elf::EM_386 => "32-bit x86".into(),
        elf::EM_ARM => "32-bit Arm".into(),
        elf::EM_RISCV => "RISC-V".into(),
        elf::EM_PPC64 => "64-bit PowerPC".into(),
        elf::EM_S390 => "IBM Z".into(),
        elf::EM_MIPS => "MIPS".into(),
        elf::EM_LOONGARCH => "LoongArch".into(),
        other => format!("an unknown processor (ELF machine {})", other.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use solum_spec::ports::{Count, Direction, Interface, Port, StaticPort, note_size};

    /// A minimal ELF64 file: header, then program headers, then their data.
    fn elf64(
        machine: elf::Machine,
        kind: elf::FileType,
        entry: u64,
        segments: &[(elf::ProgramType, &[u8])],
    ) -> Vec<u8> {
        let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        out.extend(kind.0.to_le_bytes());
        out.extend(machine.0.to_le_bytes());
        out.extend(1u32.to_le_bytes());
        out.extend(entry.to_le_bytes());
        out.extend(64u64.to_le_bytes()); // program headers follow the header
        out.extend(0u64.to_le_bytes());
        out.extend(0u32.to_le_bytes());
        for half in [64, 56, segments.len() as u16, 64, 0, 0] {
            out.extend(half.to_le_bytes());
        }
        let mut offset = 64 + 56 * segments.len() as u64;
        for (kind, data) in segments {
            let length = data.len() as u64;
            out.extend(kind.0.to_le_bytes());
            out.extend(4u32.to_le_bytes());
            for word in [offset, 0, 0, length, length, 4] {
                out.extend(word.to_le_bytes());
            }
            offset += length;
        }
        for (_, data) in segments {
            out.extend(*data);
        }
        out
    }

    const X86: elf::Machine = elf::EM_X86_64;

    #[test]
    fn static_executables_are_accepted() {
        let bytes = elf64(X86, elf::ET_EXEC, 0x1000, &[(elf::PT_LOAD, b"code")]);
        let expected = Executable { architecture: Architecture::X86_64, is_machine: false, ports: None };
        assert_eq!(inspect(&bytes, Architecture::X86_64), Ok(expected));
    }

    #[test]
    fn the_note_of_a_single_file_machine_is_seen() {
        let mut note = Vec::new();
        for word in [6u32, 4, NOTE_SINGLE_FILE_MACHINE] {
            note.extend(word.to_le_bytes());
        }
        note.extend(b"Solum\0\0\0\0\0\0\0");
        let bytes = elf64(X86, elf::ET_DYN, 0x1000, &[(elf::PT_NOTE, &note)]);
        assert!(inspect(&bytes, Architecture::X86_64).unwrap().is_machine);
        note[12] = b'X';
        let bytes = elf64(X86, elf::ET_DYN, 0x1000, &[(elf::PT_NOTE, &note)]);
        assert!(!inspect(&bytes, Architecture::X86_64).unwrap().is_machine);
    }

    fn note(kind: u32, description: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [6, description.len() as u32, kind] {
            note.extend(word.to_le_bytes());
        }
        note.extend(b"Solum\0\0\0");
        note.extend(description);
        note.resize(note.len().next_multiple_of(4), 0);
        note
    }

    const PORTS: &[StaticPort] = &[Port {
        name: "volume",
        interface: Interface { name: "disk", version: 1, fingerprint: 0 },
        direction: Direction::Uses,
        count: Count::One,
    }];
    const DESCRIPTION: [u8; note_size(PORTS)] = ports::note(PORTS);

    #[test]
    fn the_ports_of_a_program_are_read() {
        let declared = note(ports::NOTE_TYPE, &DESCRIPTION);
        let other = note(7, b"what another version says");
        let bytes = elf64(X86, elf::ET_EXEC, 1, &[(elf::PT_NOTE, &[other, declared].concat())]);
        let ports = inspect(&bytes, Architecture::X86_64).unwrap().ports.unwrap();
        assert_eq!(ports.len(), 1);
        assert_eq!((ports[0].name.as_str(), ports[0].interface.name.as_str()), ("volume", "disk"));
        let none = note(ports::NOTE_TYPE, &ports::note::<{ note_size(&[]) }>(&[]));
        let bytes = elf64(X86, elf::ET_EXEC, 1, &[(elf::PT_NOTE, &none)]);
        assert_eq!(
            inspect(&bytes, Architecture::X86_64).unwrap().ports,
            Some(vec![]),
            "ported, without ports"
        );
    }

    #[test]
    fn ports_that_are_not_understood_are_refused() {
        let twice = note(ports::NOTE_TYPE, &DESCRIPTION).repeat(2);
        let mut newer = DESCRIPTION;
        newer[0] = 9;
        for (notes, refusal) in [
            (twice, Refusal::PortsTwice),
            (note(ports::NOTE_TYPE, &newer), Refusal::Ports(NoteError::Format(9))),
            (note(ports::NOTE_TYPE, &DESCRIPTION[..9]), Refusal::Ports(NoteError::Malformed)),
        ] {
            let bytes = elf64(X86, elf::ET_EXEC, 1, &[(elf::PT_NOTE, &notes)]);
            assert_eq!(inspect(&bytes, Architecture::X86_64), Err(refusal));
        }
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        let interpreter = &[(elf::PT_INTERP, b"/lib64/ld-linux-x86-64.so.2\0".as_slice())];
        let wanted = Architecture::X86_64;
        let cases: [(Vec<u8>, Refusal); 10] = [
            (vec![], Refusal::Empty),
            (b"#!/bin/sh\necho hello".to_vec(), Refusal::Script("/bin/sh".into())),
            (b"MZ\x90\0".to_vec(), Refusal::NotElf),
            (b"\x7fELF".to_vec(), Refusal::Truncated),
            (
                elf64(X86, elf::ET_DYN, 1, interpreter),
                Refusal::Dynamic { interpreter: "/lib64/ld-linux-x86-64.so.2".into() },
            ),
            (
                elf64(elf::EM_AARCH64, elf::ET_EXEC, 1, &[]),
                Refusal::OtherArchitecture { found: "aarch64".into(), wanted },
            ),
            (
                elf64(elf::EM_RISCV, elf::ET_EXEC, 1, &[]),
                Refusal::OtherArchitecture { found: "RISC-V".into(), wanted },
            ),
            (elf64(X86, elf::ET_REL, 0, &[]), Refusal::NotAProgram("an object file")),
            (elf64(X86, elf::ET_DYN, 0, &[]), Refusal::NotAProgram("a shared library")),
            (elf64(X86, elf::ET_EXEC, 1, &[(elf::PT_LOAD, b"x")])[..100].to_vec(), Refusal::Truncated),
        ];
        for (bytes, refusal) in cases {
            assert_eq!(inspect(&bytes, wanted), Err(refusal));
        }
    }
}
