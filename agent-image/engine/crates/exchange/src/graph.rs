//! The paths of a target's flows as one graph, as scamper's tracelb has it.
//!
//! A node is an address, wherever on the paths it replies. A link joins the replies to a flow at
//! neighbouring TTLs, or across hops that were silent to it. Between routers, the tracer knows better
//! than its probes which links there are, so where a trace has a conclusion, those count.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anabranch_formats::record::{Graph, Link, Node, Probe};

use crate::probes::{is_end, probe};
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

/// Returns the graph of a target's flows.
pub(crate) fn join_flows(target: &Target, flows: &BTreeMap<u32, Vec<&Row>>) -> Graph {
    let met: BTreeMap<u32, BTreeMap<u8, Met>> = flows
        .iter()
        .map(|(flow, rows)| (*flow, meet(rows)))
        .collect();
    let mut ttls: BTreeMap<IpAddr, u8> = BTreeMap::new();
    for (ttl, hop) in met.values().flatten() {
        if let Met::Router(address) | Met::End(address) = hop {
            let first = ttls.entry(*address).or_insert(*ttl);
            *first = (*first).min(*ttl);
        }
    }
    let mut order: Vec<(u8, IpAddr)> = ttls.iter().map(|(each, ttl)| (*ttl, *each)).collect();
    order.sort_unstable();
    let number: BTreeMap<IpAddr, usize> = order
        .iter()
        .enumerate()
        .map(|(number, (_, address))| (*address, number))
        .collect();
    let mut links: Vec<Link> = find_crossings(target, flows, &met)
        .into_iter()
        .map(|((near, far, silent), crossings)| Link {
            near: number[&near],
            far: far.map(|far| number[&far]),
            hops: list_hops(flows, far, silent, &crossings),
        })
        .collect();
    links.sort_by_key(|link| (link.near, link.far, link.hops.len()));
    let replies = flows
        .values()
        .flatten()
        .filter_map(|row| row.reply.as_ref());
    let quoted: BTreeMap<IpAddr, Option<u8>> = replies
        .rev()
        .map(|reply| (reply.from, reply.quoted_ttl))
        .collect();
    let nodes = order.iter().map(|(_, address)| Node {
        address: Some(*address),
        quoted_ttl: quoted.get(address).copied().flatten(),
        name: None,
    });
    Graph {
        nodes: nodes.collect(),
        links,
    }
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

/// Returns the TTLs at which a flow had several interfaces answer.
fn find_unsteady(flows: &BTreeMap<u32, Vec<&Row>>) -> BTreeSet<u8> {
    let mut unsteady = BTreeSet::new();
    for rows in flows.values() {
        let mut first: BTreeMap<u8, IpAddr> = BTreeMap::new();
        for row in rows {
            if let Some(reply) = &row.reply
                && *first.entry(row.ttl).or_insert(reply.from) != reply.from
            {
                unsteady.insert(row.ttl);
            }
        }
    }
    unsteady
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
