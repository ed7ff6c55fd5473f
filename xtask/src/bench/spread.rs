//! What several measurements of the same come to.

use std::time::Duration;

/// The middle of some durations, and their ends.
#[derive(Clone, Copy)]
pub struct Spread {
    least: Duration,
    /// The one in the middle.
    pub median: Duration,
    most: Duration,
}

impl Spread {
    /// Orders them.
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort();
        let at = |index: usize| durations.get(index).copied().unwrap_or_default();
        Self { least: at(0), median: at(durations.len() / 2), most: at(durations.len().saturating_sub(1)) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [least, median, most] = [self.least, self.median, self.most].map(|time| time.as_secs_f64());
        write!(formatter, "{median:.2} s ({least:.2} to {most:.2})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_not_the_mean() {
        let spread = Spread::of([9, 1, 2].map(Duration::from_secs).to_vec());
        assert_eq!(spread.to_string(), "2.00 s (1.00 to 9.00)");
    }
}
