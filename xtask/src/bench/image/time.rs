//! What making an image takes, once its programs are compiled.

use super::workbench::Workbench;
use crate::bench::spread::Spread;
use crate::bench::table::Row;
use crate::failure::Outcome;
use std::time::Duration;

/// The most that one image may take.
const TARGET: Duration = Duration::from_secs(1);

/// Odd, so that one of them is in the middle.
const SAMPLES: usize = 5;

const FORMATS: [&str; 9] = ["initramfs", "uki", "iso", "disk", "qcow2", "vmdk", "vhd", "oci", "firecracker"];

/// Makes each format several times; in turns, so that what else the machine does falls on all of them.
pub fn measure(workbench: &Workbench) -> Outcome<Vec<Row>> {
    let mut samples: Vec<(Vec<Duration>, Vec<Duration>)> = vec![Default::default(); FORMATS.len()];
    for round in 0..=SAMPLES {
        for (format, (processor, clock)) in FORMATS.into_iter().zip(&mut samples) {
            let finished = workbench.measure(format, &format!("timed.{format}"))?;
            // The first round fetches what may be missing, and reads what is not in memory yet.
            if round > 0 {
                processor.push(finished.processor);
                clock.push(finished.wall);
            }
        }
    }
    let rows = FORMATS.into_iter().zip(samples).map(|(format, (processor, clock))| {
        let (processor, clock) = (Spread::of(processor), Spread::of(clock));
        Row::judged(
            &format!("making hello as {format}, processor time"),
            format_args!("{processor}; by the clock {clock}"),
            format_args!("at most {:.2} s", TARGET.as_secs_f64()),
            processor.median <= TARGET,
        )
    });
    Ok(rows.collect())
}
