//! What was deleted, as long as somebody may still repeat an older write to it.

use std::collections::BTreeMap;

use crate::{Key, Number};

/// Deleted keys and the numbers of their deletion: only so many. Of the others it is known that they are older.
#[derive(Default)]
pub struct Tombstones {
    by_key: BTreeMap<Key, Number>,
    by_number: BTreeMap<Number, Key>,
    forgotten: Number,
}

impl Tombstones {
    /// None, but for what was forgotten.
    pub fn new(forgotten: Number) -> Self {
        Self { forgotten, ..Self::default() }
    }

    /// Adds one.
    pub fn add(&mut self, key: Key, number: Number) {
        self.remove(&key);
        self.by_number.insert(number, key.clone());
        self.by_key.insert(key, number);
    }

    /// Takes one away, because the key was written again.
    pub fn remove(&mut self, key: &Key) -> bool {
        let removed = self.by_key.remove(key);
        removed.is_some_and(|number| self.by_number.remove(&number).is_some())
    }

    /// When a key was deleted.
    pub fn get(&self, key: &Key) -> Option<Number> {
        self.by_key.get(key).copied()
    }

    /// The one to be forgotten first, if there are more than `count`.
    pub fn surplus(&self, count: usize) -> Option<(Number, Key)> {
        let oldest = || self.by_number.first_key_value().map(|(number, key)| (*number, key.clone()));
        (self.by_key.len() > count).then(oldest).flatten()
    }

    /// Forgets one.
    pub fn forget(&mut self, key: &Key) {
        let Some(number) = self.get(key) else { return };
        self.remove(key);
        self.forgotten = self.forgotten.max(number);
    }

    /// The newest of all that were forgotten.
    pub fn forgotten(&self) -> Number {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_and_remembered_as_a_number() {
        let key = |text: &str| Key::new(text).unwrap();
        let number = |count| Number { epoch: 1, count };
        let mut tombstones = Tombstones::new(number(1));
        for (name, count) in [("a", 2), ("b", 3), ("a", 4)] {
            tombstones.add(key(name), number(count));
        }
        assert_eq!(tombstones.surplus(2), None);
        assert_eq!(tombstones.surplus(1), Some((number(3), key("b"))));
        tombstones.forget(&key("b"));
        assert_eq!((tombstones.forgotten(), tombstones.get(&key("b"))), (number(3), None));
        assert_eq!(tombstones.get(&key("a")), Some(number(4)));
        assert!(tombstones.remove(&key("a")) && !tombstones.remove(&key("a")));
        assert_eq!(tombstones.surplus(0), None);
    }
}
