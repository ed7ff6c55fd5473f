//! From what the user typed as PROGRAM to the bytes of a static executable.

use std::fs;
use std::path::{Path, PathBuf};

use solum_image::{Architecture, Executable, executable};

use crate::arguments::Program;
use crate::cargo::{self, Crate, Origin};
use crate::exit_code::ExitCode;
use crate::failure::Failure;

/// A program that can be all of a machine's user space.
pub struct Found {
    /// Its name: that of the binary.
    pub name: String,
    /// Where the executable is on the host.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it is.
    pub executable: Executable,
    /// The package that it was built from, if it was.
    pub origin: Option<Origin>,
}

impl Found {
    /// The crates that it was compiled from, if that is known.
    pub fn crates(&self) -> Option<Vec<Crate>> {
        self.origin.as_ref().map(Origin::crates)
    }
}

/// What a program is looked for for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `solum run`, which knows systems too.
    Run,
    /// `solum take`.
    Take,
    /// `solum build`, which knows systems too.
    Build,
    /// To be one of a system.
    System,
    /// To simulate a system.
    Simulation,
}

impl Purpose {
    /// What can be given instead of what is none.
    pub fn hint(self) -> String {
        let hint = match self {
            Self::Run | Self::Build => {
                "give a Cargo package directory, a static executable, or a directory with a solum.toml"
            }
            Self::Take | Self::System => "give a Cargo package directory, or a static executable",
            Self::Simulation => "a simulation is a Cargo package; `solum sim --init` writes one",
        };
        hint.to_owned()
    }
}

/// Finds the program, building it first if it is a package.
pub fn find(program: &Program, purpose: Purpose) -> Result<Found, Failure> {
    let given = &program.program;
    let metadata = fs::metadata(given).map_err(|error| {
        Failure::file("there is no program to run at", given, &error).hint(purpose.hint())
    })?;
    let (name, path, origin) = if metadata.is_dir() {
        let built = cargo::build_program(given, program, purpose)?;
        (built.name, built.path, Some(built.origin))
    } else if metadata.is_file() {
        package_flags_are_unused(program)?;
        // Absolute, because the place `host` would look up a bare name in PATH.
        let path = given.canonicalize().map_err(|error| Failure::file("cannot read", given, &error))?;
        (file_name(given), path, None)
    } else {
        return Err(Failure::new(
            ExitCode::UnusableInput,
            format_args!("{} is neither a file nor a directory", given.display()),
        )
        .hint(purpose.hint()));
    };
    let bytes = fs::read(&path).map_err(|error| Failure::file("cannot read", &path, &error))?;
    let executable = executable::inspect(&bytes, Architecture::HOST).map_err(|refusal| {
        let shown = if metadata.is_dir() { &path } else { given };
        let message = format!("{} {refusal}", shown.display());
        Failure::new(ExitCode::UnusableInput, message).hint(refusal.hint())
    })?;
    Ok(Found { name, path, bytes, executable, origin })
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "program".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn package_flags_are_unused(program: &Program) -> Result<(), Failure> {
    let flag = match program {
        Program { bin: Some(_), .. } => "--bin",
        Program { example: Some(_), .. } => "--example",
        Program { features, .. } if !features.is_empty() => "--features",
        Program { profile: Some(_), .. } => "--profile",
        Program { target: Some(_), .. } => "--target",
        _ => return Ok(()),
    };
    Err(Failure::new(
        ExitCode::UnusableInput,
        format_args!("{flag} chooses within a Cargo package, but {} is a file", program.program.display()),
    )
    .hint("give the package's directory, or leave the flag out".to_owned()))
}
