//! Series of identifications from one address: whether a counter gives them, and its readings.

use anabranch_prefixes::Family;

/// The fewest replies that tell the readings of what is known to be a counter.
pub const LEAST_OF_COUNTER: usize = 2;
/// The largest step from one reply to the next that a counter makes: with a larger one, nobody can
/// tell whether it has wrapped around.
const MOST_STEP: i64 = 1 << 14;

/// Returns how many identifications there are: of IPv4 headers, or of fragments of IPv6.
#[must_use]
pub const fn ring_of(family: Family) -> i64 {
    match family {
        Family::V4 => 1 << 16,
        Family::V6 => 1 << 32,
    }
}

/// The largest step of a slow counter. Five random identifications make no larger ones once in 65,000 times.
const MOST_SLOW_STEP: i64 = 1 << 11;

/// Returns the fewest replies that tell whether there is a counter. Random identifications make small
/// steps forward once in 256 times among five of IPv4, and never among three of fragments.
#[must_use]
pub const fn least_samples(family: Family) -> usize {
    match family {
        Family::V4 => 5,
        Family::V6 => 3,
    }
}

/// Returns whether a sample comes so soon after others that their counter, at the rate that they show, has made no
/// more than a small step.
#[must_use]
#[allow(clippy::cast_precision_loss)] // it tells how fast, not what
pub fn is_soon_after(sample: &Sample, others: &[Sample], family: Family) -> bool {
    let rate = Series::read(others, family, LEAST_OF_COUNTER).rate();
    let Some((rate, last)) = rate.zip(others.last()) else {
        return false;
    };
    let passed_us = sample.at_us.saturating_sub(last.sent_us);
    rate * (passed_us as f64 / 1e6) < MOST_SLOW_STEP as f64
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

impl Sample {
    const fn read_as(&self, value: i64) -> Reading {
        Reading {
            span_us: (self.sent_us, self.at_us),
            value,
        }
    }
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
    /// Returns the name of what it is, as results have it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Absent => "absent",
            Self::Constant => "constant",
            Self::Copied => "copied",
            Self::Unsteady => "unsteady",
            Self::Counter(_) => "counter",
        }
    }

    /// Returns by how much a counter rises in a second; None without a counter.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // it tells how fast, not what
    pub fn rate(&self) -> Option<f64> {
        let Self::Counter(readings) = self else {
            return None;
        };
        let (first, last) = readings.first().zip(readings.last())?;
        let middle = |reading: &Reading| reading.span_us.0.midpoint(reading.span_us.1);
        let passed_us = middle(last).saturating_sub(middle(first)).max(1);
        Some((last.value - first.value) as f64 * 1e6 / passed_us as f64)
    }

    /// Returns whether a slow counter gives them: so it is one for sure, and can't wrap around unseen.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        let Self::Counter(readings) = self else {
            return false;
        };
        let mut steps = readings.windows(2).map(|two| two[1].value - two[0].value);
        steps.all(|step| step.abs() < MOST_SLOW_STEP)
    }

    /// Reads the identifications of replies in a family, in the order of their probes. Fewer than `least`
    /// do not tell that there is a counter, but two may tell that there is none.
    #[must_use]
    pub fn read(samples: &[Sample], family: Family, least: usize) -> Self {
        let ring = ring_of(family);
        let [first, others @ ..] = samples else {
            return Self::Short;
        };
        if others.is_empty() {
            return Self::Short;
        }
        if others.iter().all(|sample| sample.id == first.id) {
            return Self::Constant;
        }
        if samples.iter().all(|sample| sample.is_copied) {
            return Self::Copied;
        }
        let mut value = i64::from(first.id);
        let mut readings = vec![first.read_as(value)];
        let mut before = first;
        for sample in others {
            // Replies to probes in flight at once may come from one counter in another order.
            let ahead = i64::from(sample.id) - i64::from(before.id);
            let step = (ahead + ring / 2).rem_euclid(ring) - ring / 2;
            let is_later = before.at_us <= sample.sent_us;
            if step.abs() > MOST_STEP || is_later && step <= 0 {
                return Self::Unsteady;
            }
            value += step;
            readings.push(sample.read_as(value));
            before = sample;
        }
        if samples.len() < least {
            return Self::Short;
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
        match Series::read(&sample_all(ids), family, 5) {
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
        let read = |ids| Series::read(&sample_all(ids), Family::V4, 5);
        assert_eq!(read(&[1, 2, 3]), Series::Short);
        assert_eq!(read(&[7]), Series::Short);
        assert_eq!(read(&[7; 2]), Series::Constant);
        assert_eq!(read(&[1, 2, 2]), Series::Unsteady);
        assert_eq!(read(&[900, 30_000, 7, 61_000, 20_000]), Series::Unsteady);
        let mut copied = sample_all(&[900, 30_000, 7, 61_000, 20_000]);
        for sample in &mut copied {
            sample.is_copied = true;
        }
        assert_eq!(Series::read(&copied, Family::V4, 5), Series::Copied);
    }

    #[test]
    fn only_what_comes_soon_after_a_slow_counter_goes_on_with_it() {
        // It rises by 100 a second, so by 2,048 in 20 seconds.
        let slow = sample_all(&[500, 510, 520]);
        let later = |seconds: u64| Sample {
            sent_us: seconds * 1_000_000,
            at_us: seconds * 1_000_000 + 10_000,
            ..slow[2]
        };
        assert!(is_soon_after(&later(20), &slow, Family::V4));
        assert!(!is_soon_after(&later(21), &slow, Family::V4));
        let fast = sample_all(&[500, 10_500, 20_500]);
        assert!(!is_soon_after(&later(1), &fast, Family::V4));
        let random = sample_all(&[500, 60_000, 30_000]);
        assert!(!is_soon_after(&later(1), &random, Family::V4));
        assert!(!is_soon_after(&later(1), &slow[..1], Family::V4));
    }

    #[test]
    fn replies_that_overtake_each_other_come_from_a_counter_still() {
        let mut samples = sample_all(&[5, 7, 6, 9, 12]);
        samples[1].at_us = samples[2].sent_us + 1;
        let series = Series::read(&samples, Family::V4, 5);
        assert!(matches!(series, Series::Counter(_)));
    }
}
