//! The monotonic bounds test: whether one counter can have given the readings of two addresses
//! (Keys et al., "Internet-scale IPv4 alias resolution with MIDAR", 2013, section 3).
//!
//! A counter only rises. So of two readings, the one that was certainly taken earlier is the
//! lower one. Readings are known modulo 65,536, or 2^32 in IPv6, and each address's are put in a row of
//! their own: one counter gives both rows if a multiple of that can be added to the second one such
//! that all readings are in order. The offsets which keep them in order, multiples or not, are the window.
//! Two counters that have nothing to do with each other pass the test if the window happens to
//! have a multiple, so the window's width says how likely that is.

use crate::series::Reading;

/// The values over which counters that have nothing to do with each other are taken to spread. Counters
/// of 32 bits are no better: many began at 0, and have not come far.
const SPREAD: i64 = 1 << 16;

/// The offsets of the second address that keep all readings in order: those above `above` and below
/// `below`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    above: i64,
    below: i64,
}

impl Window {
    /// Returns the window of two rows of readings. In the time from which a reading may be,
    /// `trust` parts of eight at both ends are left out: with 0, the order is certain.
    #[must_use]
    pub fn find(first: &[Reading], second: &[Reading], trust: u64) -> Self {
        Self {
            above: climb(first, second, trust).map_or(i64::MIN / 2, |least| least),
            below: climb(second, first, trust).map_or(i64::MAX / 2, |least| -least),
        }
    }

    /// Returns whether one counter that wraps around at `ring` can have given the readings.
    #[must_use]
    pub const fn has_multiple(&self, ring: i64) -> bool {
        (self.above.div_euclid(ring) + 1) * ring < self.below
    }

    /// Returns the probability that two counters that have nothing to do with each other pass, where
    /// each rose by `advance` meanwhile: at most the share of offsets that pass, times the share of
    /// rates. A counter that rises by more than the window's width more, or less, leaves it. So of the
    /// rates from none to twice the other's, the window's width in `advance` is left; this takes all
    /// rates for such.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // it only tells magnitudes
    pub fn chance(&self, advance: i64) -> f64 {
        let offsets = (self.below - self.above - 1).clamp(0, SPREAD) as f64;
        let rates = (offsets / advance.max(1) as f64).min(1.0);
        offsets / SPREAD as f64 * rates
    }
}

/// Returns the most by which an earlier reading of `before` is above a later one of `after`; None if
/// no reading is certainly earlier than one of `after`.
fn climb(before: &[Reading], after: &[Reading], trust: u64) -> Option<i64> {
    let mut ends: Vec<_> = before.iter().map(|each| narrow(each, trust)).collect();
    let mut starts: Vec<_> = after.iter().map(|each| narrow(each, trust)).collect();
    ends.sort_unstable_by_key(|(span_us, _)| span_us.1);
    starts.sort_unstable_by_key(|(span_us, _)| span_us.0);
    let mut ends = ends.into_iter().peekable();
    let mut highest: Option<i64> = None;
    let mut most: Option<i64> = None;
    for ((start_us, _), value) in starts {
        while let Some((_, earlier)) = ends.next_if(|((_, end_us), _)| *end_us <= start_us) {
            highest = highest.max(Some(earlier));
        }
        most = most.max(highest.map(|highest| highest - value));
    }
    most
}

const fn narrow(reading: &Reading, trust: u64) -> ((u64, u64), i64) {
    let (from_us, until_us) = reading.span_us;
    let cut_us = (until_us - from_us) * trust / 8;
    ((from_us + cut_us, until_us - cut_us), reading.value)
}

#[cfg(test)]
mod tests {
    use anabranch_chance::Draws;
    use anabranch_prefixes::Family;
    use proptest::prelude::*;

    use super::*;
    use crate::series::{Sample, Series};

    const RING: i64 = 1 << 16;

    /// Returns what an address shows of a counter that is at `start` at time 0, at these times.
    fn watch(start: u64, rate: u64, times_ms: impl Iterator<Item = u64>) -> Vec<Reading> {
        let samples: Vec<_> = times_ms
            .map(|ms| Sample {
                sent_us: ms * 1_000,
                at_us: ms * 1_000 + 900,
                id: ((start + rate * ms / 1_000 + 1) % RING as u64) as u32,
                is_copied: false,
            })
            .collect();
        match Series::read(&samples, Family::V4, 5) {
            Series::Counter(readings) => readings,
            other => panic!("no counter, but {other:?}"),
        }
    }

    proptest! {
        #[test]
        fn one_counter_passes_wherever_it_wraps_around(
            start in 0u64..65_536, rate in 200u64..10_000
        ) {
            let first = watch(start, rate, (0..20).map(|n| n * 20));
            let second = watch(start, rate, (0..20).map(|n| n * 20 + 10));
            let window = Window::find(&first, &second, 0);
            prop_assert!(window.has_multiple(RING));
            prop_assert!(window.chance(0) < 0.01);
        }

        #[test]
        fn counters_of_other_rates_do_not_pass(
            start in 0u64..65_536, rate in 200u64..5_000, other in 0u64..65_536
        ) {
            let first = watch(start, rate, (0..20).map(|n| n * 20));
            let second = watch(other, 2 * rate, (0..20).map(|n| n * 20 + 10));
            prop_assert!(!Window::find(&first, &second, 0).has_multiple(RING));
        }

        #[test]
        fn it_is_the_same_whichever_address_is_the_first(
            start in 0u64..65_536, other in 0u64..65_536, rate in 200u64..5_000
        ) {
            let first = watch(start, rate, (0..20).map(|n| n * 20));
            let second = watch(other, rate, (0..20).map(|n| n * 20 + 10));
            let (there, back) = (Window::find(&first, &second, 2), Window::find(&second, &first, 2));
            prop_assert_eq!(there.has_multiple(RING), back.has_multiple(RING));
            prop_assert_eq!(there.chance(9).to_bits(), back.chance(9).to_bits());
        }
    }

    #[test]
    fn counters_of_one_rate_pass_as_often_as_their_window_says() {
        let mut draws = Draws::new(7);
        let (mut passed, mut expected) = (0, 0.0);
        for _ in 0..20_000 {
            let starts = [draws.range(0, 65_535), draws.range(0, 65_535)].map(u64::from);
            let first = watch(starts[0], 8_000, (0..8).map(|n| n * 200));
            let second = watch(starts[1], 8_000, (0..8).map(|n| n * 200 + 100));
            let window = Window::find(&first, &second, 0);
            passed += u32::from(window.has_multiple(RING));
            expected += window.chance(0);
        }
        // Both are about 20,000 * 1,600 / 65,536; five standard deviations are 110.
        assert!(
            (f64::from(passed) - expected).abs() < 110.0,
            "{passed}, {expected}"
        );
    }

    #[test]
    fn counters_that_only_we_advance_are_told_apart_even_if_both_began_at_0() {
        let read_all = |values: [i64; 5], delay_us| {
            let times = (delay_us..).step_by(100);
            let readings = times.zip(values).map(|(sent_us, value)| Reading {
                span_us: (sent_us, sent_us + 9),
                value,
            });
            readings.collect::<Vec<_>>()
        };
        let first = read_all([1, 2, 3, 4, 5], 0);
        let ring = 1 << 32;
        let is_one = |second: &[Reading]| Window::find(&first, second, 0).has_multiple(ring);
        assert!(!is_one(&read_all([1, 2, 3, 4, 5], 50)));
        assert!(!is_one(&read_all([7, 8, 9, 10, 11], 50)));
        let shared = [read_all([1, 3, 5, 7, 9], 0), read_all([2, 4, 6, 8, 10], 50)];
        let window = Window::find(&shared[0], &shared[1], 0);
        assert!(window.has_multiple(ring));
        assert!(window.chance(8) < 1e-5);
    }

    #[test]
    fn readings_of_which_none_is_certainly_earlier_tell_nothing() {
        let reading = |value| Reading {
            span_us: (0, 100),
            value,
        };
        let window = Window::find(&[reading(5)], &[reading(60_000)], 0);
        assert!(window.has_multiple(RING));
        assert!((window.chance(0) - 1.0).abs() < f64::EPSILON);
    }
}
