//! What every measurement needs: `solum` as a user has it, kernels, and a directory of its own.

use crate::bench::processor_time::{self, Finished};
use crate::failure::{Failure, Outcome};
use crate::shell;
use crate::workspace::Workspace;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program that is measured, relative to the workspace.
pub const HELLO: &str = "examples/hello";

/// The program that is a machine by itself.
pub const ALONE: &str = "examples/alone";

/// A place to measure in.
pub struct Lab<'a> {
    /// The checkout that is measured.
    pub workspace: &'a Workspace,
    solum: PathBuf,
}

/// What is used here of `solum kernel build --json`.
#[derive(Deserialize)]
pub struct Kernel {
    /// Its release.
    pub version: String,
    /// The bzImage.
    pub image: PathBuf,
    /// The same, uncompressed, if it can be entered by PVH.
    pub vmlinux: Option<PathBuf>,
}

impl Kernel {
    /// The file that `solum run` boots.
    pub fn booted(&self) -> Outcome<&Path> {
        self.vmlinux.as_deref().ok_or_else(|| Failure::new("the kernel has no entry for PVH"))
    }
}

impl<'a> Lab<'a> {
    /// Builds `solum` as it is released.
    pub fn prepare(workspace: &'a Workspace) -> Outcome<Self> {
        shell::run(shell::cargo(workspace.root()).args(["build", "--release", "--package", "solum-cli"]))?;
        let solum = workspace.metadata()?.target_directory.join("release/solum");
        Ok(Self { workspace, solum })
    }

    /// Where the executable lies.
    pub fn solum_file(&self) -> &Path {
        &self.solum
    }

    /// A call of `solum` in the checkout.
    pub fn solum(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.solum);
        command.current_dir(self.workspace.root()).args(arguments);
        command
    }

    /// Calls `solum`, and measures what that costs.
    pub fn measure(&self, arguments: &[&str]) -> Outcome<Finished> {
        processor_time::measure(&mut self.solum(arguments))
    }

    /// The kernel of the profile `vm`; it is built if the cache has none.
    pub fn vm_kernel(&self) -> Outcome<Kernel> {
        self.json(&["kernel", "build", "--json"])
    }

    /// Debian's kernel for clouds.
    pub fn debian_kernel(&self) -> Outcome<Kernel> {
        self.json(&["kernel", "build", "--kernel", "debian", "--json"])
    }

    /// What a call of `solum` prints as JSON.
    pub fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Outcome<T> {
        let mut command = self.solum(arguments);
        let text = shell::capture(&mut command)?;
        serde_json::from_str(&text).map_err(|error| {
            Failure::new(format!("`{}` was not understood: {error}", shell::shown(&command)))
        })
    }

    /// Writes an initramfs with `solum take`, and gives back where it is.
    pub fn take(&self, file: &str, program: &str, options: &[&str]) -> Outcome<PathBuf> {
        let out = self.workspace.scratch(file)?;
        let mut command = self.solum(&["take"]);
        command.args(options).arg(&out).arg(program);
        shell::capture(&mut command)?;
        Ok(out)
    }
}

/// A file's length in bytes.
pub fn length(path: &Path) -> Outcome<u64> {
    fs::metadata(path)
        .map(|metadata| metadata.len())
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))
}

/// A file's bytes.
pub fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))
}
