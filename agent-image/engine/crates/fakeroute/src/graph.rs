//! A directed acyclic graph of interfaces, and the walks of flows through it.

use anabranch_chance::{below, mix, scatter};

/// A vertex of a graph: an interface.
pub type Vertex = u32;

/// How a router spreads packets over its next hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balancing {
    /// Per flow: the addresses, the protocol, the first four octets after the IP header, and the
    /// flow label.
    Flow,
    /// Per destination: the addresses and the protocol.
    Destination,
    /// Per packet.
    Packet,
    /// Per flow label: the addresses and the label alone (RFC 6438). IPv4 has none, and is balanced per
    /// flow.
    Label,
}

/// The values by which routers choose a next hop: a hash for each kind of balancing.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// The hash of the flow.
    pub flow: u64,
    /// The hash of source, destination and protocol.
    pub destination: u64,
    /// The hash of this packet alone.
    pub packet: u64,
    /// The hash of the addresses and the flow label; that of the flow for IPv4.
    pub label: u64,
}

impl Keys {
    /// Returns the hash for a kind of balancing.
    #[inline]
    #[must_use]
    pub const fn of(&self, balancing: Balancing) -> u64 {
        match balancing {
            Balancing::Flow => self.flow,
            Balancing::Destination => self.destination,
            Balancing::Packet => self.packet,
            Balancing::Label => self.label,
        }
    }
}

/// The rule by which the routers of a segment choose the next hops of one packet.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// The hash of the packet that decides.
    pub key: u64,
    /// True if routers prefer their first next hops: they take the lower of two draws.
    pub weighted: bool,
}

impl Choice {
    /// Returns the index of one of `count` next hops. Routers with different `router` choose
    /// independently.
    #[inline]
    #[must_use]
    pub const fn choose(&self, router: u64, count: u32) -> u32 {
        // Routers of a segment have consecutive numbers. Without `scatter`, two of them would often
        // choose alike: a product hardly changes with a small change of a factor.
        let hash = mix(self.key, scatter(router));
        let chosen = below(hash, count);
        if self.weighted {
            let second = below(mix(hash, router), count);
            if second < chosen { second } else { chosen }
        } else {
            chosen
        }
    }
}

/// A graph whose edges lead from a vertex to its possible next hops.
#[derive(Clone, Debug)]
pub struct Graph {
    vertices: u32,
    /// The whole graph in one piece of memory, which makes walks fast. In order: the start of each
    /// vertex's next hops and the end of the last; the router of each vertex; the next hops.
    table: Box<[u32]>,
}

impl Graph {
    /// Makes a graph from the next hops and the router of each vertex.
    ///
    /// # Panics
    /// If the two slices differ in length.
    #[must_use]
    pub fn new(next_hops: &[Vec<Vertex>], routers: &[u32]) -> Self {
        assert_eq!(next_hops.len(), routers.len());
        let mut start = 2 * next_hops.len() as u32 + 1;
        let mut table = vec![start];
        for some in next_hops {
            start += some.len() as u32;
            table.push(start);
        }
        table.extend(routers);
        table.extend(next_hops.iter().flatten());
        Self {
            vertices: routers.len() as u32,
            table: table.into(),
        }
    }

    /// The number of vertices.
    #[must_use]
    pub const fn vertices(&self) -> u32 {
        self.vertices
    }

    /// Returns the next hops of a vertex.
    #[inline]
    #[must_use]
    pub fn next_hops(&self, vertex: Vertex) -> &[Vertex] {
        let place = vertex as usize;
        &self.table[self.table[place] as usize..self.table[place + 1] as usize]
    }

    /// Returns the router that has a vertex as an interface.
    #[inline]
    #[must_use]
    pub fn router(&self, vertex: Vertex) -> u32 {
        self.table[(self.vertices + 1 + vertex) as usize]
    }

    /// Returns the vertex that a packet goes to from `vertex`, or None at the end of the graph.
    ///
    /// `salt` distinguishes the instances of a graph.
    #[inline]
    #[must_use]
    pub fn next_hop(&self, vertex: Vertex, choice: Choice, salt: u64) -> Option<Vertex> {
        match self.next_hops(vertex) {
            [] => None,
            [only] => Some(*only),
            many => {
                let router = salt.wrapping_add(u64::from(self.router(vertex)));
                Some(many[choice.choose(router, many.len() as u32) as usize])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how far the joint choices of two routers are from those of independent ones: the
    /// chi-squared statistic of `near` times `far` next hops, for 20,000 flows.
    fn dependence(salt: u64, (near, far): (u32, u32)) -> f64 {
        const FLOWS: u32 = 20_000;
        let mut counts = vec![0.0; (near * far) as usize];
        for flow in 0..FLOWS {
            let choice = Choice {
                key: scatter(u64::from(flow)),
                weighted: false,
            };
            let (one, other) = (choice.choose(salt, near), choice.choose(salt + 1, far));
            counts[(one * far + other) as usize] += 1.0;
        }
        let expected = f64::from(FLOWS) / f64::from(near * far);
        let squares = counts
            .iter()
            .map(|count: &f64| (count - expected).powi(2) / expected);
        squares.sum()
    }

    #[test]
    fn routers_with_neighbouring_numbers_choose_independently() {
        for salt in 0..40 {
            let found = dependence(scatter(salt), (4, 2));
            // Chi-squared of 7 degrees of freedom: above 35 with a probability of 1e-5.
            assert!(found < 35.0, "salt {salt}: {found}");
        }
    }
}
