//! What is under way, by its number.

use std::collections::VecDeque;

/// Things by their numbers. Mostly there is one, or none; the newest has nearly always the highest number, and the oldest leaves
/// first. A sorted queue then needs no memory of its own for each, as a tree does.
#[derive(Clone, Debug)]
pub struct Numbered<T>(VecDeque<(u32, T)>);

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Numbered<T> {
    /// Where it is, or where it would be.
    #[inline]
    fn place(&self, number: u32) -> Result<usize, usize> {
        match self.0.back() {
            None => Err(0),
            Some((last, _)) if *last < number => Err(self.0.len()),
            Some((last, _)) if *last == number => Ok(self.0.len() - 1),
            Some(_) => self.0.binary_search_by_key(&number, |(number, _)| *number),
        }
    }

    /// Adds a thing; one of the same number is replaced.
    #[inline]
    pub fn insert(&mut self, number: u32, thing: T) {
        match self.place(number) {
            Ok(place) => self.0[place].1 = thing,
            Err(place) if place == self.0.len() => self.0.push_back((number, thing)),
            Err(place) => self.0.insert(place, (number, thing)),
        }
    }

    /// Whether there is one of this number.
    #[inline]
    pub fn contains(&self, number: u32) -> bool {
        self.place(number).is_ok()
    }

    /// The thing of this number.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&T> {
        self.place(number).ok().map(|place| &self.0[place].1)
    }

    /// The thing of this number.
    #[inline]
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let place = self.place(number).ok()?;
        Some(&mut self.0[place].1)
    }

    /// Takes it away.
    #[inline]
    pub fn remove(&mut self, number: u32) -> Option<T> {
        let place = self.place(number).ok()?;
        let removed = match place + 1 == self.0.len() {
            true => self.0.pop_back(),
            false => self.0.remove(place),
        };
        removed.map(|(_, thing)| thing)
    }

    /// Keeps only some.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&T) -> bool) {
        self.0.retain(|(_, thing)| is_kept(thing));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All of them, by their numbers.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u32, &T)> {
        self.0.iter().map(|(number, thing)| (*number, thing))
    }

    /// All of them, without their numbers.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, thing)| thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_whatever_order_they_come_and_go_each_is_found_by_its_number() {
        let mut things = Numbered::default();
        for number in [5, 9, 2, 7, u32::MAX, 1] {
            things.insert(number, number / 2);
        }
        things.insert(7, 70);
        let all: Vec<_> = things.iter().map(|(number, thing)| (number, *thing)).collect();
        assert_eq!(all, [(1, 0), (2, 1), (5, 2), (7, 70), (9, 4), (u32::MAX, u32::MAX / 2)]);
        assert_eq!((things.get(7), things.get(8), things.contains(2)), (Some(&70), None, true));
        *things.get_mut(5).unwrap() = 50;
        let removed = [5, 5, 1, u32::MAX].map(|number| things.remove(number));
        assert_eq!(removed, [Some(50), None, Some(0), Some(u32::MAX / 2)]);
        things.retain(|thing| *thing != 1);
        assert_eq!(things.values().collect::<Vec<_>>(), [&70, &4]);
        things.clear();
        assert!(things.is_empty() && things.iter().next().is_none());
    }
}
