//! Numbers that depend on a seed alone, so that what was made of them can be made again.

/// SplitMix64: every seed and number begin a sequence of their own.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The beginning of a sequence.
    pub fn new(seed: u64, number: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number);
        random.0 = random.next();
        random
    }

    /// The next number of the sequence.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True so often in a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A number from `least` to `most` whose logarithm is evenly spread.
    pub fn size(&mut self, least: u64, most: u64) -> u64 {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let (low, high) = ((least.max(1) as f64).ln(), (most.max(1) as f64).ln());
        ((low + unit * (high - low)).exp() as u64).clamp(least, most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_spread_over_all_magnitudes() {
        let mut random = Random::new(1, 2);
        let sizes: Vec<u64> = (0..1_000).map(|_| random.size(1, 1_000_000)).collect();
        assert!(sizes.iter().all(|size| (1..=1_000_000).contains(size)));
        for magnitude in [10_u64, 100, 1_000, 10_000, 100_000] {
            let share = sizes.iter().filter(|size| (magnitude..magnitude * 10).contains(*size)).count();
            assert!((100..250).contains(&share), "{share} of the order of {magnitude}");
        }
    }
}
