//! The graph of the nodes that a line of several paths lists.

use std::collections::HashMap;
use std::net::IpAddr;

use super::graph::{LinkedNode, Source};
use crate::json::Time;
use crate::record::{Graph, Link, Node, Probe};

/// The nodes of a graph by their addresses.
struct Places {
    nodes: Vec<Node>,
    /// Those of an address in their order.
    by_address: HashMap<IpAddr, Vec<usize>>,
    /// The first TTL at which each flow met each.
    met: HashMap<(usize, u32), u8>,
}

impl Places {
    fn add(&mut self, node: Node) -> usize {
        let place = self.nodes.len();
        if let Some(address) = node.address {
            self.by_address.entry(address).or_default().push(place);
        }
        self.nodes.push(node);
        place
    }

    /// Returns the far end of a link: the next node of this address, or else one before.
    ///
    /// An address has several nodes if the TTLs in its quotes differ.
    fn far(&mut self, near: usize, address: IpAddr) -> usize {
        let known = self.by_address.get(&address).map_or(&[][..], Vec::as_slice);
        let behind = known.partition_point(|place| *place <= near);
        let before = known.first().filter(|place| **place < near);
        match known.get(behind).or(before) {
            Some(place) => *place,
            None => self.add(Node {
                address: Some(address),
                ..Node::default()
            }),
        }
    }

    /// Notes which flows met a node, and when.
    fn note(&mut self, node: Option<usize>, probes: &[Probe]) {
        let answered = probes.iter().filter(|probe| !probe.replies.is_empty());
        for (node, probe) in node
            .into_iter()
            .flat_map(|node| answered.clone().map(move |it| (node, it)))
        {
            let ttl = self.met.entry((node, probe.flow)).or_insert(probe.ttl);
            *ttl = probe.ttl.min(*ttl);
        }
    }

    /// Returns the number of hops to probes behind a node, if all whose flows have met it agree; else 1.
    fn length(&self, near: usize, first_ttl: u8, probes: &[Probe]) -> usize {
        let begin = (near == 0).then_some(first_ttl);
        let length = |probe: &Probe| {
            let ttl = self.met.get(&(near, probe.flow)).copied().or(begin)?;
            Some(probe.ttl.saturating_sub(ttl).max(1))
        };
        let mut lengths = probes.iter().filter_map(length);
        let first = lengths
            .next()
            .filter(|first| lengths.all(|length| length == *first));
        usize::from(first.unwrap_or(1))
    }
}

/// Returns the graph of the nodes that have links, and that has so many nodes if they are fewer.
///
/// The TTLs of probes tell whether there are silent hops before one of several far ends.
pub(super) fn assemble(listed: Vec<LinkedNode>, count: usize, first_ttl: u8) -> Graph {
    let mut places = Places {
        nodes: Vec::new(),
        by_address: HashMap::new(),
        met: HashMap::new(),
    };
    let mut all = Vec::new();
    for node in listed {
        all.push((node.linkc, node.links));
        places.add(Node {
            address: node.addr,
            quoted_ttl: node.q_ttl,
            name: node.name.filter(|name| !name.is_empty()),
        });
    }
    let mut links = Vec::new();
    for (near, (count, hops)) in all.into_iter().enumerate() {
        if count > 1 {
            for source in hops.into_iter().flatten() {
                let far = source.addr.map(|address| places.far(near, address));
                let probes = gather(vec![source]);
                places.note(far, &probes);
                let mut hops = vec![Vec::new(); places.length(near, first_ttl, &probes) - 1];
                hops.push(probes);
                links.push(Link { near, far, hops });
            }
        } else if let Some(last) = hops.last() {
            let address = last.iter().find_map(|source| source.addr);
            let far = address.map(|address| places.far(near, address));
            let hops: Vec<Vec<Probe>> = hops.into_iter().map(gather).collect();
            places.note(far, hops.last().map_or(&[][..], Vec::as_slice));
            links.push(Link { near, far, hops });
        }
    }
    let mut nodes = places.nodes;
    if nodes.len() < count {
        nodes.resize_with(count, Node::default);
    }
    Graph { nodes, links }
}

/// Returns the probes of a hop, each once, whatever replied to it.
///
/// A star beside other sources says that a probe was silent, and not which.
fn gather(sources: Vec<Source>) -> Vec<Probe> {
    let mut probes: Vec<Probe> = Vec::new();
    let mut known = HashMap::new();
    let star = |source: &Source| source.addr.is_none() && source.probes.is_empty();
    let silent = sources.len() > 1 && sources.iter().any(star);
    for source in sources {
        for sent in source.probes {
            let time = sent.tx.and_then(Time::micros);
            let key = (sent.ttl, sent.flowid, sent.attempt, time);
            let place = *known.entry(key).or_insert(probes.len());
            if place == probes.len() {
                probes.push(Probe {
                    ttl: sent.ttl,
                    flow: sent.flowid,
                    attempt: u16::from(sent.attempt) + 1,
                    sent_us: time,
                    ..Probe::default()
                });
            }
            // What replied without an address has not been told apart from silence.
            if let Some(from) = source.addr {
                let replies = sent.replies.into_iter();
                probes[place]
                    .replies
                    .extend(replies.map(|it| it.into_reply(from)));
            }
        }
    }
    if silent {
        let ttl = probes.first().map_or(0, |probe| probe.ttl);
        probes.push(Probe {
            ttl,
            ..Probe::default()
        });
    }
    probes
}
