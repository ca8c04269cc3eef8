//! A directed acyclic graph of interfaces, and the walks of flows through it.

use crate::chance::{below, mix};

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
    /// Where the next hops of each vertex begin; one more at the end.
    starts: Vec<u32>,
    next_hops: Vec<Vertex>,
    /// The router that each vertex is an interface of.
    routers: Vec<u32>,
}

impl Graph {
    /// A graph from the next hops of each vertex; each vertex is a router of its own.
    #[must_use]
    pub fn new(next_hops: &[Vec<Vertex>]) -> Self {
        let mut starts = vec![0];
        let mut all = Vec::new();
        for some in next_hops {
            all.extend_from_slice(some);
            starts.push(all.len() as u32);
        }
        Self {
            starts,
            next_hops: all,
            routers: (0..next_hops.len() as u32).collect(),
        }
    }

    /// The same graph with vertices that share routers.
    #[must_use]
    pub fn with_routers(mut self, routers: Vec<u32>) -> Self {
        self.routers = routers;
        self
    }

    /// The number of vertices.
    #[must_use]
    pub const fn vertices(&self) -> u32 {
        self.routers.len() as u32
    }

    /// The next hops of a vertex.
    #[inline]
    #[must_use]
    pub fn next_hops(&self, vertex: Vertex) -> &[Vertex] {
        let (start, end) = (
            self.starts[vertex as usize],
            self.starts[vertex as usize + 1],
        );
        &self.next_hops[start as usize..end as usize]
    }

    /// The router that a vertex is an interface of.
    #[inline]
    #[must_use]
    pub fn router(&self, vertex: Vertex) -> u32 {
        self.routers[vertex as usize]
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
