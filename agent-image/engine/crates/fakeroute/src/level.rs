//! The levels of the procedural Internet, and the pieces of network that they consist of.

use crate::graph::{Choice, Vertex};
use crate::segment::{Segment, Shape};
use anabranch_chance::mix;

/// The kinds of segments of a path, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The vantage point's own network.
    Home,
    /// Between a vantage point and a region.
    Core,
    /// 1,024 prefixes.
    Region,
    /// 64 prefixes.
    Provider,
    /// 8 prefixes.
    Access,
    /// One prefix.
    Edge,
}

/// All levels, in the order of a path.
pub const LEVELS: [Level; 6] = [
    Level::Home,
    Level::Core,
    Level::Region,
    Level::Provider,
    Level::Access,
    Level::Edge,
];

/// What a level looks like: the bits of a prefix's number that it leaves out, and its shapes.
pub(crate) struct Plan {
    pub shift: u32,
    /// Addresses of an instance, at least its shape's vertices.
    pub block: u32,
    pub shape: Shape,
}

/// Paths have 0.75 diamonds on average (see [`crate::segment`]): four levels can have one.
const DIAMOND: f64 = 0.19;

/// What a level looks like.
pub(crate) const fn plan(level: Level) -> Plan {
    const fn of(shift: u32, block: u32, hops: (u32, u32), diamond: f64) -> Plan {
        let shape = Shape {
            hops,
            diamond,
            max_vertices: block,
        };
        Plan {
            shift,
            block,
            shape,
        }
    }
    match level {
        Level::Home => of(32, 3, (2, 3), 0.0),
        Level::Core => of(10, 32, (2, 5), DIAMOND),
        Level::Region => of(10, 256, (1, 4), DIAMOND),
        Level::Provider => of(6, 64, (1, 4), DIAMOND),
        Level::Access => of(3, 32, (1, 3), DIAMOND),
        Level::Edge => of(0, 2, (1, 2), 0.0),
    }
}

/// The number of instances of a tree's level that so many prefixes need.
pub(crate) const fn count(prefixes: u32, level: Level) -> u32 {
    prefixes.div_ceil(1 << plan(level).shift)
}

/// What most packets need of a segment, small enough for all of them to stay near the processor.
#[derive(Clone, Copy, Default)]
pub(crate) struct Outline {
    length: u8,
    branches: bool,
}

impl Outline {
    pub fn of(segment: &Segment) -> Self {
        Self {
            length: segment.length() as u8,
            branches: segment.graph().vertices() > segment.length(),
        }
    }
}

/// An instance of a segment: a real piece of network.
#[derive(Clone, Copy)]
pub struct Instance<'a> {
    /// Its shape.
    pub segment: &'a Segment,
    pub(crate) outline: Outline,
    /// Its level.
    pub level: Level,
    /// Its number in its level.
    pub number: u32,
    /// What tells it from all others.
    pub salt: u64,
}

impl Instance<'_> {
    /// The number of hops that a walk makes.
    #[inline]
    #[must_use]
    pub const fn length(&self) -> u32 {
        self.outline.length as u32
    }

    /// Whether walks differ.
    #[inline]
    #[must_use]
    pub const fn branches(&self) -> bool {
        self.outline.branches
    }

    /// The vertex of a layer that a packet meets.
    ///
    /// # Panics
    /// When there is no such layer.
    #[inline]
    #[must_use]
    pub fn walk(&self, layer: u32, choice: Choice) -> Vertex {
        let graph = self.segment.graph();
        let mut vertex = 0;
        for _ in 0..layer {
            vertex = graph
                .next_hop(vertex, choice, self.salt)
                .expect("a layer leads to the next");
        }
        vertex
    }

    /// What tells the router of a vertex from all others.
    #[inline]
    #[must_use]
    pub fn router(&self, vertex: Vertex) -> u64 {
        // Where nothing branches, each interface has a router of its own.
        let router = if self.branches() {
            self.segment.graph().router(vertex)
        } else {
            vertex
        };
        mix(self.salt, u64::from(router))
    }
}
