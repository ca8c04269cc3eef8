//! Does a load balancer send the packets of one flow by different paths? The paper leaves this out;
//! Augustin, Friedman and Teixeira test it ("Measuring Load-balanced Paths in the Internet", IMC
//! 2007).

use std::collections::BTreeSet;

use crate::sightings::{Ask, Sightings, Vertex};
use crate::stopping::StoppingPoints;

/// Returns the probes to send once more, to tell whether the load is balanced by flow between the
/// hop before and the one at `ttl`; none if that is known, or if nothing is balanced there.
///
/// With k paths, a flow that is sent once more by chance meets the same vertex with the probability
/// 1/k. So `n_1 - 1` flows, each sent once more, all do so with at most the failure probability.
#[must_use]
pub fn repeat(seen: &Sightings, points: &StoppingPoints, ttl: u8) -> Vec<Ask> {
    let (near, hop) = (seen.hop(ttl - 1), seen.hop(ttl));
    let needed = points.after(1) - 1;
    let missing = needed.saturating_sub(hop.repeated());
    if missing == 0 || hop.is_unsteady() || !seen.is_steady(ttl - 1) {
        return Vec::new();
    }
    let count = |vertices: BTreeSet<Vertex>| {
        let answer = vertices.iter().filter(|v| **v != Vertex::Silent);
        answer.count()
    };
    let branches = |vertex: Vertex| count(seen.successors(ttl - 1, vertex)) > 1;
    let is_balanced = |flow| match near.vertex(flow) {
        _ if seen.is_single(ttl - 1) => hop.responsive().count() > 1,
        Some(vertex) => vertex != Vertex::Silent && branches(vertex),
        None => false,
    };
    let answered = hop.responsive().flat_map(|vertex| hop.flows(vertex));
    let fresh = answered.filter(|flow| !hop.is_repeated(*flow) && is_balanced(*flow));
    fresh.take(missing).map(|flow| Ask { flow, ttl }).collect()
}
