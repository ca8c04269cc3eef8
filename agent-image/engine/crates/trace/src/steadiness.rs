//! Does a load balancer send the packets of one flow by different paths? The paper leaves this out;
//! Augustin, Friedman and Teixeira test it ("Measuring Load-balanced Paths in the Internet", IMC
//! 2007).

use crate::sightings::{Ask, Flow, Sightings, Vertex};
use crate::stopping::StoppingPoints;

/// Returns the probes to send once more, to tell whether the load is balanced by flow between the
/// hop before and the one at `ttl`; none if that is known, or if nothing is balanced there.
///
/// With k paths, a flow that is sent once more by chance meets the same vertex with the probability
/// 1/k. So many flows are sent once more that all do so with at most the failure probability:
/// `n_1 - 1` where there are two paths, and fewer where there are more.
#[must_use]
pub fn repeat(seen: &Sightings, points: &StoppingPoints, ttl: u8) -> Vec<Ask> {
    let hop = seen.hop(ttl);
    if hop.is_unsteady() || !seen.is_steady(ttl - 1) {
        return Vec::new();
    }
    let agree = |flow| 1.0 / f64::from(count_paths(seen, flow, ttl));
    let mut chance: f64 = hop.repeated().map(agree).product();
    let answered = hop.responsive().flat_map(|vertex| hop.flows(vertex));
    let fresh = answered.filter(|flow| !hop.is_repeated(*flow));
    let mut balanced = fresh.filter(|flow| agree(*flow) < 1.0);
    let mut asks = Vec::new();
    while chance > points.failure_probability()
        && let Some(flow) = balanced.next()
    {
        chance *= agree(flow);
        asks.push(Ask { flow, ttl });
    }
    asks
}

/// Returns the number of vertices at `ttl` among which a load balancer might choose for each packet
/// of a flow, as far as they are known.
fn count_paths(seen: &Sightings, flow: Flow, ttl: u8) -> u32 {
    let answers = |vertex: &Vertex| *vertex != Vertex::Silent;
    let paths = if seen.is_single(ttl - 1) {
        seen.hop(ttl).responsive().count()
    } else {
        let near = seen.hop(ttl - 1).vertex(flow).filter(answers);
        let behind = near.map(|vertex| seen.successors(ttl - 1, vertex));
        behind.map_or(1, |behind| behind.iter().filter(|v| answers(v)).count())
    };
    paths.max(1) as u32
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
    fn two_paths_take_one_flow_less_than_the_first_stopping_point() {
        for failure_probability in [0.05, 0.01, 0.00393] {
            let points = StoppingPoints::new(failure_probability);
            let count = count_repeated(2, failure_probability);
            assert_eq!(count, points.after(1) - 1);
        }
    }
}
