//! `solum run --image` of a container, which needs a program that runs containers.

use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio, id};
use std::thread;

use solum_image::oci::{Image, Reference};

use super::push;
use crate::container::{Container, PODMAN, podman};
use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};
use crate::signals;
use crate::terminal::{is_in_foreground, say};

/// Runs the container, and gives back the exit status of its program.
///
/// Podman runs what is in its store. The image is there under a name of its own as long as this lasts: under that of the image
/// it could take the place of the user's, and be taken away with it.
pub fn run(path: &Path) -> Result<u8, Failure> {
    let mut image = push::read(path)?;
    let name = Reference::local(&format!("solum-run-{}", id()));
    image.reference = Some(name.clone());
    let place = tempfile::tempdir().map_err(|error| refused("cannot hand the image over", &error))?;
    let container = Container::new(name.repository.clone(), place.path().to_owned());
    let name = name.to_string();
    let listening = signals::end_container(container.clone());
    let _listening = listening.map_err(|error| refused("cannot listen to signals", &error))?;
    let ran = load(&image, &container).and_then(|()| attend(&container, &name));
    container.over();
    forget(&name);
    ran
}

fn refused(what: &str, error: &io::Error) -> Failure {
    Failure::new(ExitCode::HostRefuses, format_args!("{what}: {}", reason(error)))
}

/// Puts the image into Podman's store.
fn load(image: &Image, container: &Container) -> Result<(), Failure> {
    let archive = container.place().join("image.tar");
    let archived = image.archive().and_then(|bytes| fs::write(&archive, bytes));
    archived.map_err(|error| refused("cannot hand the image over", &error))?;
    let mut load = PODMAN.command()?;
    load.args(["load", "--quiet", "--input"]).arg(&archive);
    // Ctrl-C is for this process, as long as the container is.
    load.process_group(0);
    solum_vm::die_with_us(&mut load);
    PODMAN.run(load)?;
    // It is large, and not needed any more.
    let _ = fs::remove_file(&archive);
    match signals::asked() {
        Some(code) => Err(Failure::new(code, "interrupted before the program was started")),
        None => Ok(()),
    }
}

/// Has Podman run it, and waits for its end.
fn attend(container: &Container, image: &str) -> Result<u8, Failure> {
    // Podman writes it when there is a process of the container's: what the status is after that is its program's.
    let started = container.place().join("pid");
    let mut command = Command::new(PODMAN.program);
    command.args(["run", "--rm", "--rmi", "--interactive", "--name", container.name(), "--pidfile"]);
    command.arg(&started).arg(image);
    // A group of its own: Ctrl-C is for this process, which then has the container end as everything that Solum runs does.
    command.process_group(0);
    // It passes the request on to the program (podman-run(1), `--sig-proxy`), should this process be killed.
    solum_vm::ask_with_our_end(&mut command);
    // In that group it may not read from the terminal (termios(3), SIGTTIN).
    if io::stdin().is_terminal() {
        command.stdin(Stdio::piped());
    }
    let cannot = |error| refused("podman cannot be started", &error);
    let mut child = command.spawn().map_err(cannot)?;
    if let Some(mut theirs) = child.stdin.take().filter(|_| is_in_foreground()) {
        // It reads until this process ends. The program need not read all of it.
        thread::spawn(move || drop(io::copy(&mut io::stdin().lock(), &mut theirs)));
    }
    let status = child.wait().map_err(cannot)?;
    conclude(status, started.exists(), signals::asked(), container.is_killed())
}

/// From how `podman run` ended to the program's status, or to what the user is told. `asked` is that of the user's last request.
fn conclude(
    status: ExitStatus,
    was_started: bool,
    asked: Option<ExitCode>,
    is_killed: bool,
) -> Result<u8, Failure> {
    const IN_ITS_WORDS: &str = "the reason is in Podman's own message above";
    let failed = |code, what: &str| Err(Failure::new(code, what).hint(IN_ITS_WORDS.to_owned()));
    match (status.code(), asked) {
        (Some(KILLED), Some(asked)) if is_killed => Err(Failure::new(asked, "the container was killed")),
        (Some(status), _) if was_started => Ok(u8::try_from(status).unwrap_or(u8::MAX)),
        (Some(_), Some(asked)) => Err(Failure::new(asked, "interrupted before the program was started")),
        // podman-run(1), "Exit Status".
        (Some(126 | 127), None) => {
            failed(ExitCode::NotStarted, "the program could not be started in its container")
        }
        (Some(status), None) => failed(
            ExitCode::HostRefuses,
            &format!("Podman did not run the container, and ended with status {status}"),
        ),
        (None, _) => {
            let signal = status.signal().unwrap_or_default();
            Err(Failure::new(ExitCode::HostRefuses, format_args!("Podman was ended by signal {signal}")))
        }
    }
}

/// What a shell and Podman call the end by SIGKILL.
const KILLED: i32 = 128 + 9;

/// Podman takes both away when the container has ended. One that could not even be made leaves its image, and a Podman that was
/// killed leaves both; who forces an image out of the store has its containers removed, too (podman-rmi(1)).
fn forget(image: &str) {
    if podman(&["image", "exists", image]) && !podman(&["rmi", "--force", image]) {
        say(&format!("warning: {image} is left in Podman's store; `podman rmi --force {image}` removes it"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_programs_own_if_there_was_one() {
        let ended = |raw: i32, was_started, asked, is_killed| {
            conclude(ExitStatus::from_raw(raw), was_started, asked, is_killed)
                .map_err(|failure| failure.status())
        };
        let exited = |status: i32| status << 8;
        let asked = Some(ExitCode::Terminated);
        for (status, was_started, asked, is_killed, expected) in [
            (exited(7), true, None, false, Ok(7)),
            (exited(125), true, None, false, Ok(125)),
            (exited(127), true, None, false, Ok(127)),
            (exited(137), true, None, false, Ok(137)),
            (exited(137), true, asked, false, Ok(137)),
            (exited(137), true, asked, true, Err(143)),
            (exited(7), true, asked, true, Ok(7)),
            (exited(125), false, None, false, Err(106)),
            (exited(126), false, None, false, Err(107)),
            (exited(127), false, None, false, Err(107)),
            (exited(125), false, asked, false, Err(143)),
            (9, true, None, false, Err(106)),
        ] {
            assert_eq!(ended(status, was_started, asked, is_killed), expected, "{status:#x} {was_started}");
        }
    }
}
