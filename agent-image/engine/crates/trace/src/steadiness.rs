//! Does a load balancer send the packets of one flow by different paths? The paper leaves this out;
//! Augustin, Friedman and Teixeira test it ("Measuring Load-balanced Paths in the Internet", IMC
//! 2007).

use std::collections::BTreeMap;

use crate::sightings::{Ask, Flow, Sightings, Vertex};
use crate::stopping::StoppingPoints;

/// Returns the probes to send once more, to tell whether the load is balanced by flow between the
/// hop before and the one at `ttl`; none if that is known, or if nothing is balanced there.
///
/// So many flows are sent once more that all of them meet the same vertex again by chance with at
/// most the failure probability: `n_1 - 1` where there are two equal paths, and fewer where there
/// are more. Those of rare vertices come first, since they hardly meet these again by chance. A
/// probe whose reply is lost tells nothing, so another flow takes its place.
#[must_use]
pub fn repeat(seen: &Sightings, points: &StoppingPoints, ttl: u8) -> Vec<Ask> {
    let hop = seen.hop(ttl);
    if hop.is_unsteady() || !seen.is_steady(ttl - 1) {
        return Vec::new();
    }
    let branches = find_branches(seen, ttl);
    let again = |branch: &Branch| {
        let flows = branch.flows.iter().filter(|flow| hop.has_met_again(**flow));
        flows.map(|_| branch.agreement).product::<f64>()
    };
    let mut chance: f64 = branches.iter().map(again).product();
    let mut asks = Vec::new();
    for branch in &branches {
        for flow in branch.flows.iter().filter(|flow| !hop.is_repeated(**flow)) {
            if chance <= points.failure_probability() {
                return asks;
            }
            chance *= branch.agreement;
            asks.push(Ask { flow: *flow, ttl });
        }
    }
    asks
}

/// One of several vertices among which a load balancer chooses.
struct Branch {
    /// The flows that meet the vertex.
    flows: Vec<Flow>,
    /// Their share of all that the load balancer gets.
    share: f64,
    /// The probability with which one of them meets the vertex again, if the load is balanced by
    /// packet. A vertex that few flows have met may be as likely as the others.
    agreement: f64,
}

/// Returns what load balancers choose from for the hop at `ttl`, rare vertices first.
fn find_branches(seen: &Sightings, ttl: u8) -> Vec<Branch> {
    let is_single = seen.is_single(ttl - 1);
    let mut balancers: BTreeMap<Option<Vertex>, BTreeMap<Vertex, Vec<Flow>>> = BTreeMap::new();
    for vertex in seen.hop(ttl).responsive() {
        for flow in seen.hop(ttl).flows(vertex) {
            let near = seen.hop(ttl - 1).vertex(flow).filter(|_| !is_single);
            if is_single || near.is_some_and(|near| near != Vertex::Silent) {
                let behind = balancers.entry(near).or_default();
                behind.entry(vertex).or_default().push(flow);
            }
        }
    }
    let mut branches = Vec::new();
    for behind in balancers.into_values().filter(|behind| behind.len() > 1) {
        let equal = 1.0 / f64::from(behind.len() as u32);
        let all: usize = behind.values().map(Vec::len).sum();
        branches.extend(behind.into_values().map(|flows| {
            let share = f64::from(flows.len() as u32) / f64::from(all as u32);
            Branch {
                flows,
                share,
                agreement: share.max(equal),
            }
        }));
    }
    branches.sort_by(|one, other| one.share.total_cmp(&other.share));
    branches
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many of 20 flows are sent once more at a hop of so many routers.
    fn count_repeated(width: u16, failure_probability: f64) -> usize {
        let mut seen = Sightings::new(1);
        for flow in 0..20 {
            let ask = Ask { flow, ttl: 1 };
            seen.note(ask, Vertex::Router(u128::from(flow % width)));
        }
        let points = StoppingPoints::new(failure_probability);
        let asks = repeat(&seen, &points, 1);
        for ask in &asks {
            seen.note_repeated(*ask);
            seen.note_again(*ask, Vertex::Router(u128::from(ask.flow % width)));
        }
        assert_eq!(repeat(&seen, &points, 1), [], "these suffice");
        asks.len()
    }

    #[test]
    fn more_paths_take_fewer_flows_for_the_same_failure_probability() {
        let counts = |p| [1, 2, 3, 4, 5, 20].map(|width| count_repeated(width, p));
        assert_eq!(counts(0.05), [0, 5, 3, 3, 2, 1]);
        assert_eq!(counts(0.01), [0, 7, 5, 4, 3, 2]);
    }

    #[test]
    fn flows_of_a_rare_vertex_are_sent_once_more_first() {
        let mut seen = Sightings::new(1);
        for flow in 0..12 {
            let vertex = Vertex::Router(u128::from(flow % 6 == 5));
            seen.note(Ask { flow, ttl: 1 }, vertex);
        }
        let asks = repeat(&seen, &StoppingPoints::new(0.05), 1);
        // 0.5 to the power of 2, and 10 of 12 flows to that of 9.
        assert_eq!(asks.len(), 11);
        assert_eq!(asks[..2], [5, 11].map(|flow| Ask { flow, ttl: 1 }));
    }

    #[test]
    fn another_flow_takes_the_place_of_one_whose_reply_is_lost() {
        let mut seen = Sightings::new(1);
        for flow in 0..12 {
            seen.note(Ask { flow, ttl: 1 }, Vertex::Router(u128::from(flow % 2)));
        }
        let points = StoppingPoints::new(0.05);
        let asks = repeat(&seen, &points, 1);
        for ask in &asks {
            seen.note_repeated(*ask);
        }
        for ask in &asks[2..] {
            seen.note_again(*ask, Vertex::Router(u128::from(ask.flow % 2)));
        }
        let others = repeat(&seen, &points, 1);
        assert_eq!(others.len(), 2);
        assert!(others.iter().all(|ask| !asks.contains(ask)));
    }

    #[test]
    fn two_paths_take_one_flow_less_than_the_first_stopping_point() {
        for failure_probability in [0.05, 0.01, 0.00393] {
            let points = StoppingPoints::new(failure_probability);
            let count = count_repeated(2, failure_probability);
            assert_eq!(count, points.after(1) - 1);
        }
    }
}
