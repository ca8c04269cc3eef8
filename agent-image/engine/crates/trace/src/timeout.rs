//! How long a reply is waited for: by the round-trip times seen so far.

const FIRST_US: u64 = 1_000_000;
const LEAST_US: u64 = 200_000;
/// The longest time that a reply is waited for, in seconds.
pub const LONGEST_WAIT_S: u8 = 5;
const MOST_US: u64 = LONGEST_WAIT_S as u64 * 1_000_000;

/// The time-out of a destination's probes: fixed, or estimated as in RFC 6298.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeout {
    fixed_us: Option<u64>,
    /// The smoothed round-trip time and its variation, in microseconds.
    estimate: Option<(u64, u64)>,
}

impl Timeout {
    /// Makes a time-out, which is fixed if a time is given.
    #[must_use]
    pub const fn new(fixed_us: Option<u64>) -> Self {
        Self {
            fixed_us,
            estimate: None,
        }
    }

    /// Takes a round-trip time in microseconds into account.
    pub fn learn(&mut self, rtt_us: u64) {
        self.estimate = Some(match self.estimate {
            None => (rtt_us, rtt_us / 2),
            Some((smooth, variation)) => (
                (7 * smooth + rtt_us) / 8,
                (3 * variation + smooth.abs_diff(rtt_us)) / 4,
            ),
        });
    }

    /// The time-out in microseconds. If it is estimated, it is from 0.2 s to 5 s, and 1 s before the
    /// first reply.
    #[must_use]
    pub fn wait_us(&self) -> u64 {
        if let Some(fixed_us) = self.fixed_us {
            return fixed_us;
        }
        self.estimate
            .map_or(FIRST_US, |(smooth, variation)| smooth + 4 * variation)
            .clamp(LEAST_US, MOST_US)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_round_trip_times() {
        let mut timeout = Timeout::default();
        assert_eq!(timeout.wait_us(), 1_000_000);
        timeout.learn(400_000);
        assert_eq!(timeout.wait_us(), 1_200_000);
        for _ in 0..100 {
            timeout.learn(400_000);
        }
        assert!((400_000..420_000).contains(&timeout.wait_us()));
        for _ in 0..100 {
            timeout.learn(50);
        }
        assert_eq!(timeout.wait_us(), LEAST_US);
    }

    #[test]
    fn a_fixed_one_learns_nothing() {
        let mut timeout = Timeout::new(Some(3_000_000));
        timeout.learn(400_000);
        assert_eq!(timeout.wait_us(), 3_000_000);
    }
}
