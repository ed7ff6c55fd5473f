//! Reads what Rust's test harness prints: its output passes through unchanged, and is counted on the way.
//!
//! A test that finds what it needs absent prints `skipped: <reason>` and returns. The harness calls that passed and
//! captures the line; so it runs with `--show-output`, and this module lets through, of what passing tests print,
//! only the reasons of those that skipped.

use std::fmt;
use std::ops::AddAssign;

/// How many tests ended how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Ran, and held.
    pub passed: usize,
    /// Ran, and did not hold.
    pub failed: usize,
    /// Did not run: ignored, or returned because something was absent.
    pub skipped: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Takes the harness's output line by line; says what of it to show, and counts.
#[derive(Default)]
pub struct Reader {
    counts: Counts,
    /// Inside the section that repeats what passing tests printed: whether its current test skipped.
    among_successes: Option<Success>,
    skipped_in_binary: usize,
}

#[derive(Default)]
struct Success {
    test: String,
    skipped: bool,
}

impl Reader {
    /// The line to show in place of this one, if any.
    pub fn read(&mut self, line: &str) -> Option<String> {
        if let Some(counts) = parse_result(line) {
            self.among_successes = None;
            let skipped = std::mem::take(&mut self.skipped_in_binary).min(counts.passed);
            self.counts +=
                Counts { passed: counts.passed - skipped, skipped: counts.skipped + skipped, ..counts };
            return Some(line.to_owned());
        }
        match line {
            "successes:" => self.among_successes = Some(Success::default()),
            "failures:" => self.among_successes = None,
            _ => {}
        }
        match &mut self.among_successes {
            None => Some(line.to_owned()),
            Some(success) => {
                let shown = success.read(line)?;
                self.skipped_in_binary += 1;
                Some(shown)
            }
        }
    }

    /// The sum over all `test result:` lines so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

impl Success {
    /// Shows the first `skipped` line of each test, with the test's name.
    fn read(&mut self, line: &str) -> Option<String> {
        if let Some(header) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            *self = Self { test: header.to_owned(), skipped: false };
        } else if line.starts_with("skipped") && !self.skipped && !self.test.is_empty() {
            self.skipped = true;
            return Some(format!("test {} ... {line}", self.test));
        }
        None
    }
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`
fn parse_result(line: &str) -> Option<Counts> {
    let result = line.strip_prefix("test result: ")?;
    let (_, numbers) = result.split_once(". ")?;
    let number = |what: &str| {
        let entry = numbers.split("; ").find(|entry| entry.ends_with(what))?;
        entry.split(' ').next()?.parse::<usize>().ok()
    };
    Some(Counts { passed: number(" passed")?, failed: number(" failed")?, skipped: number(" ignored")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Counts) {
        let mut reader = Reader::default();
        let shown = text.lines().filter_map(|line| reader.read(line)).collect();
        (shown, reader.counts())
    }

    #[test]
    fn results_of_several_binaries_are_summed() {
        let text = "\
running 2 tests
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: FAILED. 3 passed; 4 failed; 0 ignored; 0 measured; 9 filtered out; finished in 1.00s
";
        let (shown, counts) = read(text);
        assert_eq!(counts, Counts { passed: 5, failed: 4, skipped: 1 });
        assert_eq!(counts.to_string(), "5 passed, 4 failed, 1 skipped");
        assert_eq!(shown.len(), 3, "the harness's own lines pass through");
    }

    #[test]
    fn a_test_that_skipped_is_not_counted_as_passed() {
        let text = "\
test a ... ok
test b ... ok

successes:

---- a stdout ----
chatter
skipped: no Go compiler
skipped: and no C compiler

---- b stdout ----
this test was not skipped: it prints the word


successes:
    a
    b

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";
        let (shown, counts) = read(text);
        assert_eq!(counts, Counts { passed: 1, failed: 0, skipped: 1 });
        assert!(shown.contains(&"test a ... skipped: no Go compiler".to_owned()), "{shown:?}");
        assert!(!shown.iter().any(|line| line.contains("chatter")), "{shown:?}");
    }

    #[test]
    fn what_failing_tests_print_is_shown_and_not_mistaken_for_a_skip() {
        let text = "\
successes:

failures:

---- a stdout ----
skipped the important part
panicked

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";
        let (shown, counts) = read(text);
        assert_eq!(counts, Counts { passed: 0, failed: 1, skipped: 0 });
        assert!(shown.contains(&"panicked".to_owned()));
    }

    #[test]
    fn other_lines_are_no_results() {
        assert_eq!(parse_result("test result: "), None);
        assert_eq!(parse_result("test result: ok. many passed; 0 failed; 0 ignored"), None);
        assert_eq!(parse_result("the test result: ok. 1 passed; 0 failed; 0 ignored"), None);
    }
}
