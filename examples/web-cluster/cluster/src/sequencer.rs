//! What the sequencer decides: who gets which number, who may keep what, and when a write may be told to have happened.

use crate::calls::{Reading, Refusal};
use crate::{Key, LEASE_AT_MOST_MS, Number, Presence, Record, Unreached, cache};

/// How long to wait until a cache that did not answer is asked again.
const AGAIN_MS: u64 = 20;
/// How long a cache that none of ours is gets no lease.
const STRANGER_MS: u64 = 1_000;

/// What is asked of the sequencer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A number for a write.
    Reserve,
    /// A key is to have this value, or none.
    Write {
        /// One that was reserved for it, and for nothing else.
        number: Number,
        /// The key.
        key: Key,
        /// The value.
        value: Option<Vec<u8>>,
    },
    /// What does a key stand for?
    Read {
        /// The key.
        key: Key,
        /// The cache that would like to keep it.
        presence: Option<Presence>,
    },
}

/// What the storage has for a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The record, if it remembers one.
    pub record: Option<Record>,
    /// If not, the key was not deleted by a write with a greater number than this.
    pub forgotten: Number,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody asks. Not before the last one was answered.
    Asked(Request),
    /// What the storage has for the key.
    Loaded(Result<Stored, Refusal>),
    /// A cache answered, and said which incarnation it is; or it did not.
    Reached(Result<u64, Unreached>),
    /// It is as late as it was to be.
    Waited,
    /// The record is on the disk and lasts; or why not.
    Saved(Result<(), Refusal>),
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Look what the storage has: [`Event::Loaded`].
    Load(Key),
    /// Let a cache forget a key: [`Event::Reached`].
    Recall {
        /// Which of the caches.
        cache: usize,
        /// In which term.
        term: Number,
        /// What.
        key: Key,
    },
    /// Ask a cache which incarnation it is: [`Event::Reached`].
    Identify {
        /// Which of the caches.
        cache: usize,
    },
    /// Wait: [`Event::Waited`].
    Wait {
        /// Until then.
        until_ms: u64,
    },
    /// Make a record last: [`Event::Saved`].
    Save {
        /// Of which key.
        key: Key,
        /// In place of the one it had.
        record: Record,
    },
    /// Answer, and wait for the next request.
    Answer(Answer),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The number.
    Reserved(Number),
    /// It was written.
    Written,
    /// This is there.
    Read(Reading),
    /// Nothing was done.
    Refused(Refusal),
}

/// What a cache may give out, as far as the sequencer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Nothing.
    Free,
    /// What an earlier sequencer allowed.
    Unknown { until_ms: u64 },
    /// What we allowed.
    Leased { incarnation: u64, term: Number, until_ms: u64 },
}

struct Place {
    /// The incarnation that answered last.
    known: Option<u64>,
    hold: Hold,
}

enum Work {
    None,
    ReadLoading { presence: Option<Presence> },
    Finding { presence: Presence, record: Record, cache: usize },
    WriteLoading { key: Key, record: Record },
    Recalling { key: Key, record: Record, cache: usize },
    Saving,
}

/// The sequencer.
pub struct Sequencer {
    last: Number,
    places: Vec<Place>,
    /// A cache that was not found, and until when it is not looked for again.
    stranger: Option<(u64, u64)>,
    work: Work,
}

impl Sequencer {
    /// One that begins now, with so many caches. The epoch has to be greater than any before, for good; everything that can
    /// be read from the storage has to last.
    pub fn new(epoch: u64, caches: usize, now_ms: u64) -> Self {
        let until_ms = now_ms.saturating_add(LEASE_AT_MOST_MS);
        let place = || Place { known: None, hold: Hold::Unknown { until_ms } };
        Self {
            last: Number { epoch, count: 0 },
            places: (0..caches).map(|_| place()).collect(),
            stranger: None,
            work: Work::None,
        }
    }

    /// What to do about what happened. The time is that after it happened.
    pub fn step(&mut self, now_ms: u64, event: Event) -> Effect {
        match (std::mem::replace(&mut self.work, Work::None), event) {
            (_, Event::Asked(request)) => self.begin(request),
            (Work::ReadLoading { .. } | Work::WriteLoading { .. }, Event::Loaded(Err(refusal))) => {
                Effect::Answer(Answer::Refused(refusal))
            }
            (Work::ReadLoading { presence }, Event::Loaded(Ok(stored))) => {
                let record = stored.record.unwrap_or_default();
                match presence {
                    Some(presence) => self.read(now_ms, presence, record),
                    None => Effect::Answer(Answer::Read(Reading { record, lease: None })),
                }
            }
            (Work::Finding { presence, record, cache }, Event::Reached(reached)) => {
                if let Ok(incarnation) = reached {
                    self.identified(cache, incarnation);
                }
                self.find(now_ms, presence, record, cache + 1)
            }
            (Work::WriteLoading { key, record }, Event::Loaded(Ok(stored))) => {
                self.write(now_ms, key, record, &stored)
            }
            (Work::Recalling { key, record, cache }, Event::Reached(Ok(incarnation))) => {
                self.recalled(cache, incarnation);
                self.recall(now_ms, key, record, cache + 1)
            }
            (Work::Recalling { key, record, cache }, Event::Reached(Err(Unreached))) => {
                self.work = Work::Recalling { key, record, cache };
                Effect::Wait { until_ms: self.end_of_hold(cache).min(now_ms.saturating_add(AGAIN_MS)) }
            }
            (Work::Recalling { key, record, cache }, Event::Waited) => {
                self.recall(now_ms, key, record, cache)
            }
            (Work::Saving, Event::Saved(saved)) => {
                Effect::Answer(saved.map_or_else(Answer::Refused, |()| Answer::Written))
            }
            (_, event) => {
                let why = format!("the sequencer was told what it had not asked: {event:?}");
                Effect::Answer(Answer::Refused(Refusal::Storage(why)))
            }
        }
    }

    fn begin(&mut self, request: Request) -> Effect {
        match request {
            Request::Reserve => Effect::Answer(Answer::Reserved(self.next_number())),
            Request::Write { number, key, value } => {
                let record = Record { number, value };
                self.work = Work::WriteLoading { key: key.clone(), record };
                Effect::Load(key)
            }
            Request::Read { key, presence } => {
                self.work = Work::ReadLoading { presence };
                Effect::Load(key)
            }
        }
    }

    fn next_number(&mut self) -> Number {
        self.last.count += 1;
        self.last
    }

    fn write(&mut self, now_ms: u64, key: Key, record: Record, stored: &Stored) -> Effect {
        let number = record.number;
        match &stored.record {
            // It was written already; or what overtook it was asked for after it, and it counts as written just before.
            Some(old) if old.number >= number => Effect::Answer(Answer::Written),
            None if number <= stored.forgotten => Effect::Answer(Answer::Refused(Refusal::TooOld)),
            _ if number > self.last => {
                let why = format!("the number {number} was never given out");
                Effect::Answer(Answer::Refused(Refusal::Storage(why)))
            }
            _ => self.recall(now_ms, key, record, 0),
        }
    }

    /// Goes on with the recall of a key at this cache.
    fn recall(&mut self, now_ms: u64, key: Key, record: Record, first: usize) -> Effect {
        let epoch = self.last.epoch;
        for cache in first..self.places.len() {
            let term = match self.places[cache].hold {
                _ if self.end_of_hold(cache) <= now_ms => {
                    self.places[cache].hold = Hold::Free;
                    continue;
                }
                Hold::Free => continue,
                // Later than all terms of earlier epochs, before all of ours.
                Hold::Unknown { .. } => Number { epoch, count: 0 },
                Hold::Leased { term, .. } => term,
            };
            let effect = Effect::Recall { cache, term, key: key.clone() };
            self.work = Work::Recalling { key, record, cache };
            return effect;
        }
        self.work = Work::Saving;
        Effect::Save { key, record }
    }

    fn end_of_hold(&self, cache: usize) -> u64 {
        match self.places.get(cache).map(|place| place.hold) {
            Some(Hold::Unknown { until_ms } | Hold::Leased { until_ms, .. }) => until_ms,
            Some(Hold::Free) | None => 0,
        }
    }

    fn recalled(&mut self, cache: usize, incarnation: u64) {
        self.identified(cache, incarnation);
        // It entered a term of our epoch by this, and so has nothing of an earlier one left.
        if matches!(self.places[cache].hold, Hold::Unknown { .. }) {
            self.places[cache].hold = Hold::Free;
        }
    }

    fn identified(&mut self, cache: usize, incarnation: u64) {
        let place = &mut self.places[cache];
        place.known = Some(incarnation);
        // A lease ends with the cache that had it.
        if matches!(place.hold, Hold::Leased { incarnation: other, .. } if other != incarnation) {
            place.hold = Hold::Free;
        }
    }

    fn read(&mut self, now_ms: u64, presence: Presence, record: Record) -> Effect {
        let is_stranger =
            self.stranger.is_some_and(|(who, until_ms)| who == presence.incarnation && now_ms < until_ms);
        if is_stranger {
            return Effect::Answer(Answer::Read(Reading { record, lease: None }));
        }
        if self.place_of(presence.incarnation).is_some() {
            return self.found(now_ms, presence, record);
        }
        self.find(now_ms, presence, record, 0)
    }

    fn place_of(&self, incarnation: u64) -> Option<usize> {
        self.places.iter().position(|place| place.known == Some(incarnation))
    }

    /// Goes on looking which cache this is.
    fn find(&mut self, now_ms: u64, presence: Presence, record: Record, cache: usize) -> Effect {
        if cache < self.places.len() && self.place_of(presence.incarnation).is_none() {
            self.work = Work::Finding { presence, record, cache };
            return Effect::Identify { cache };
        }
        self.found(now_ms, presence, record)
    }

    fn found(&mut self, now_ms: u64, presence: Presence, record: Record) -> Effect {
        let place = self.place_of(presence.incarnation);
        let lease =
            place.map(|cache| cache::lease(presence, self.grant(now_ms, cache, presence.incarnation)));
        if lease.is_none() {
            self.stranger = Some((presence.incarnation, now_ms.saturating_add(STRANGER_MS)));
        }
        Effect::Answer(Answer::Read(Reading { record, lease }))
    }

    /// Gives a cache a lease from now on, or a longer one. The cache's clock was read before now.
    fn grant(&mut self, now_ms: u64, cache: usize, whose: u64) -> Number {
        let until_ms = now_ms.saturating_add(LEASE_AT_MOST_MS);
        let term = match self.places[cache].hold {
            // Nothing was written since without its being recalled.
            Hold::Leased { incarnation, term, until_ms } if incarnation == whose && now_ms < until_ms => term,
            _ => self.next_number(),
        };
        self.places[cache].hold = Hold::Leased { incarnation: whose, term, until_ms };
        term
    }
}

#[cfg(test)]
#[path = "sequencer_tests.rs"]
mod tests;
