//! Decides when probes may be sent: how many in all, and how often to one prefix.
//!
//! All times count from the same arbitrary start: those in `_ns` are nanoseconds, those in `_ps`
//! picoseconds.

use std::collections::{HashMap, VecDeque};

/// The window in which a rate is never exceeded by more than one probe.
const WINDOW_NS: u64 = 100_000_000;
/// Batches a second: a batch gathers the probes of 0.5 ms, a two-hundredth of the window.
const BATCHES_A_SECOND: u32 = 2_000;
/// The most probes that are sent at once.
pub const MAX_BATCH: u32 = 64;
/// A sender that is later than this has stalled, and does not catch up.
const SLACK_PS: u64 = 2_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;
const SECOND_PS: u64 = 1_000 * SECOND_NS;

/// A limit on the rate: at most `ceil(rate / 10) + 1` probes in any 100 ms, and never more than
/// `rate` a second on average.
///
/// Each probe is due one interval after the one before. The pace makes up for a delay of up to
/// 2 ms. A longer one is a stall: after it, the schedule starts anew.
#[derive(Clone, Debug)]
pub struct Pace {
    rate: u32,
    /// When the next probe is due, in picoseconds. They overflow after 213 days.
    due_ps: u64,
    /// When each batch of the last window was out, and how many probes it had.
    recent: VecDeque<(u64, u64)>,
    in_window: u64,
    stalled_ns: u64,
}

impl Pace {
    /// Makes a limit of `rate` probes a second. The first probe is due now.
    ///
    /// # Panics
    /// When the rate is 0.
    #[must_use]
    pub fn new(rate: u32, now_ns: u64) -> Self {
        assert!(rate > 0);
        Self {
            rate,
            due_ps: now_ns * 1_000,
            recent: VecDeque::new(),
            in_window: 0,
            stalled_ns: 0,
        }
    }

    /// Changes the rate from now on, in probes a second.
    ///
    /// # Panics
    /// When the rate is 0.
    pub fn set_rate(&mut self, rate: u32, now_ns: u64) {
        assert!(rate > 0);
        let last_ps = self.due_ps.saturating_sub(self.interval_ps());
        self.rate = rate;
        self.due_ps = (last_ps + self.interval_ps()).max(now_ns * 1_000);
    }

    /// The rate, in probes a second.
    #[must_use]
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// Returns how many probes may be sent now.
    pub fn grant(&mut self, now_ns: u64) -> usize {
        let Some(late_ps) = (now_ns * 1_000).checked_sub(self.due_ps) else {
            return 0;
        };
        if late_ps > SLACK_PS + self.batch() * self.interval_ps() {
            self.stalled_ns += late_ps / 1_000;
            self.due_ps = now_ns * 1_000;
        }
        while let Some((out_ns, count)) = self.recent.front()
            && out_ns + WINDOW_NS <= now_ns
        {
            self.in_window -= count;
            self.recent.pop_front();
        }
        let room = self.window().saturating_sub(self.in_window);
        let due = (now_ns * 1_000 - self.due_ps) / self.interval_ps() + 1;
        due.min(room).min(MAX_BATCH.into()) as usize
    }

    /// Records that `count` probes were sent, and are out by now.
    pub fn sent(&mut self, count: usize, now_ns: u64) {
        self.due_ps += count as u64 * self.interval_ps();
        self.recent.push_back((now_ns, count as u64));
        self.in_window += count as u64;
    }

    /// Returns when the next batch may be sent.
    #[must_use]
    pub fn next_ns(&self) -> u64 {
        let due_ns = (self.due_ps + (self.batch() - 1) * self.interval_ps()).div_ceil(1_000);
        match self.recent.front() {
            Some((out_ns, _)) if self.in_window >= self.window() => due_ns.max(out_ns + WINDOW_NS),
            _ => due_ns,
        }
    }

    /// The total time of all stalls.
    #[must_use]
    pub const fn stalled_ns(&self) -> u64 {
        self.stalled_ns
    }

    /// The time from one probe to the next.
    fn interval_ps(&self) -> u64 {
        SECOND_PS.div_ceil(self.rate.into())
    }

    /// The number of probes to gather before they are sent together.
    fn batch(&self) -> u64 {
        (self.rate / BATCHES_A_SECOND).clamp(1, MAX_BATCH).into()
    }

    fn window(&self) -> u64 {
        u64::from(self.rate.div_ceil(10)) + 1
    }
}

/// A least time between two probes to the same prefix. Their slots are one pass apart; and there may
/// be further probes between them, which have no slots of their own.
#[derive(Clone, Debug)]
pub struct Gaps {
    pass: u64,
    /// The first and last slot of each batch, and when it was out. Batches are kept as long as they
    /// may still be too close.
    recent: VecDeque<(u64, u64, u64)>,
    /// When the latest further probe to a place was out, as long as it may be too close.
    further: HashMap<u64, u64>,
    /// These, by when they were out.
    further_order: VecDeque<(u64, u64)>,
}

impl Gaps {
    /// Makes the gaps for a block of so many prefixes: a pass has one slot for each.
    #[must_use]
    pub fn new(prefixes: u64) -> Self {
        Self {
            pass: prefixes,
            recent: VecDeque::new(),
            further: HashMap::new(),
            further_order: VecDeque::new(),
        }
    }

    /// Returns when a slot may be sent: at least `least_ns` after the slot before of its prefix.
    ///
    /// `first` is the first slot of the batch that it would join, if the batch has any.
    pub fn free_ns(&mut self, slot: u64, first: Option<u64>, least_ns: u64, now_ns: u64) -> u64 {
        let free_ns = self.further_ns(slot, least_ns);
        let Some(before) = slot.checked_sub(self.pass) else {
            return free_ns;
        };
        if first.is_some_and(|first| first <= before) {
            return now_ns.saturating_add(least_ns);
        }
        while let Some((_, last, out_ns)) = self.recent.front()
            && (*last < before || out_ns.saturating_add(least_ns) <= now_ns)
        {
            self.recent.pop_front();
        }
        match self.recent.front() {
            Some((first, _, out_ns)) if *first <= before => {
                free_ns.max(out_ns.saturating_add(least_ns))
            }
            _ => free_ns,
        }
    }

    /// Returns when a further probe may be sent to the prefix of a slot: at least `least_ns` after
    /// the last probe to it. All slots before `position` were sent.
    #[must_use]
    pub fn further_free_ns(&self, slot: u64, position: u64, least_ns: u64) -> u64 {
        let free_ns = self.further_ns(slot, least_ns);
        // Since the slot was sent, the position is behind it.
        let latest = position - 1 - (position - 1 - slot) % self.pass;
        let batch = self.recent.partition_point(|(_, last, _)| *last < latest);
        match self.recent.get(batch) {
            Some((first, _, out_ns)) if *first <= latest => {
                free_ns.max(out_ns.saturating_add(least_ns))
            }
            _ => free_ns,
        }
    }

    /// Records that a further probe was sent to the prefix of a slot, and is out by now.
    pub fn sent_further(&mut self, slot: u64, least_ns: u64, now_ns: u64) {
        while let Some((place, out_ns)) = self.further_order.front().copied()
            && out_ns.saturating_add(least_ns) <= now_ns
        {
            self.further_order.pop_front();
            if self.further.get(&place) == Some(&out_ns) {
                self.further.remove(&place);
            }
        }
        let place = slot % self.pass;
        self.further.insert(place, now_ns);
        self.further_order.push_back((place, now_ns));
    }

    /// Returns when the prefix of a slot may be probed, as far as further probes are concerned.
    fn further_ns(&self, slot: u64, least_ns: u64) -> u64 {
        if self.further.is_empty() {
            return 0; // without a division, since this is asked for each probe
        }
        let out_ns = self.further.get(&(slot % self.pass));
        out_ns.map_or(0, |out_ns| out_ns.saturating_add(least_ns))
    }

    /// Records that the slots from `first` to `last` were sent, and are out by now.
    pub fn sent(&mut self, first: u64, last: u64, now_ns: u64) {
        self.recent.push_back((first, last, now_ns));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = SECOND_NS;

    /// Sends probes until a time, and returns when each was sent. Each wait ends late by what
    /// `late_ns` returns.
    fn send(rate: u32, until_ns: u64, mut late_ns: impl FnMut() -> u64) -> (Vec<u64>, Pace) {
        let mut pace = Pace::new(rate, 0);
        let (mut now, mut sent) = (0, Vec::new());
        while now < until_ns {
            let count = pace.grant(now);
            if count == 0 {
                now = pace.next_ns().max(now) + late_ns();
                continue;
            }
            sent.extend(std::iter::repeat_n(now, count));
            now += 500 * count as u64; // the system call
            pace.sent(count, now);
        }
        (sent, pace)
    }

    fn most_in_window(sent: &[u64]) -> usize {
        let mut start = 0;
        let ends = sent.iter().enumerate().map(|(end, time)| {
            while sent[start] + WINDOW_NS <= *time {
                start += 1;
            }
            end + 1 - start
        });
        ends.max().unwrap_or(0)
    }

    proptest! {
        // A case may send 600,000 probes.
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_window_holds_too_many_and_the_mean_is_met(
            rate in 10u32..300_000, lates in proptest::collection::vec(0u64..90_000, 7)
        ) {
            let seconds = if rate < 1_000 { 20 } else { 2 };
            let mut turn = 0;
            let (sent, _) = send(rate, seconds * SECOND, || {
                turn += 1;
                lates[turn % lates.len()]
            });
            prop_assert!(most_in_window(&sent) <= rate.div_ceil(10) as usize + 1);
            let asked = u64::from(rate) * seconds;
            prop_assert!(sent.len() as u64 <= asked + 1);
            prop_assert!(sent.len() as u64 + 2 >= asked * 99 / 100, "{} of {asked}", sent.len());
        }

        #[test]
        fn a_stall_is_not_made_good(rate in 1_000u32..100_000) {
            let mut turn = 0;
            let (sent, pace) = send(rate, 3 * SECOND, || {
                turn += 1;
                if turn == 300 { SECOND } else { 0 }
            });
            prop_assert!(most_in_window(&sent) <= rate.div_ceil(10) as usize + 1);
            prop_assert!(pace.stalled_ns() > SECOND * 99 / 100);
            prop_assert!(sent.len() * 100 <= rate as usize * 201);
        }

        #[test]
        fn a_prefix_is_never_probed_sooner_than_its_gap(
            prefixes in 1u64..500, cap in 1u32..1_000, rate in 10u32..100_000
        ) {
            let mut pace = Pace::new(rate, 0);
            let gap = SECOND.div_ceil(u64::from(cap));
            let mut gaps = Gaps::new(prefixes);
            let mut now = 0;
            let mut last = vec![None; prefixes as usize];
            let mut slot = 0;
            while slot < 4 * prefixes {
                let mut first = None;
                let mut wait = pace.next_ns();
                for _ in 0..pace.grant(now) {
                    let free = gaps.free_ns(slot, first, gap, now);
                    if free > now {
                        wait = free;
                        break;
                    }
                    first = first.or(Some(slot));
                    let place = (slot % prefixes) as usize;
                    prop_assert!(last[place].is_none_or(|last| last + gap <= now));
                    last[place] = Some(now);
                    slot += 1;
                }
                if let Some(first) = first {
                    pace.sent((slot - first) as usize, now);
                    gaps.sent(first, slot - 1, now);
                } else {
                    now = wait.max(now + 1);
                }
            }
        }
    }

    #[test]
    fn a_further_probe_keeps_its_distance_on_both_sides() {
        let (gap, mut gaps) = (100, Gaps::new(10));
        gaps.sent(0, 12, 1_000); // slots 2 and 12 are of one prefix
        assert_eq!(gaps.further_free_ns(3, 13, gap), 1_100);
        gaps.sent(13, 14, 1_060);
        assert_eq!(gaps.further_free_ns(3, 15, gap), 1_160);
        assert_eq!(gaps.further_free_ns(5, 15, gap), 1_100);
        gaps.sent_further(5, gap, 1_100);
        assert_eq!(gaps.further_free_ns(5, 15, gap), 1_200);
        assert_eq!(gaps.free_ns(15, None, gap, 1_150), 1_200);
        assert_eq!(gaps.free_ns(16, None, gap, 1_150), 0);
        // What is long ago is forgotten.
        gaps.sent_further(6, gap, 1_300);
        assert_eq!((gaps.further.len(), gaps.further_order.len()), (1, 1));
    }

    #[test]
    fn another_rate_holds_from_then_on() {
        let mut pace = Pace::new(1_000, 0);
        assert_eq!(pace.grant(0), 1);
        pace.sent(1, 0);
        pace.set_rate(10, 0);
        assert_eq!(pace.grant(90_000_000), 0);
        assert_eq!(pace.grant(1_000_000), 0);
        assert_eq!(pace.grant(101_000_000), 1);
    }
}
