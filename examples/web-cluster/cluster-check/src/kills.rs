//! Killing units.

use std::time::{Duration, Instant};

use crate::options::{Options, Random};
use crate::ps::{Unit, kill, list, solum};

/// What was killed.
#[derive(Clone, Debug)]
pub struct Kill {
    /// The unit, or the machine, or `all`.
    pub what: String,
    /// It was a whole machine.
    pub is_machine: bool,
    /// How long it took until everything ran again, if that was waited for.
    pub recovery: Option<Duration>,
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
    if units.iter().any(|unit| unit.machine_pid.is_some()) {
        // The numbers of their processes mean something else here.
        let why = "the units run in virtual machines, where they cannot be killed from here";
        return Err(format!("{why}\nhint: --power-cuts 10 kills the machines; --kill-every 0 kills nothing"));
    }
    for failed in units.iter().filter(|unit| unit.state == "failed") {
        solum(options, &["start", &failed.unit])?;
    }
    let chosen: Vec<&Unit> =
        units.iter().filter(|unit| unit.pid.is_some() && unit.unit.contains(&options.only)).collect();
    let Some(victim) = chosen.get(random.below(chosen.len().max(1) as u64) as usize) else { return Ok(None) };
    let is_machine = options.machine_every > 0 && random.below(options.machine_every) == 0;
    if !is_machine {
        kill(victim.pid);
        return Ok(Some(Kill { what: victim.unit.clone(), is_machine, recovery: None }));
    }
    let of_machine = units.iter().filter(|unit| unit.machine() == victim.machine());
    of_machine.for_each(|unit| kill(unit.pid));
    Ok(Some(Kill { what: victim.machine().to_owned(), is_machine, recovery: None }))
}
