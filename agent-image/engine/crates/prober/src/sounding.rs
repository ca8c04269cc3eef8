//! Alias resolution with packets: which trace probes which address itself, what replies show, and what traces
//! have found before.

use std::collections::{HashMap, HashSet};

use anabranch_aliases::candidate::Shown;
use anabranch_aliases::evidence::{Finding, Verdict};
use anabranch_aliases::resolver::Resolver;
use anabranch_aliases::series::Sample;
use anabranch_aliases::sounding::{Echoed, Evidence};
use anabranch_prefixes::Family;
use anabranch_wire::probe::{Seen, Stamp};

use crate::work::{Probed, Trace};

/// How often a pair is looked at that stays undetermined: the replies of one trace may have been lost.
const TRIES: u8 = 3;
/// The most pairs that are remembered: 2^20 take about 100 MB.
const MOST_PAIRS: usize = 1 << 20;

/// The places of the traces that have probed an address itself.
#[derive(Debug, Default)]
pub(crate) struct Direct(HashMap<(Family, u128), Vec<usize>>);

impl Direct {
    /// Notes that the trace at a place probes an address itself.
    pub fn add(&mut self, address: (Family, u128), place: usize) {
        let places = self.0.entry(address).or_default();
        if !places.contains(&place) {
            places.push(place);
        }
    }

    /// Returns the places of the traces that have probed an address itself.
    pub fn places(&self, address: (Family, u128)) -> &[usize] {
        self.0.get(&address).map_or(&[], Vec::as_slice)
    }

    /// Forgets that the trace at a place has probed an address itself.
    pub fn forget(&mut self, address: (Family, u128), place: usize) {
        if let Some(places) = self.0.get_mut(&address) {
            places.retain(|each| *each != place);
            if places.is_empty() {
                self.0.remove(&address);
            }
        }
    }
}

/// What traces have found about pairs of addresses, so that others need not probe them again.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Of each pair, and how many traces have looked at it.
    known: HashMap<(Family, u128, u128), (Finding, u8)>,
    /// The addresses that a trace probes now.
    busy: HashSet<(Family, u128)>,
}

impl Findings {
    /// Begins to resolve the aliases that a trace shows. Returns None while another trace probes
    /// one of its addresses: what that finds is worth waiting for.
    pub fn begin(
        &mut self,
        trace: &Trace,
        family: Family,
        stamp: &Stamp,
        rounds: u8,
    ) -> Option<Resolver> {
        let replies = trace.probes.iter();
        let replies = replies.filter_map(|((ask, _), probed)| Some((*ask, show(probed, stamp)?)));
        let seen = trace.tracer.seen();
        let know = |first, second| self.know(family, first, second);
        self.claim(family, Resolver::new(family, seen, replies, rounds, know))
    }

    /// Begins to resolve the aliases among the addresses of a list, as `begin` does.
    pub fn begin_list(
        &mut self,
        addresses: &[u128],
        family: Family,
        rounds: u8,
    ) -> Option<Resolver> {
        // A list has so many pairs that they are not looked at in vain.
        let is_busy = |address: &u128| self.busy.contains(&(family, *address));
        if addresses.iter().any(is_busy) {
            return None;
        }
        let know = |first, second| self.know(family, first, second);
        self.claim(family, Resolver::of_list(family, addresses, rounds, know))
    }

    fn know(&self, family: Family, first: u128, second: u128) -> Option<Finding> {
        let (finding, tries) = self.known.get(&(family, first, second))?;
        let is_known = finding.verdict != Verdict::Undetermined || *tries >= TRIES;
        is_known.then_some(*finding)
    }

    /// Returns a resolver if no other one probes its addresses; this one does then.
    fn claim(&mut self, family: Family, resolver: Resolver) -> Option<Resolver> {
        let is_busy = |address| self.busy.contains(&(family, address));
        if resolver.open().any(is_busy) {
            return None;
        }
        let open = resolver.open().map(|address| (family, address));
        self.busy.extend(open);
        Some(resolver)
    }

    /// Keeps what a trace has found.
    pub fn keep(&mut self, family: Family, resolver: &Resolver) {
        if self.known.len() > MOST_PAIRS {
            self.known.clear();
        }
        for Evidence {
            first,
            second,
            finding,
            ..
        } in resolver.evidence()
        {
            let known = self.known.entry((family, first, second));
            let (kept, tries) = known.or_insert((finding, 0));
            (*kept, *tries) = (finding, tries.saturating_add(1));
            self.busy.remove(&(family, first));
            self.busy.remove(&(family, second));
        }
    }
}

/// Returns what the reply to a probe shows, if one came.
pub(crate) fn show(probed: &Probed, stamp: &Stamp) -> Option<Echoed> {
    let heard = probed.reply.as_ref()?;
    let reply = &heard.reply;
    let is_v4 = reply.probe.family == Family::V4;
    let id = reply
        .fragment
        .or(is_v4.then(|| reply.identification.into()));
    let sample = id.map(|id| Sample {
        sent_us: probed.sent.unix_us,
        at_us: probed.sent.unix_us + heard.rtt_us,
        id,
        is_copied: is_v4
            && stamp.vouches_for(&reply.probe, Seen::Identification(reply.identification)),
    });
    Some(Echoed {
        from: reply.from,
        shown: Shown {
            sample,
            ttl: reply.ttl,
            labels: reply.labels.iter().map(|(label, ..)| label).collect(),
        },
        rtt_us: heard.rtt_us,
    })
}
