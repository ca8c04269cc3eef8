//! The controls of a running prober, and its counters.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anabranch_prefixes::{Family, PrefixSet};
use serde::{Deserialize, Serialize};

/// Bounds on what a prober sends, whatever the plan says.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Addresses that are not probed.
    pub forbidden: PrefixSet,
    /// The lowest TTL.
    pub min_ttl: u8,
    /// The highest TTL.
    pub max_ttl: u8,
}

impl Limits {
    /// Returns whether a probe may be sent.
    #[inline]
    #[must_use]
    pub fn allow(&self, family: Family, destination: u128, ttl: u8) -> bool {
        let mut ranges = self
            .forbidden
            .family(family)
            .overlapping(destination, destination);
        (self.min_ttl..=self.max_ttl).contains(&ttl) && ranges.next().is_none()
    }
}

/// The controls of a running prober, shared with its threads.
#[derive(Debug)]
pub struct Control {
    stopped: AtomicBool,
    /// True once nothing more is sent, for whatever reason.
    ending: AtomicBool,
    silent: AtomicBool,
    rate: AtomicU32,
    prefix_gap_ns: AtomicU64,
    limits: Mutex<Arc<Limits>>,
    /// How often the limits have changed.
    changes: AtomicU64,
    counters: [AtomicU64; COUNTERS],
}

const COUNTERS: usize = Counter::Further as usize + 1;

/// The events that a prober counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Probes handed to the kernel and sent.
    Sent,
    /// Probes that the kernel did not take.
    Unsent,
    /// Probes of the plan that the limits forbid.
    Forbidden,
    /// Probes of the plan to prefixes without a route.
    Unroutable,
    /// Valid replies.
    Replies,
    /// ICMP packets, SYN-ACKs and resets that answer no probe of this kind, or another prober of this
    /// process.
    Foreign,
    /// Replies whose tag is wrong: forged, damaged, or to probes of an earlier start.
    Forged,
    /// Replies to probes that are not in the plan, or were not sent yet.
    Unplanned,
    /// Replies that came after their wait had ended.
    Late,
    /// Replies beyond two for each probe of a part, or beyond one in a trace: someone repeats them.
    Excess,
    /// Packets that the kernel dropped before they were read.
    Dropped,
    /// Microseconds by which the sender fell behind its schedule.
    Stalled,
    /// Destinations whose trace has ended.
    Traced,
    /// Probes sent beyond the last TTL of the plan, as replies asked for them.
    Further,
}

/// The counts so far: [`Counter`] describes each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // the counters' names
pub struct Counts {
    pub sent: u64,
    pub unsent: u64,
    pub forbidden: u64,
    pub unroutable: u64,
    pub replies: u64,
    pub foreign: u64,
    pub forged: u64,
    pub unplanned: u64,
    pub late: u64,
    pub excess: u64,
    pub dropped: u64,
    pub stalled_us: u64,
    #[serde(default)] // parts of version 0.2 do not say
    pub traced: u64,
    #[serde(default)] // the same
    pub further: u64,
}

impl Control {
    /// Makes the controls of a new prober.
    ///
    /// `rate` is in probes a second; `prefix_gap` is the least time between probes to a prefix.
    #[must_use]
    pub fn new(rate: u32, prefix_gap: Duration, limits: Limits) -> Self {
        Self {
            stopped: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            rate: AtomicU32::new(rate),
            prefix_gap_ns: AtomicU64::new(whole_ns(prefix_gap)),
            limits: Mutex::new(Arc::new(limits)),
            changes: AtomicU64::new(0),
            counters: Default::default(),
        }
    }

    /// Stops sending, for good.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Returns whether sending is to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Notes that all has begun: from now on less and less is sent.
    pub fn begin_to_end(&self) {
        self.ending.store(true, Ordering::Release);
    }

    /// Returns whether all has begun.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire) || self.is_silent()
    }

    /// Notes that nothing more is sent, and only replies are awaited.
    pub fn fall_silent(&self) {
        self.silent.store(true, Ordering::Release);
    }

    /// Returns whether nothing more is sent.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Acquire)
    }

    /// Changes the rate, in probes a second; 0 pauses.
    pub fn set_rate(&self, rate: u32) {
        self.rate.store(rate, Ordering::Release);
    }

    /// The rate, in probes a second.
    #[must_use]
    pub fn rate(&self) -> u32 {
        self.rate.load(Ordering::Acquire)
    }

    /// Changes the least time between probes to a prefix.
    pub fn set_prefix_gap(&self, gap: Duration) {
        self.prefix_gap_ns.store(whole_ns(gap), Ordering::Release);
    }

    /// The least time between probes to a prefix, in nanoseconds.
    #[must_use]
    pub fn prefix_gap_ns(&self) -> u64 {
        self.prefix_gap_ns.load(Ordering::Acquire)
    }

    /// Replaces the set of addresses that are not probed.
    pub fn forbid(&self, forbidden: PrefixSet) {
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        *limits = Arc::new(Limits {
            forbidden,
            ..**limits
        });
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Returns the limits if they changed since `changes`, and brings `changes` up to date.
    #[must_use]
    pub fn changed_limits(&self, changes: &mut Option<u64>) -> Option<Arc<Limits>> {
        let now = Some(self.changes.load(Ordering::Acquire));
        if *changes == now {
            return None;
        }
        *changes = now;
        let limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&limits))
    }

    /// Adds to a counter.
    pub fn count(&self, counter: Counter, count: u64) {
        self.counters[counter as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of = |counter: Counter| self.counters[counter as usize].load(Ordering::Relaxed);
        Counts {
            sent: of(Counter::Sent),
            unsent: of(Counter::Unsent),
            forbidden: of(Counter::Forbidden),
            unroutable: of(Counter::Unroutable),
            replies: of(Counter::Replies),
            foreign: of(Counter::Foreign),
            forged: of(Counter::Forged),
            unplanned: of(Counter::Unplanned),
            late: of(Counter::Late),
            excess: of(Counter::Excess),
            dropped: of(Counter::Dropped),
            stalled_us: of(Counter::Stalled),
            traced: of(Counter::Traced),
            further: of(Counter::Further),
        }
    }
}

fn whole_ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_for_addresses_and_ttls_and_tell_that_they_changed() {
        let set = |text: &str| [text.parse().unwrap()].into_iter().collect();
        let limits = Limits {
            forbidden: set("240.0.0.128/25"),
            min_ttl: 2,
            max_ttl: 30,
        };
        let control = Control::new(10, Duration::ZERO, limits);
        let mut changes = None;
        let first = control.changed_limits(&mut changes).unwrap();
        assert!(first.allow(Family::V4, 0xf000_0001, 2));
        assert!(!first.allow(Family::V4, 0xf000_0081, 2));
        assert!(!first.allow(Family::V4, 0xf000_0001, 1));
        assert!(first.allow(Family::V6, 0xf000_0081, 2));
        assert!(control.changed_limits(&mut changes).is_none());
        control.forbid(set("240.0.0.0/24"));
        let second = control.changed_limits(&mut changes).unwrap();
        assert!(!second.allow(Family::V4, 0xf000_0001, 2));
        assert!(!second.allow(Family::V4, 0xf000_0101, 1));
    }
}
