//! When things happen: by the clock of the day, which may be set, and by one that only goes on.

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// In nanoseconds since the prober began.
    pub ns: u64,
    /// In microseconds since 1970.
    pub unix_us: u64,
}

impl Moment {
    /// Returns the microseconds from this moment to a frame's arrival, which the kernel noted by the
    /// clock of the day. The frame was read at `read`.
    ///
    /// Only the time from the arrival to `read` goes by that clock. If the clock was set meanwhile,
    /// the frame counts as one that arrived when it was read.
    pub(crate) fn elapsed_us(self, at_us: u64, read: Self) -> u64 {
        let since_us = read.ns.saturating_sub(self.ns) / 1_000;
        let waited_us = read.unix_us.checked_sub(at_us);
        since_us - waited_us.filter(|waited| *waited <= since_us).unwrap_or(0)
    }
}

/// Returns the time in microseconds since 1970.
pub(crate) fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: u64 = 3_600_000_000;
    const SENT: Moment = Moment {
        ns: 7_000_000,
        unix_us: 2 * HOUR_US,
    };

    /// Returns the time to an arrival 20 ms after `SENT`, which is read 1 ms later. The clock is set
    /// by so many microseconds before the arrival, and again before the reading.
    fn elapse(before_us: i64, after_us: i64) -> u64 {
        let at_us = (SENT.unix_us + 20_000).saturating_add_signed(before_us);
        let read = Moment {
            ns: SENT.ns + 21_000_000,
            unix_us: (at_us + 1_000).saturating_add_signed(after_us),
        };
        SENT.elapsed_us(at_us, read)
    }

    #[test]
    fn a_clock_that_is_set_spoils_no_round_trip_time() {
        let hour = HOUR_US.cast_signed();
        assert_eq!(elapse(0, 0), 20_000);
        for step in [-hour, -5_000, 5_000, hour] {
            assert_eq!(elapse(step, 0), 20_000);
        }
        for step in [-hour, -5_000, hour] {
            assert_eq!(elapse(0, step), 21_000);
        }
    }
}
