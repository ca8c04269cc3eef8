//! The generator of Python's `random`, which draws the seeds of diamond-miner's permutations, and
//! so of ours.

/// The Mersenne Twister MT19937 (Matsumoto and Nishimura, ACM TOMACS 1998), seeded as Python's
/// `random.seed` does with an integer.
pub(crate) struct Twister {
    state: [u32; SIZE],
    next: usize,
}

const SIZE: usize = 624;
const MIDDLE: usize = 397;

impl Twister {
    /// Makes the generator of a seed.
    pub fn new(seed: u64) -> Self {
        let mut key = vec![seed as u32];
        if seed >> 32 != 0 {
            key.push((seed >> 32) as u32);
        }
        let mut state = [0; SIZE];
        state[0] = 19_650_218_u32;
        for i in 1..SIZE {
            let before = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = before.wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        let mut twister = Self { state, next: SIZE };
        let mut i = 1;
        for j in 0..SIZE.max(key.len()) {
            let j = j % key.len();
            twister.stir(i, 1_664_525, key[j].wrapping_add(j as u32));
            i = twister.step(i);
        }
        for _ in 1..SIZE {
            twister.stir(i, 1_566_083_941, (i as u32).wrapping_neg());
            i = twister.step(i);
        }
        twister.state[0] = 1 << 31;
        twister
    }

    fn stir(&mut self, i: usize, factor: u32, more: u32) {
        let before = self.state[i - 1] ^ (self.state[i - 1] >> 30);
        self.state[i] = (self.state[i] ^ before.wrapping_mul(factor)).wrapping_add(more);
    }

    fn step(&mut self, i: usize) -> usize {
        if i + 1 < SIZE {
            return i + 1;
        }
        self.state[0] = self.state[SIZE - 1];
        1
    }

    fn draw(&mut self) -> u32 {
        if self.next == SIZE {
            for i in 0..SIZE {
                let pair = self.state[i] & 1 << 31 | self.state[(i + 1) % SIZE] & (u32::MAX >> 1);
                let twist = if pair & 1 == 0 { 0 } else { 0x9908_b0df };
                self.state[i] = self.state[(i + MIDDLE) % SIZE] ^ (pair >> 1) ^ twist;
            }
            self.next = 0;
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= word << 7 & 0x9d2c_5680;
        word ^= word << 15 & 0xefc6_0000;
        word ^ word >> 18
    }

    /// Returns what `random.randint(0, 2**64)` returns. Only 2^64 itself is drawn again here, which
    /// Python would return; that is too improbable to matter.
    pub fn word(&mut self) -> u64 {
        loop {
            // 65 bits, lowest first; numbers from 2^64 on are drawn again.
            let word = u64::from(self.draw()) | u64::from(self.draw()) << 32;
            if self.draw() >> 31 == 0 {
                return word;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_draws_what_python_draws() {
        // python3 -c 'import random; random.seed(42); print([random.randint(0, 2**64) for _ in "ab"])'
        let mut twister = Twister::new(42);
        assert_eq!([twister.word(), twister.word()], EXPECTED_42);
        let mut twister = Twister::new(1 << 40);
        assert_eq!(twister.word(), EXPECTED_LARGE);
    }

    const EXPECTED_42: [u64; 2] = [2_053_695_854_357_871_005, 5_073_395_517_033_431_291];
    const EXPECTED_LARGE: u64 = 7_870_384_397_467_216_888;
}
