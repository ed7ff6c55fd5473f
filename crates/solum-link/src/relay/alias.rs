//! Epochs of another machine's units, as this machine knows them.

/// A machine that comes back begins its epochs anew, so an epoch means something together with the machine's life only. Here
/// each pair has a number of its own, and keeps it as long as it is the last one seen.
#[derive(Debug)]
pub(super) struct Aliases {
    last: Option<(u64, u32)>,
    number: u32,
}

impl Aliases {
    /// Those of a relay's life: no other life of it uses the same numbers.
    pub(super) fn new(relay_epoch: u32) -> Self {
        Self { last: None, number: relay_epoch.wrapping_sub(1) << 16 }
    }

    pub(super) fn of(&mut self, life: u64, epoch: u32) -> u32 {
        if self.last != Some((life, epoch)) {
            self.last = Some((life, epoch));
            self.number = self.number.wrapping_add(1);
        }
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_epoch_of_another_life_has_another_number() {
        let mut aliases = Aliases::new(1);
        assert_eq!((aliases.of(7, 1), aliases.of(7, 1), aliases.of(7, 2), aliases.of(8, 2)), (1, 1, 2, 3));
        assert_eq!(Aliases::new(2).of(7, 1), 65_537);
    }
}
