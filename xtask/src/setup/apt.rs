//! Installs Debian packages, and finds its way around the one known trap.
//!
//! The trap: where qemu-utils was installed from backports, the QEMU of the release itself cannot be installed beside
//! it (its qemu-system-common breaks any other version of qemu-utils), and only backports' QEMU can. Left alone, apt
//! finds its own way out and removes qemu-utils. The same holds for every library that came from backports, and its
//! headers. So nothing may be removed, every installation is simulated first, and `decide` reads what apt answered.

use super::sources::{self, Source};
use crate::failure::{Failure, Outcome};
use crate::shell;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where apt reads further sources from, sources.list(5).
const SOURCES_DIRECTORY: &str = "/etc/apt/sources.list.d";
const BACKPORTS_FILE: &str = "/etc/apt/sources.list.d/solum-backports.sources";

/// Leave the rest of the machine alone.
const GENTLY: [&str; 2] = ["--no-install-recommends", "--no-remove"];

/// What `apt-get install --simulate` answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Simulation {
    /// It can be done.
    Works,
    /// A package is not in the lists: they are missing or old, or there is no such package.
    Unknown,
    /// The packages exist but contradict what is installed, or could be had only by removing something.
    Conflicts,
}

/// What is to be done next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Decision {
    Install,
    UpdateLists,
    UseBackports,
    GiveUp,
}

fn read_simulation(succeeded: bool, answer: &str) -> Simulation {
    let unknown = ["Unable to locate package", "has no installation candidate"];
    if succeeded {
        Simulation::Works
    } else if unknown.iter().any(|words| answer.contains(words)) {
        Simulation::Unknown
    } else {
        Simulation::Conflicts
    }
}

fn decide(simulation: Simulation, lists_are_fresh: bool, backports_are_in_use: bool) -> Decision {
    match simulation {
        Simulation::Works => Decision::Install,
        Simulation::Conflicts if backports_are_in_use => Decision::UseBackports,
        _ if !lists_are_fresh => Decision::UpdateLists,
        _ => Decision::GiveUp,
    }
}

/// Whether an installed package (`ii`) is of a version that Debian marks as from backports: `1:7.2+dfsg-7~bpo12+1`.
fn name_backports(versions: &str) -> bool {
    versions.lines().any(|line| line.starts_with("ii") && line.contains("~bpo"))
}

/// Installs packages, without a question and without what they merely recommend.
pub fn install(packages: &[&str]) -> Outcome {
    let privilege = Privilege::of_this_process(packages)?;
    let mut lists_are_fresh = false;
    loop {
        let (simulation, answer) = simulate(packages)?;
        match decide(simulation, lists_are_fresh, backports_are_in_use()) {
            Decision::Install => match install_from(privilege, packages, None) {
                // The lists may name a version that the mirror has replaced since.
                Err(_) if !lists_are_fresh => {}
                outcome => return outcome,
            },
            Decision::UpdateLists => {}
            Decision::UseBackports => return install_with_backports(privilege, packages),
            Decision::GiveUp => {
                return Err(Failure::new(format!(
                    "apt cannot install {}:\n{}",
                    packages.join(" "),
                    answer.trim()
                )));
            }
        }
        update_lists(privilege)?;
        lists_are_fresh = true;
    }
}

fn simulate(packages: &[&str]) -> Outcome<(Simulation, String)> {
    let mut command = Command::new("apt-get");
    // The answer is read, so it must be in English.
    command.env("LC_ALL", "C").args(["install", "--simulate"]).args(GENTLY).args(packages);
    let output = shell::output(&mut command)?;
    let answer =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok((read_simulation(output.status.success(), &answer), answer))
}

fn backports_are_in_use() -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Abbrev} ${Version}\n"]);
    shell::capture(&mut query).is_ok_and(|versions| name_backports(&versions))
}

fn install_with_backports(privilege: Privilege, packages: &[&str]) -> Outcome {
    eprintln!("  what is installed from backports here wants more from there");
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let codename = sources::codename(&os_release).ok_or_else(|| {
        Failure::new("/etc/os-release names no VERSION_CODENAME, so the backports suite is unknown")
    })?;
    let suite = sources::backports_suite(codename);
    let known = configured_sources();
    if !sources::offers(&known, &suite) {
        let file = sources::backports_file(&known, codename)
            .ok_or_else(|| Failure::new(format!("no package source of this machine offers {codename}")))?;
        eprintln!("  writing {BACKPORTS_FILE}");
        privilege.write(BACKPORTS_FILE, &file)?;
    }
    update_lists(privilege)?;
    let (plain, conflicting) = split(packages, |package| Ok(simulate(&[package])?.0))?;
    install_from(privilege, &conflicting, Some(&suite))?;
    install_from(privilege, &plain, None)
}

/// The packages that the release itself can give, and those that only backports can.
fn split<'a>(
    packages: &[&'a str],
    simulate: impl Fn(&'a str) -> Outcome<Simulation>,
) -> Outcome<(Vec<&'a str>, Vec<&'a str>)> {
    let (mut plain, mut conflicting) = (Vec::new(), Vec::new());
    for package in packages {
        match simulate(package)? {
            Simulation::Works => plain.push(*package),
            Simulation::Unknown | Simulation::Conflicts => conflicting.push(*package),
        }
    }
    Ok((plain, conflicting))
}

/// Every enabled source in apt's own files; a file that cannot be read offers nothing.
fn configured_sources() -> Vec<Source> {
    let further = fs::read_dir(SOURCES_DIRECTORY).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = std::iter::once(Path::new("/etc/apt/sources.list").to_owned()).chain(further);
    files.flat_map(|file| sources_of(&file)).collect()
}

fn sources_of(file: &Path) -> Vec<Source> {
    let text = fs::read_to_string(file).unwrap_or_default();
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("sources") => sources::parse_deb822(&text),
        Some("list") => sources::parse_one_line(&text),
        _ => Vec::new(),
    }
}

fn update_lists(privilege: Privilege) -> Outcome {
    shell::run(privilege.apt_get().arg("update"))
}

fn install_from(privilege: Privilege, packages: &[&str], suite: Option<&str>) -> Outcome {
    if packages.is_empty() {
        return Ok(());
    }
    let mut command = privilege.apt_get();
    command.args(["install", "--yes"]).args(GENTLY);
    if let Some(suite) = suite {
        command.args(["--target-release", suite]);
    }
    shell::run(command.args(packages))
}

/// How this process may change the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Privilege {
    Root,
    Sudo,
}

impl Privilege {
    fn of_this_process(packages: &[&str]) -> Outcome<Self> {
        // The owner of /proc/self is the effective user, proc(5).
        if fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
            Ok(Self::Root)
        } else if shell::find_program("sudo").is_some() {
            Ok(Self::Sudo)
        } else {
            let command = format!("apt-get install --yes --no-install-recommends {}", packages.join(" "));
            Err(Failure::new("packages are missing, and neither root nor sudo is at hand to install them")
                .with_hint(format!("as root: {command}")))
        }
    }

    fn apt_get(self) -> Command {
        let mut command = self.command("env");
        // Another apt (unattended upgrades, at boot) may hold the lock: wait for it, not for ever.
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--option", "DPkg::Lock::Timeout=180"]);
        command
    }

    fn command(self, program: &str) -> Command {
        match self {
            Self::Root => Command::new(program),
            Self::Sudo => {
                let mut command = Command::new("sudo");
                command.arg(program);
                command
            }
        }
    }

    fn write(self, file: &str, text: &str) -> Outcome {
        let mut command = self.command("tee");
        command.arg(file).stdin(Stdio::piped()).stdout(Stdio::null());
        let failed = |error: std::io::Error| Failure::new(format!("{file} could not be written: {error}"));
        let mut child = command.spawn().map_err(failed)?;
        // Taking the pipe also closes it at the end of the statement, which ends tee.
        child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(text.as_bytes())).map_err(failed)?;
        let status = child.wait().map_err(failed)?;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("{file} could not be written"))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFLICT: &str = "\
The following packages have unmet dependencies:
 qemu-system-x86 : Depends: qemu-system-common (> 1:7.2+dfsg-7+deb12u18) but it is not going to be installed
E: Unable to correct problems, you have held broken packages.
";

    #[test]
    fn what_apt_answers_is_understood() {
        let cases = [
            (true, "0 upgraded, 3 newly installed, 0 to remove and 0 not upgraded.", Simulation::Works),
            (false, "E: Unable to locate package qemu-system-x86\n", Simulation::Unknown),
            (false, "E: Package 'golang-go' has no installation candidate\n", Simulation::Unknown),
            (false, CONFLICT, Simulation::Conflicts),
            (false, "E: Packages need to be removed but remove is disabled.\n", Simulation::Conflicts),
        ];
        for (succeeded, answer, expected) in cases {
            assert_eq!(read_simulation(succeeded, answer), expected, "{answer}");
        }
    }

    #[test]
    fn the_next_step_follows_from_the_answer() {
        use Decision::*;
        use Simulation::*;
        let cases = [
            // (simulation, lists are fresh, backports are in use) -> decision
            ((Works, false, false), Install),
            ((Works, false, true), Install),
            ((Unknown, false, false), UpdateLists),
            ((Unknown, true, false), GiveUp),
            ((Conflicts, false, true), UseBackports),
            ((Conflicts, true, true), UseBackports),
            ((Conflicts, false, false), UpdateLists),
            ((Conflicts, true, false), GiveUp),
        ];
        for ((simulation, fresh, backports), expected) in cases {
            assert_eq!(decide(simulation, fresh, backports), expected, "{simulation:?} {fresh} {backports}");
        }
    }

    #[test]
    fn installed_packages_from_backports_are_recognised() {
        assert!(name_backports("ii  2.36-9+deb12u14\nii  1:10.0.2+ds-2+deb13u1~bpo12+1\n"));
        assert!(!name_backports("ii  1:7.2+dfsg-7+deb12u18+b3\n"));
        assert!(
            !name_backports("rc  1:10.0.2+ds-2+deb13u1~bpo12+1\n"),
            "removed, only its configuration is left"
        );
    }

    #[test]
    fn only_what_conflicts_comes_from_backports() {
        let simulate = |package: &str| {
            Ok(if package == "libelf-dev" { Simulation::Conflicts } else { Simulation::Works })
        };
        let (plain, conflicting) =
            split(&["make", "libelf-dev", "golang-go"], simulate).expect("nothing fails");
        assert_eq!((plain, conflicting), (vec!["make", "golang-go"], vec!["libelf-dev"]));
    }
}
