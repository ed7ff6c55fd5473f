//! A system of test units in a scratch directory.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{Finished, Running, Scratch, Solum, kernel};

/// The programs of the package `units`.
const PROGRAMS: &[&str] =
    &["controller", "disk-user", "echo-caller", "echo-server", "errand", "plain", "tcp-echo", "web-page"];

/// Ends a machine that hangs, in seconds. No check depends on it.
const TIMEOUT: &str = "300";

/// Where the programs are. Built once, as `solum` builds a package.
fn programs() -> &'static Path {
    static DIRECTORY: OnceLock<std::path::PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let package = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/units");
        let triple = |library: &str| format!("{}-unknown-linux-{library}", std::env::consts::ARCH);
        let libraries = Command::new("rustc")
            .args(["--print", "target-libdir", "--target", &triple("musl")])
            .output()
            .unwrap();
        let is_musl = Path::new(String::from_utf8_lossy(&libraries.stdout).trim()).is_dir();
        let triple = triple(if is_musl { "musl" } else { "gnu" });
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let mut cargo = Command::new("cargo");
        cargo.current_dir(package).args(["build", "--quiet", "--release", "--bins", "--target", &triple]);
        cargo.arg("--target-dir").arg(target);
        if !is_musl {
            let flags = format!("target.{triple}.rustflags=[\"-Ctarget-feature=+crt-static\"]");
            cargo.args(["--config", &flags]);
        }
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        target.join(triple).join("release")
    })
}

/// A system that can be run.
pub struct System {
    pub scratch: Scratch,
    /// Its directory, as a test names it in arguments.
    pub directory: String,
}

impl System {
    /// A system of one machine `m`. The programs that its units name are the test units.
    pub fn new(machine: &str) -> Self {
        Self::within("system", machine)
    }

    /// One in this directory of the scratch directory.
    pub fn within(directory: &str, machine: &str) -> Self {
        let mut text = "[system]\nname = \"tested\"\n".to_owned();
        for program in PROGRAMS.iter().filter(|name| machine.contains(&format!("\"{name}\""))) {
            let file = programs().join(program);
            text += &format!("\n[program.{program}]\nfile = {file:?}\n");
        }
        let scratch = Scratch::new();
        scratch.file(&format!("{directory}/solum.toml"), format!("{text}\n{machine}"));
        Self { scratch, directory: format!("[SCRATCH]/{directory}") }
    }

    /// One of this description.
    pub fn described(text: &str) -> Self {
        let scratch = Scratch::new();
        scratch.file("system/solum.toml", text);
        Self { scratch, directory: "[SCRATCH]/system".to_owned() }
    }

    /// `solum run --place host`.
    pub fn on_host(&self, options: &[&str]) -> Solum<'_> {
        let words = [&["run", &self.directory, "--place", "host"], options].concat();
        self.scratch.solum_without_init(&words)
    }

    /// `solum run --place vm`.
    pub fn in_machines(&self, options: &[&str]) -> Solum<'_> {
        let chosen = kernel::chosen();
        let mut words = vec!["run", &self.directory, "--place", "vm", "--timeout", TIMEOUT];
        words.extend(chosen.iter().flat_map(|kernel| ["--kernel", kernel]));
        words.extend(options);
        self.scratch.solum(&words)
    }

    /// Another verb, for the running system.
    pub fn ask(&self, words: &[&str]) -> Solum<'_> {
        let (verb, rest) = words.split_first().unwrap();
        let words = [&[*verb, "-C", &self.directory], rest].concat();
        self.scratch.solum_without_init(&words)
    }

    /// What `solum ps --json` says of a unit.
    #[track_caller]
    pub fn unit(&self, name: &str) -> serde_json::Value {
        let listed = self.ask(&["ps", "--json"]).run();
        listed.exits(0).says("");
        let units: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).unwrap();
        let found = units.into_iter().find(|unit| unit["unit"] == name);
        found.unwrap_or_else(|| panic!("there is no {name}:\n{}", listed.account()))
    }

    /// The process of a unit.
    #[track_caller]
    pub fn process(&self, name: &str) -> Process {
        let unit = self.unit(name);
        let pid = unit["pid"].as_i64().unwrap_or_else(|| panic!("{unit} has no process"));
        Process::new(pid as i32)
    }

    /// Stops the running system by `solum down`, which has to work.
    #[track_caller]
    pub fn down(&self, running: Running) -> Finished {
        self.ask(&["down"]).run().exits(0).prints("").says("");
        running.finish()
    }
}

/// A process that is not this one's child.
pub struct Process(std::os::fd::OwnedFd);

impl Process {
    /// The one with this number, which runs.
    #[track_caller]
    pub fn new(pid: i32) -> Self {
        Self(pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap())
    }

    /// Waits for its end.
    pub fn ends(&self) {
        let mut descriptors = [PollFd::new(&self.0, PollFlags::IN)];
        while poll(&mut descriptors, None).is_err() {}
    }
}
