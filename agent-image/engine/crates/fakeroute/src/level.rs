//! The levels of the procedural Internet, and the instances of segments that make them up.

use crate::graph::{Choice, Vertex};
use crate::segment::{Segment, Shape};
use anabranch_chance::mix;

/// The kinds of segments of a path, in the order of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The vantage point's own network.
    Home,
    /// Between a vantage point and a region.
    Core,
    /// The network of usually 1,024 prefixes.
    Region,
    /// The network of usually 64 prefixes.
    Provider,
    /// The network of usually 8 prefixes.
    Access,
    /// The router of one prefix.
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

/// The plan of a level.
pub(crate) struct Plan {
    /// The number of addresses of an instance: at least the number of its vertices.
    pub block: u32,
    pub shape: Shape,
}

/// The share of segments with a diamond, in each of four levels: paths have 0.75 diamonds on
/// average (see [`crate::segment`]).
const DIAMOND: f64 = 0.19;

/// Returns the plan of a level.
pub(crate) const fn plan(level: Level) -> Plan {
    const fn of(block: u32, hops: (u32, u32), diamond: f64) -> Plan {
        let shape = Shape {
            hops,
            diamond,
            wide: 0.0,
            max_vertices: block,
        };
        Plan { block, shape }
    }
    match level {
        Level::Home => of(3, (2, 3), 0.0),
        Level::Core => of(32, (2, 5), DIAMOND),
        Level::Region => of(256, (1, 4), DIAMOND),
        Level::Provider => of(64, (1, 4), DIAMOND),
        Level::Access => of(32, (1, 3), DIAMOND),
        Level::Edge => of(2, (1, 2), 0.0),
    }
}

/// The traits of an Internet that decide how it is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Landscape {
    /// How much prefixes share: an access network has 8 to the power of it, a provider 64 and a
    /// region 1,024. At 0, each prefix has routers of its own from the core on.
    pub sharing: f64,
    /// The share of diamonds that are as wide as the widest, where a level has room for them.
    pub wide: f64,
}

impl Default for Landscape {
    fn default() -> Self {
        Self {
            sharing: 1.0,
            wide: 0.0,
        }
    }
}

impl Landscape {
    /// Returns the number of last bits of a prefix's number that the number of a level's instance
    /// lacks.
    #[allow(clippy::cast_sign_loss)] // sharing is not negative
    pub(crate) fn shift(&self, level: Level) -> u32 {
        let bits = match level {
            Level::Home => return 32,
            Level::Core | Level::Region => 10.0,
            Level::Provider => 6.0,
            Level::Access => 3.0,
            Level::Edge => 0.0,
        };
        (bits * self.sharing).round() as u32
    }

    /// Returns the shape of a level's segments.
    pub(crate) const fn shape(&self, level: Level) -> Shape {
        Shape {
            wide: self.wide,
            ..plan(level).shape
        }
    }
}

/// The data of a segment that most packets need, small enough for the processor's caches.
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

/// An instance of a segment: a real part of the network.
#[derive(Clone, Copy)]
pub struct Instance<'a> {
    /// The segment that gives its shape.
    pub segment: &'a Segment,
    pub(crate) outline: Outline,
    /// Its level.
    pub level: Level,
    /// Its number in its level.
    pub number: u32,
    /// The hash that distinguishes it from all other instances.
    pub salt: u64,
}

impl Instance<'_> {
    /// The number of hops that a walk makes.
    #[inline]
    #[must_use]
    pub const fn length(&self) -> u32 {
        self.outline.length as u32
    }

    /// True if walks through the instance differ.
    #[inline]
    #[must_use]
    pub const fn branches(&self) -> bool {
        self.outline.branches
    }

    /// Returns the vertex that a packet meets in a layer.
    ///
    /// # Panics
    /// If there is no such layer.
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

    /// Returns the number that identifies the router of a vertex among all routers.
    #[inline]
    #[must_use]
    pub fn router(&self, vertex: Vertex) -> u64 {
        // In a segment without branches, each interface has a router of its own.
        let router = if self.branches() {
            self.segment.graph().router(vertex)
        } else {
            vertex
        };
        mix(self.salt, u64::from(router))
    }
}
