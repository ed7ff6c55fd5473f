//! The beginning and the end of a unit's program.

use std::fmt::Display;
use std::process::ExitCode;

use solum_spec::ports::{NOTE_TYPE, note, note_size};

use crate::native::Native;
use crate::port::Ports;

/// The exit status of a program that must not be started again, whatever its restart policy.
pub const DO_NOT_RESTART: u8 = solum_spec::handover::DO_NOT_RESTART;

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
    let outcome = Native::take()
        .map_err(|error| error.to_string())
        .and_then(|mut world| P::plug(&mut world).map_err(|error| error.to_string()));
    match outcome {
        Ok(ports) => match program(ports) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                report(&error);
                ExitCode::FAILURE
            }
        },
        // What was handed over will be the same next time.
        Err(reason) => {
            report(&reason);
            ExitCode::from(DO_NOT_RESTART)
        }
    }
}

/// The last words of a program: to standard error, where the supervisor's log ring is.
fn report(reason: &dyn Display) {
    use std::io::Write;
    // Nobody is left to be told that nobody listens.
    let _ = writeln!(std::io::stderr(), "error: {reason}");
}
