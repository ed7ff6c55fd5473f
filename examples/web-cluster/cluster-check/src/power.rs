//! Cutting the power of virtual machines.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::kills::Kill;
use crate::options::{Options, Random};
use crate::ps::{Unit, kill, list};

/// How long everything may take to run again after a power cut.
const RECOVERY: Duration = Duration::from_secs(600);
/// How often is looked whether it does.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Cuts the power of one machine after the other, and lets everything come back in between. Each machine has its turn before
/// one has another.
pub fn cut(options: &Options, cuts: u64) -> Result<Vec<Kill>, String> {
    let mut random = Random::new(options.seed, u64::MAX);
    let mut left = Vec::new();
    let mut kills = Vec::new();
    for number in 1..=cuts {
        let every = options.kill_every.max(1);
        std::thread::sleep(Duration::from_millis(every / 2 + random.below(every)));
        let machines = machines(&list(options)?);
        if left.is_empty() {
            left = machines.keys().filter(|name| name.contains(&options.only)).cloned().collect();
        }
        if left.is_empty() {
            let why = "the system does not run in virtual machines, or --only fits none of them";
            return Err(format!("{why}\nhint: start it with `solum run --place vm`"));
        }
        let is_all = options.all_every > 0 && number.is_multiple_of(options.all_every);
        let what = match is_all {
            true => "all".to_owned(),
            false => left.swap_remove(random.below(left.len() as u64) as usize),
        };
        let victims = machines.iter().filter(|(name, _)| is_all || **name == what);
        victims.for_each(|(_, pid)| kill(Some(*pid)));
        let recovery = wait_for_all(options, &machines)?;
        eprintln!(
            "power cut {number} of {cuts}: {what}, all run again after {:.1} s",
            recovery.as_secs_f64()
        );
        kills.push(Kill { what, is_machine: true, recovery: Some(recovery) });
    }
    Ok(kills)
}

/// The machines that are on, and their processes.
fn machines(units: &[Unit]) -> BTreeMap<String, i32> {
    units.iter().filter_map(|unit| Some((unit.machine().to_owned(), unit.machine_pid?))).collect()
}

/// Waits until every unit runs again. Before `solum` has noticed the power cut, they all seem to.
fn wait_for_all(options: &Options, before: &BTreeMap<String, i32>) -> Result<Duration, String> {
    let began = Instant::now();
    let mut is_noticed = false;
    loop {
        let units = list(options)?;
        is_noticed |= machines(&units) != *before;
        if is_noticed && units.iter().all(|unit| unit.state == "running" && unit.machine_pid.is_some()) {
            return Ok(began.elapsed());
        }
        if began.elapsed() > RECOVERY {
            let missing = units.iter().filter(|unit| unit.state != "running");
            let missing: Vec<String> =
                missing.map(|unit| format!("{} is {}", unit.unit, unit.state)).collect();
            return Err(format!("the system did not recover from a power cut: {}", missing.join(", ")));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
