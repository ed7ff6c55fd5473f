//! Prepares a machine: `cargo xtask setup`, and the first phase of `demo` and `test`.
//!
//! Idempotent, and quick when nothing is to do: what is needed is looked for, not asked of a package manager.

mod apt;
mod needs;
mod rust;
mod sources;

pub use needs::Purpose;

use crate::failure::{Failure, Outcome};
use crate::shell;
use crate::workspace::Workspace;
use needs::{Need, Sign};

/// Installs whatever these purposes need and this machine lacks.
pub fn prepare(workspace: &Workspace, purposes: &[Purpose]) -> Outcome {
    install_packages(&needs::missing(purposes))?;
    rust::add_static_target(workspace)?;
    if purposes.contains(&Purpose::Test) {
        rust::add_components()?;
        mention_room(workspace)?;
    }
    eprintln!("  everything that is needed is here");
    Ok(())
}

/// Says if the disk may become full: linkers and databases then fail with words from which nobody would guess it.
fn mention_room(workspace: &Workspace) -> Outcome {
    // What a run from a clean clone was seen to write (4.1 GiB below target/, and the images of its tests), and some more.
    const NEEDED_GIB: u64 = 6;
    let target = workspace.metadata()?.target_directory;
    let Some(place) = target.ancestors().find(|place| place.exists()) else { return Ok(()) };
    let Ok(found) = rustix::fs::statvfs(place) else { return Ok(()) };
    let free_gib = found.f_bavail.saturating_mul(found.f_frsize) >> 30;
    if free_gib < NEEDED_GIB {
        eprintln!(
            "  little room: the disk has {free_gib} GiB left, and a run from a clean clone writes up to {NEEDED_GIB} GiB; \
             `cargo clean` makes some"
        );
    }
    Ok(())
}

fn install_packages(missing: &[Need]) -> Outcome {
    if missing.is_empty() {
        return Ok(());
    }
    for need in missing {
        eprintln!("  missing: {} (package {}): {}", name(need), need.package, need.reason);
    }
    if shell::find_program("apt-get").is_none() {
        let names = missing.iter().map(name).collect::<Vec<_>>().join(", ");
        return Err(Failure::new(format!(
            "this is no Debian-like system, so {names} cannot be installed from here"
        ))
        .with_hint("install them with your distribution's package manager, then repeat the command"));
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    apt::install(&packages)?;
    let purposes: Vec<Purpose> = missing.iter().flat_map(|need| need.purposes).copied().collect();
    let still = needs::missing(&purposes).into_iter().find(|need| missing.contains(need));
    match still {
        None => Ok(()),
        Some(need) => Err(Failure::new(format!(
            "package {} is installed, yet {} is not found",
            need.package,
            name(&need)
        ))),
    }
}

fn name(need: &Need) -> &'static str {
    match need.sign {
        Sign::Program(name) | Sign::Header(name) => name,
        Sign::File(places) => places.first().copied().unwrap_or(need.package),
    }
}
