//! Driving Cargo: which package, which binary, for which target, and where the executable came out.

mod crates;
mod flags;

use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use cargo_metadata::{Message, MetadataCommand, Package, TargetKind};
use solum_image::Architecture;
use solum_spec::system::Simulation;

use crate::arguments::Program;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::program::Purpose;
use crates::Compiled;

pub use crates::{Crate, Origin};

/// How Rust programs are linked so that they need nothing beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticTarget {
    /// The target triple.
    pub triple: String,
    /// The C library is not static by itself and has to be asked.
    ask_for_static: bool,
}

impl StaticTarget {
    /// The target a user named.
    pub fn named(triple: &str) -> Self {
        Self { triple: triple.to_owned(), ask_for_static: triple.ends_with("-gnu") }
    }

    /// The best that the toolchain in use for `directory` has installed: musl, else GNU.
    pub fn best_for(directory: &Path, architecture: Architecture) -> Self {
        let musl = format!("{architecture}-unknown-linux-musl");
        let libraries = Command::new("rustc")
            .args(["--print", "target-libdir", "--target", &musl])
            .current_dir(directory)
            .stderr(Stdio::null())
            .output();
        let installed =
            libraries.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir());
        if installed { Self::named(&musl) } else { Self::named(&format!("{architecture}-unknown-linux-gnu")) }
    }

    /// Makes Cargo build for this target, with the same bytes whoever the user is.
    fn configure(&self, cargo: &mut Command, more_flags: &[&str]) {
        cargo.args(["--target", &self.triple]);
        let statically = self.ask_for_static.then_some("-Ctarget-feature=+crt-static");
        let needed: Vec<&str> = statically.into_iter().chain(more_flags.iter().copied()).collect();
        flags::add(cargo, &self.triple, &needed);
    }
}

/// Something that Cargo built.
#[derive(Debug)]
pub struct Built {
    /// The binary's name.
    pub name: String,
    /// The executable.
    pub path: PathBuf,
    /// What it was built from.
    pub origin: Origin,
}

/// Builds the program of a package directory and says where it is. Cargo's own output goes to the user.
pub fn build_program(directory: &Path, program: &Program, purpose: Purpose) -> Result<Built, Failure> {
    let manifest = manifest(directory, purpose)?;
    let package = package(&manifest)?;
    let name = match (&program.bin, &program.example) {
        (_, Some(example)) => example.clone(),
        (bin, None) => binary(&package, bin.as_deref(), purpose)?,
    };
    let target = match &program.target {
        Some(triple) => StaticTarget::named(triple),
        None => StaticTarget::best_for(directory, Architecture::HOST),
    };
    let mut cargo = cargo_build(&manifest, program.profile.as_deref().unwrap_or("release"));
    cargo.args(["--package", &package.name]);
    cargo.args([if program.example.is_some() { "--example" } else { "--bin" }, &name]);
    if !program.features.is_empty() {
        cargo.args(["--features", &program.features.join(",")]);
    }
    target.configure(&mut cargo, &[]);
    let talk = if purpose == Purpose::System { Talk::WithoutFinished } else { Talk::All };
    let output = run_build(cargo, &name, talk, &mut || {})?;
    Ok(output.of(name, manifest, target.triple))
}

/// Builds the simulation of a system, an executable as any other of this host, and says where it is.
pub fn build_simulation(directory: &Path, simulation: &Simulation) -> Result<PathBuf, Failure> {
    let manifest = manifest(directory, Purpose::Simulation)?;
    let package = package(&manifest)?;
    let name = binary(&package, simulation.binary.as_deref(), Purpose::Simulation)?;
    let mut cargo = cargo_build(&manifest, simulation.profile.as_deref().unwrap_or("release"));
    cargo.args(["--package", &package.name, "--bin", &name]);
    Ok(run_build(cargo, &name, Talk::WithoutFinished, &mut || {})?.executable)
}

/// The absolute path of a package's manifest.
pub fn manifest(directory: &Path, purpose: Purpose) -> Result<PathBuf, Failure> {
    let manifest = directory.join("Cargo.toml");
    if !manifest.is_file() {
        let message = format!("the directory {} has no Cargo.toml", directory.display());
        return Err(Failure::new(ExitCode::UnusableInput, message).hint(purpose.hint()));
    }
    manifest.canonicalize().map_err(|error| Failure::file("cannot read", &manifest, &error))
}

/// Builds the init out of Solum's own workspace; calls `begun` once if there is something to compile.
pub fn build_init(
    workspace: &Path,
    target: &StaticTarget,
    begun: &mut dyn FnMut(),
) -> Result<Built, Failure> {
    const NAME: &str = "solum-init";
    let manifest = workspace.join("Cargo.toml");
    let mut cargo = cargo_build(&manifest, "machine");
    cargo.args(["--package", NAME, "--bin", NAME, "--quiet"]);
    target.configure(&mut cargo, &INIT_FLAGS);
    let output = run_build(cargo, NAME, Talk::All, begun)?;
    Ok(output.of(NAME.to_owned(), manifest, target.triple.clone()))
}

/// The command that installs the published init of this version below `root`.
///
/// Cargo does not publish a workspace's profiles with a package, so what `machine` says is said here again.
pub fn install_init(version: &str, target: &StaticTarget, root: &Path) -> Command {
    const PROFILE: [&str; 5] =
        ["opt-level='z'", "lto='fat'", "codegen-units=1", "panic='abort'", "strip=true"];
    let mut cargo = Command::new("cargo");
    cargo
        .args(["install", "solum-init", "--locked", "--version", &format!("={version}"), "--root"])
        .arg(root);
    for setting in PROFILE {
        cargo.args(["--config", &format!("profile.release.{setting}")]);
    }
    target.configure(&mut cargo, &INIT_FLAGS);
    cargo
}

/// An executable at a fixed address needs no relocations, which are a tenth of PID 1's size. It is the first
/// process, runs no foreign code and is given no address that an attacker could profit from knowing.
///
/// A curve is computed once for each connection between machines; the code that does it with AVX2 is 28 kB.
const INIT_FLAGS: [&str; 2] = ["-Crelocation-model=static", "--cfg=curve25519_dalek_backend=\"serial\""];

fn cargo_build(manifest: &Path, profile: &str) -> Command {
    let mut cargo = Command::new("cargo");
    // rustup and Cargo take toolchain and configuration from the directory they are started in.
    if let Some(directory) = manifest.parent() {
        cargo.current_dir(directory);
    }
    cargo
        .arg("build")
        .arg("--manifest-path")
        .arg(manifest)
        .args(["--profile", profile, "--message-format", "json-render-diagnostics"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    cargo
}

/// How much of what Cargo says the user sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Talk {
    /// All of it, with its progress.
    All,
    /// Not that a build is finished: of a system there are as many as it has packages.
    WithoutFinished,
}

/// Starts Cargo, and whoever passes on what it says.
fn start(cargo: &mut Command, talk: Talk) -> io::Result<(Child, Option<JoinHandle<()>>)> {
    if talk == Talk::All {
        return Ok((cargo.stderr(Stdio::inherit()).spawn()?, None));
    }
    let is_chosen = ["CARGO_TERM_COLOR", "NO_COLOR"].iter().any(|name| std::env::var_os(name).is_some());
    if io::stderr().is_terminal() && !is_chosen {
        // It would see a pipe, and leave its colours out.
        cargo.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = cargo.stderr(Stdio::piped()).spawn()?;
    let said = child.stderr.take().map(BufReader::new);
    let passing_on = thread::spawn(move || said.into_iter().for_each(pass_on));
    Ok((child, Some(passing_on)))
}

fn pass_on(mut said: impl BufRead) {
    let mut line = Vec::new();
    while matches!(said.read_until(b'\n', &mut line), Ok(1..)) {
        if !is_finished(&line) {
            // Nobody is left to hear that standard error is closed.
            let _ = io::stderr().write_all(&line);
        }
        line.clear();
    }
}

/// Whether Cargo says in this line that a build is finished, in colours (ECMA-48, SGR) or not.
fn is_finished(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain += part.split_once('m').map_or(part, |(_, rest)| rest);
    }
    // Cargo puts its verbs in a column of twelve; what compilers say begins elsewhere.
    plain.starts_with("    Finished ")
}

/// What came of a build.
struct Output {
    executable: PathBuf,
    /// The id of the package that it is of.
    package: String,
    compiled: Vec<Compiled>,
}

impl Output {
    fn of(self, name: String, manifest: PathBuf, target: String) -> Built {
        let Self { executable, package, compiled } = self;
        let origin = Origin { manifest, target, executable: executable.clone(), own: package, compiled };
        Built { name, path: executable, origin }
    }
}

/// Runs Cargo and returns the executable of the binary or example `name`; calls `begun` after the first thing that had to
/// be compiled.
fn run_build(mut cargo: Command, name: &str, talk: Talk, begun: &mut dyn FnMut()) -> Result<Output, Failure> {
    let failed = || Failure::new(ExitCode::BuildFailed, format_args!("cargo could not build `{name}`"));
    let unread = |error: &std::io::Error| failed().context(vec![crate::failure::reason(error)]);
    let (mut child, passing_on) = start(&mut cargo, talk).map_err(|error| cargo_missing(&error))?;
    let messages = child.stdout.take().map(BufReader::new).map(Message::parse_stream);
    let (mut has_begun, mut made, mut compiled) = (false, None, Vec::new());
    for message in messages.into_iter().flatten() {
        let Message::CompilerArtifact(artifact) = message.map_err(|error| unread(&error))? else { continue };
        if !artifact.fresh && !std::mem::replace(&mut has_begun, true) {
            begun();
        }
        compiled.push(Compiled::from(&artifact));
        if let (true, Some(executable)) = (artifact.target.name == name, artifact.executable) {
            made = Some((PathBuf::from(executable), artifact.package_id.repr));
        }
    }
    let status = child.wait().map_err(|error| unread(&error))?;
    if let Some(passing_on) = passing_on {
        // A panic of that thread has been reported by it.
        let _ = passing_on.join();
    }
    if let Some(code) = ExitCode::of_interrupted(status) {
        return Err(Failure::new(code, format_args!("building `{name}` was interrupted")));
    }
    if !status.success() {
        return Err(failed().hint("the reason is in Cargo's own messages above".to_owned()));
    }
    let (executable, package) = made.ok_or_else(|| {
        failed().hint("Cargo succeeded, but named no executable; please report this".to_owned())
    })?;
    Ok(Output { executable, package, compiled })
}

fn cargo_missing(error: &std::io::Error) -> Failure {
    Failure::new(
        ExitCode::ToolMissing,
        format_args!("cargo cannot be started: {}", crate::failure::reason(error)),
    )
    .hint(format!(
        "install Rust, see https://rustup.rs; a static executable needs none if solum-init-{} lies beside solum",
        Architecture::HOST
    ))
}

/// What Cargo knows of the package with this manifest.
pub fn package(manifest: &Path) -> Result<Package, Failure> {
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .current_dir(manifest.parent().unwrap_or(manifest))
        .no_deps()
        .exec()
        .map_err(|error| match error {
            cargo_metadata::Error::CargoMetadata { stderr } => Failure::new(
                ExitCode::UnusableInput,
                format_args!("cargo cannot read {}", manifest.display()),
            )
            .context(stderr.lines().map(str::to_owned).collect()),
            cargo_metadata::Error::Io(error) => cargo_missing(&error),
            other => Failure::new(
                ExitCode::UnusableInput,
                format_args!("cargo cannot read {}: {other}", manifest.display()),
            ),
        })?;
    let canonical = manifest.canonicalize().unwrap_or_else(|_| manifest.to_owned());
    let names: Vec<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    metadata.packages.into_iter().find(|package| package.manifest_path == canonical).ok_or_else(|| {
        Failure::new(
            ExitCode::UnusableInput,
            format_args!("{} is a workspace, not a package", manifest.display()),
        )
        .hint(format!("give the directory of one of its packages: {}", names.join(", ")))
    })
}

/// The name of the binary that is meant.
pub fn binary(package: &Package, wanted: Option<&str>, purpose: Purpose) -> Result<String, Failure> {
    let names: Vec<&str> = package
        .targets
        .iter()
        .filter(|target| target.kind.contains(&TargetKind::Bin))
        .map(|target| target.name.as_str())
        .collect();
    let wrong = |message: String, hint: String| Failure::new(ExitCode::UnusableInput, message).hint(hint);
    match (wanted.or(package.default_run.as_deref()), names.as_slice()) {
        (Some(name), names) if names.contains(&name) => Ok(name.to_owned()),
        (_, []) => Err(wrong(
            format!("the package `{}` has no binary", package.name),
            match purpose {
                Purpose::Simulation => {
                    "give it a src/main.rs that calls solum_sim::harness::main; `solum sim --init` shows how"
                        .into()
                }
                _ => "give a package with a src/main.rs, or name one of its examples with --example".into(),
            },
        )),
        (Some(name), names) => Err(wrong(
            format!("the package `{}` has no binary `{name}`", package.name),
            format!("it has: {}", names.join(", ")),
        )),
        (None, [name]) => Ok((*name).to_owned()),
        (None, names) => Err(wrong(
            format!("the package `{}` has several binaries: {}", package.name, names.join(", ")),
            match purpose {
                Purpose::Simulation => {
                    format!("choose one: write `bin = \"{}\"` below `[simulation]`", names[0])
                }
                _ => format!("choose one, for example with --bin {}", names[0]),
            },
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_a_build_is_finished_is_known_in_colours_too() {
        for line in
            ["    Finished `release` profile\n", "\x1b[1m\x1b[92m    Finished\x1b[0m `release` profile\n"]
        {
            assert!(is_finished(line.as_bytes()), "{line:?}");
        }
        for line in ["   Compiling a v0.1.0\n", "error: Finished\n", "12 |     Finished\n", "Finished \n", ""]
        {
            assert!(!is_finished(line.as_bytes()), "{line:?}");
        }
    }

    #[test]
    fn what_has_to_be_compiled_is_told_once_and_what_is_built_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let manifest = directory.path().join("Cargo.toml");
        let text = "[package]\nname = \"small\"\nedition = \"2024\"\n[lib]\n[workspace]\n";
        std::fs::write(&manifest, text).unwrap();
        std::fs::create_dir(directory.path().join("src")).unwrap();
        std::fs::write(directory.path().join("src/lib.rs"), "").unwrap();
        std::fs::write(directory.path().join("src/main.rs"), "fn main() {}").unwrap();
        for expected in [1, 0] {
            let mut cargo = cargo_build(&manifest, "dev");
            cargo.arg("--quiet").env("CARGO_TARGET_DIR", directory.path().join("target"));
            let mut told = 0;
            let output = run_build(cargo, "small", Talk::All, &mut || told += 1).unwrap();
            assert!(output.executable.is_file());
            assert_eq!(told, expected);
        }
    }
}
