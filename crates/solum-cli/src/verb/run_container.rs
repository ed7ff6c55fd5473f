//! `solum run --image` of a container, which needs a program that runs containers.

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio, id};

use solum_image::oci::Reference;

use super::push;
use crate::driven::Tool;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, reason};
use crate::terminal::say;

const PODMAN: Tool = Tool { program: "podman", package: "podman", purpose: "to run containers" };

/// Runs the container, and gives back the exit status of its program.
///
/// Podman runs what is in its store. The image is there under a name of its own as long as this lasts: under that of the image
/// it could take the place of the user's, and be taken away with it.
pub fn run(path: &Path) -> Result<u8, Failure> {
    let mut image = push::read(path)?;
    let name = Reference::local(&format!("solum-run-{}", id()));
    image.reference = Some(name.clone());
    let archived = tempfile::NamedTempFile::new().and_then(|mut file| {
        file.write_all(&image.archive()?)?;
        Ok(file)
    });
    let archive = archived.map_err(|error| {
        Failure::new(ExitCode::HostRefuses, format_args!("cannot hand the image over: {}", reason(&error)))
    })?;
    let mut load = PODMAN.command()?;
    load.args(["load", "--quiet", "--input"]).arg(archive.path());
    PODMAN.run(load)?;
    drop(archive);
    let name = name.to_string();
    let ran = Command::new(PODMAN.program).args(["run", "--rm", "--rmi", "--interactive", &name]).status();
    forget(&name);
    let status = ran.map_err(|error| {
        Failure::new(ExitCode::HostRefuses, format_args!("podman cannot be started: {}", reason(&error)))
    })?;
    Ok(exit_status(status))
}

/// A container that could not even be made leaves its image.
fn forget(name: &str) {
    let podman = |words: &[&str]| {
        let done =
            Command::new(PODMAN.program).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
        done.is_ok_and(|status| status.success())
    };
    if podman(&["image", "exists", name]) && !podman(&["rmi", name]) {
        say(&format!("warning: {name} is left in Podman's store; `podman rmi {name}` removes it"));
    }
}

fn exit_status(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, signal) => 128u8.saturating_add(u8::try_from(signal.unwrap_or_default()).unwrap_or_default()),
    }
}
