//! The links of a record's trace, and the flows that crossed them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anabranch_formats::record::{Graph, Probe, Trace};

/// A link between two routers, as the flows of a trace crossed it.
#[derive(Debug)]
pub(crate) struct Crossed {
    pub near_ttl: u8,
    pub near: IpAddr,
    pub far: IpAddr,
    pub flows: BTreeSet<u32>,
    /// When the first flow had sent both probes, and the last flow its first one.
    pub span_us: Option<(u64, u64)>,
    pub is_unlikely: bool,
}

/// Returns the links of a single path: a flow's replies at neighbouring TTLs, but for those of the
/// destination, where the first attempt with a reply counts.
pub(crate) fn follow(trace: &Trace, probes: &[Probe]) -> Vec<Crossed> {
    let mut hops: BTreeMap<(u32, u8), (u16, IpAddr, Option<u64>)> = BTreeMap::new();
    for probe in probes {
        if let Some(reply) = probe.replies.first() {
            let hop = (probe.attempt, reply.from, sent(probe));
            let first = hops.entry((probe.flow, probe.ttl)).or_insert(hop);
            if probe.attempt < first.0 {
                *first = hop;
            }
        }
    }
    let mut links: BTreeMap<(u8, IpAddr, IpAddr), Crossed> = BTreeMap::new();
    for (&(flow, far_ttl), &(_, far, far_us)) in &hops {
        let Some(near_ttl) = far_ttl.checked_sub(1) else {
            continue;
        };
        let Some(&(_, near, near_us)) = hops.get(&(flow, near_ttl)) else {
            continue;
        };
        if near == far || [near, far].contains(&trace.destination) {
            continue;
        }
        let mut before = hops.range((flow, 0)..(flow, far_ttl));
        let returned = before.any(|(_, (_, met, _))| *met == far);
        let times = near_us.zip(far_us);
        let times = times.map(|(near, far)| (near.max(far), near.min(far)));
        add_flow(&mut links, (near_ttl, near, far), flow, times, returned);
    }
    links.into_values().collect()
}

/// Returns the links of a graph between two routers that are neighbours.
pub(crate) fn list_links(trace: &Trace, graph: &Graph) -> Vec<Crossed> {
    let address = |node: usize| graph.nodes.get(node).and_then(|node| node.address);
    let mut links: BTreeMap<(u8, IpAddr, IpAddr), Crossed> = BTreeMap::new();
    for link in &graph.links {
        let ([hop], Some(near), Some(far)) = (
            link.hops.as_slice(),
            address(link.near),
            link.far.and_then(address),
        ) else {
            continue;
        };
        if near == far || [near, far].contains(&trace.destination) {
            continue;
        }
        for probe in hop.iter().filter(|probe| probe.ttl > 1) {
            let ends = (probe.ttl - 1, near, far);
            let times = sent(probe).map(|sent_us| (sent_us, sent_us));
            add_flow(&mut links, ends, probe.flow, times, false);
        }
    }
    links.into_values().collect()
}

fn add_flow(
    links: &mut BTreeMap<(u8, IpAddr, IpAddr), Crossed>,
    ends: (u8, IpAddr, IpAddr),
    flow: u32,
    times: Option<(u64, u64)>,
    is_unlikely: bool,
) {
    let (near_ttl, near, far) = ends;
    let link = links.entry(ends).or_insert_with(|| Crossed {
        near_ttl,
        near,
        far,
        flows: BTreeSet::new(),
        span_us: times,
        is_unlikely: true,
    });
    link.flows.insert(flow);
    link.is_unlikely &= is_unlikely;
    link.span_us = link
        .span_us
        .zip(times)
        .map(|(known, more)| (known.0.min(more.0), known.1.max(more.1)));
}

/// Returns when a probe was sent: as it is said, or by the reply and its RTT.
pub(crate) fn sent(probe: &Probe) -> Option<u64> {
    probe.sent_us.or_else(|| {
        let reply = probe.replies.first()?;
        reply.received_us?.checked_sub(reply.rtt_us?.into())
    })
}
