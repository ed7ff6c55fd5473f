//! The flags of `solum sim`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

/// `solum sim`
#[derive(Debug, Args)]
pub struct Sim {
    /// The directory with the system's solum.toml
    #[arg(default_value = ".")]
    pub directory: PathBuf,
    /// Which scenario of the simulation [default: its first]
    #[arg(long, value_name = "NAME", help_heading = "Runs")]
    pub scenario: Option<String>,
    /// The run of this seed alone
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "replay"], help_heading = "Runs")]
    pub seed: Option<u64>,
    /// How many runs, or those of which seeds [default: 1000; with --search crashes as many as there are]
    #[arg(long, value_name = "N|A..B", conflicts_with = "replay", help_heading = "Runs")]
    pub seeds: Option<Seeds>,
    /// How runs are chosen
    #[arg(long, value_enum, default_value = "mixed", conflicts_with = "replay", help_heading = "Runs")]
    pub search: Search,
    /// Which faults happen, of those that the system claims to survive: all, none, or some, separated by commas
    /// [default: all]
    #[arg(long, value_name = "all|none|LIST", help_heading = "Runs")]
    pub faults: Option<String>,
    /// When faults stop, like `30 s` [default: as the scenario says]
    #[arg(long, value_name = "TIME", value_parser = milliseconds, help_heading = "Runs")]
    pub until: Option<u32>,
    /// Repeats one run, by the seed or the token that was printed
    #[arg(long, value_name = "TOKEN", help_heading = "Runs")]
    pub replay: Option<String>,
    /// How many runs at a time [default: as many as there are processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Runs")]
    pub jobs: Option<u16>,
    /// After how many failures it ends
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(conflicts_with = "replay", help_heading = "Runs")]
    pub failures: u32,
    /// Makes every run twice, to see that both are the same; else one in 64
    #[arg(long, conflicts_with = "replay", help_heading = "Runs")]
    pub twice: bool,
    /// Leaves failures as they were found, instead of making them small
    #[arg(long, conflicts_with = "replay", help_heading = "Runs")]
    pub no_shrink: bool,
    /// Writes the timeline of the repeated run, or of the first that fails, as a page for a browser
    #[arg(long, value_name = "FILE", help_heading = "Answers")]
    pub trace: Option<PathBuf>,
    /// Prints what happened in the repeated run, line by line
    #[arg(long, requires = "replay", help_heading = "Answers")]
    pub lines: bool,
    /// Writes a package that simulates the system, to begin with, and runs nothing
    #[arg(long, conflicts_with_all = ["scenario", "seed", "seeds", "search", "faults", "until", "replay"])]
    #[arg(conflicts_with_all = ["jobs", "failures", "twice", "no_shrink", "trace", "lines"])]
    pub init: bool,
}

/// Which runs there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// The first seed.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.parse::<u64>()
                .map_err(|_| format!("`{text}` is no number; write how many runs, or seeds as 100..200"))
        };
        let seeds = match text.split_once("..") {
            None => Self { first: 0, count: number(text)? },
            Some((first, end)) => {
                let (first, end) = (number(first)?, number(end)?);
                Self { first, count: end.saturating_sub(first) }
            }
        };
        if seeds.count == 0 { Err("there is no run among these".to_owned()) } else { Ok(seeds) }
    }
}

/// How runs are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Search {
    /// Each run has a weather of its own, and orders what runs in its own way.
    Mixed,
    /// What runs next is any of those that could.
    Random,
    /// What runs next is said by priorities, which change at few moments.
    Pct,
    /// Runs in which something new happened are changed from some moment on.
    Novelty,
    /// One run without faults, then the same with a power cut before and after each of its operations.
    Crashes,
}

impl Search {
    /// What a simulation calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Random => "random",
            Self::Pct => "pct",
            Self::Novelty => "novelty",
            Self::Crashes => "crashes",
        }
    }
}

fn milliseconds(text: &str) -> Result<u32, String> {
    solum_spec::system::milliseconds(text).map_err(|error| format!("it {error}; write it like 30s or 2min"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_how_many_or_from_where_to_where() {
        let of = |text: &str| text.parse::<Seeds>();
        assert_eq!(of("1000"), Ok(Seeds { first: 0, count: 1000 }));
        assert_eq!(of("5..8"), Ok(Seeds { first: 5, count: 3 }));
        assert_eq!(of("0..18446744073709551615"), Ok(Seeds { first: 0, count: u64::MAX }));
        for nothing in ["0", "5..5", "8..5"] {
            assert_eq!(of(nothing), Err("there is no run among these".to_owned()), "{nothing}");
        }
        for wrong in ["", "many", "1..", "..5", "-1", "1...5"] {
            assert!(of(wrong).unwrap_err().contains("is no number"), "{wrong}");
        }
    }

    #[test]
    fn a_search_is_called_on_both_sides_what_is_typed() {
        for search in Search::value_variants() {
            assert_eq!(search.to_possible_value().unwrap().get_name(), search.name());
        }
    }
}
