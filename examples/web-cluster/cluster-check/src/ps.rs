//! Asking the running system.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::options::Options;

/// One line of `solum ps --json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Unit {
    /// `machine.unit`.
    pub unit: String,
    /// What it is doing.
    pub state: String,
    /// Its process, by a number of what it runs on.
    pub pid: Option<i32>,
    /// The process of this host that is its machine, if that is a virtual one.
    pub machine_pid: Option<i32>,
}

impl Unit {
    /// The machine that it belongs to.
    pub fn machine(&self) -> &str {
        self.unit.rsplit_once('.').map_or(&self.unit, |(machine, _)| machine)
    }
}

/// What every unit is doing.
pub fn list(options: &Options) -> Result<Vec<Unit>, String> {
    let text = solum(options, &["ps", "--json"])?;
    serde_json::from_slice(&text).map_err(|error| format!("what `solum ps` says is not understood: {error}"))
}

/// Has `solum` do something about the system.
pub fn solum(options: &Options, words: &[&str]) -> Result<Vec<u8>, String> {
    let output = Command::new(&options.solum).args(words).arg("-C").arg(&options.directory).output();
    let output = output.map_err(|error| format!("{}: {error}", options.solum.display()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("solum {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

/// Kills a process of this host.
pub fn kill(pid: Option<i32>) {
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        // It may have ended by itself since it was listed.
        let _ = kill_process(pid, Signal::KILL);
    }
}
