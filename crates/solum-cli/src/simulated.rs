//! What came of a simulation, for people.

use std::fmt::Write as _;
use std::time::Duration;

use solum_spec::count;
use solum_spec::simulation::{Counts, Failed, Order, Size};

/// How wide the words are that stand in front of what they are about.
const COLUMN: usize = 11;

/// How a run is repeated, and what is written on the way.
#[derive(Debug)]
pub struct Repeat<'a> {
    order: &'a Order,
}

impl<'a> Repeat<'a> {
    /// Of the runs that this order is about.
    pub fn new(order: &'a Order) -> Self {
        Self { order }
    }

    /// A run that failed, in lines.
    pub fn failure(&self, failed: &Failed) -> String {
        if self.order.replay.is_some() {
            return indented("the run failed: ", &failed.why);
        }
        let others = match failed.after {
            0 => String::new(),
            after => format!(", after {} others", grouped(after)),
        };
        let mut text = match is_seed(&failed.run) {
            true => indented(&format!("seed {} failed{others}: ", failed.run), &failed.why),
            false => indented(&format!("a run failed{others}: "), &failed.why),
        };
        let best = failed.shrunk.as_ref().map_or(&failed.run, |shrunk| &shrunk.run);
        if let Some(shrunk) = &failed.shrunk {
            let (from, to) = (size(failed.size), size(shrunk.size));
            text += &row("shrunk", &format!("from {from}"));
            text += &row("", &format!("to   {to}; it took {}", count(shrunk.runs.into(), "run")));
            if shrunk.why != failed.why {
                text += &row("fails with", &shrunk.why);
            }
        }
        let replay = format!("{} --replay {best}", self.order.command);
        text += &row("replay", &replay);
        if self.order.trace.is_none() {
            text += &row("timeline", &format!("{replay} --trace timeline.html"));
        }
        text
    }

    /// All that there was, in lines. `is_whole` unless somebody wanted no more.
    pub fn summary(&self, counts: &Counts, is_whole: bool) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{}: {}", counts.system, self.outcome(counts, is_whole));
        if let Some(digest) = counts.digest {
            text += &row("digest", &format!("{digest:016x}"));
        }
        let took = Duration::from_nanos(counts.took_ns);
        let simulated = Duration::from_nanos(counts.simulated_ns);
        text += &row("events", &format!("{}{}", grouped(counts.events), a_second(counts.events, took)));
        text += &row(
            "simulated",
            &format!("{} in {}{}", time(simulated), time(took), times_faster(simulated, took)),
        );
        text += &row("states", &format!("{} different", grouped(counts.states)));
        text + &self.faults(counts)
    }

    fn outcome(&self, counts: &Counts, is_whole: bool) -> String {
        let failed = match counts.failures {
            0 => "none failed".to_owned(),
            failures => format!("{} failed", grouped(failures)),
        };
        if self.order.replay.is_some() {
            let failed = if counts.failures == 0 { "did not fail" } else { "failed" };
            return format!("the run {failed}");
        }
        let runs = match is_whole {
            true => count_grouped(counts.runs, "run"),
            false if counts.planned > counts.runs => {
                format!(
                    "interrupted after {} of {}",
                    grouped(counts.runs),
                    count_grouped(counts.planned, "run")
                )
            }
            false => format!("interrupted after {}", count_grouped(counts.runs, "run")),
        };
        let twice = if counts.twice == 0 {
            String::new()
        } else {
            format!(", {} of them twice", grouped(counts.twice))
        };
        format!("{runs}{twice}, {failed}")
    }

    /// How often each kind of fault happened, of those that were to happen.
    fn faults(&self, counts: &Counts) -> String {
        let wanted = |name: &str| match self.order.faults.as_deref() {
            None | Some("all") => true,
            Some(names) => names.split(',').any(|wanted| wanted.trim() == name),
        };
        // A run is repeated with what happened in it; what did not is no news.
        let is_shown = |name: &str, times: u64| times > 0 || (wanted(name) && self.order.replay.is_none());
        let shown: Vec<(&String, u64)> = counts
            .faults
            .iter()
            .map(|(name, times)| (name, *times))
            .filter(|(name, times)| is_shown(name, *times))
            .collect();
        if shown.is_empty() {
            return row("faults", "none");
        }
        let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let shown_times = |times: u64| if times == 0 { "never".to_owned() } else { grouped(times) };
        let digits = shown.iter().map(|(_, times)| shown_times(*times).len()).max().unwrap_or(0);
        let lines = shown.iter().enumerate().map(|(index, (name, times))| {
            let times = shown_times(*times);
            row(if index == 0 { "faults" } else { "" }, &format!("{name:width$}  {times:>digits$}"))
        });
        lines.collect()
    }
}

/// How far it is, in a line.
pub fn progress(counts: &Counts) -> String {
    let failed = match counts.failures {
        0 => "none failed".to_owned(),
        failures => format!("{failures} failed"),
    };
    match counts.planned >= counts.runs {
        true => format!("{} of {}, {failed}", grouped(counts.runs), count_grouped(counts.planned, "run")),
        false => format!("{}, {failed}", count_grouped(counts.runs, "run")),
    }
}

/// Something that happened in a run, in a line: when, to whom, what. Names are as wide as the widest so far.
pub fn happened(at_ns: u64, who: &str, text: &str, width: usize) -> String {
    let (seconds, nanoseconds) = (at_ns / 1_000_000_000, at_ns % 1_000_000_000);
    indented(&format!("{seconds:>4}.{nanoseconds:09} {who:width$} "), text)
}

/// Whether a run is that of a seed, and not one that was made smaller or changed.
fn is_seed(run: &str) -> bool {
    run.parse::<u64>().is_ok()
}

fn row(what: &str, text: &str) -> String {
    indented(&format!("  {what:<COLUMN$}"), text)
}

/// A text behind some words; its other lines below its first.
fn indented(words: &str, text: &str) -> String {
    let below = format!("\n{}", " ".repeat(words.chars().count().min(4)));
    format!("{words}{}\n", text.trim_end().lines().collect::<Vec<_>>().join(&below))
}

fn size(size: Size) -> String {
    let (choices, faults) = (count_grouped(size.choices, "choice"), count_grouped(size.faults, "fault"));
    format!("{choices} and {faults} in {}", time(Duration::from_nanos(size.took_ns)))
}

fn a_second(events: u64, took: Duration) -> String {
    let rate = events as f64 / took.as_secs_f64();
    if rate.is_finite() { format!(", {} a second", grouped(rate.round() as u64)) } else { String::new() }
}

fn times_faster(simulated: Duration, took: Duration) -> String {
    let times = simulated.as_secs_f64() / took.as_secs_f64();
    match times.is_finite() {
        true if times >= 10.0 => format!(", {} times as fast as real", grouped(times.round() as u64)),
        true => format!(", {times:.1} times as fast as real"),
        false => String::new(),
    }
}

/// A length of time with about three figures.
fn time(length: Duration) -> String {
    let seconds = length.as_secs();
    let two = |great: u64, great_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{} {great_unit}", grouped(great)),
        _ => format!("{} {great_unit} {small} {small_unit}", grouped(great)),
    };
    match seconds {
        0 if length.as_millis() == 0 => format!("{} µs", length.as_micros()),
        0 => format!("{} ms", length.as_millis()),
        1..100 => format!("{:.1} s", length.as_secs_f64()),
        100..6_000 => two(seconds / 60, "min", seconds % 60, "s"),
        6_000..172_800 => two(seconds / 3_600, "h", seconds / 60 % 60, "min"),
        _ => two(seconds / 86_400, "days", seconds / 3_600 % 24, "h"),
    }
}

fn count_grouped(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(number))
}

/// A number with a comma between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_about_three_figures() {
        for (ns, expected) in [
            (0, "0 µs"),
            (999_999, "999 µs"),
            (1_000_000, "1 ms"),
            (999_999_999, "999 ms"),
            (12_340_000_000, "12.3 s"),
            (100_000_000_000, "1 min 40 s"),
            (180_000_000_000, "3 min"),
            (7_261_000_000_000, "2 h 1 min"),
            (864_000_000_000_000, "10 days"),
            (90_003_600_000_000_000, "1,041 days 17 h"),
        ] {
            assert_eq!(time(Duration::from_nanos(ns)), expected, "{ns}");
        }
    }

    #[test]
    fn thousands_are_told_apart() {
        let numbers = [0, 999, 1_000, 12_345, 1_234_567];
        assert_eq!(numbers.map(grouped), ["0", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn reasons_of_several_lines_stay_below_their_first() {
        assert_eq!(row("replay", "a\nb\n"), "  replay     a\n    b\n");
        assert_eq!(happened(1_000_000_050, "m.u", "says", 5), "   1.000000050 m.u   says\n");
    }
}
