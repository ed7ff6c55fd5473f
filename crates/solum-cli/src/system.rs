//! From a directory with a `solum.toml` to a system that fits together, and the executables of its programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use solum_spec::system::{Diagnostic, Draft, FILE_NAME, Ports, Simulation, Source, System};

use crate::arguments::Program;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Wrong, reason};
use crate::program::{self, Found, Purpose};

/// A description whose text is right.
pub struct Described {
    /// The directory from which its paths are seen.
    pub directory: PathBuf,
    /// What the text says.
    pub draft: Draft,
    /// The file, as the user named it.
    name: String,
    text: String,
}

/// Whether what the user named is the description of a system, or a directory that has one.
pub fn is_described(path: &Path) -> bool {
    let is_file = path.file_name().is_some_and(|name| name == FILE_NAME) && path.is_file();
    is_file || path.join(FILE_NAME).is_file()
}

/// The executables of a system's programs, by the programs' names.
pub type Executables = BTreeMap<String, Found>;

impl Described {
    /// Reads the description of a directory. The file itself may be named as well.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let is_file = path.file_name().is_some_and(|name| name == FILE_NAME) && !path.is_dir();
        let file = match path {
            path if is_file => path.to_owned(),
            path if path == Path::new(".") => FILE_NAME.into(),
            path => path.join(FILE_NAME),
        };
        let text = fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
        let directory = match file.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => ".".into(),
        };
        let name = file.display().to_string();
        match Draft::read(&text) {
            Ok(draft) => Ok(Self { directory, draft, name, text }),
            Err(diagnostics) => Err(Failure::description(Wrong { name, text, diagnostics })),
        }
    }

    /// Builds or finds every program.
    pub fn build(&self) -> Result<Executables, Failure> {
        self.sources_are_there()?;
        let found = self.draft.programs().map(|(name, source, _)| {
            let found = executable(&self.directory, source)?;
            Ok((name.to_owned(), found))
        });
        found.collect()
    }

    /// Wires the units, by the ports that their executables declare.
    pub fn wire(&self, executables: &Executables) -> Result<System, Failure> {
        let ports: Ports =
            executables.iter().map(|(name, found)| (name.clone(), found.executable.ports.clone())).collect();
        self.draft.wire(&ports).map_err(|diagnostics| self.wrong(diagnostics))
    }

    /// The package that simulates the system: its directory, and what is said about it.
    pub fn simulation(&self) -> Result<(PathBuf, &Simulation), Failure> {
        let Some((simulation, at)) = self.draft.simulation() else {
            let message = format!("{} names no package that simulates the system", self.name);
            let hint = format!(
                "write `[simulation]` there, and below it `package = \"DIR\"`; `solum sim --init {}` makes one",
                solum_vm::shell::quote(&[&self.directory])
            );
            return Err(Failure::new(ExitCode::UnusableInput, message).hint(hint));
        };
        let directory = self.directory.join(&simulation.package);
        if directory.exists() {
            return Ok((directory, simulation));
        }
        let message = format!("the simulation has no package directory {}", directory.display());
        let hint = "paths are seen from the directory of the description".to_owned();
        Err(self.wrong(vec![Diagnostic::new(at, message).hint(hint)]))
    }

    fn wrong(&self, diagnostics: Vec<Diagnostic>) -> Failure {
        Failure::description(Wrong { name: self.name.clone(), text: self.text.clone(), diagnostics })
    }

    /// Packages and files that are not there are told together, before anything is built.
    fn sources_are_there(&self) -> Result<(), Failure> {
        let missing = |(name, source, at): (&str, &Source, _)| {
            let (path, what) = match source {
                Source::Package { directory, .. } => (directory, "package directory"),
                Source::File { path } => (path, "file"),
                Source::Build { .. } => return None,
            };
            let path = self.directory.join(path);
            if path.exists() {
                return None;
            }
            let message = format!("program `{name}` has no {what} {}", path.display());
            let hint = "paths are seen from the directory of the description".to_owned();
            Some(Diagnostic::new(at, message).hint(hint))
        };
        let missing: Vec<Diagnostic> = self.draft.programs().filter_map(missing).collect();
        if missing.is_empty() { Ok(()) } else { Err(self.wrong(missing)) }
    }
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => Some(format!("give a directory with a {FILE_NAME}")),
        std::io::ErrorKind::InvalidData => {
            return Failure::new(
                ExitCode::UnusableInput,
                format_args!("{} is not a text: TOML is written in UTF-8", file.display()),
            );
        }
        _ => None,
    };
    Failure::file("cannot read", file, error).hint(hint)
}

/// The executable of one program; it is built first if it can be.
fn executable(directory: &Path, source: &Source) -> Result<Found, Failure> {
    let from = |path: &str| Program {
        program: directory.join(path),
        bin: None,
        example: None,
        features: Vec::new(),
        profile: None,
        target: None,
    };
    match source {
        Source::Package { directory: package, binary, example, features, profile } => {
            let program = Program {
                bin: binary.clone(),
                example: example.clone(),
                features: features.clone(),
                profile: profile.clone(),
                ..from(package)
            };
            program::find(&program, Purpose::System)
        }
        Source::File { path } => program::find(&from(path), Purpose::System),
        Source::Build { command, output } => {
            build(directory, command)?;
            program::find(&from(output), Purpose::System)
        }
    }
}

/// Runs a command of the description in its directory; what it says goes to the user.
fn build(directory: &Path, command: &[String]) -> Result<(), Failure> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let shown = command.join(" ");
    let status = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        // Standard output belongs to what the user asked for.
        .stdout(Stdio::from(std::io::stderr()))
        .status()
        .map_err(|error| {
            Failure::new(
                ExitCode::ToolMissing,
                format_args!("`{shown}` cannot be started: {}", reason(&error)),
            )
            .hint(format!("install `{program}`, or change `build` in the description"))
        })?;
    if status.success() {
        return Ok(());
    }
    if let Some(code) = ExitCode::of_interrupted(status) {
        return Err(Failure::new(code, format_args!("`{shown}` was interrupted")));
    }
    Err(Failure::new(ExitCode::BuildFailed, format_args!("`{shown}` failed: {status}"))
        .hint("the reason is in its own messages above".to_owned()))
}
