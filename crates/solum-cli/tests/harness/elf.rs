//! Executables that look right and do nothing.

/// ELF machine numbers (gABI, `e_machine`).
pub const X86_64: u16 = 62;
pub const AARCH64: u16 = 183;
/// That of this host.
pub const OWN: u16 = if cfg!(target_arch = "aarch64") { AARCH64 } else { X86_64 };

/// ELF file types (gABI, `e_type`).
pub const RELOCATABLE: u16 = 1;
pub const EXECUTABLE: u16 = 2;
pub const SHARED: u16 = 3;
pub const CORE: u16 = 4;

/// ELF classes (gABI, `EI_CLASS`).
pub const CLASS_32: u8 = 1;
pub const CLASS_64: u8 = 2;

/// The head of an ELF file without segments: enough to say what it is.
pub fn header(class: u8, machine: u16, kind: u16, entry: u64) -> Vec<u8> {
    let mut bytes = b"\x7fELF".to_vec();
    bytes.extend([class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(kind.to_le_bytes());
    bytes.extend(machine.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(entry.to_le_bytes());
    bytes.extend(64u64.to_le_bytes()); // where program headers would be
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 0, 64, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    bytes
}

/// What passes for a static executable as long as nobody runs it.
pub fn program() -> Vec<u8> {
    header(CLASS_64, OWN, EXECUTABLE, 1)
}

/// The same with a note of Solum's: what a program says of its ports.
pub fn ported(description: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    for word in [6, description.len() as u32, solum_spec::ports::NOTE_TYPE] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"Solum\0\0\0");
    note.extend(description);
    note.resize(note.len().next_multiple_of(4), 0);
    let mut bytes = program();
    bytes[56..58].copy_from_slice(&1u16.to_le_bytes()); // e_phnum
    bytes.extend(4u32.to_le_bytes()); // PT_NOTE
    bytes.extend(4u32.to_le_bytes());
    for word in [120, 0, 0, note.len() as u64, note.len() as u64, 4] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(note);
    bytes
}
