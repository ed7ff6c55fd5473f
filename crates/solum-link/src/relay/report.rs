//! What people should know about the links of a machine.

use crate::stream::Refusal;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Strangers are reported so often in each [`PERIOD`], and counted beyond.
const STRANGERS: u32 = 10;
const PERIOD: Duration = Duration::from_secs(60);
/// Machines that come up together wait for each other. Before this it is not worth a word.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something happened to a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Report {
    /// A link that was reported to be down is up.
    Up {
        /// Its name.
        link: String,
    },
    /// A link is down.
    Down {
        /// Its name.
        link: String,
        /// Why.
        why: Refusal,
    },
    /// Somebody connected who is no machine of this system, or does not say so as one does.
    Refused {
        /// From where.
        from: SocketAddr,
        /// Why.
        why: Refusal,
        /// How many others were refused without a word.
        others: u32,
    },
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up { link } => write!(formatter, "link {link} is up"),
            Self::Down { link, why } => write!(formatter, "link {link} is down: {why}"),
            Self::Refused { from, why, others: 0 } => {
                write!(formatter, "a connection from {from} was refused: {why}")
            }
            Self::Refused { from, why, others } => {
                write!(formatter, "a connection from {from} was refused: {why} ({others} others as well)")
            }
        }
    }
}

/// What was said about one link.
#[derive(Debug)]
pub(super) struct LinkReports {
    begun: Instant,
    was_up: bool,
    said: Option<Refusal>,
}

impl LinkReports {
    pub(super) fn new(now: Instant) -> Self {
        Self { begun: now, was_up: false, said: None }
    }

    pub(super) fn up(&mut self, link: &str) -> Option<Report> {
        self.was_up = true;
        self.said.take().map(|_| Report::Up { link: link.to_owned() })
    }

    pub(super) fn down(&mut self, link: &str, why: &Refusal, now: Instant) -> Option<Report> {
        let is_waiting =
            matches!(why, Refusal::System(..) | Refusal::Slow | Refusal::Closed | Refusal::Truncated);
        let is_early = !self.was_up && is_waiting && now < self.begun + PATIENCE;
        if is_early || self.said.as_ref() == Some(why) {
            return None;
        }
        self.said = Some(why.clone());
        Some(Report::Down { link: link.to_owned(), why: why.clone() })
    }
}

/// Strangers that were refused.
#[derive(Debug)]
pub(super) struct Strangers {
    since: Instant,
    reported: u32,
    others: u32,
}

impl Strangers {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, reported: 0, others: 0 }
    }

    pub(super) fn refused(&mut self, from: SocketAddr, why: Refusal, now: Instant) -> Option<Report> {
        if now >= self.since + PERIOD {
            (self.since, self.reported) = (now, 0);
        }
        if self.reported == STRANGERS {
            self.others += 1;
            return None;
        }
        self.reported += 1;
        Some(Report::Refused { from, why, others: std::mem::take(&mut self.others) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_reported_when_something_changed_and_not_while_machines_come_up() {
        let now = Instant::now();
        let refused = Refusal::System(std::io::ErrorKind::ConnectionRefused, "refused".to_owned());
        let mut reports = LinkReports::new(now);
        assert_eq!(reports.down("a", &refused, now), None);
        let said = reports.down("a", &Refusal::Key, now).unwrap();
        assert_eq!(
            said.to_string(),
            "link a is down: it does not have the key that the system was built with"
        );
        assert_eq!(reports.down("a", &Refusal::Key, now), None);
        assert_eq!(reports.up("a").unwrap().to_string(), "link a is up");
        assert_eq!(reports.up("a"), None);
        assert!(reports.down("a", &refused, now).is_some());
    }

    #[test]
    fn strangers_do_not_fill_the_log() {
        let now = Instant::now();
        let from = SocketAddr::from(([10, 0, 0, 1], 5));
        let mut strangers = Strangers::new(now);
        let said = (0..100).filter_map(|_| strangers.refused(from, Refusal::NotALink, now)).count();
        assert_eq!(said, 10);
        let last = strangers.refused(from, Refusal::NotALink, now + PERIOD).unwrap();
        assert!(last.to_string().ends_with("it does not speak the protocol of links (90 others as well)"));
    }
}
