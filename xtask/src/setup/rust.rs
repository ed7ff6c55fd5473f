//! What rustup adds to a toolchain: the target for static programs, and the tools that the tests use.

use crate::failure::{Failure, Outcome};
use crate::shell;
use crate::workspace::Workspace;
use std::env::consts::ARCH;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The target for programs that are a machine's whole user space: static, and smaller than with glibc.
fn static_target() -> String {
    format!("{ARCH}-unknown-linux-musl")
}

/// Adds the static target where it can be had. Where it cannot, programs are linked statically against glibc instead,
/// so its absence is said and is no failure.
pub fn add_static_target(workspace: &Workspace) -> Outcome {
    let sysroot = sysroot()?;
    let target = static_target();
    if sysroot.join("lib/rustlib").join(&target).join("lib").is_dir() {
        return Ok(());
    }
    let refusal =
        Refusal { file: workspace.scratch("no-static-target")?, toolchain: sysroot.display().to_string() };
    if refusal.is_known() {
        eprintln!(
            "  the Rust target {target} could not be had before (remove {} to try again)",
            refusal.file.display()
        );
    } else if shell::find_program("rustup").is_some() && rustup(&["target", "add", &target]).is_ok() {
        return Ok(());
    } else {
        eprintln!("  the Rust target {target} cannot be had here");
        refusal.remember()?;
    }
    eprintln!("  so programs are linked statically against glibc: {ARCH}-unknown-linux-gnu with +crt-static");
    Ok(())
}

/// Adds the toolchain's own tools that the tests use and a minimal installation lacks.
pub fn add_components() -> Outcome {
    let sysroot = sysroot()?;
    let absent = |program: &str| {
        !sysroot.join("bin").join(program).is_file() && shell::find_program(program).is_none()
    };
    let tools = [("rustfmt", "cargo-fmt"), ("clippy", "cargo-clippy")];
    let missing: Vec<&str> = tools.iter().filter(|(_, file)| absent(file)).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    rustup(&[&["component", "add"], &missing[..]].concat()).map_err(|failure| {
        Failure::new(format!("the toolchain lacks {}, and {failure}", missing.join(" and ")))
            .with_hint("install them with your distribution's package manager, or install rustup")
    })
}

fn rustup(arguments: &[&str]) -> Outcome {
    shell::run(Command::new("rustup").args(arguments))
}

fn sysroot() -> Outcome<PathBuf> {
    let path = shell::capture(Command::new("rustc").args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(path.trim()))
}

/// The memory of a target that could not be had, so that a machine without network is not asked again each time.
struct Refusal {
    file: PathBuf,
    toolchain: String,
}

impl Refusal {
    fn is_known(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|toolchain| toolchain == self.toolchain)
    }

    fn remember(&self) -> Outcome {
        fs::write(&self.file, &self.toolchain)
            .map_err(|error| Failure::new(format!("{} could not be written: {error}", self.file.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_holds_for_its_toolchain_only() {
        let file = std::env::temp_dir().join(format!("xtask-refusal-{}", std::process::id()));
        let refusal = |toolchain: &str| Refusal { file: file.clone(), toolchain: toolchain.to_owned() };
        assert!(!refusal("stable").is_known());
        refusal("stable").remember().expect("the directory for temporary files is writable");
        assert!(refusal("stable").is_known());
        assert!(!refusal("nightly").is_known());
        fs::remove_file(&file).expect("it was just made");
    }
}
