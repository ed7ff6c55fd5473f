//! What `solum run` adds to what cargo and the machine need anyway, when nothing has changed.

use crate::bench::lab::{HELLO, Lab};
use crate::bench::processor_time;
use crate::bench::spread::Spread;
use crate::bench::table::Row;
use crate::failure::{Failure, Outcome};
use crate::shell;
use std::process::Command;
use std::time::Duration;

/// The most that `solum run` may add.
const TARGET: Duration = Duration::from_millis(300);

/// Odd, so that one of them is in the middle.
const SAMPLES: usize = 7;

/// Measures by the clock, and by processor time, of which a busy machine takes nothing away.
pub fn measure(lab: &Lab) -> Outcome<Vec<Row>> {
    lab.vm_kernel()?;
    lab.debian_kernel()?;
    // The first time something may have to be built.
    run(lab, &[])?;
    processor_time::measure(&mut cargo_build(lab))?;
    let mut by_clock = Vec::new();
    let mut by_processor = Vec::new();
    let (mut vm, mut debian) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        let cargo = processor_time::measure(&mut cargo_build(lab))?;
        let ran = run(lab, &[])?;
        by_clock.push(ran.wall.saturating_sub(ran.machine).saturating_sub(cargo.wall));
        let prepared = lab.measure(&["run", "--dry-run", HELLO])?;
        by_processor.push(prepared.processor.saturating_sub(cargo.processor));
        vm.push(ran.machine);
        debian.push(run(lab, &["--kernel", "debian"])?.machine);
    }
    let (vm, debian) = (Spread::of(vm), Spread::of(debian));
    let ratio = 100.0 * vm.median.as_secs_f64() / debian.median.as_secs_f64();
    let (by_clock, by_processor) = (Spread::of(by_clock), Spread::of(by_processor));
    let target = format!("at most {:.2} s", TARGET.as_secs_f64());
    Ok(vec![
        Row::judged("`solum run` adds, by the clock", by_clock, &target, by_clock.median <= TARGET),
        Row::judged("`solum run` adds, processor time", by_processor, &target, by_processor.median <= TARGET),
        Row::told("hello's machine, from QEMU's start to its end, `vm` kernel", vm),
        Row::told("… Debian's cloud kernel", format_args!("{debian}; `vm` takes {ratio:.0} % of that")),
    ])
}

/// What cargo needs to see that nothing has changed.
fn cargo_build(lab: &Lab) -> Command {
    let mut cargo = shell::cargo(&lab.workspace.root().join(HELLO));
    cargo.args(["build", "--release"]);
    cargo
}

struct Ran {
    wall: Duration,
    machine: Duration,
}

fn run(lab: &Lab, options: &[&str]) -> Outcome<Ran> {
    let finished = lab.measure(&[&["run", "--verbose"], options, &[HELLO]].concat())?;
    let machine = machine_time(&finished.error)
        .ok_or_else(|| Failure::new("`solum run --verbose` does not tell how long its machine ran"))?;
    Ok(Ran { wall: finished.wall, machine })
}

/// Reads "…, machine gone after 1.23 s".
fn machine_time(said: &str) -> Option<Duration> {
    let (_, rest) = said.rsplit_once("machine gone after ")?;
    let seconds: f64 = rest.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_s_own_time_is_read() {
        let said = "solum: PID 1 after 0.51 s, program after 0.60 s, ended after 0.61 s, machine gone after 0.75 s\n";
        assert_eq!(machine_time(said), Some(Duration::from_millis(750)));
        assert_eq!(machine_time("solum: machine gone after never"), None);
    }
}
