//! What a container of hello is, beside the program.

use super::workbench::Workbench;
use crate::bench::lab;
use crate::bench::table::{Row, grouped};
use crate::failure::{Failure, Outcome};
use crate::shell;
use serde::Deserialize;

/// The files of a container, less the program.
const TARGET: u64 = 250_000;

/// What is used here of `solum inspect --json`.
#[derive(Deserialize)]
struct Report {
    container: Container,
}

#[derive(Deserialize)]
struct Container {
    /// What a registry has to send: layers, configuration, manifest.
    size_bytes: u64,
    files: Vec<Content>,
}

#[derive(Deserialize)]
struct Content {
    path: String,
    size_bytes: u64,
}

/// Makes it with certificates and without.
pub fn measure(workbench: &Workbench) -> Outcome<Vec<Row>> {
    let with = inspected(workbench, "always")?;
    let without = inspected(workbench, "never")?;
    let program = workbench.program_bytes()?;
    let (much, little) = (beside(&with, program)?, beside(&without, program)?);
    let archive = lab::length(&workbench.place("always.oci.tar"))?;
    let bytes = |number| format!("{} bytes", grouped(number));
    Ok(vec![
        Row::judged(
            "container of hello with CA certificates: its files, less the program",
            bytes(much),
            format_args!("at most {}", bytes(TARGET)),
            much <= TARGET,
        ),
        Row::told("… without certificates", bytes(little)),
        Row::told("… the program", bytes(program)),
        Row::told("… what a registry sends, compressed, with certificates", bytes(with.size_bytes)),
        Row::told("… and without", bytes(without.size_bytes)),
        Row::told("… the archive for `podman load`, with certificates", bytes(archive)),
    ])
}

fn inspected(workbench: &Workbench, certificates: &str) -> Outcome<Container> {
    let file = format!("{certificates}.oci");
    workbench.build("oci", &file, &["--ca-certificates", certificates])?;
    let mut command = workbench.solum(&["inspect", "--json", &file]);
    let report: Report = serde_json::from_str(&shell::capture(&mut command)?)
        .map_err(|error| Failure::new(format!("`{}` was not understood: {error}", shell::shown(&command))))?;
    Ok(report.container)
}

/// Bytes of all files but for the program, which has to be there.
fn beside(container: &Container, program: u64) -> Outcome<u64> {
    let has_program =
        container.files.iter().any(|file| file.path == "/bin/hello" && file.size_bytes == program);
    if !has_program {
        return Err(Failure::new("the container does not hold the program as it was given"));
    }
    Ok(container.files.iter().map(|file| file.size_bytes).sum::<u64>() - program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_does_not_count_and_has_to_be_there() {
        let file = |path: &str, size_bytes| Content { path: path.to_owned(), size_bytes };
        let files = vec![file("/bin", 0), file("/bin/hello", 70), file("/etc/passwd", 5)];
        let container = Container { size_bytes: 60, files };
        assert_eq!(beside(&container, 70).ok(), Some(5));
        assert!(beside(&container, 71).is_err());
    }
}
