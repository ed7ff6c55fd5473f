//! The beginning and the end of a unit's program.

use std::fmt::Display;
use std::process::ExitCode;

use solum_spec::ports::{NOTE_TYPE, note, note_size};

use crate::native::Native;
use crate::port::{PlugError, Ports};

/// The exit status of a program that must not be started again, whatever its restart policy.
pub const DO_NOT_RESTART: u8 = solum_spec::handover::DO_NOT_RESTART;
/// The exit status of a program that failed.
const FAILURE: u8 = 1;

/// An ELF note (System V gABI, "Note Section") of the owner `Solum`.
#[repr(C)]
pub struct Note<const SIZE: usize> {
    name_size: u32,
    description_size: u32,
    kind: u32,
    name: [u8; 8],
    description: [u8; SIZE],
}

impl<const SIZE: usize> Note<SIZE> {
    /// The note that declares the ports `P`; `SIZE` is [`padded_size`] of them.
    pub const fn of<P: Ports>() -> Self {
        Self {
            name_size: 6,
            description_size: note_size(P::PORTS) as u32,
            kind: NOTE_TYPE,
            name: *b"Solum\0\0\0",
            description: note(P::PORTS),
        }
    }
}

/// How many bytes the description of the note has, with the zeros that make whole words of it.
pub const fn padded_size<P: Ports>() -> usize {
    note_size(P::PORTS).next_multiple_of(4)
}

/// Runs a program on what this process was handed. The attribute [`program`](macro@crate::program) makes a `main` of this.
pub fn main<P: Ports, E: Display>(program: impl FnOnce(P) -> Result<(), E>) -> ExitCode {
    let mut world = match Native::take() {
        Ok(world) => world,
        // What was handed over will be the same next time.
        Err(error) => return end(&error, DO_NOT_RESTART),
    };
    let ports = match P::plug(&mut world) {
        Ok(ports) => ports,
        Err(error) => return end(&error, status_of(&error)),
    };
    match program(ports) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => end(&error, FAILURE),
    }
}

/// Whether to start again is the supervisor's to say, unless every start would end in the same way.
fn status_of(error: &PlugError) -> u8 {
    if error.may_pass { FAILURE } else { DO_NOT_RESTART }
}

fn end(reason: &dyn Display, status: u8) -> ExitCode {
    report(reason);
    ExitCode::from(status)
}

/// The last words of a program: to standard error, where the supervisor's log ring is.
fn report(reason: &dyn Display) {
    use std::io::Write;
    // Nobody is left to be told that nobody listens.
    let _ = writeln!(std::io::stderr(), "error: {reason}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_every_start_would_find_forbids_the_next_one() {
        assert_eq!(status_of(&PlugError::new("disk", "a link was handed over, which does not fit")), 125);
        assert_eq!(status_of(&PlugError::passing("disk", "it did not happen in time")), 1);
    }
}
