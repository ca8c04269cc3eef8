//! MDA-Lite: hop by hop, without node control where a diamond is uniform and unmeshed (section
//! 2.3 of the paper).

use crate::mda::choose_flows;
use crate::sightings::{Ask, Sightings, Vertex};
use crate::stopping::StoppingPoints;

/// The reason for which MDA-Lite goes over to the MDA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Two hops are meshed.
    Meshed,
    /// Vertices of a hop differ in their number of successors or predecessors.
    Asymmetric,
    /// Some paths end at a hop where others go on.
    UnequalLengths,
}

impl Switch {
    /// Returns the switch as results name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meshed => "meshed",
            Self::Asymmetric => "asymmetric",
            Self::UnequalLengths => "unequal lengths",
        }
    }
}

/// What comes next between two hops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// These probes; with none, the hop is done.
    Probe(Vec<Ask>),
    /// The MDA, with all that was seen.
    Switch(Switch),
}

/// Decides what the hop at `ttl`, and its links with the hop before, still take.
#[must_use]
pub fn decide(seen: &Sightings, points: &StoppingPoints, phi: usize, ttl: u8) -> Next {
    let steps = [find_vertices, complete_edges, test_meshing];
    // Edges can't be told from flows that meet now this vertex and now that.
    let is_steady = seen.is_steady(ttl - 1);
    for step in &steps[..if is_steady { steps.len() } else { 1 }] {
        let asks = step(seen, points, phi, ttl);
        if !asks.is_empty() {
            return Next::Probe(asks);
        }
    }
    match judge(seen, ttl) {
        Some(switch) if is_steady => Next::Switch(switch),
        _ => Next::Probe(Vec::new()),
    }
}

/// Section 2.3.1, vertices: one flow of each vertex of the hop before, then other flows in use,
/// then new ones, up to the stopping point of the hop as a whole.
fn find_vertices(seen: &Sightings, points: &StoppingPoints, _phi: usize, ttl: u8) -> Vec<Ask> {
    let hop = seen.hop(ttl);
    let missing = points
        .after(hop.vertices().len())
        .saturating_sub(hop.probed());
    let near = seen.hop(ttl - 1);
    let goes_on = near.vertices().iter().filter(|v| v.leads_on());
    let first = goes_on.filter_map(|v| near.flows(*v).find(|flow| hop.vertex(*flow).is_none()));
    let mut asks: Vec<Ask> = if hop.probed() == 0 {
        first.map(|flow| Ask { flow, ttl }).take(missing).collect()
    } else {
        Vec::new()
    };
    let others = choose_flows(seen, ttl, missing);
    let others = others.into_iter().filter(|ask| !asks.contains(ask));
    let more: Vec<Ask> = others.take(missing - asks.len()).collect();
    asks.extend(more);
    asks
}

/// Section 2.3.1, edges: forward from vertices without a successor where the next hop is not
/// wider, and backward from vertices without a predecessor where it is not narrower.
fn complete_edges(seen: &Sightings, _points: &StoppingPoints, _phi: usize, ttl: u8) -> Vec<Ask> {
    if seen.is_single(ttl - 1) {
        return Vec::new();
    }
    let (near, far) = (seen.hop(ttl - 1), seen.hop(ttl));
    let (before, behind) = (near.vertices(), far.vertices());
    let mut asks = Vec::new();
    if behind.len() <= before.len() {
        let lonely = before
            .iter()
            .filter(|v| v.leads_on() && seen.successors(ttl - 1, **v).is_empty());
        let flows = lonely.filter_map(|v| near.flows(*v).next());
        asks.extend(flows.map(|flow| Ask { flow, ttl }));
    }
    if behind.len() >= before.len() {
        let lonely = behind.iter().filter(|v| !seen.has_predecessor(ttl, **v));
        let flows = lonely.filter_map(|v| far.flows(*v).next());
        asks.extend(flows.map(|flow| Ask { flow, ttl: ttl - 1 }));
    }
    asks
}

/// Section 2.3.2: `phi` flows of each vertex of the wider hop, sent to the other hop.
fn test_meshing(seen: &Sightings, _points: &StoppingPoints, phi: usize, ttl: u8) -> Vec<Ask> {
    let Some((from, to)) = choose_test(seen, ttl) else {
        return Vec::new();
    };
    let (source, other) = (seen.hop(from), seen.hop(to));
    let mut asks = Vec::new();
    let mut lacking = 0;
    for vertex in source.responsive() {
        let (tested, ready): (Vec<_>, Vec<_>) = source
            .flows(vertex)
            .partition(|flow| other.vertex(*flow).is_some());
        let missing = phi.saturating_sub(tested.len());
        if !seen.is_gone(from, vertex) {
            lacking += missing.saturating_sub(ready.len());
        }
        let flows = ready.into_iter().take(missing);
        asks.extend(flows.map(|flow| Ask { flow, ttl: to }));
    }
    asks.extend(choose_flows(seen, from, lacking));
    asks
}

/// Returns the hop from which meshing is tested and the hop to which, or None if one of the two
/// has a single vertex.
fn choose_test(seen: &Sightings, ttl: u8) -> Option<(u8, u8)> {
    let width = |ttl| seen.hop(ttl).responsive().count();
    let (before, behind) = (width(ttl - 1), width(ttl));
    (before.min(behind) > 1).then_some(if before >= behind {
        (ttl - 1, ttl)
    } else {
        (ttl, ttl - 1)
    })
}

/// Sections 2.3.2 and 2.3.3: whether the two hops are meshed, or differ in their degrees.
fn judge(seen: &Sightings, ttl: u8) -> Option<Switch> {
    let far = seen.hop(ttl);
    let mut vertices = far.vertices().iter();
    let has_ends = far.vertices().iter().any(|v| !v.leads_on());
    if has_ends && vertices.any(|vertex| seen.goes_on(ttl, *vertex)) {
        return Some(Switch::UnequalLengths);
    }
    let degrees = |ttl, forward: bool| -> Vec<usize> {
        (seen.hop(ttl).responsive())
            .map(|vertex| {
                let others = if forward {
                    seen.successors(ttl, vertex)
                } else {
                    seen.predecessors(ttl, vertex)
                };
                others.iter().filter(|v| **v != Vertex::Silent).count()
            })
            .collect()
    };
    let (from, _) = choose_test(seen, ttl)?;
    let successors = degrees(ttl - 1, true);
    let predecessors = degrees(ttl, false);
    let tested = if from < ttl {
        &successors
    } else {
        &predecessors
    };
    let differ = |degrees: &[usize]| degrees.iter().any(|degree| *degree != degrees[0]);
    if tested.iter().any(|degree| *degree > 1) {
        Some(Switch::Meshed)
    } else if differ(&successors) || differ(&predecessors) {
        Some(Switch::Asymmetric)
    } else {
        None
    }
}
