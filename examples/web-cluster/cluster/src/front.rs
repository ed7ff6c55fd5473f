//! What a front decides: whom to ask for what, and what to tell a client when somebody does not answer.

use crate::cache::{Fetched, Look};
use crate::calls::{Reading, Refusal};
use crate::{Key, Number, Presence, Record, Unreached};

/// How long a cache that did not answer is left alone.
const CACHE_PAUSE_MS: u64 = 500;

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// What does the key stand for?
    Get(Key),
    /// The key is to have this value, or none.
    Write(Key, Option<Vec<u8>>),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client wants something. Not before the last one was answered.
    Asked(Request),
    /// What the cache said.
    Looked(Result<Look, Unreached>),
    /// What the sequencer said about a key.
    Read(Result<Result<Reading, Refusal>, Unreached>),
    /// The cache has the record, or not; it does not matter.
    Filled,
    /// The number that the sequencer gave.
    Reserved(Result<Number, Unreached>),
    /// What the sequencer said about the write.
    Written(Result<Result<(), Refusal>, Unreached>),
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask the cache: [`Event::Looked`].
    Look(Key),
    /// Ask the sequencer: [`Event::Read`].
    Read(Key, Option<Presence>),
    /// Bring the cache what it did not know: [`Event::Filled`].
    Fill(Fetched),
    /// Get a number: [`Event::Reserved`].
    Reserve,
    /// Write: [`Event::Written`].
    Write(Number, Key, Option<Vec<u8>>),
    /// Answer the client, and wait for the next request.
    Answer(Answer),
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The key stands for this.
    Found {
        /// Perhaps a record that there is none.
        record: Record,
        /// Whether the cache had it.
        is_hit: bool,
    },
    /// It was written.
    Written(Number),
    /// Nothing was done, because somebody does not answer.
    Unavailable,
    /// Nobody knows whether it was written, or will be yet.
    Unknown,
    /// Nothing was done.
    Refused(Refusal),
}

enum Work {
    None,
    Looking { key: Key },
    Reading { key: Key, ticket: Option<u64> },
    Filling { record: Record },
    Reserving { key: Key, value: Option<Vec<u8>> },
    Writing { number: Number },
}

/// A front.
pub struct Front {
    cache_again_ms: u64,
    work: Work,
}

impl Default for Front {
    fn default() -> Self {
        Self { cache_again_ms: 0, work: Work::None }
    }
}

impl Front {
    /// What to do about what happened.
    pub fn step(&mut self, now_ms: u64, event: Event) -> Effect {
        match (std::mem::replace(&mut self.work, Work::None), event) {
            (_, Event::Asked(request)) => self.begin(now_ms, request),
            (Work::Looking { .. }, Event::Looked(Ok(Look::Hit(record)))) => {
                Effect::Answer(Answer::Found { record, is_hit: true })
            }
            (Work::Looking { key }, Event::Looked(Ok(Look::Miss { presence, ticket }))) => {
                self.read(key, Some((presence, ticket)))
            }
            (Work::Looking { key }, Event::Looked(Err(Unreached))) => {
                self.cache_again_ms = now_ms.saturating_add(CACHE_PAUSE_MS);
                self.read(key, None)
            }
            (Work::Reading { key, ticket }, Event::Read(Ok(Ok(Reading { record, lease })))) => {
                if let (Some(ticket), Some(lease)) = (ticket, lease) {
                    self.work = Work::Filling { record: record.clone() };
                    return Effect::Fill(Fetched { key, ticket, record, lease });
                }
                Effect::Answer(Answer::Found { record, is_hit: false })
            }
            (Work::Filling { record }, Event::Filled) => {
                Effect::Answer(Answer::Found { record, is_hit: false })
            }
            (Work::Reserving { key, value }, Event::Reserved(Ok(number))) => {
                self.work = Work::Writing { number };
                Effect::Write(number, key, value)
            }
            (Work::Writing { number }, Event::Written(Ok(Ok(())))) => Effect::Answer(Answer::Written(number)),
            // The call may be the second try of one that was not answered. That it could do nothing says nothing of the first;
            // only a full disk does, because then what the first wrote would have been found.
            (
                Work::Writing { .. },
                Event::Written(
                    Ok(Err(Refusal::TooOld | Refusal::Storage(_) | Refusal::Unsure(_))) | Err(Unreached),
                ),
            ) => Effect::Answer(Answer::Unknown),
            (_, Event::Read(Ok(Err(refusal))) | Event::Written(Ok(Err(refusal)))) => {
                Effect::Answer(Answer::Refused(refusal))
            }
            (_, _) => Effect::Answer(Answer::Unavailable),
        }
    }

    fn begin(&mut self, now_ms: u64, request: Request) -> Effect {
        match request {
            Request::Get(key) if now_ms < self.cache_again_ms => self.read(key, None),
            Request::Get(key) => {
                self.work = Work::Looking { key: key.clone() };
                Effect::Look(key)
            }
            Request::Write(key, value) => {
                self.work = Work::Reserving { key, value };
                Effect::Reserve
            }
        }
    }

    fn read(&mut self, key: Key, missed: Option<(Presence, u64)>) -> Effect {
        let (presence, ticket) = missed.unzip();
        self.work = Work::Reading { key: key.clone(), ticket };
        Effect::Read(key, presence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new("a").unwrap()
    }

    fn number(count: u64) -> Number {
        Number { epoch: 1, count }
    }

    #[test]
    fn a_cache_that_does_not_answer_is_gone_round_and_left_alone_for_a_while() {
        let mut front = Front::default();
        let get = || Event::Asked(Request::Get(key()));
        assert_eq!(front.step(10, get()), Effect::Look(key()));
        assert_eq!(front.step(20, Event::Looked(Err(Unreached))), Effect::Read(key(), None));
        let record = Record { number: number(1), value: Some(vec![1]) };
        let reading = Reading { record: record.clone(), lease: None };
        let found = Effect::Answer(Answer::Found { record, is_hit: false });
        assert_eq!(front.step(30, Event::Read(Ok(Ok(reading)))), found);
        assert_eq!(front.step(519, get()), Effect::Read(key(), None));
        assert_eq!(front.step(520, get()), Effect::Look(key()));
    }

    #[test]
    fn a_client_is_told_what_is_known_and_no_more() {
        let mut front = Front::default();
        let write = || Event::Asked(Request::Write(key(), None));
        assert_eq!(front.step(0, write()), Effect::Reserve);
        assert_eq!(front.step(0, Event::Reserved(Err(Unreached))), Effect::Answer(Answer::Unavailable));
        let outcomes = [
            (Ok(Ok(())), Answer::Written(number(7))),
            (Ok(Err(Refusal::Full)), Answer::Refused(Refusal::Full)),
            (Ok(Err(Refusal::TooOld)), Answer::Unknown),
            (Ok(Err(Refusal::Storage(String::new()))), Answer::Unknown),
            (Ok(Err(Refusal::Unsure(String::new()))), Answer::Unknown),
            (Err(Unreached), Answer::Unknown),
        ];
        for (outcome, answer) in outcomes {
            assert_eq!(front.step(0, write()), Effect::Reserve);
            assert_eq!(front.step(0, Event::Reserved(Ok(number(7)))), Effect::Write(number(7), key(), None));
            assert_eq!(front.step(0, Event::Written(outcome)), Effect::Answer(answer));
        }
    }
}
