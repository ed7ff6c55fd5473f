//! Keeping notes: one file for each start of the program, and a table of contents that is replaced in one step.

use files_api::{CallResult, Client, Files, FilesError};
use solum::{CallError, Console, Link};

const DIRECTORY: &str = "notes";
const CONTENTS: &str = "notes/contents.txt";

/// What the unit reaches.
#[derive(solum::Ports)]
pub struct Ports {
    /// Where the notes are.
    pub files: Link<Files>,
    /// Where it is told what was read and written.
    pub console: Console,
}

/// The program: reads the note of its last start and leaves a new one.
///
/// # Errors
///
/// Those of the file server's calls.
pub fn notes(mut ports: Ports) -> CallResult<()> {
    keep_a_note(&mut Client::new(ports.files), |line| ports.console.line(line))
}

/// Adds a note, and says what it does in lines for people.
///
/// # Errors
///
/// Those of the file server's calls.
pub fn keep_a_note(files: &mut Client, mut say: impl FnMut(String) -> solum::Result<()>) -> CallResult<()> {
    loop {
        match attempt(files, &mut say) {
            // The server was started again in between: what was not synced is gone, so it is done anew.
            Err(CallError::Service(FilesError::Lost)) => {
                say("the file server was started again; once more".to_owned())?;
            }
            outcome => return outcome,
        }
    }
}

fn attempt(files: &mut Client, say: &mut impl FnMut(String) -> solum::Result<()>) -> CallResult<()> {
    files.ensure_directory(DIRECTORY)?;
    let contents = match files.stat(CONTENTS)? {
        Some(_) => String::from_utf8_lossy(&files.read_file(CONTENTS)?).into_owned(),
        None => String::new(),
    };
    let earlier = contents.lines().count();
    say(format!("{earlier} notes from before"))?;
    if let Some(last) = contents.lines().last() {
        let text = files.read_file(last)?;
        say(format!("the last one, {last}: {}", String::from_utf8_lossy(&text).trim_end()))?;
    }
    let (number, path) = (earlier + 1, format!("{DIRECTORY}/{}.txt", earlier + 1));
    // Should an earlier start have been interrupted, the note may be there already, without being in the contents.
    files.replace(&path, format!("This is note {number}.\n").as_bytes())?;
    files.replace(CONTENTS, format!("{contents}{path}\n").as_bytes())?;
    files.sync()?;
    say(format!("note {number} is safe in {path}"))?;
    let names: Vec<String> = files.list_all(DIRECTORY)?.into_iter().map(|entry| entry.name).collect();
    say(format!("in {DIRECTORY}: {}", names.join(", ")))?;
    Ok(())
}
