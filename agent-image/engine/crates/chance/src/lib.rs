//! Pseudorandom numbers that a seed determines: hashes, and draws from them.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes any word, such as a counter, to a word that looks random. This is what `SplitMix64`
/// returns in the state `word` (Steele, Lea, Flood, OOPSLA 2014).
#[inline]
#[must_use]
pub const fn scatter(word: u64) -> u64 {
    let word = word.wrapping_add(GOLDEN);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Hashes two words by a folded multiplication, as in wyhash. At least one of them must already
/// look random.
#[inline]
#[must_use]
pub const fn mix(a: u64, b: u64) -> u64 {
    let product = (a ^ GOLDEN) as u128 * (b ^ 0xd6e8_feb8_6659_fd93) as u128;
    (product >> 64) as u64 ^ product as u64
}

/// Maps a hash to a number below `bound`. All numbers are about equally likely.
#[inline]
#[must_use]
pub const fn below(hash: u64, bound: u32) -> u32 {
    (((hash >> 32) * bound as u64) >> 32) as u32
}

/// A probability, as a share of 2^32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u64);

impl Share {
    /// Makes the share of a probability, rounded down to a multiple of 2^-32.
    ///
    /// # Panics
    /// If the probability is not from 0 to 1.
    #[must_use]
    #[allow(clippy::cast_sign_loss)] // it is not negative
    pub fn new(probability: f64) -> Self {
        assert!(
            (0.0..=1.0).contains(&probability),
            "{probability} is no probability"
        );
        Self((probability * 4_294_967_296.0) as u64)
    }

    /// Returns whether an event of this share happens for a hash.
    #[inline]
    #[must_use]
    pub const fn of(self, hash: u64) -> bool {
        hash >> 32 < self.0
    }

    /// Returns whether an event of this share happens for the hash of two words. For a share of 0
    /// it computes no hash.
    #[inline]
    #[must_use]
    pub const fn of_mix(self, a: u64, b: u64) -> bool {
        self.0 != 0 && self.of(mix(a, b))
    }
}

/// A sequence of draws that a seed determines.
#[derive(Clone, Debug)]
pub struct Draws {
    seed: u64,
    drawn: u64,
}

impl Draws {
    /// Starts the sequence of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            seed: scatter(seed),
            drawn: 0,
        }
    }

    /// Returns the next draw.
    #[inline]
    pub const fn draw(&mut self) -> u64 {
        self.drawn += 1;
        scatter(self.seed.wrapping_add(self.drawn.wrapping_mul(GOLDEN)))
    }

    /// Draws a number from `first` to `last`, both included. All are about equally likely.
    ///
    /// # Panics
    /// If `last` is below `first`, in builds that check for overflow.
    pub const fn range(&mut self, first: u32, last: u32) -> u32 {
        first + below(self.draw(), last - first + 1)
    }

    /// Draws whether an event of this share happens.
    pub const fn happens(&mut self, share: Share) -> bool {
        share.of(self.draw())
    }

    /// Draws one of the choices, with a probability in proportion to its weight.
    ///
    /// # Panics
    /// If no choice has a weight above 0.
    pub fn weighted<T: Copy>(&mut self, choices: &[(T, u32)]) -> T {
        let total = choices.iter().map(|choice| choice.1).sum();
        let mut place = below(self.draw(), total);
        for (choice, weight) in choices {
            match place.checked_sub(*weight) {
                Some(rest) => place = rest,
                None => return *choice,
            }
        }
        unreachable!("the place is below the sum of the weights")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_comes_to_pass_as_often_as_it_says() {
        let mut draws = Draws::new(7);
        let share = Share::new(0.2);
        let happened = (0..100_000).filter(|_| draws.happens(share)).count();
        assert!((19_500..20_500).contains(&happened), "{happened}");
    }

    #[test]
    fn nothing_and_everything_are_shares_too() {
        assert!(!Share::new(0.0).of(0));
        assert!(Share::new(1.0).of(u64::MAX));
    }

    #[test]
    fn numbers_below_a_bound_are_all_as_likely() {
        let mut counts = [0; 7];
        for i in 0..70_000 {
            counts[below(mix(scatter(1), scatter(i)), 7) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (9_600..10_400).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn weights_are_shares_of_their_sum() {
        let mut draws = Draws::new(3);
        let heads = (0..10_000)
            .filter(|_| draws.weighted(&[(true, 3), (false, 1)]))
            .count();
        assert!((7_300..7_700).contains(&heads), "{heads}");
    }
}
