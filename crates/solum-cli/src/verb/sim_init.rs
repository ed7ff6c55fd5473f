//! `solum sim --init`: a package that simulates a system, to begin with.

use std::fs;
use std::path::{Component, Path, PathBuf};

use cargo_metadata::{Dependency, Package, TargetKind};
use solum_spec::system::{FILE_NAME, Source};

use crate::cargo;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::{print, write_whole};
use crate::program::Purpose;
use crate::system::Described;
use crate::terminal::say;

/// The package's directory, if the description does not name one.
const DIRECTORY: &str = "simulation";

/// Writes it, and says what is left to do.
pub fn init(described: &Path) -> Result<(), Failure> {
    let described = Described::read(described)?;
    let named = described.draft.simulation().map(|(simulation, _)| simulation.package.clone());
    let directory = described.directory.join(named.as_deref().unwrap_or(DIRECTORY));
    refuse_to_overwrite(&directory)?;
    let programs = programs(&described)?;
    fs::create_dir_all(directory.join("src"))
        .and_then(|()| fs::create_dir_all(directory.join("tests")))
        .map_err(|error| Failure::file("cannot make", &directory, &error))?;
    let home = directory.canonicalize().map_err(|error| Failure::file("cannot read", &directory, &error))?;
    let file = described.directory.join(FILE_NAME);
    let file = file.canonicalize().map_err(|error| Failure::file("cannot read", &file, &error))?;
    let package = format!("{}-simulation", described.draft.name());
    let manifest = manifest(&package, described.draft.name(), &home, &programs);
    write_whole(
        &directory.join("src/lib.rs"),
        library(described.draft.name(), &home, &file, &programs).as_bytes(),
    )?;
    write_whole(&directory.join("src/main.rs"), main(described.draft.name(), &package).as_bytes())?;
    write_whole(&directory.join("tests/runs.rs"), test(&package).as_bytes())?;
    write_manifest(&directory, &manifest)?;
    tell(&described, &directory, named.is_none(), &programs);
    Ok(())
}

fn refuse_to_overwrite(directory: &Path) -> Result<(), Failure> {
    if !directory.exists() {
        return Ok(());
    }
    let message = format!("{} is there already", directory.display());
    Err(Failure::new(ExitCode::UnusableInput, message)
        .hint("nothing was written; run it with `solum sim`, or move it away".to_owned()))
}

/// A program of the system, as far as a simulation can call it.
struct Program {
    name: String,
    /// Its package, if it is one.
    package: Option<Package>,
    code: Code,
}

/// The code of a program, for whoever wants to call it.
enum Code {
    /// This function.
    Seen(String),
    /// This function, if it is called as everybody would.
    Guessed(String),
    /// There is none, and why.
    Missing(&'static str),
}

impl Program {
    fn is_callable(&self) -> bool {
        !matches!(self.code, Code::Missing(_))
    }
}

fn programs(described: &Described) -> Result<Vec<Program>, Failure> {
    let all = described.draft.programs().map(|(name, source, _)| {
        let Source::Package { directory, binary, example, .. } = source else {
            let code = Code::Missing("is no Cargo package");
            return Ok(Program { name: name.to_owned(), package: None, code });
        };
        let manifest = cargo::manifest(&described.directory.join(directory), Purpose::System)?;
        let package = cargo::package(&manifest)?;
        let target = match example {
            Some(example) => example.clone(),
            None => cargo::binary(&package, binary.as_deref(), Purpose::System)?,
        };
        let code = code_of(&package, name, &target);
        Ok(Program { name: name.to_owned(), package: Some(package), code })
    });
    let all: Vec<Program> = all.collect::<Result<_, Failure>>()?;
    if all.iter().any(Program::is_callable) {
        return Ok(all);
    }
    let why = |Program { name, code, .. }: &Program| match code {
        Code::Missing(why) => Some(format!("`{name}` {why}")),
        _ => None,
    };
    let message = "no program of the system has code that a simulation could call";
    let hint =
        "write it with the crate `solum`, in a src/lib.rs that src/main.rs only calls; the guide shows how";
    let reasons = all.iter().filter_map(why).collect();
    Err(Failure::new(ExitCode::UnusableInput, message).context(reasons).hint(hint.to_owned()))
}

fn code_of(package: &Package, program: &str, target: &str) -> Code {
    if solum(package).is_none() {
        return Code::Missing("is not written with the crate `solum`");
    }
    let is_library = |kind: &TargetKind| matches!(kind, TargetKind::Lib | TargetKind::RLib);
    let Some(library) = package.targets.iter().find(|target| target.kind.iter().any(is_library)) else {
        return Code::Missing("has no library (src/lib.rs)");
    };
    let name = library.name.replace('-', "_");
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let main =
        package.targets.iter().find(|known| known.name == target && !known.kind.iter().any(is_library));
    if let Some(function) = main.and_then(|main| called(&read(main.src_path.as_std_path()), &name)) {
        return Code::Seen(function);
    }
    let own = program.replace('-', "_");
    let function = format!("{name}::{own}");
    let is_there = read(library.src_path.as_std_path()).contains(&format!("pub fn {own}("));
    if is_there { Code::Seen(function) } else { Code::Guessed(function) }
}

/// The function of this library that a `main.rs` hands its ports, and nothing else.
fn called(main: &str, library: &str) -> Option<String> {
    let beginning = format!("{library}::");
    main.match_indices(&beginning).find_map(|(at, _)| {
        let is_of_a_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        if main[..at].ends_with(is_of_a_path) {
            return None;
        }
        let path = main[at..].split(|c| !is_of_a_path(c)).next()?;
        let arguments = main[at + path.len()..].strip_prefix('(')?.split(')').next()?;
        (arguments.trim() == "ports").then(|| path.to_owned())
    })
}

/// How a package names the crate `solum`.
fn solum(package: &Package) -> Option<&Dependency> {
    package.dependencies.iter().find(|dependency| dependency.name == "solum")
}

/// What a dependency is, as it is written behind its name.
fn dependency(solum: &Dependency, home: &Path) -> String {
    if let Some(path) = &solum.path {
        // Its neighbour in the workspace.
        let beside = path.parent().unwrap_or(path).join("solum-sim");
        return format!("{{ path = {:?} }}", relative(home, beside.as_std_path()));
    }
    let source = solum.source.as_ref().map(|source| source.repr.as_str()).unwrap_or_default();
    match source.strip_prefix("git+") {
        Some(address) => {
            let (address, choice) = address.split_once('?').unwrap_or((address, ""));
            let choice = choice.split('#').next().unwrap_or_default();
            match choice.split_once('=') {
                Some((key, value)) => format!("{{ git = {address:?}, {key} = {value:?} }}"),
                None => format!("{{ git = {address:?} }}"),
            }
        }
        None => format!("{:?}", solum.req.to_string().trim_start_matches('^')),
    }
}

/// The way from one directory to another place, both absolute and without links.
fn relative(from: &Path, to: &Path) -> String {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut path: PathBuf = from[shared..].iter().map(|_| "..").collect();
    path.extend(&to[shared..]);
    path.to_string_lossy().into_owned()
}

fn manifest(package: &str, system: &str, home: &Path, programs: &[Program]) -> String {
    let mut text = format!(
        "[package]\nname = \"{package}\"\ndescription = \"The system {system}, simulated.\"\nversion = \"0.1.0\"\n\
         edition = \"2024\"\npublish = false\n\n[dependencies]\n"
    );
    let packages = programs.iter().filter(|program| program.is_callable());
    let packages: Vec<&Package> = packages.filter_map(|program| program.package.as_ref()).collect();
    let directory = |package: &Package| {
        let directory = package.manifest_path.parent().unwrap_or(&package.manifest_path);
        relative(home, directory.as_std_path())
    };
    let own =
        packages.iter().map(|package| format!("{} = {{ path = {:?} }}\n", package.name, directory(package)));
    // The programs of a system agree on it, or they could not speak with each other.
    let solum = packages.iter().find_map(|package| solum(package));
    let simulator = solum.map(|solum| format!("solum-sim = {}\n", dependency(solum, home)));
    let mut lines: Vec<String> = own.chain(simulator).collect();
    lines.sort();
    lines.dedup();
    text += &lines.concat();
    text
}

fn library(system: &str, home: &Path, file: &Path, programs: &[Program]) -> String {
    let description = relative(&home.join("src"), file);
    let mut code = String::new();
    for Program { name, code: found, .. } in programs {
        code += &match found {
            Code::Seen(function) => format!("        setup.program({name:?}, {function});\n"),
            Code::Guessed(function) => {
                format!("        // Is this its function?\n        setup.program({name:?}, {function});\n")
            }
            Code::Missing(why) => {
                format!("        // It {why}:\n        // setup.program({name:?}, …);\n")
            }
        };
    }
    format!(
        "//! The system {system}, simulated: its programs' own code, in one thread and in virtual time.

use std::time::Duration;

use solum_sim::{{Scenario, Setup}};

/// The system, who uses it, and what must hold. This runs anew for every run.
pub fn scenario() -> Scenario {{
    Scenario::new(include_str!({description:?}), |setup: &mut Setup| {{
{code}        // Somebody outside, while things go wrong. An error makes the run fail.
        setup.client(\"user\", |client| {{
            while !client.is_calm() {{
                // What a user does: `client.http(\"MACHINE\", 80)` asks a web server, `client.below(6)` rolls dice.
                client.sleep(Duration::from_millis(100));
            }}
            Ok(())
        }});
        // Somebody outside, when nothing goes wrong any more: everything has to work again.
        setup.afterwards(\"visitor\", |_client| Ok(()));
        // What must hold at the end: `end.lines(\"MACHINE.UNIT\")` is what a unit wrote to its console.
        setup.check(\"nothing is lost\", |_end| Ok(()));
    }})
    // What the system claims to survive; without this, everything but damaged disks.
    // .envelope(solum_sim::Envelope::of([solum_sim::Fault::PowerCut, solum_sim::Fault::Partition]))
}}
"
    )
}

fn main(system: &str, package: &str) -> String {
    let library = package.replace('-', "_");
    format!(
        "//! What `solum sim` runs.

fn main() -> std::process::ExitCode {{
    solum_sim::harness::main(&[({system:?}, {library}::scenario)])
}}
"
    )
}

fn test(package: &str) -> String {
    let library = package.replace('-', "_");
    format!(
        "//! A few runs, for `cargo test`; `solum sim` makes many.

use solum_sim::Campaign;

#[test]
fn no_run_fails() {{
    Campaign::new({library}::scenario()).seeds(0..50).expect_none();
}}
"
    )
}

/// A package below a workspace that does not name it is a workspace of its own, or Cargo refuses it.
fn write_manifest(directory: &Path, text: &str) -> Result<(), Failure> {
    let path = directory.join("Cargo.toml");
    write_whole(&path, text.as_bytes())?;
    let manifest = cargo::manifest(directory, Purpose::Simulation)?;
    match cargo::package(&manifest) {
        Ok(_) => Ok(()),
        Err(_) => {
            write_whole(&path, format!("{text}\n[workspace]\n").as_bytes())?;
            cargo::package(&manifest).map(drop)
        }
    }
}

fn tell(described: &Described, directory: &Path, is_new: bool, programs: &[Program]) {
    for Program { name, code, .. } in programs {
        match code {
            Code::Seen(_) => {}
            Code::Guessed(function) => {
                say(&format!("`{name}` is taken to be the function {function}; look whether it is"));
            }
            Code::Missing(why) => say(&format!("`{name}` {why}, so its code is missing in the scenario")),
        }
    }
    let mut text =
        format!("wrote {}: Cargo.toml, src/lib.rs, src/main.rs, tests/runs.rs\n", directory.display());
    if is_new {
        let file = described.directory.join(FILE_NAME);
        text += &format!("add to {}:\n\n[simulation]\npackage = \"{DIRECTORY}\"\n\n", file.display());
    }
    let shown = solum_vm::shell::quote(&[&described.directory]);
    print(&format!("{text}then: solum sim {shown}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_is_the_one_that_main_hands_its_ports() {
        let whole = "#[solum::program]\nfn game(ports: screen::game::Ports) -> Result<(), solum::Error> {\n    \
                     screen::game::game(ports)\n}\n";
        assert_eq!(called(whole, "screen").as_deref(), Some("screen::game::game"));
        assert_eq!(called("fn main() { mirror::with(ports, std::env::args()) }", "mirror"), None);
        assert_eq!(called("fn main() { other::mirror::run(ports) }", "mirror"), None);
        assert_eq!(called("mirror", "mirror"), None);
    }

    #[test]
    fn ways_lead_up_and_down() {
        let of = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(of("/a/shop/simulation", "/a/shop/files"), "../files");
        assert_eq!(of("/a/shop/simulation", "/a/shop"), "..");
        assert_eq!(of("/a/shop/simulation/src", "/a/shop/solum.toml"), "../../solum.toml");
        assert_eq!(of("/a/b", "/c/d"), "../../c/d");
        assert_eq!(of("/a", "/a/b"), "b");
    }
}
