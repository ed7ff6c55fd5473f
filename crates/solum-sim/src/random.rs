//! Numbers that look random and are a function of where they are asked for.

/// A stream of numbers. SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

/// What the streams of a seed have in common.
#[derive(Clone, Copy, Debug)]
pub struct Seed(u64);

impl Seed {
    /// Of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// The stream that belongs to a point: no two points share one.
    pub const fn at(self, stream: u64, number: u64) -> Random {
        Random(mix(mix(self.0 ^ stream) ^ number))
    }
}

impl Random {
    /// The stream of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The stream that belongs to a point: no two points share one.
    pub const fn at(seed: u64, stream: u64, number: u64) -> Self {
        Seed::new(seed).at(stream, number)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `bound`, which is not 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        // The high half of a product; what it favours is far below what a test can tell.
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }

    /// True once in `n`, on average; never for 0.
    pub const fn once_in(&mut self, n: u64) -> bool {
        n != 0 && self.below(n) == 0
    }

    /// A number from 1 to `bound`, small ones as often as large ones: each doubling has the same chance.
    pub const fn log_uniform(&mut self, bound: u32) -> u32 {
        if bound <= 1 {
            return bound;
        }
        let doublings = 32 - bound.leading_zeros();
        let high = 1_u32 << self.below(doublings as u64);
        let value = high + self.below(high as u64) as u32;
        if value > bound { bound } else { value }
    }

    /// Fills a buffer.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for part in buffer.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_le_bytes()[..part.len()]);
        }
    }
}

const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_point_has_the_same_numbers_and_another_has_others() {
        let of = |seed, stream, number| Random::at(seed, stream, number).next();
        assert_eq!(of(1, 2, 3), of(1, 2, 3));
        let mut all: Vec<u64> = (0..1000).map(|n| of(n / 100, n / 10 % 10, n % 10)).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 1000);
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_all_of_it() {
        let mut random = Random::new(7);
        let mut seen = [0; 10];
        (0..10_000).for_each(|_| seen[random.below(10) as usize] += 1);
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
        let values: Vec<u32> = (0..1000).map(|_| random.log_uniform(100)).collect();
        assert!(values.iter().all(|value| (1..=100).contains(value)));
        assert!(values.contains(&1) && values.contains(&100));
    }
}
