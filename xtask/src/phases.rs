//! Says what is being done and how long it took: nothing that takes over a second happens in silence.

use crate::failure::Outcome;
use std::time::{Duration, Instant};

/// How a phase ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It did what it should.
    Passed,
    /// It did not; the reason was printed when it happened.
    Failed,
}

/// One phase of a task, after it ended.
struct Phase {
    name: String,
    duration: Duration,
    verdict: Verdict,
}

/// The phases of one task, in the order in which they ran.
#[derive(Default)]
pub struct Phases {
    ended: Vec<Phase>,
}

impl Phases {
    /// Announces a phase, does its work, and records how long that took and how it ended.
    pub fn run<T>(&mut self, name: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        eprintln!("\n==> {name}");
        let start = Instant::now();
        let outcome = work();
        let verdict = if outcome.is_ok() { Verdict::Passed } else { Verdict::Failed };
        self.ended.push(Phase { name: name.to_owned(), duration: start.elapsed(), verdict });
        outcome
    }

    /// The names of the phases that failed.
    pub fn failed(&self) -> Vec<&str> {
        self.ended.iter().filter(|phase| phase.verdict == Verdict::Failed).map(|phase| &*phase.name).collect()
    }

    /// A line for each phase and one for the whole, aligned.
    pub fn table(&self) -> String {
        let width =
            self.ended.iter().map(|phase| phase.name.chars().count()).max().unwrap_or(0).max("total".len());
        let mut lines: Vec<String> = self.ended.iter().map(|phase| row(phase, width)).collect();
        let total = self.ended.iter().map(|phase| phase.duration).sum();
        lines.push(format!("  {:width$}  {:>11}", "total", seconds(total)));
        lines.join("\n")
    }
}

fn row(phase: &Phase, width: usize) -> String {
    let mark = match phase.verdict {
        Verdict::Passed => "ok",
        Verdict::Failed => "FAILED",
    };
    format!("  {:width$}  {:>11}  {mark}", phase.name, seconds(phase.duration))
}

/// A duration as a person reads it: `0.4 s`, `3 min 5 s`.
pub fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {} s", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn a_failed_phase_is_named_and_the_next_one_still_runs() {
        let mut phases = Phases::default();
        assert!(phases.run("first", || Err::<(), _>(Failure::new("no"))).is_err());
        assert_eq!(phases.run("second", || Ok(7)).ok(), Some(7));
        assert_eq!(phases.failed(), ["first"]);
        let table = phases.table();
        assert!(table.lines().next().is_some_and(|line| line.ends_with("FAILED")), "{table}");
        assert_eq!(table.lines().count(), 3);
    }

    #[test]
    fn durations_read_like_speech() {
        assert_eq!(seconds(Duration::from_millis(420)), "0.4 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 5 s");
    }
}
