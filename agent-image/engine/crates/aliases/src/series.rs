//! Series of identifications from one address: whether a counter gives them, and its readings.

/// The fewest replies that tell whether there is a counter.
pub const LEAST_SAMPLES: usize = 5;
/// The largest step from one reply to the next that a counter makes: with a larger one, nobody can
/// tell whether it has wrapped around. Five random identifications make smaller steps forward once
/// in 256 times.
const MOST_STEP: i64 = 1 << 14;

/// The identification of a reply's IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When the probe was sent, in microseconds of the body's clock.
    pub sent_us: u64,
    /// When the reply arrived.
    pub at_us: u64,
    /// The identification.
    pub id: u16,
    /// Whether it is that of the probe.
    pub is_copied: bool,
}

/// A reading of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The first and the last time at which it may have been taken, in microseconds.
    pub span_us: (u64, u64),
    /// The counter, which goes on at 65,536.
    pub value: i64,
}

/// What gives the identifications of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Series {
    /// Too few replies to tell.
    Short,
    /// Nothing: packets of IPv6 have no identification.
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

    /// Reads the identifications of replies, in the order of their probes.
    #[must_use]
    pub fn read(samples: &[Sample]) -> Self {
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
            let step = i64::from(sample.id.wrapping_sub(before.id).cast_signed());
            let is_later = before.at_us < sample.sent_us;
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
    fn sample_all(ids: &[u16]) -> Vec<Sample> {
        let times = (0..).step_by(100_000);
        let samples = times.zip(ids).map(|(sent_us, id)| Sample {
            sent_us,
            at_us: sent_us + 10_000,
            id: *id,
            is_copied: false,
        });
        samples.collect()
    }

    fn values(ids: &[u16]) -> Option<Vec<i64>> {
        match Series::read(&sample_all(ids)) {
            Series::Counter(readings) => Some(readings.iter().map(|each| each.value).collect()),
            _ => None,
        }
    }

    #[test]
    fn a_counter_goes_on_where_it_wraps_around() {
        let found = values(&[65_500, 65_535, 3, 20, 9_000]);
        assert_eq!(found, Some(vec![65_500, 65_535, 65_539, 65_556, 74_536]));
    }

    #[test]
    fn what_is_no_counter_is_named() {
        let read = |ids| Series::read(&sample_all(ids));
        assert_eq!(read(&[1, 2, 3]), Series::Short);
        assert_eq!(read(&[7; 6]), Series::Constant);
        assert_eq!(read(&[1, 2, 2, 3, 4]), Series::Unsteady);
        assert_eq!(read(&[900, 30_000, 7, 61_000, 20_000]), Series::Unsteady);
        let mut copied = sample_all(&[900, 30_000, 7, 61_000, 20_000]);
        for sample in &mut copied {
            sample.is_copied = true;
        }
        assert_eq!(Series::read(&copied), Series::Copied);
    }

    #[test]
    fn replies_that_overtake_each_other_come_from_a_counter_still() {
        let mut samples = sample_all(&[5, 7, 6, 9, 12]);
        samples[1].at_us = samples[2].sent_us + 1;
        assert!(matches!(Series::read(&samples), Series::Counter(_)));
    }
}
