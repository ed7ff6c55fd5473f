//! How long processors worked for a process: what a busy machine falsifies less than a clock on the wall.

use crate::failure::{Failure, Outcome};
use crate::shell;
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The unit of the times in `/proc/PID/stat`: `USER_HZ`, which is 100 on every architecture that is built for here
/// (include/asm-generic/param.h).
const TICK: Duration = Duration::from_millis(10);

/// Between two looks at a process that is about to end.
const PAUSE: Duration = Duration::from_millis(1);

/// A process that ended well.
#[derive(Debug)]
pub struct Finished {
    /// From its start to its end.
    pub wall: Duration,
    /// Processor time of the process, of those that it started and waited for, and of theirs.
    pub processor: Duration,
    /// What it wrote to standard error.
    pub error: String,
}

/// Runs a command to its end, silently. Its failure is a failure, with its own words.
pub fn measure(command: &mut Command) -> Outcome<Finished> {
    let shown = shell::shown(command);
    let refused = |error: std::io::Error| Failure::new(format!("`{shown}` could not be measured: {error}"));
    let start = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(refused)?;
    let mut error = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut error).map_err(refused)?;
    }
    let processor = processor_time_of_ended(child.id());
    let wall = start.elapsed();
    let status = child.wait().map_err(refused)?;
    if !status.success() {
        return Err(Failure::new(format!("`{shown}` ended with {status}: {}", error.trim())));
    }
    let processor = processor.ok_or_else(|| Failure::new("/proc does not tell what a process cost"))?;
    Ok(Finished { wall, processor, error })
}

/// Waits until the process has ended, and reads what it cost before anybody takes notice of its end: only until then
/// is its account open (proc_pid_stat(5); a zombie keeps it).
fn processor_time_of_ended(id: u32) -> Option<Duration> {
    loop {
        let stat = Stat::parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)?;
        if stat.ended {
            return Some(stat.processor);
        }
        thread::sleep(PAUSE);
    }
}

/// What is used here of `/proc/PID/stat`.
#[derive(PartialEq, Eq, Debug)]
struct Stat {
    ended: bool,
    processor: Duration,
}

impl Stat {
    /// Fields 3 (state) and 14 to 17 (utime, stime, cutime, cstime); field 2 may itself hold blanks and parentheses.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks: Vec<u32> =
            fields.get(11..15)?.iter().map(|field| field.parse().ok()).collect::<Option<_>>()?;
        Some(Self { ended: fields.first() == Some(&"Z"), processor: TICK * ticks.iter().sum::<u32>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_costs_something() {
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done >&2";
        let finished = measure(Command::new("sh").args(["-c", script])).expect("sh works");
        assert!(finished.processor >= TICK, "{finished:?}");
        assert_eq!(finished.error, "done\n");
        let failure = measure(Command::new("sh").args(["-c", "echo why >&2; exit 4"])).expect_err("exit 4");
        assert!(failure.to_string().ends_with("why"), "{failure}");
    }

    #[test]
    fn names_with_blanks_and_parentheses_are_read() {
        let text = "7 (a) b) Z 1 7 7 0 -1 4 99 0 0 0 10 20 300 4000 20 0 1 0 5 0 0";
        let processor = TICK * 4330;
        assert_eq!(Stat::parse(text), Some(Stat { ended: true, processor }));
        assert_eq!(Stat::parse("7 (a) R 1"), None);
    }
}
