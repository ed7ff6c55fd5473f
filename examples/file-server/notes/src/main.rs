//! The unit `notes`: each time it starts it reads the note of its last start and leaves a new one.

use files_api::{Client, Files, FilesError};
use notes::keep_a_note;
use solum::{CallError, Console, Link};

#[derive(solum::Ports)]
struct Ports {
    files: Link<Files>,
    console: Console,
}

#[solum::program]
fn notes(mut ports: Ports) -> Result<(), CallError<FilesError>> {
    keep_a_note(&mut Client::new(ports.files), |line| ports.console.line(line))
}
