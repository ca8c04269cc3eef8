//! Series of identifications from one address: whether a counter gives them, and its readings.

use anabranch_prefixes::Family;

/// The fewest replies that tell whether there is a counter.
pub const LEAST_SAMPLES: usize = 5;
/// The largest step from one reply to the next that a counter makes: with a larger one, nobody can
/// tell whether it has wrapped around. Five random identifications make smaller steps forward once
/// in 256 times.
const MOST_STEP: i64 = 1 << 14;

/// Returns how many identifications there are: of IPv4 headers, or of fragments of IPv6.
#[must_use]
pub const fn ring_of(family: Family) -> i64 {
    match family {
        Family::V4 => 1 << 16,
        Family::V6 => 1 << 32,
    }
}

/// The identification of a reply's IPv4 header, or of its fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When the probe was sent, in microseconds of the body's clock.
    pub sent_us: u64,
    /// When the reply arrived.
    pub at_us: u64,
    /// The identification.
    pub id: u32,
    /// Whether it is that of the probe.
    pub is_copied: bool,
}

/// A reading of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The first and the last time at which it may have been taken, in microseconds.
    pub span_us: (u64, u64),
    /// The counter, which goes on where it wraps around.
    pub value: i64,
}

/// What gives the identifications of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Series {
    /// Too few replies to tell.
    Short,
    /// Nothing: packets of IPv6 that were not cut have no identification.
    Absent,
    /// Always the same value.
    Constant,
    /// The probes' own identifications.
    Copied,
    /// Something else than a counter, or a counter that is too fast.
    Unsteady,
    /// A counter.
    Counter(Vec<Reading>),
}

impl Series {
    /// Reads the identifications of replies, in the order of their probes. A counter wraps around at
    /// `ring`.
    #[must_use]
    pub fn read(samples: &[Sample], ring: i64) -> Self {
        let Some(first) = samples.first().filter(|_| samples.len() >= LEAST_SAMPLES) else {
            return Self::Short;
        };
        if samples.iter().all(|sample| sample.id == first.id) {
            return Self::Constant;
        }
        if samples.iter().all(|sample| sample.is_copied) {
            return Self::Copied;
        }
        let mut readings = Vec::with_capacity(samples.len());
        let mut value = i64::from(first.id);
        let mut before = *first;
        for sample in samples {
            // Replies to probes in flight at once may come from one counter in another order.
            let ahead = i64::from(sample.id) - i64::from(before.id);
            let step = (ahead + ring / 2).rem_euclid(ring) - ring / 2;
            let is_later = before.at_us <= sample.sent_us;
            if step.abs() > MOST_STEP || is_later && step <= 0 {
                return Self::Unsteady;
            }
            value += step;
            readings.push(Reading {
                span_us: (sample.sent_us, sample.at_us),
                value,
            });
            before = *sample;
        }
        Self::Counter(readings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a sample each 100 milliseconds, which took 10 milliseconds.
    fn sample_all(ids: &[u32]) -> Vec<Sample> {
        let times = (0..).step_by(100_000);
        let samples = times.zip(ids).map(|(sent_us, id)| Sample {
            sent_us,
            at_us: sent_us + 10_000,
            id: *id,
            is_copied: false,
        });
        samples.collect()
    }

    fn values(ids: &[u32], family: Family) -> Option<Vec<i64>> {
        match Series::read(&sample_all(ids), ring_of(family)) {
            Series::Counter(readings) => Some(readings.iter().map(|each| each.value).collect()),
            _ => None,
        }
    }

    #[test]
    fn a_counter_goes_on_where_it_wraps_around() {
        let found = values(&[65_500, 65_535, 3, 20, 9_000], Family::V4);
        assert_eq!(found, Some(vec![65_500, 65_535, 65_539, 65_556, 74_536]));
        let found = values(&[u32::MAX - 1, u32::MAX, 0, 2, 3], Family::V6);
        let last = i64::from(u32::MAX);
        assert_eq!(
            found,
            Some(vec![last - 1, last, last + 1, last + 3, last + 4])
        );
        assert_eq!(values(&[65_500, 65_535, 3, 20, 9_000], Family::V6), None);
    }

    #[test]
    fn what_is_no_counter_is_named() {
        let read = |ids| Series::read(&sample_all(ids), ring_of(Family::V4));
        assert_eq!(read(&[1, 2, 3]), Series::Short);
        assert_eq!(read(&[7; 6]), Series::Constant);
        assert_eq!(read(&[1, 2, 2, 3, 4]), Series::Unsteady);
        assert_eq!(read(&[900, 30_000, 7, 61_000, 20_000]), Series::Unsteady);
        let mut copied = sample_all(&[900, 30_000, 7, 61_000, 20_000]);
        for sample in &mut copied {
            sample.is_copied = true;
        }
        assert_eq!(Series::read(&copied, ring_of(Family::V4)), Series::Copied);
    }

    #[test]
    fn replies_that_overtake_each_other_come_from_a_counter_still() {
        let mut samples = sample_all(&[5, 7, 6, 9, 12]);
        samples[1].at_us = samples[2].sent_us + 1;
        let series = Series::read(&samples, ring_of(Family::V4));
        assert!(matches!(series, Series::Counter(_)));
    }
}
