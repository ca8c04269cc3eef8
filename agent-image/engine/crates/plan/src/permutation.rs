//! Permutations of ranges of numbers that need no table, as in diamond-miner.

/// A generalised Feistel network over the numbers below a bound (Black and Rogaway, "Ciphers with
/// arbitrary finite domains", CT-RSA 2002, section 6), whose round function is the cipher
/// Speck64/128 (Beaulieu et al., 2013): the same permutation as `pygfc`'s with three rounds.
#[derive(Clone, Debug)]
pub(crate) struct Permutation {
    bound: u64,
    side: u64,
    keys: [[u32; SPECK_ROUNDS]; ROUNDS],
}

const ROUNDS: usize = 3;
const SPECK_ROUNDS: usize = 27;

impl Permutation {
    /// Makes a permutation of the numbers below `bound`.
    #[allow(clippy::cast_precision_loss, clippy::cast_sign_loss)] // as pygfc does
    pub fn new(bound: u64, seed: u64) -> Self {
        Self {
            bound,
            side: (bound as f64).sqrt().ceil() as u64,
            keys: std::array::from_fn(|round| expand(seed, round as u32)),
        }
    }

    /// Returns the place of a number.
    pub fn place(&self, number: u64) -> u64 {
        let mut place = self.encrypt(number);
        while place >= self.bound {
            place = self.encrypt(place);
        }
        place
    }

    /// Returns the number that has a place.
    pub fn number(&self, place: u64) -> u64 {
        let mut number = self.decrypt(place);
        while number >= self.bound {
            number = self.decrypt(number);
        }
        number
    }

    fn encrypt(&self, number: u64) -> u64 {
        let (mut left, mut right) = (number % self.side, number / self.side);
        for keys in &self.keys {
            (left, right) = (right, left.wrapping_add(speck(keys, right)) % self.side);
        }
        self.side.wrapping_mul(left).wrapping_add(right)
    }

    fn decrypt(&self, place: u64) -> u64 {
        let (mut left, mut right) = (place / self.side, place % self.side);
        for keys in self.keys.iter().rev() {
            let shift = speck(keys, left) % self.side;
            (left, right) = ((right + self.side - shift) % self.side, left);
        }
        self.side.wrapping_mul(right).wrapping_add(left)
    }
}

const fn mix(high: u32, low: u32, key: u32) -> (u32, u32) {
    let high = high.rotate_right(8).wrapping_add(low) ^ key;
    (high, low.rotate_left(3) ^ high)
}

/// Returns the round keys of Speck64/128. The four words of the key are the seed's two, the number
/// of the network's round, and 0.
fn expand(seed: u64, round: u32) -> [u32; SPECK_ROUNDS] {
    let mut others = [(seed >> 32) as u32, round, 0];
    let mut key = seed as u32;
    let mut keys = [key; SPECK_ROUNDS];
    for (i, next) in keys[1..].iter_mut().enumerate() {
        let turn = i % others.len();
        (others[turn], key) = mix(others[turn], key, i as u32);
        *next = key;
    }
    keys
}

fn speck(keys: &[u32; SPECK_ROUNDS], word: u64) -> u64 {
    let (mut high, mut low) = ((word >> 32) as u32, word as u32);
    for key in keys {
        (high, low) = mix(high, low, *key);
    }
    u64::from(high) << 32 | u64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_place_of_its_own() {
        for bound in [1, 2, 16, 255, 256, 1_000] {
            let permutation = Permutation::new(bound, 42);
            let mut places: Vec<u64> = (0..bound).map(|n| permutation.place(n)).collect();
            assert!((0..bound).all(|n| permutation.number(places[n as usize]) == n));
            places.sort_unstable();
            assert!(places.into_iter().eq(0..bound));
        }
    }

    #[test]
    fn the_largest_range_is_one_too() {
        let permutation = Permutation::new(u64::MAX, 7);
        for number in [0, 1, 1 << 40, u64::MAX - 1] {
            assert_eq!(permutation.number(permutation.place(number)), number);
        }
    }
}
