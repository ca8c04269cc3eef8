//! A resolver: what is sent to the addresses of a trace, or of a list, to find their aliases.
//!
//! Candidates are the addresses of one hop, or those of the list. Round 0 is judged by what the trace itself has shown. Then
//! each address is probed in turn, one after the other, so that the identifications of a shared
//! counter interleave: a cycle is one probe to each address, by each way that may still tell
//! something. As soon as all pairs of an address are decided, it is left alone. Thirty cycles are a
//! round, as in the paper.
//!
//! In IPv6 each probe waits for the reply to the one before. Counters of fragments hardly move but for
//! these probes, and many have the same values: only the order of all replies tells them apart.

use std::collections::BTreeSet;

use anabranch_prefixes::Family;
use anabranch_trace::sightings::{Ask, Sightings};
use anabranch_trace::timeout::Timeout;

use crate::candidate::Way;
use crate::evidence::{Finding, Verdict};
use crate::routers::find_routers;
use crate::set::{Set, Step};
use crate::sounding::{CYCLES, Counter, Echoed, Evidence, Sounding};

/// What a resolver wants from its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Send this probe now. The number counts the probes of the resolver, from 1.
    Send(Sounding, u16),
    /// Hand over the next reply, or come back at this time, in microseconds.
    Wait(u64),
    /// Nothing more.
    Nothing,
}

/// The alias resolution of one trace, or of one list.
#[derive(Clone, Debug)]
pub struct Resolver {
    sets: Vec<Set>,
    most_cycles: u16,
    timeout: Timeout,
    sent: u16,
}

impl Resolver {
    /// Begins with what a trace has seen in a family, and the replies to its probes. With 0 rounds, nothing is
    /// sent. `know` returns what is known of a pair, the lower address first; its addresses are not
    /// probed to compare them.
    #[must_use]
    pub fn new(
        family: Family,
        seen: &Sightings,
        replies: impl IntoIterator<Item = (Ask, Echoed)>,
        rounds: u8,
        know: impl Fn(u128, u128) -> Option<Finding>,
    ) -> Self {
        let mut sets: Vec<Set> = (1..=seen.last_ttl())
            .filter_map(|ttl| Set::of(family, seen, ttl))
            .collect();
        let mut timeout = Timeout::default();
        for (ask, echoed) in replies {
            timeout.learn(echoed.rtt_us);
            if let Some(set) = sets.iter_mut().find(|set| set.ttl() == Some(ask.ttl)) {
                set.hear(Way::Error, echoed);
            }
        }
        for set in &mut sets {
            set.begin(&know);
        }
        Self {
            sets,
            most_cycles: u16::from(rounds) * CYCLES,
            timeout,
            sent: 0,
        }
    }

    /// Begins with the addresses of a list. `know` is as in [`Self::new`].
    #[must_use]
    pub fn of_list(
        family: Family,
        addresses: &[u128],
        rounds: u8,
        know: impl Fn(u128, u128) -> Option<Finding>,
    ) -> Self {
        let mut set = Set::of_list(family, addresses);
        set.begin(know);
        Self {
            sets: vec![set],
            most_cycles: u16::from(rounds) * CYCLES,
            timeout: Timeout::default(),
            sent: 0,
        }
    }

    /// How many addresses share the pace of probes to one destination.
    #[must_use]
    pub fn crowd(&self) -> u64 {
        self.sets.iter().map(Set::crowd).max().unwrap_or(1).max(1)
    }

    /// Returns what the address of a list that has only one shows.
    #[must_use]
    pub fn counter(&self) -> Option<Counter> {
        self.sets.iter().find_map(Set::counter)
    }

    /// The number of probes sent so far.
    #[must_use]
    pub const fn probes(&self) -> u16 {
        self.sent
    }

    /// Returns the addresses of which a pair is not decided, some several times.
    pub fn open(&self) -> impl Iterator<Item = u128> + '_ {
        self.sets.iter().flat_map(Set::open)
    }

    /// Returns what is said of each pair of addresses of a hop.
    pub fn evidence(&self) -> impl Iterator<Item = Evidence> + '_ {
        self.sets.iter().flat_map(Set::evidence)
    }

    /// Returns what is worth keeping: all that is said of a hop. Nearly all pairs of a list are rejected, so of
    /// these only what its routers rest on is kept, and what sets them in conflict.
    #[must_use]
    pub fn testimony(&self) -> Vec<Evidence> {
        if self.sets.iter().any(|set| set.ttl().is_some()) {
            return self.evidence().collect();
        }
        let pair = |each: &Evidence| (each.first, each.second, each.finding.verdict);
        let pairs: Vec<_> = self.evidence().map(|each| pair(&each)).collect();
        let routers = find_routers(&pairs);
        let conflicts: BTreeSet<_> = routers.iter().flat_map(|each| &each.conflicts).collect();
        let evidence = self.evidence().filter(|each| {
            each.finding.verdict == Verdict::Accept
                || conflicts.contains(&(each.first, each.second))
        });
        evidence.collect()
    }

    /// Returns what the resolver wants at this time, in microseconds of the body's clock.
    pub fn poll(&mut self, now_us: u64) -> Want {
        let mut until_us = None;
        for set in &mut self.sets {
            match set.poll(now_us, self.most_cycles) {
                Step::Send(sounding) => {
                    // A hop of 255 addresses takes 15,300 probes a round at most. No number comes
                    // twice, so that a reply finds its probe.
                    let Some(number) = self.sent.checked_add(1) else {
                        return Want::Nothing;
                    };
                    self.sent = number;
                    set.launch(sounding, number, now_us, now_us + self.timeout.wait_us());
                    return Want::Send(sounding, number);
                }
                Step::Wait(wake_us) => {
                    until_us = Some(until_us.map_or(wake_us, |until: u64| until.min(wake_us)));
                }
                Step::Nothing => {}
            }
        }
        until_us.map_or(Want::Nothing, Want::Wait)
    }

    /// Takes note that no reply will come to a probe, since it must not be sent.
    pub fn lose(&mut self, number: u16) {
        for set in &mut self.sets {
            set.land(number);
        }
    }

    /// Takes back a probe that could not be sent, and asks for it again.
    pub fn take_back(&mut self, sounding: Sounding, number: u16) {
        let mut sets = self.sets.iter_mut();
        if let Some(set) = sets.find_map(|set| set.land(number).then_some(set)) {
            set.ask_again(sounding);
        }
    }

    /// Takes the reply to a probe. One that comes too late still counts if it is to a probe of the
    /// trace's flows.
    pub fn take(&mut self, sounding: Sounding, number: u16, echoed: Echoed) {
        self.timeout.learn(echoed.rtt_us);
        let is_of = |set: &mut Set| match sounding {
            Sounding::Along(ask) => set.land(number) || set.ttl() == Some(ask.ttl),
            Sounding::Echo(_) | Sounding::TooBig(_) | Sounding::Port(_) => set.land(number),
        };
        let mut sets = self.sets.iter_mut();
        if let Some(set) = sets.find_map(|set| is_of(set).then_some(set)) {
            match sounding {
                Sounding::Along(_) => set.hear(Way::Error, echoed),
                Sounding::Echo(_) | Sounding::TooBig(_) => set.hear(Way::Echo, echoed),
                Sounding::Port(address) => set.learn_source(address, echoed.from),
            }
        }
    }
}
