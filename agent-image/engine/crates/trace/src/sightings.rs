//! What a tracer has seen: which vertex each flow meets at each hop.

use std::collections::{BTreeMap, BTreeSet};

/// A flow, by its number: bodies turn it into header fields.
pub type Flow = u16;

/// A probe: a flow and a TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ask {
    /// The flow.
    pub flow: Flow,
    /// The TTL.
    pub ttl: u8,
}

/// What a flow meets at a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vertex {
    /// A router, by the address that it answers from.
    Router(u128),
    /// The end of the path: the destination, or a router that reports it as unreachable.
    End(u128),
    /// Nobody who answers: a star.
    Silent,
}

impl Vertex {
    /// Returns whether paths go on behind it.
    #[must_use]
    pub const fn leads_on(self) -> bool {
        !matches!(self, Self::End(_))
    }
}

/// How many times as many flows as it takes to meet a vertex, on average, miss it by chance: once in
/// e^16, nine million times.
const SURE: usize = 16;

/// The place of a flow that is probed again.
const AWAITED: u16 = u16::MAX;

/// One hop: the vertices there, in the order of their discovery, and the flows that meet them.
#[derive(Clone, Debug, Default)]
pub struct Hop {
    vertices: Vec<Vertex>,
    /// The flows of each vertex, in order.
    members: Vec<Vec<Flow>>,
    /// The place in `vertices` of each flow's vertex, plus one; 0 for a flow that was not probed,
    /// `AWAITED` for one that is probed again.
    seen: Vec<u16>,
    probed: usize,
    /// The flows that were probed once more, and whether they met a vertex again.
    repeated: BTreeMap<Flow, bool>,
    is_unsteady: bool,
}

impl Hop {
    /// The vertices, in the order of their discovery.
    #[must_use]
    pub fn vertices(&self) -> &[Vertex] {
        &self.vertices
    }

    /// Returns the vertices that answer. One star may stand for several routers, or for a lost
    /// reply.
    pub fn responsive(&self) -> impl Iterator<Item = Vertex> + '_ {
        let vertices = self.vertices.iter().copied();
        vertices.filter(|vertex| *vertex != Vertex::Silent)
    }

    /// Returns whether a flow was probed once more.
    #[must_use]
    pub fn is_repeated(&self, flow: Flow) -> bool {
        self.repeated.contains_key(&flow)
    }

    /// Returns whether a flow was probed once more, and was answered.
    #[must_use]
    pub fn has_met_again(&self, flow: Flow) -> bool {
        self.repeated.get(&flow).is_some_and(|is_met| *is_met)
    }

    /// Returns whether a flow met two vertices here: the load is balanced by packet before, or the
    /// route changed.
    #[must_use]
    pub const fn is_unsteady(&self) -> bool {
        self.is_unsteady
    }

    /// The number of flows that were probed here.
    #[must_use]
    pub const fn probed(&self) -> usize {
        self.probed
    }

    /// Returns the vertex of a flow, or None if it was not probed here. A flow that is probed again
    /// counts as one that meets nobody, but makes no star of the hop yet.
    #[must_use]
    pub fn vertex(&self, flow: Flow) -> Option<Vertex> {
        let place = *self.seen.get(usize::from(flow))?;
        if place == AWAITED {
            return Some(Vertex::Silent);
        }
        Some(self.vertices[usize::from(place.checked_sub(1)?)])
    }

    /// Returns the flows that are known to meet a vertex, in order.
    pub fn flows(&self, vertex: Vertex) -> impl Iterator<Item = Flow> + '_ {
        let place = self.vertices.iter().position(|each| *each == vertex);
        place
            .into_iter()
            .flat_map(|place| self.members[place].iter().copied())
    }

    fn note(&mut self, flow: Flow, vertex: Vertex) {
        let known = self.vertices.iter().position(|each| *each == vertex);
        let place = known.unwrap_or_else(|| {
            self.vertices.push(vertex);
            self.members.push(Vec::new());
            self.vertices.len() - 1
        });
        let before = self.set(flow, place as u16 + 1);
        if before == Some(place as u16 + 1) {
            return;
        }
        let members = &mut self.members[place];
        members.insert(members.partition_point(|each| *each < flow), flow);
        if let Some(before) = before.filter(|before| *before != AWAITED) {
            self.leave(usize::from(before) - 1, flow);
        }
    }

    /// Takes a flow from a vertex, and the vertex from the hop if no other flow meets it.
    fn leave(&mut self, place: usize, flow: Flow) {
        self.members[place].retain(|each| *each != flow);
        if self.members[place].is_empty() {
            self.members.remove(place);
            self.vertices.remove(place);
            let behind = self.seen.iter_mut();
            let behind = behind.filter(|each| **each > place as u16 + 1 && **each != AWAITED);
            behind.for_each(|each| *each -= 1);
        }
    }

    fn note_awaited(&mut self, flow: Flow) {
        if self.vertex(flow).is_none() {
            self.set(flow, AWAITED);
        }
    }

    /// Sets the place of a flow, and returns what was there; None for a flow that was not probed.
    fn set(&mut self, flow: Flow, place: u16) -> Option<u16> {
        let flow = usize::from(flow);
        if self.seen.len() <= flow {
            self.seen.resize(flow + 1, 0);
        }
        let before = std::mem::replace(&mut self.seen[flow], place);
        self.probed += usize::from(before == 0);
        (before != 0).then_some(before)
    }
}

/// A link of two hops in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The TTL of the nearer end; 0 for the vantage point.
    pub near_ttl: u8,
    /// The nearer end; None for the vantage point.
    pub near: Option<Vertex>,
    /// The farther end.
    pub far: Vertex,
}

/// All that was seen on the paths to a destination.
#[derive(Clone, Debug)]
pub struct Sightings {
    first_ttl: u8,
    /// The hops from TTL 1 on; the vantage point, which all flows leave, is no hop.
    hops: Vec<Hop>,
    nothing: Hop,
    flows: Flow,
    /// The TTL at which each flow ended; 0 for one that did not.
    ends: Vec<u8>,
}

impl Sightings {
    /// Makes the sightings of a trace that begins at a TTL.
    #[must_use]
    pub fn new(first_ttl: u8) -> Self {
        Self {
            first_ttl,
            hops: Vec::new(),
            nothing: Hop::default(),
            flows: 0,
            ends: Vec::new(),
        }
    }

    /// Notes what a probe met; it replaces what the flow was noted to meet there.
    ///
    /// # Panics
    /// If its TTL is 0.
    pub fn note(&mut self, ask: Ask, vertex: Vertex) {
        self.hop_mut(ask).note(ask.flow, vertex);
        if !vertex.leads_on() {
            let flow = usize::from(ask.flow);
            self.ends.resize(self.ends.len().max(flow + 1), 0);
            let end = &mut self.ends[flow];
            *end = if *end == 0 {
                ask.ttl
            } else {
                ask.ttl.min(*end)
            };
        }
    }

    /// Notes that a probe met nobody yet, and is sent again.
    ///
    /// # Panics
    /// If its TTL is 0.
    pub fn note_awaited(&mut self, ask: Ask) {
        self.hop_mut(ask).note_awaited(ask.flow);
    }

    /// Notes that a probe was sent once more.
    ///
    /// # Panics
    /// If its TTL is 0.
    pub fn note_repeated(&mut self, ask: Ask) {
        self.hop_mut(ask).repeated.insert(ask.flow, false);
    }

    /// Notes what a probe met whose flow is known to meet a vertex there.
    ///
    /// # Panics
    /// If its TTL is 0.
    pub fn note_again(&mut self, ask: Ask, vertex: Vertex) {
        let hop = self.hop_mut(ask);
        hop.is_unsteady |= hop.vertex(ask.flow) != Some(vertex);
        hop.repeated
            .entry(ask.flow)
            .and_modify(|is_met| *is_met = true);
    }

    /// Returns whether a flow meets the same vertices again up to a TTL, as far as is known. Behind
    /// a vertex that all flows pass, what happened before does not matter.
    #[must_use]
    pub fn is_steady(&self, ttl: u8) -> bool {
        let behind = (self.first_ttl..=ttl).rev();
        let mut wide = behind.take_while(|ttl| !self.is_single(*ttl));
        wide.all(|ttl| !self.hop(ttl).is_unsteady)
    }

    fn hop_mut(&mut self, ask: Ask) -> &mut Hop {
        let place = usize::from(ask.ttl) - 1;
        if self.hops.len() <= place {
            self.hops.resize(place + 1, Hop::default());
        }
        self.flows = self.flows.max(ask.flow + 1);
        &mut self.hops[place]
    }

    /// The number of flows in use: a new flow has this number.
    #[must_use]
    pub const fn flows(&self) -> Flow {
        self.flows
    }

    /// The number of the last hop that was probed.
    #[must_use]
    pub fn last_ttl(&self) -> u8 {
        self.hops.len() as u8
    }

    /// Returns a hop; one that was not probed yet has no vertices.
    #[must_use]
    pub fn hop(&self, ttl: u8) -> &Hop {
        let place = usize::from(ttl).checked_sub(1);
        place
            .and_then(|place| self.hops.get(place))
            .unwrap_or(&self.nothing)
    }

    /// Returns whether every flow, probed or not, passes one vertex at this TTL: then no node
    /// control is needed behind it. What lies before the first hop that is probed counts as such a
    /// vertex.
    #[must_use]
    pub fn is_single(&self, ttl: u8) -> bool {
        if ttl < self.first_ttl {
            return true;
        }
        let ends_before = (1..=ttl).any(|ttl| !self.hop(ttl).vertices.iter().all(|v| v.leads_on()));
        self.hop(ttl).vertices.len() == 1 && !ends_before
    }

    /// Returns whether a flow is known to have ended before a TTL.
    #[must_use]
    pub fn has_ended(&self, flow: Flow, ttl: u8) -> bool {
        self.ends_by(flow, ttl.saturating_sub(1))
    }

    /// Returns whether a flow is known to end at a TTL, or to have ended before.
    #[must_use]
    pub fn ends_by(&self, flow: Flow, ttl: u8) -> bool {
        let end = self.ends.get(usize::from(flow)).copied().unwrap_or(0);
        (1..=ttl).contains(&end)
    }

    /// Returns whether paths go on behind a vertex at `ttl`. A star beside ends is taken for an end
    /// that held back its reply, as hosts do that limit their errors, unless one of its flows meets
    /// a router behind it; [`crate::star`] looks for one.
    #[must_use]
    pub fn goes_on(&self, ttl: u8, vertex: Vertex) -> bool {
        let hop = self.hop(ttl);
        if vertex != Vertex::Silent || hop.vertices.iter().all(|v| v.leads_on()) {
            return vertex.leads_on();
        }
        let behind = self.hops.iter().skip(ttl.into());
        let is_router = |vertex| matches!(vertex, Some(Vertex::Router(_)));
        hop.flows(vertex)
            .any(|flow| behind.clone().any(|hop| is_router(hop.vertex(flow))))
    }

    /// Returns whether packets go round in a loop: each vertex of a hop from which paths go on is
    /// one that the same flow has met before, and not only at the hop before.
    #[must_use]
    pub fn is_looped(&self, ttl: u8) -> bool {
        let hop = self.hop(ttl);
        let met = |vertex: &Vertex| {
            hop.flows(*vertex).any(|flow| {
                (self.first_ttl..ttl.saturating_sub(1))
                    .any(|before| self.hop(before).vertex(flow) == Some(*vertex))
            })
        };
        let is_router = |vertex: &Vertex| matches!(vertex, Vertex::Router(_));
        let mut goes_on = hop.vertices.iter().filter(|v| v.leads_on()).peekable();
        goes_on.peek().is_some() && goes_on.all(|vertex| is_router(vertex) && met(vertex))
    }

    /// Returns whether no flow meets a vertex at `ttl` any more: it has stopped answering, or the route
    /// has changed. So there is no use in looking for more flows that do.
    ///
    /// Flows are numbered in the order in which they are used. Those behind the last one that met the
    /// vertex are compared with those before, and with the width of the hop, since a vertex that was
    /// met early may have been met by chance.
    #[must_use]
    pub fn is_gone(&self, ttl: u8, vertex: Vertex) -> bool {
        let hop = self.hop(ttl);
        let Some(last) = hop.flows(vertex).last() else {
            return false;
        };
        let probed = (0..self.flows).filter(|flow| hop.vertex(*flow).is_some());
        let (before, behind): (Vec<_>, Vec<_>) = probed.partition(|flow| *flow <= last);
        let rarity = before.len().div_ceil(hop.flows(vertex).count());
        behind.len() > SURE * rarity.max(hop.vertices.len())
    }

    /// Returns the TTLs at which a router is gone.
    pub fn gone_ttls(&self) -> impl Iterator<Item = u8> + '_ {
        let is_router = |vertex: &&Vertex| matches!(vertex, Vertex::Router(_));
        (1..=self.last_ttl()).filter(move |ttl| {
            let mut routers = self.hop(*ttl).vertices.iter().filter(is_router);
            routers.any(|vertex| self.is_gone(*ttl, *vertex))
        })
    }

    /// Returns the known successors of a vertex at `ttl`.
    #[must_use]
    pub fn successors(&self, ttl: u8, vertex: Vertex) -> BTreeSet<Vertex> {
        let far = self.hop(ttl + 1);
        let flows = self.hop(ttl).flows(vertex);
        flows.filter_map(|flow| far.vertex(flow)).collect()
    }

    /// Returns whether a predecessor of a vertex at `ttl` is known, or a star in its place.
    #[must_use]
    pub fn has_predecessor(&self, ttl: u8, vertex: Vertex) -> bool {
        let near = self.hop(ttl - 1);
        let mut flows = self.hop(ttl).flows(vertex);
        flows.any(|flow| near.vertex(flow).is_some())
    }

    /// Returns the known predecessors of a vertex at `ttl`.
    #[must_use]
    pub fn predecessors(&self, ttl: u8, vertex: Vertex) -> BTreeSet<Vertex> {
        let near = self.hop(ttl - 1);
        let flows = self.hop(ttl).flows(vertex);
        flows.filter_map(|flow| near.vertex(flow)).collect()
    }

    /// Returns the links: those that one flow crosses, and those that leave a vertex which all
    /// flows pass. Where flows meet now this vertex and now that, only the links to a vertex that
    /// all of them pass are known.
    #[must_use]
    pub fn links(&self) -> BTreeSet<Link> {
        let mut links = BTreeSet::new();
        for (near_ttl, far) in (0..=u8::MAX).zip(&self.hops) {
            let near = self.hop(near_ttl);
            let link = |near, far| Link {
                near_ttl,
                near,
                far,
            };
            if self.is_single(near_ttl) {
                let only = near.vertices.first().copied();
                links.extend(far.vertices.iter().map(|vertex| link(only, *vertex)));
                continue;
            }
            let is_steady = self.is_steady(near_ttl) || self.is_single(near_ttl + 1);
            let goes_on = near.vertices.iter().filter(|vertex| vertex.leads_on());
            for vertex in goes_on.filter(|_| is_steady) {
                let successors = self.successors(near_ttl, *vertex);
                links.extend(successors.into_iter().map(|far| link(Some(*vertex), far)));
            }
        }
        links
    }
}
