//! The smallest memory in which hello still says its line.

use crate::bench::lab::{HELLO, Lab};
use crate::bench::table::Row;
use crate::failure::{Failure, Outcome};
use crate::shell;

/// Mebibytes.
const TARGET_MEBIBYTES: u32 = 32;

/// No machine boots in this much…
const TOO_LITTLE: u32 = 4;

/// …and every one does in this much.
const PLENTY: u32 = 128;

/// Seconds for one boot: a machine that has run out of memory may also just get nowhere.
const PATIENCE: &str = "120";

/// Halves the interval between too little and plenty, to the mebibyte.
pub fn measure(lab: &Lab) -> Outcome<Vec<Row>> {
    lab.vm_kernel()?;
    let smallest = smallest(TOO_LITTLE, PLENTY, |mebibytes| says_its_line(lab, mebibytes))?;
    Ok(vec![Row::judged(
        "smallest memory that boots hello",
        format_args!("{smallest} MiB"),
        format_args!("at most {TARGET_MEBIBYTES} MiB"),
        smallest <= TARGET_MEBIBYTES,
    )])
}

fn says_its_line(lab: &Lab, mebibytes: u32) -> Outcome<bool> {
    let memory = format!("{mebibytes}M");
    let output = shell::output(&mut lab.solum(&["run", "--memory", &memory, "--timeout", PATIENCE, HELLO]))?;
    let said = String::from_utf8_lossy(&output.stdout).contains("Hello from the whole machine");
    eprintln!("  {memory}: {}", if said { "boots" } else { "does not" });
    Ok(output.status.success() && said)
}

/// The smallest number that is enough, given one that is not and one that should be.
fn smallest(
    mut too_little: u32,
    plenty: u32,
    mut is_enough: impl FnMut(u32) -> Outcome<bool>,
) -> Outcome<u32> {
    let mut enough = plenty;
    if !is_enough(enough)? {
        return Err(Failure::new(format!("hello does not even boot in {plenty} MiB")));
    }
    while enough - too_little > 1 {
        let middle = too_little + (enough - too_little) / 2;
        if is_enough(middle)? {
            enough = middle;
        } else {
            too_little = middle;
        }
    }
    Ok(enough)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_ends_at_the_edge() {
        for edge in [5, 31, 32, 33, 127, 128] {
            assert_eq!(smallest(4, 128, |number| Ok(number >= edge)).ok(), Some(edge));
        }
        assert!(smallest(4, 128, |_| Ok(false)).is_err());
    }
}
