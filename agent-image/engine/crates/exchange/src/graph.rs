//! The paths of a target's flows as one graph, as scamper's tracelb has it.
//!
//! A node is an address, wherever on the paths it replies. A link joins the replies to a flow at
//! neighbouring TTLs, or across hops that were silent to it. Between routers, the tracer knows better
//! than its probes which links there are, so where a trace has a conclusion, those count.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anabranch_formats::record::{Graph, Link, Node, Probe};

use crate::path::{find_unsteady, is_end, probe};
use crate::rows::{Row, Target};

/// The ends of a link, and the number of silent hops between them.
type Ends = (IpAddr, Option<IpAddr>, u8);

/// What a flow met at a TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    Silence,
    Router(IpAddr),
    End(IpAddr),
}

/// A node: an address, or a silent hop behind one, the first of them 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Address(IpAddr),
    Silence(IpAddr, u8),
}

/// Returns the graph of a target's flows.
pub(crate) fn join_flows(target: &Target, flows: &BTreeMap<u32, Vec<&Row>>) -> Graph {
    let met: BTreeMap<u32, BTreeMap<u8, Met>> = flows
        .iter()
        .map(|(flow, rows)| (*flow, meet(rows)))
        .collect();
    let mut ttls: BTreeMap<Place, u8> = BTreeMap::new();
    for (ttl, hop) in met.values().flatten() {
        if let Met::Router(address) | Met::End(address) = hop {
            let first = ttls.entry(Place::Address(*address)).or_insert(*ttl);
            *first = (*first).min(*ttl);
        }
    }
    let links = connect(flows, &find_crossings(target, flows, &met));
    for (near, far) in links.keys() {
        for place in [Some(near), far.as_ref()].into_iter().flatten() {
            if let Place::Silence(behind, hop) = place {
                let ttl = ttls[&Place::Address(*behind)].saturating_add(hop + 1);
                ttls.insert(*place, ttl);
            }
        }
    }
    let mut order: Vec<(u8, Place)> = ttls.iter().map(|(place, ttl)| (*ttl, *place)).collect();
    order.sort_unstable();
    let number: BTreeMap<Place, usize> = order
        .iter()
        .enumerate()
        .map(|(number, (_, place))| (*place, number))
        .collect();
    let mut links: Vec<Link> = links
        .into_iter()
        .map(|((near, far), hops)| Link {
            near: number[&near],
            far: far.map(|far| number[&far]),
            hops,
        })
        .collect();
    links.sort_by_key(|link| (link.near, link.far));
    let replies = flows
        .values()
        .flatten()
        .filter_map(|row| row.reply.as_ref());
    let quoted: BTreeMap<IpAddr, Option<u8>> = replies
        .rev()
        .map(|reply| (reply.from, reply.quoted_ttl))
        .collect();
    let nodes = order.iter().map(|(_, place)| match place {
        Place::Address(address) => Node {
            address: Some(*address),
            quoted_ttl: quoted.get(address).copied().flatten(),
            name: None,
        },
        Place::Silence(..) => Node::default(),
    });
    Graph {
        nodes: nodes.collect(),
        links,
    }
}

/// Returns the links between nodes, with the probes of each hop.
///
/// A link may have several hops only if it is the only one of its nearer node, since scamper's tools
/// read no more than one hop of others. Silent hops are nodes then.
fn connect(
    flows: &BTreeMap<u32, Vec<&Row>>,
    crossings: &BTreeMap<Ends, BTreeSet<(u32, u8)>>,
) -> BTreeMap<(Place, Option<Place>), Vec<Vec<Probe>>> {
    let mut counts: BTreeMap<IpAddr, u32> = BTreeMap::new();
    for (near, ..) in crossings.keys() {
        *counts.entry(*near).or_default() += 1;
    }
    let mut links: BTreeMap<(Place, Option<Place>), Vec<Vec<Probe>>> = BTreeMap::new();
    for ((near, far, silent), flows_across) in crossings {
        let hops = list_hops(flows, *far, *silent, flows_across);
        let ends = far.map(Place::Address);
        let mut from = Place::Address(*near);
        if counts[near] == 1 {
            links.insert((from, ends), hops);
            continue;
        }
        let last = hops.len() - 1;
        for (hop, probes) in hops.into_iter().enumerate() {
            let silence = Place::Silence(*near, hop as u8);
            let to = if hop == last { ends } else { Some(silence) };
            let known = links.entry((from, to)).or_insert_with(|| vec![Vec::new()]);
            known[0].extend(probes);
            from = silence;
        }
    }
    links
}

/// Returns what a flow met at each TTL up to the end of its path.
fn meet(rows: &[&Row]) -> BTreeMap<u8, Met> {
    let mut met = BTreeMap::new();
    for row in rows {
        let hop = match &row.reply {
            None => Met::Silence,
            Some(reply) if is_end(row) => Met::End(reply.from),
            Some(reply) => Met::Router(reply.from),
        };
        let known = met.entry(row.ttl).or_insert(hop);
        if *known == Met::Silence {
            *known = hop;
        }
    }
    let end = met.iter().find(|(_, hop)| matches!(hop, Met::End(_)));
    if let Some(end) = end.map(|(ttl, _)| *ttl) {
        met.retain(|ttl, _| *ttl <= end);
    }
    met
}

/// Returns each link with the flows that crossed it, and the TTL of its nearer node there.
fn find_crossings(
    target: &Target,
    flows: &BTreeMap<u32, Vec<&Row>>,
    met: &BTreeMap<u32, BTreeMap<u8, Met>>,
) -> BTreeMap<Ends, BTreeSet<(u32, u8)>> {
    let concluded = target.conclusion.as_ref();
    let told: Option<BTreeSet<(IpAddr, IpAddr)>> = concluded.map(|each| {
        each.links
            .iter()
            .map(|(_, near, far)| (*near, *far))
            .collect()
    });
    let mut unsteady = find_unsteady(flows);
    unsteady.extend(concluded.iter().flat_map(|each| &each.unsteady));
    let mut crossings: BTreeMap<Ends, BTreeSet<(u32, u8)>> = BTreeMap::new();
    let mut tails: BTreeMap<IpAddr, (u8, BTreeSet<(u32, u8)>)> = BTreeMap::new();
    for (flow, hops) in met {
        let mut last: Option<(u8, IpAddr)> = None;
        let mut silent = 0;
        let mut before = None;
        for (ttl, hop) in hops {
            // A TTL that was not probed: what is there is not known.
            if before.is_some_and(|before| before + 1 != *ttl) {
                (last, silent) = (None, 0);
            }
            before = Some(*ttl);
            let (Met::Router(far) | Met::End(far)) = *hop else {
                silent += 1;
                continue;
            };
            if let Some((near_ttl, near)) = last {
                let is_told = match (&told, hop) {
                    (Some(told), Met::Router(_)) if silent == 0 => told.contains(&(near, far)),
                    _ => !unsteady.contains(&near_ttl) && !unsteady.contains(ttl),
                };
                if near != far && is_told {
                    let link = crossings.entry((near, Some(far), silent));
                    link.or_default().insert((*flow, near_ttl));
                }
            }
            (last, silent) = (Some((*ttl, far)), 0);
        }
        if let Some((ttl, near)) = last.filter(|_| silent > 0) {
            let tail = tails.entry(near).or_default();
            tail.0 = tail.0.max(silent - 1);
            tail.1.insert((*flow, ttl));
        }
    }
    for (near_ttl, near, far) in concluded.iter().flat_map(|each| &each.links) {
        // Where all flows meet, a tracer does not probe each of them at both ends.
        let link = crossings.entry((*near, Some(*far), 0)).or_default();
        if link.is_empty() {
            let there = met.iter().filter(|(_, hops)| {
                hops.get(&(near_ttl + 1)) == Some(&Met::Router(*far))
                    && hops
                        .get(near_ttl)
                        .is_none_or(|hop| *hop == Met::Router(*near))
            });
            link.extend(there.map(|(flow, _)| (*flow, *near_ttl)));
        }
    }
    // Of a node that links leave, it does not matter that other flows met nothing behind it.
    let begun: BTreeSet<IpAddr> = crossings.keys().map(|(near, ..)| *near).collect();
    for (near, (silent, flows)) in tails {
        if !begun.contains(&near) {
            crossings.insert((near, None, silent), flows);
        }
    }
    // A tracer's link may end at a router that replied to later attempts alone.
    let there: BTreeSet<IpAddr> = met
        .values()
        .flat_map(BTreeMap::values)
        .filter_map(|hop| match hop {
            Met::Silence => None,
            Met::Router(address) | Met::End(address) => Some(*address),
        })
        .collect();
    crossings.retain(|(near, far, _), _| {
        there.contains(near) && far.is_none_or(|far| there.contains(&far))
    });
    crossings
}

/// Returns the probes of each hop of a link.
fn list_hops(
    flows: &BTreeMap<u32, Vec<&Row>>,
    far: Option<IpAddr>,
    silent: u8,
    crossings: &BTreeSet<(u32, u8)>,
) -> Vec<Vec<Probe>> {
    let hops = 1..=u16::from(silent) + 1;
    let list_hop = |hop: u16| {
        let is_last = hop == u16::from(silent) + 1;
        let probes = crossings.iter().flat_map(|(flow, near_ttl)| {
            let rows = flows[flow].iter();
            rows.filter(move |row| u16::from(row.ttl) == u16::from(*near_ttl) + hop)
        });
        let is_of_it = |row: &&&Row| match (&row.reply, far) {
            (Some(reply), Some(far)) if is_last => reply.from == far,
            (reply, None) => reply.is_none(),
            (reply, Some(_)) => reply.is_none() && !is_last,
        };
        probes.filter(is_of_it).map(|row| probe(row)).collect()
    };
    hops.map(list_hop).collect()
}
