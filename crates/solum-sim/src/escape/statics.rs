//! Statics that keep a state: they outlive a unit's simulated restart, and all units of a process share them.

use std::fmt;

use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolKind, elf};
use rustc_demangle::demangle;

/// A static of a program that can be written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Static {
    /// With its path, such as `front::web::COUNT`.
    pub name: String,
    /// Which of the crates it belongs to, as it was given.
    pub krate: String,
    /// How large it is.
    pub bytes: u64,
    /// Whether each thread has its own.
    pub is_thread_local: bool,
}

impl fmt::Display for Static {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_thread_local { "thread-local static" } else { "static" };
        write!(f, "{}: a {kind} of {} bytes that can be written", self.name, self.bytes)
    }
}

/// Why nothing is known about the statics of an executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is none for Linux on a 64-bit machine, or it is damaged; this is the reason.
    Damaged(String),
    /// Its symbols were removed.
    Stripped,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(why) => write!(f, "this is no executable whose symbols can be read: {why}"),
            Self::Stripped => {
                write!(f, "the executable has no symbols\nhint: build it without `strip = true`")
            }
        }
    }
}

impl std::error::Error for Unreadable {}

/// The statics of these crates that can be written, by their names.
///
/// A static that is only read is none of them. One with an inner mutability is (`Mutex`, `AtomicU64`, `OnceLock`), and so is
/// one of each thread. Not seen is what the linker left out because nothing uses it, and what has no Rust name
/// (`#[no_mangle]`).
///
/// # Errors
///
/// [`Unreadable`], rather than an empty list.
pub fn statics(executable: &[u8], crates: &[&str]) -> Result<Vec<Static>, Unreadable> {
    let file =
        ElfFile64::<Endianness>::parse(executable).map_err(|error| Unreadable::Damaged(error.to_string()))?;
    let mut symbols = file.symbols().peekable();
    if symbols.peek().is_none() {
        return Err(Unreadable::Stripped);
    }
    let is_state = |symbol: &object::read::elf::ElfSymbol64<'_, '_, Endianness>| {
        let section = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
        section.is_some_and(|section| keeps_state(section.name().unwrap_or_default(), section.flags()))
    };
    let mut found: Vec<Static> = symbols
        .filter(|symbol| matches!(symbol.kind(), SymbolKind::Data | SymbolKind::Tls))
        .filter(is_state)
        .filter_map(|symbol| {
            let name = format!("{:#}", demangle(symbol.name().ok()?));
            let krate = crates.iter().find(|krate| belongs(&name, krate))?;
            let is_thread_local = symbol.kind() == SymbolKind::Tls;
            Some(Static { krate: (*krate).to_owned(), bytes: symbol.size(), is_thread_local, name })
        })
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// Whether what is in a section is still writable when the program runs.
fn keeps_state(name: &str, flags: SectionFlags) -> bool {
    let SectionFlags::Elf { sh_flags, .. } = flags else { return false };
    // `.data.rel.ro` holds constants with addresses, which the loader puts in before it makes them read-only.
    let is_data = [".data", ".bss", ".tdata", ".tbss"].iter().any(|begin| name.starts_with(begin));
    is_data && !name.contains(".rel.ro") && sh_flags & elf::SHF_WRITE == elf::SHF_WRITE
}

/// Whether a path in this name begins with this crate: `front::COUNT`, or `<front::Page as core::fmt::Display>::fmt::COUNT`.
fn belongs(name: &str, krate: &str) -> bool {
    let krate = krate.replace('-', "_");
    name.match_indices(&krate).any(|(at, _)| {
        let before = name[..at].chars().next_back();
        let is_beginning = before.is_none_or(|letter| !letter.is_alphanumeric() && !"_:".contains(letter));
        is_beginning && name[at + krate.len()..].starts_with("::")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_static_belongs_to_the_crate_in_whose_path_it_is() {
        let yes = ["front::COUNT", "<front::Page as core::fmt::Display>::fmt::COUNT", "<&front::Page>::f::X"];
        assert!(yes.iter().all(|name| belongs(name, "front")));
        let no = ["shopfront::COUNT", "front_end::COUNT", "shop::front::COUNT", "front"];
        assert!(no.iter().all(|name| !belongs(name, "front")));
        assert!(belongs("files_api::COUNT", "files-api"));
    }

    #[test]
    fn what_is_no_executable_is_an_error() {
        assert!(matches!(statics(b"#!/bin/sh", &[]), Err(Unreadable::Damaged(_))));
    }
}
