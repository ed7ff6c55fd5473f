//! The `vm` kernel: how large it is, and what its build costs.

use crate::bench::lab::{self, Lab};
use crate::bench::processor_time;
use crate::bench::table::{Row, grouped};
use crate::failure::{Failure, Outcome};
use std::fs;
use std::time::Duration;

/// Bytes of the bzImage.
const TARGET_BYTES: u64 = 3_000_000;

/// Processor time of one build, from the packed sources to the cached kernel.
const TARGET_BUILD: Duration = Duration::from_secs(6 * 60);

/// Measures the kernel in the cache, and one build of it in an empty cache if that is wanted.
pub fn measure(lab: &Lab, build: bool) -> Outcome<Vec<Row>> {
    let kernel = lab.vm_kernel()?;
    let bytes = lab::length(&kernel.image)?;
    let size = Row::judged(
        &format!("`vm` kernel {}, bzImage", kernel.version),
        format_args!("{} bytes", grouped(bytes)),
        format_args!("at most {}", grouped(TARGET_BYTES)),
        bytes <= TARGET_BYTES,
    );
    let cost = if build {
        let cost = build_afresh(lab)?;
        Row::judged(
            "… built in, processor time",
            minutes(cost),
            format_args!("at most {} minutes", TARGET_BUILD.as_secs() / 60),
            cost <= TARGET_BUILD,
        )
    } else {
        Row::failed("… built in, processor time", "only with --build")
    };
    Ok(vec![size, cost])
}

fn build_afresh(lab: &Lab) -> Outcome<Duration> {
    let cache = lab.workspace.scratch("empty-cache")?;
    let remove = || match fs::remove_dir_all(&cache) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(format!("{} could not be removed: {error}", cache.display())))
        }
        _ => Ok(()),
    };
    remove()?;
    let built = processor_time::measure(lab.solum(&["kernel", "build"]).env("SOLUM_CACHE", &cache));
    remove()?;
    built.map(|finished| finished.processor)
}

fn minutes(duration: Duration) -> String {
    format!("{:.1} minutes", duration.as_secs_f64() / 60.0)
}
