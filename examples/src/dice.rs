//! Randomness that can be repeated.

/// A seeded source of numbers: `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014), which passes
/// `BigCrush` and is ten lines long. Not for secrets.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The dice of one moment (a step, an attempt) of an experiment with this seed.
    pub const fn for_moment(seed: u64, moment: u64) -> Self {
        // The first throw stirs both together; neighbouring moments would else begin alike.
        let mut dice = Self(seed ^ moment.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let stirred = dice.throw();
        Self(stirred)
    }

    /// The next 64 bits.
    pub const fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end - 1`; 0 if `end` is 0.
    #[expect(clippy::missing_panics_doc, reason = "shifted, the number always fits")]
    pub fn below(&mut self, end: usize) -> usize {
        // Multiply and take the upper half: no division, and a bias below 2^-32 for our sizes.
        let product = u128::from(self.throw()) * end as u128;
        usize::try_from(product >> 64).expect("the upper half is smaller than `end`")
    }

    /// A number from 0 to below 1, a multiple of 2^-32.
    #[expect(clippy::missing_panics_doc, reason = "shifted, the number always fits")]
    pub fn fraction(&mut self) -> f64 {
        let upper = u32::try_from(self.throw() >> 32).expect("32 bits are left");
        f64::from(upper) / (f64::from(u32::MAX) + 1.0)
    }

    /// True `percent` times of 100.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_published_ones() {
        // First outputs of SplitMix64 for the seed 1234567, from Vigna's splitmix64.c.
        let mut dice = Dice(1_234_567);
        let throws = [dice.throw(), dice.throw(), dice.throw()];
        assert_eq!(
            throws,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn numbers_stay_in_their_range_and_reach_all_of_it() {
        let mut dice = Dice::for_moment(1, 1);
        let mut seen = [0_u32; 6];
        for _ in 0..6000 {
            seen[dice.below(6)] += 1;
            assert!((0.0..1.0).contains(&dice.fraction()));
        }
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
        assert_eq!(dice.below(0), 0);
    }
}
