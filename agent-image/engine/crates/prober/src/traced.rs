//! What a part keeps of a trace: its probes with their replies, and what the tracer concluded.

use std::collections::BTreeMap;

use anabranch_aliases::resolver::Resolver;
use anabranch_aliases::sounding::{Counter, Evidence};
use anabranch_link::way::Way;
use anabranch_plan::Destination;
use anabranch_prefixes::Prefix;
use anabranch_trace::lite::Switch;
use anabranch_trace::sightings::{Ask, Flow, Link, Sightings, Vertex};
use anabranch_trace::tracer::End;
use anabranch_wire::probe::Probe;

use crate::traceoptions::TraceOptions;
use crate::work::{Heard, Probed, Trace};

/// A destination that was traced.
#[derive(Clone, Debug)]
pub struct Traced {
    /// The destination's place in the plan.
    pub destination: Destination,
    /// The way that its probes left by; None without a route.
    pub way: Option<Way>,
    /// When the trace began and ended, in microseconds since 1970.
    pub span_us: (u64, u64),
    /// Why it ended.
    pub end: End,
    /// The first TTL at which MDA-Lite went over to the MDA, and why; None if it did not.
    pub switch: Option<(u8, Switch)>,
    /// The TTLs at which a flow met now this vertex and now that.
    pub unsteady: Vec<u8>,
    /// The TTLs at which flows met a router and then none did any more.
    pub gone: Vec<u8>,
    /// The probability that a link was missed, at most; None for a trace that can't tell.
    pub failure_probability: Option<f64>,
    /// The links between routers.
    pub links: Vec<Crossed>,
    /// What is said of each pair of addresses of a hop, or of those of a list that are worth keeping; None
    /// without alias resolution.
    pub aliases: Option<Vec<Evidence>>,
    /// What an address shows that was probed alone.
    pub counter: Option<Counter>,
    /// The probes for alias resolution, and the replies to them.
    pub soundings: (u32, u32),
    /// The probes, in the order of their flows, TTLs and attempts.
    pub probes: Vec<Sending>,
}

/// A probe of a trace.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// The probe.
    pub probe: Probe,
    /// Its flow.
    pub flow: Flow,
    /// Its attempt, from 1.
    pub attempt: u8,
    /// When it was sent, in microseconds since 1970.
    pub sent_us: u64,
    /// The first reply to it, if one came.
    pub reply: Option<Heard>,
}

/// A link between two routers, and the flows that crossed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossed {
    /// The TTL of the nearer router.
    pub near_ttl: u8,
    /// The address of the nearer router.
    pub near: u128,
    /// The address of the farther router.
    pub far: u128,
    /// The number of flows known to have crossed it.
    pub flows: u32,
    /// When the first of them had sent its probes to both ends, in microseconds since 1970.
    pub first_end_us: u64,
    /// When the last of them sent its first probe to one of the ends.
    pub last_start_us: u64,
    /// Whether most of them had met the farther router before: they loop, or their route changed.
    /// Of the others, the probe to that router may have been lost.
    pub is_unlikely: bool,
}

impl Traced {
    /// Keeps what matters of a trace that has ended.
    pub(crate) fn new(destination: Destination, trace: Trace, options: &TraceOptions) -> Self {
        let seen = trace.tracer.seen();
        let end = trace.tracer.end().unwrap_or(End::Refused);
        let probes = trace.probes.iter().map(|((ask, attempt), probed)| Sending {
            probe: options.shape(&trace.target, *ask, probed.sent.unix_us),
            flow: ask.flow,
            attempt: *attempt,
            sent_us: probed.sent.unix_us,
            reply: probed.reply,
        });
        Self {
            destination,
            span_us: trace.span_us,
            end,
            switch: trace.tracer.switch(),
            unsteady: (1..=seen.last_ttl())
                .filter(|ttl| seen.hop(*ttl).is_unsteady())
                .collect(),
            gone: seen.gone_ttls().collect(),
            failure_probability: bound_failure(options, end, seen),
            links: find_crossed(seen, &trace.probes, &destination.prefix),
            aliases: trace.resolver.as_ref().map(Resolver::testimony),
            counter: trace.resolver.as_ref().and_then(Resolver::counter),
            soundings: trace.soundings,
            probes: probes.collect(),
            way: trace.way,
        }
    }

    /// The number of rows that it takes in a part: one a probe, and one if nothing was sent.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.probes.len().max(1)
    }
}

/// Returns the highest probability that a link between the vertices of a trace was missed: that of
/// one branching vertex at least, where each is missed independently. None for an algorithm that
/// does not look for all links, for a trace that was cut off, and for one that lost a router.
fn bound_failure(options: &TraceOptions, end: End, seen: &Sightings) -> Option<f64> {
    let is_whole = matches!(end, End::Completed | End::GapLimit | End::Loop);
    if !is_whole
        || seen.gone_ttls().next().is_some()
        || options.parameters.algorithm == "singlePath"
    {
        return None;
    }
    let mut successors: BTreeMap<(u8, Option<Vertex>), u32> = BTreeMap::new();
    for link in seen.links() {
        *successors.entry((link.near_ttl, link.near)).or_default() += 1;
    }
    let branching = successors.values().filter(|count| **count > 1).count() as u32;
    let kept = 1.0 - options.parameters.failure_probability;
    Some(1.0 - kept.powf(branching.into()))
}

fn find_crossed(
    seen: &Sightings,
    probes: &BTreeMap<(Ask, u8), Probed>,
    prefix: &Prefix,
) -> Vec<Crossed> {
    let links = seen.links();
    let crossed = links.iter().filter_map(|link| cross(seen, probes, link));
    // Replies from the target itself are those of hosts, as in other parts.
    let is_router = |address: u128| !(prefix.first()..=prefix.last()).contains(&address);
    crossed
        .filter(|link| is_router(link.near) && is_router(link.far))
        .collect()
}

/// Returns a link between two routers with the flows that crossed it; None for any other link.
fn cross(seen: &Sightings, probes: &BTreeMap<(Ask, u8), Probed>, link: &Link) -> Option<Crossed> {
    let (Some(Vertex::Router(near)), Vertex::Router(far)) = (link.near, link.far) else {
        return None;
    };
    if near == far {
        return None;
    }
    let (near_ttl, far_ttl) = (link.near_ttl, link.near_ttl + 1);
    let mut crossed = Crossed {
        near_ttl,
        near,
        far,
        flows: 0,
        first_end_us: u64::MAX,
        last_start_us: 0,
        is_unlikely: false,
    };
    let mut returned = 0;
    for flow in seen.hop(far_ttl).flows(link.far) {
        // A flow that was not probed at a hop of one vertex passes it, too.
        let met = seen.hop(near_ttl).vertex(flow);
        if met.is_some_and(|met| Some(met) != link.near && met != Vertex::Silent) {
            continue;
        }
        let far_us = find_sent(probes, Ask { flow, ttl: far_ttl })?;
        let near_us = find_sent(
            probes,
            Ask {
                flow,
                ttl: near_ttl,
            },
        )
        .unwrap_or(far_us);
        crossed.flows += 1;
        crossed.first_end_us = crossed.first_end_us.min(near_us.max(far_us));
        crossed.last_start_us = crossed.last_start_us.max(near_us.min(far_us));
        let mut before = 1..=near_ttl;
        returned += u32::from(before.any(|ttl| seen.hop(ttl).vertex(flow) == Some(link.far)));
    }
    crossed.is_unlikely = 2 * returned > crossed.flows;
    (crossed.flows > 0).then_some(crossed)
}

/// Returns when the first answered probe of a flow and TTL was sent.
fn find_sent(probes: &BTreeMap<(Ask, u8), Probed>, ask: Ask) -> Option<u64> {
    let mut attempts = probes.range((ask, 0)..=(ask, u8::MAX));
    let (_, first) = attempts.find(|(_, probed)| probed.reply.is_some())?;
    Some(first.sent.unix_us)
}
