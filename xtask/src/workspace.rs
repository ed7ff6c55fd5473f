//! What cargo and git know of this checkout.

use crate::failure::{Failure, Outcome};
use crate::shell;
use serde::Deserialize;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The checkout that the task works on.
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace of which this xtask is a member.
    pub fn locate() -> Outcome<Self> {
        // cargo sets the variable for the program it runs; the compiled-in value serves a program started by hand.
        let manifest = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        match Path::new(&manifest).parent() {
            Some(root) => Ok(Self { root: root.to_owned() }),
            None => Err(Failure::new("xtask does not lie in a workspace")),
        }
    }

    /// The directory of the workspace's `Cargo.toml`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file of the tasks' own that need not outlive `cargo clean`; its directory exists.
    pub fn scratch(&self, name: &str) -> Outcome<PathBuf> {
        let directory = self.root.join("target/xtask");
        fs::create_dir_all(&directory)
            .map_err(|error| Failure::new(format!("{} could not be made: {error}", directory.display())))?;
        Ok(directory.join(name))
    }

    /// What `cargo metadata` says of the workspace's own packages.
    pub fn metadata(&self) -> Outcome<Metadata> {
        let mut command = shell::cargo(&self.root);
        command.args(["metadata", "--format-version=1", "--no-deps"]);
        let json = shell::capture(&mut command)?;
        serde_json::from_str(&json).map_err(|error| {
            Failure::new(format!("the output of `cargo metadata` was not understood: {error}"))
        })
    }

    /// The files git tracks, or would track (new and not ignored), relative to the root, in order.
    pub fn files(&self) -> Outcome<Vec<String>> {
        let mut command = Command::new("git");
        command.current_dir(&self.root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]);
        let listing = shell::capture(&mut command)?;
        let exists = |file: &&str| !file.is_empty() && self.root.join(file).is_file();
        let mut files: Vec<String> = listing.split('\0').filter(exists).map(str::to_owned).collect();
        files.sort();
        Ok(files)
    }
}

/// The part of `cargo metadata` that the tasks use.
#[derive(Deserialize)]
pub struct Metadata {
    /// The workspace's members.
    pub packages: Vec<Package>,
    /// Where cargo puts what it builds.
    pub target_directory: PathBuf,
}

/// One package.
#[derive(Deserialize)]
pub struct Package {
    /// The name in its manifest.
    pub name: String,
    /// One line on what it is for.
    pub description: Option<String>,
    /// Where its manifest lies.
    pub manifest_path: PathBuf,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
    /// What is built from it.
    pub targets: Vec<Target>,
}

/// One dependency of a package, as its manifest states it.
#[derive(Deserialize)]
pub struct Dependency {
    /// The name of the package it depends on.
    pub name: String,
    /// `dev`, `build`, or nothing for an ordinary one.
    pub kind: Option<String>,
}

/// One thing that cargo builds from a package.
#[derive(Deserialize)]
pub struct Target {
    /// The name.
    pub name: String,
    /// `lib`, `bin`, `test`, …
    pub kind: Vec<String>,
}
