//! A star beside ends: hosts that hold back some of their replies, or a silent router on a longer
//! path? The paper leaves stars out.

use crate::sightings::{Ask, Sightings, Vertex};
use crate::stopping::StoppingPoints;

/// Returns the probes behind a star beside ends that tell whether a longer path leads through it.
///
/// If at least every second one of its flows goes on to a router that answers, `n_1 - 1` of them all
/// miss that router with at most the failure probability. Fewer are sent if the star has no more.
#[must_use]
pub fn ask(seen: &Sightings, points: &StoppingPoints, ttl: u8) -> Vec<Ask> {
    if !is_beside_ends(seen, ttl) || seen.goes_on(ttl, Vertex::Silent) {
        return Vec::new();
    }
    let (probed, unprobed): (Vec<_>, Vec<_>) = seen
        .hop(ttl)
        .flows(Vertex::Silent)
        .partition(|flow| seen.hop(ttl + 1).vertex(*flow).is_some());
    let missing = (points.after(1) - 1).saturating_sub(probed.len());
    let flows = unprobed.into_iter().take(missing);
    flows.map(|flow| Ask { flow, ttl: ttl + 1 }).collect()
}

/// Returns whether a probe is one behind such a star. There, silence is no reason to send it again.
#[must_use]
pub fn is_behind(seen: &Sightings, ask: Ask) -> bool {
    let near = ask.ttl - 1;
    seen.hop(near).vertex(ask.flow) == Some(Vertex::Silent) && is_beside_ends(seen, near)
}

/// Returns whether all vertices at `ttl` that answer are ends, and there are any.
fn is_beside_ends(seen: &Sightings, ttl: u8) -> bool {
    let mut answers = seen.hop(ttl).responsive().peekable();
    answers.peek().is_some() && answers.all(|vertex| !vertex.leads_on())
}
