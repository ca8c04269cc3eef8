//! A directed acyclic graph of interfaces, and the walks of flows through it.

use anabranch_chance::{below, mix};

/// A vertex of a graph: an interface.
pub type Vertex = u32;

/// How a router spreads packets over its next hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balancing {
    /// By the flow: addresses, protocol, first four octets behind the IP header, flow label.
    Flow,
    /// By the addresses alone.
    Destination,
    /// Packet by packet.
    Packet,
}

/// What routers choose the next hop by: a hash for each kind of balancing.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// Of the flow.
    pub flow: u64,
    /// Of source and destination.
    pub destination: u64,
    /// Of this packet alone.
    pub packet: u64,
}

impl Keys {
    /// What a kind of balancing looks at.
    #[inline]
    #[must_use]
    pub const fn of(&self, balancing: Balancing) -> u64 {
        match balancing {
            Balancing::Flow => self.flow,
            Balancing::Destination => self.destination,
            Balancing::Packet => self.packet,
        }
    }
}

/// How the routers of a segment choose for one packet.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// What they look at in the packet.
    pub key: u64,
    /// Whether they prefer their first next hops: of two draws, the lower one counts.
    pub weighted: bool,
}

impl Choice {
    /// One of `count` next hops; `router` tells routers apart, which choose independently.
    #[inline]
    #[must_use]
    pub const fn choose(&self, router: u64, count: u32) -> u32 {
        let hash = mix(self.key, router);
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
    /// All of it in one piece of memory, since walks are as fast as it is near: where the next hops
    /// of each vertex begin, and where the last ones end; the router of each vertex; the next hops.
    table: Box<[u32]>,
}

impl Graph {
    /// A graph from the next hops of each vertex, and the router that each is an interface of.
    ///
    /// # Panics
    /// When there is not a router for each vertex.
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

    /// The next hops of a vertex.
    #[inline]
    #[must_use]
    pub fn next_hops(&self, vertex: Vertex) -> &[Vertex] {
        let place = vertex as usize;
        &self.table[self.table[place] as usize..self.table[place + 1] as usize]
    }

    /// The router that a vertex is an interface of.
    #[inline]
    #[must_use]
    pub fn router(&self, vertex: Vertex) -> u32 {
        self.table[(self.vertices + 1 + vertex) as usize]
    }

    /// Where a packet goes from a vertex; nowhere from a last one.
    ///
    /// `salt` tells the instances of a graph apart.
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
