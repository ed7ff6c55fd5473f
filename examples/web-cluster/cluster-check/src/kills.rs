//! Killing units.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::options::{Options, Random};

/// One line of `solum ps --json`.
#[derive(Clone, Debug, Deserialize)]
struct Unit {
    unit: String,
    state: String,
    pid: Option<i32>,
}

/// What was killed, and when, since the beginning.
#[derive(Clone, Debug)]
pub struct Kill {
    /// The unit, or the machine.
    pub what: String,
    /// It was a whole machine.
    pub is_machine: bool,
}

/// Kills now and then until it is time to end.
pub fn kill_until(options: &Options, end: Instant) -> Result<Vec<Kill>, String> {
    let mut random = Random::new(options.seed, u64::MAX);
    let mut kills = Vec::new();
    loop {
        let pause = match options.kill_every {
            0 => u64::MAX,
            every => every / 2 + random.below(every.max(1)),
        };
        let left = end.saturating_duration_since(Instant::now());
        std::thread::sleep(Duration::from_millis(pause).min(left));
        if Instant::now() >= end {
            return Ok(kills);
        }
        kills.extend(kill_one(options, &mut random)?);
    }
}

fn kill_one(options: &Options, random: &mut Random) -> Result<Option<Kill>, String> {
    let units = list(options)?;
    for failed in units.iter().filter(|unit| unit.state == "failed") {
        solum(options, &["start", &failed.unit])?;
    }
    let chosen: Vec<&Unit> =
        units.iter().filter(|unit| unit.pid.is_some() && unit.unit.contains(&options.only)).collect();
    let Some(victim) = chosen.get(random.below(chosen.len().max(1) as u64) as usize) else { return Ok(None) };
    let is_machine = options.machine_every > 0 && random.below(options.machine_every) == 0;
    if !is_machine {
        kill(victim);
        return Ok(Some(Kill { what: victim.unit.clone(), is_machine }));
    }
    let (machine, _) = victim.unit.rsplit_once('.').unwrap_or((&victim.unit, ""));
    let of_machine = |unit: &&Unit| unit.unit.rsplit_once('.').is_some_and(|(of, _)| of == machine);
    units.iter().filter(of_machine).for_each(kill);
    Ok(Some(Kill { what: machine.to_owned(), is_machine }))
}

fn kill(unit: &Unit) {
    if let Some(pid) = unit.pid.and_then(Pid::from_raw) {
        // It may have ended by itself since it was listed.
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn list(options: &Options) -> Result<Vec<Unit>, String> {
    let text = solum(options, &["ps", "--json"])?;
    serde_json::from_slice(&text).map_err(|error| format!("what `solum ps` says is not understood: {error}"))
}

fn solum(options: &Options, words: &[&str]) -> Result<Vec<u8>, String> {
    let output = Command::new(&options.solum).args(words).arg("-C").arg(&options.directory).output();
    let output = output.map_err(|error| format!("{}: {error}", options.solum.display()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("solum {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}
