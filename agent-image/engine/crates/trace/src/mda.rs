//! The Multipath Detection Algorithm with node control (section 2.1 of the paper).

use std::collections::BTreeSet;

use crate::sightings::{Ask, Flow, Sightings, Vertex};
use crate::stopping::StoppingPoints;

/// A vertex that one flow in k meets takes k times the flows that it lacks, on average. This part of
/// them is looked for at once. It takes a percent more probes, and a rare vertex fewer round trips.
const BOLDNESS: usize = 4;

/// Returns the probes that the successors of the vertices at `ttl - 1` still take; none if the
/// stopping points are reached.
///
/// Nearly all of them are needed, whatever the replies: stopping points only grow, and a new flow can
/// reach only one vertex. So sending them at once costs hardly more probes than one after the other.
#[must_use]
pub fn ask(seen: &Sightings, points: &StoppingPoints, ttl: u8) -> Vec<Ask> {
    let near = ttl - 1;
    // Flows of which nobody knows where they pass can't be controlled.
    if seen.is_single(near) || !seen.is_steady(near) {
        let hop = seen.hop(ttl);
        let missing = points
            .after(hop.vertices().len())
            .saturating_sub(hop.probed());
        return choose_flows(seen, ttl, missing);
    }
    let strays = ask_predecessors(seen, near);
    if !strays.is_empty() {
        return strays;
    }
    let mut asks = Vec::new();
    let (mut lacking, mut alone) = (0, 0);
    let hop = seen.hop(near);
    for vertex in hop.vertices().iter().filter(|v| v.leads_on()) {
        let (mut missing, ready) = control(seen, points, near, *vertex);
        if seen.is_gone(near, *vertex) {
            missing = ready.len();
        }
        let found = hop.flows(*vertex).count().max(1);
        let expected = (missing - ready.len()) * hop.probed() / found;
        alone = alone.max(expected / BOLDNESS);
        lacking += missing - ready.len();
        asks.extend(ready.into_iter().map(|flow| Ask { flow, ttl }));
    }
    asks.extend(choose_flows(seen, near, lacking.max(alone)));
    asks
}

/// Node control: returns how many more flows have to go on from a vertex, and those of them that
/// are known to reach it. No flows are looked for to reach a star, which may be a lost reply.
fn control(
    seen: &Sightings,
    points: &StoppingPoints,
    ttl: u8,
    vertex: Vertex,
) -> (usize, Vec<Flow>) {
    let far = seen.hop(ttl + 1);
    let mut successors = BTreeSet::new();
    let mut probed = 0;
    let mut ready = Vec::new();
    for flow in seen.hop(ttl).flows(vertex) {
        match far.vertex(flow) {
            Some(successor) => {
                probed += 1;
                successors.insert(successor);
            }
            None => ready.push(flow),
        }
    }
    let missing = points.after(successors.len()).saturating_sub(probed);
    ready.truncate(missing);
    match vertex {
        Vertex::Silent => (ready.len(), ready),
        _ => (missing, ready),
    }
}

/// Returns a probe for each vertex at `ttl` that has no known predecessor: flows that were made to
/// reach other vertices there have found it.
fn ask_predecessors(seen: &Sightings, ttl: u8) -> Vec<Ask> {
    if seen.is_single(ttl - 1) || !seen.is_steady(ttl - 1) {
        return Vec::new();
    }
    let hop = seen.hop(ttl);
    let strays = hop
        .vertices()
        .iter()
        .filter(|v| !seen.has_predecessor(ttl, **v));
    let flows = strays.filter_map(|vertex| hop.flows(*vertex).next());
    flows.map(|flow| Ask { flow, ttl: ttl - 1 }).collect()
}

/// Returns `count` probes to a hop, of flows that were not probed there: flows in use first, then
/// new ones.
pub(crate) fn choose_flows(seen: &Sightings, ttl: u8, count: usize) -> Vec<Ask> {
    let hop = seen.hop(ttl);
    let is_free = |flow: &Flow| hop.vertex(*flow).is_none() && !seen.has_ended(*flow, ttl);
    let used = (0..seen.flows()).filter(is_free);
    let flows = used.chain(seen.flows()..Flow::MAX).take(count);
    flows.map(|flow| Ask { flow, ttl }).collect()
}
