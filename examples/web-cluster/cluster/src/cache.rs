//! What a cache decides: which record it may give out, and which it has to forget.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Key, LEASE_MS, Lease, Number, Presence, Record};

/// What a record takes beside its key and its value, about.
const OVERHEAD_BYTES: usize = 128;

/// What a cache says about a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Look {
    /// This is its record.
    Hit(Record),
    /// It may not say. Whoever gets to know the record may bring it with the ticket.
    Miss {
        /// The cache before anybody else was asked.
        presence: Presence,
        /// Valid until the key is recalled, or somebody asks for another.
        ticket: u64,
    },
}

/// A record that was fetched for a cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// What it is about.
    pub key: Key,
    /// From the look before it was fetched.
    pub ticket: u64,
    /// What the sequencer said.
    pub record: Record,
    /// What it allowed.
    pub lease: Lease,
}

struct Kept {
    record: Record,
    used: u64,
}

/// A cache.
pub struct Cache {
    incarnation: u64,
    capacity_bytes: usize,
    term: Number,
    until_ms: u64,
    kept: BTreeMap<Key, Kept>,
    /// By when they were used last.
    by_use: BTreeMap<u64, Key>,
    kept_bytes: usize,
    uses: u64,
    last_ticket: u64,
    expected: Option<(u64, Key)>,
}

impl Cache {
    /// An empty cache that keeps this much. The incarnation is to be random.
    pub fn new(incarnation: u64, capacity_bytes: usize) -> Self {
        Self {
            incarnation,
            capacity_bytes,
            term: Number::default(),
            until_ms: 0,
            kept: BTreeMap::new(),
            by_use: BTreeMap::new(),
            kept_bytes: 0,
            uses: 0,
            last_ticket: 0,
            expected: None,
        }
    }

    /// Which cache it is.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// What it says about a key.
    pub fn look(&mut self, key: Key, now_ms: u64) -> Look {
        if now_ms < self.until_ms
            && let Some(record) = self.used(&key)
        {
            return Look::Hit(record);
        }
        self.last_ticket += 1;
        self.expected = Some((self.last_ticket, key));
        let presence = Presence { incarnation: self.incarnation, now_ms };
        Look::Miss { presence, ticket: self.last_ticket }
    }

    /// Takes a record, unless things have changed since it was fetched.
    pub fn fill(&mut self, fetched: Fetched) {
        let Fetched { key, ticket, record, lease } = fetched;
        if lease.incarnation != self.incarnation || lease.term < self.term {
            return;
        }
        self.enter(lease.term);
        self.until_ms = self.until_ms.max(lease.until_ms);
        if self.expected.as_ref().is_some_and(|(expected, of)| *expected == ticket && *of == key) {
            self.expected = None;
            self.keep(key, record);
        }
    }

    /// Forgets a key, and everything if another term began. Says which cache it is.
    pub fn recall(&mut self, term: Number, key: &Key) -> u64 {
        self.enter(term);
        self.forget(key);
        if self.expected.as_ref().is_some_and(|(_, expected)| expected == key) {
            self.expected = None;
        }
        self.incarnation
    }

    fn enter(&mut self, term: Number) {
        if term > self.term {
            self.term = term;
            self.until_ms = 0;
            self.kept.clear();
            self.by_use.clear();
            self.kept_bytes = 0;
        }
    }

    fn used(&mut self, key: &Key) -> Option<Record> {
        let kept = self.kept.get_mut(key)?;
        self.uses += 1;
        self.by_use.remove(&kept.used);
        kept.used = self.uses;
        self.by_use.insert(kept.used, key.clone());
        Some(kept.record.clone())
    }

    fn keep(&mut self, key: Key, record: Record) {
        self.forget(&key);
        let bytes = weight(&key, &record);
        while self.kept_bytes + bytes > self.capacity_bytes
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.forget(&oldest);
        }
        if self.kept_bytes + bytes <= self.capacity_bytes {
            self.uses += 1;
            self.kept_bytes += bytes;
            self.by_use.insert(self.uses, key.clone());
            self.kept.insert(key, Kept { record, used: self.uses });
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(kept) = self.kept.remove(key) {
            self.by_use.remove(&kept.used);
            self.kept_bytes -= weight(key, &kept.record);
        }
    }
}

fn weight(key: &Key, record: &Record) -> usize {
    2 * key.as_str().len() + record.value.as_ref().map_or(0, Vec::len) + OVERHEAD_BYTES
}

/// When a lease ends that is given to a cache which was so.
pub fn lease(presence: Presence, term: Number) -> Lease {
    let until_ms = presence.now_ms.saturating_add(LEASE_MS);
    Lease { incarnation: presence.incarnation, term, until_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Number = Number { epoch: 1, count: 1 };
    const SECOND: Number = Number { epoch: 1, count: 2 };

    fn key(text: &str) -> Key {
        Key::new(text).unwrap()
    }

    fn record(count: u64) -> Record {
        Record { number: Number { epoch: 1, count }, value: Some(vec![count as u8]) }
    }

    /// Looks in vain, and gives what a front would bring.
    fn fetch(cache: &mut Cache, name: &str, now_ms: u64, term: Number, count: u64) -> Fetched {
        let Look::Miss { presence, ticket } = cache.look(key(name), now_ms) else { panic!("a hit") };
        Fetched { key: key(name), ticket, record: record(count), lease: lease(presence, term) }
    }

    #[test]
    fn a_record_is_given_out_until_the_lease_is_over() {
        let mut cache = Cache::new(7, 10_000);
        let fetched = fetch(&mut cache, "a", 100, FIRST, 5);
        cache.fill(fetched);
        assert_eq!(cache.look(key("a"), 100 + LEASE_MS - 1), Look::Hit(record(5)));
        let renewed = fetch(&mut cache, "a", 100 + LEASE_MS, FIRST, 5);
        cache.fill(renewed);
        assert_eq!(cache.look(key("a"), 100 + LEASE_MS), Look::Hit(record(5)));
    }

    #[test]
    fn what_is_recalled_is_forgotten_even_if_it_is_still_on_its_way() {
        let mut cache = Cache::new(7, 10_000);
        for name in ["a", "b"] {
            let fetched = fetch(&mut cache, name, 0, FIRST, 5);
            cache.fill(fetched);
        }
        assert_eq!(cache.recall(FIRST, &key("a")), 7);
        let late = fetch(&mut cache, "a", 0, FIRST, 5);
        cache.recall(FIRST, &key("a"));
        cache.fill(late);
        assert!(matches!(cache.look(key("a"), 0), Look::Miss { .. }));
        assert_eq!(cache.look(key("b"), 0), Look::Hit(record(5)), "only the one");
    }

    #[test]
    fn nothing_of_an_earlier_term_is_given_out() {
        let mut cache = Cache::new(7, 10_000);
        let fetched = fetch(&mut cache, "a", 0, FIRST, 5);
        cache.fill(fetched);
        let (old, new) = (fetch(&mut cache, "b", 0, FIRST, 6), fetch(&mut cache, "c", 0, SECOND, 7));
        cache.fill(new);
        cache.fill(old);
        assert!(matches!(cache.look(key("a"), 0), Look::Miss { .. }));
        assert!(matches!(cache.look(key("b"), 0), Look::Miss { .. }));
        assert_eq!(cache.look(key("c"), 0), Look::Hit(record(7)));
        cache.recall(Number { epoch: 2, count: 0 }, &key("z"));
        assert!(matches!(cache.look(key("c"), 0), Look::Miss { .. }));
    }

    #[test]
    fn a_record_of_an_earlier_term_is_not_taken_though_its_ticket_is_good() {
        let mut cache = Cache::new(7, 10_000);
        let fetched = fetch(&mut cache, "a", 0, FIRST, 5);
        cache.recall(SECOND, &key("z"));
        cache.fill(fetched);
        assert!(matches!(cache.look(key("a"), 0), Look::Miss { .. }));
    }

    #[test]
    fn a_lease_for_the_cache_before_a_restart_is_not_ours() {
        let mut before = Cache::new(7, 10_000);
        let fetched = fetch(&mut before, "a", 0, FIRST, 5);
        let mut cache = Cache::new(8, 10_000);
        let _ = cache.look(key("a"), 0);
        cache.fill(fetched);
        assert!(matches!(cache.look(key("a"), 0), Look::Miss { .. }));
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let mut cache = Cache::new(7, 3 * (OVERHEAD_BYTES + 3));
        for name in ["a", "b", "c"] {
            let fetched = fetch(&mut cache, name, 0, FIRST, 5);
            cache.fill(fetched);
        }
        assert_eq!(cache.look(key("a"), 0), Look::Hit(record(5)));
        let fetched = fetch(&mut cache, "d", 0, FIRST, 6);
        cache.fill(fetched);
        assert!(matches!(cache.look(key("b"), 0), Look::Miss { .. }));
        for name in ["a", "c", "d"] {
            assert!(matches!(cache.look(key(name), 0), Look::Hit(_)), "{name}");
        }
        let huge = Record { number: SECOND, value: Some(vec![0; 10_000]) };
        let mut fetched = fetch(&mut cache, "e", 0, FIRST, 6);
        fetched.record = huge;
        cache.fill(fetched);
        assert!(matches!(cache.look(key("e"), 0), Look::Miss { .. }));
        assert_eq!((cache.kept.len(), cache.by_use.len(), cache.kept_bytes), (0, 0, 0));
    }
}
