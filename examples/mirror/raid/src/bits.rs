//! Sets of small numbers.

use serde::{Deserialize, Serialize};

/// A set of numbers below a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bits {
    // As bytes a full set stays small: a number takes up to ten bytes where it is written down.
    #[serde(with = "as_bytes")]
    words: Vec<u64>,
}

impl Bits {
    /// The empty set, of numbers below `limit`.
    pub fn new(limit: u64) -> Self {
        Self { words: vec![0; limit.div_ceil(64) as usize] }
    }

    /// Whether `number` is in it.
    pub fn contains(&self, number: u64) -> bool {
        self.words.get((number / 64) as usize).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Puts `number` in.
    pub fn insert(&mut self, number: u64) {
        if let Some(word) = self.words.get_mut((number / 64) as usize) {
            *word |= 1 << (number % 64);
        }
    }

    /// Takes `number` out.
    pub fn remove(&mut self, number: u64) {
        if let Some(word) = self.words.get_mut((number / 64) as usize) {
            *word &= !(1 << (number % 64));
        }
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Puts in what is in the other.
    pub fn merge(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// The smallest number in it that is not below `from`.
    pub fn first_from(&self, from: u64) -> Option<u64> {
        let start = (from / 64) as usize;
        let first = self.words.get(start)? & (u64::MAX << (from % 64));
        let rest = self.words[start + 1..].iter().copied();
        std::iter::once(first)
            .chain(rest)
            .zip(start as u64..)
            .find(|(word, _)| *word != 0)
            .map(|(word, index)| index * 64 + u64::from(word.trailing_zeros()))
    }

    /// The numbers in it, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let mut from = 0;
        std::iter::from_fn(move || {
            let next = self.first_from(from)?;
            from = next + 1;
            Some(next)
        })
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Whether both can hold the same numbers.
    pub fn has_limit_of(&self, other: &Self) -> bool {
        self.words.len() == other.words.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }
}

mod as_bytes {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(words: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        serializer.serialize_bytes(&bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
        let bytes = <Vec<u8>>::deserialize(deserializer)?;
        Ok(bytes.chunks_exact(8).map(|word| crate::record::word64(word, 0)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in_and_finds_it_in_order() {
        let mut bits = Bits::new(200);
        for number in [0, 63, 64, 199] {
            bits.insert(number);
        }
        bits.insert(1000);
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 63, 64, 199]);
        assert_eq!((bits.first_from(1), bits.first_from(65), bits.len()), (Some(63), Some(199), 4));
        bits.remove(199);
        assert_eq!(bits.first_from(65), None);
        assert!(bits.contains(64) && !bits.contains(65) && !bits.contains(1000));
        bits.clear();
        assert!(bits.is_empty() && bits.first_from(0).is_none());
    }
}
