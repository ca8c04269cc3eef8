//! A procedural Internet of any size: a tree of providers, in no more memory than its shapes take.
//!
//! A path leads from a vantage point's home through the core into a region, a provider, an access
//! network and an edge router to a prefix. Each of these is an instance of a [`Segment`] drawn from
//! its level's catalogue by a hash of its number, and has a block of addresses of its own, so that
//! an address tells its interface and an interface its address by arithmetic alone. All vantage points
//! share the segments from the region on: their paths merge there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anabranch_prefixes::Family;

use crate::graph::Vertex;
use crate::level::{Instance, LEVELS, Level, Outline, count, plan};
use crate::segment::Segment;
use anabranch_chance::{Draws, mix, scatter};

/// The most vantage points.
pub const MAX_VANTAGE_POINTS: u32 = 16;
/// The most prefixes of a family: what fits below the routers in 240.0.0.0/4.
pub const MAX_PREFIXES: u32 = (INTERFACES_V4 - PREFIXES_V4 as u32) >> 8;

const PREFIXES_V4: u128 = 0xf000_0000; // 240.0.0.0
const INTERFACES_V4: u32 = 0xff80_0000; // 255.128.0.0
const HOMES_V4: u128 = 0xc612_0000; // 198.18.0.0, a /24 for each vantage point
const PREFIXES_V6: u128 = 0x3fff << 112; // 3fff::
const INTERFACES_V6: u128 = PREFIXES_V6 | 0xfff << 96; // 3fff:fff::
const HOMES_V6: u128 = PREFIXES_V6 | 0xffe << 96; // 3fff:ffe::, a /64 for each vantage point
/// Addresses from one home router to the next: a vantage point shares its link, and so the
/// first four addresses, with the first router alone.
const HOME_STEP: u128 = 4;
/// The place of a vantage point's own address on that link; routers have the one before.
const HOST: u128 = 2;
/// Leading bits that the addresses of a vantage point's link share, less the family's.
const LINK_HOST_BITS: u8 = 2;

/// Segments to choose from at each level: a power of two.
const CATALOGUE: usize = 512;

/// One Internet of one family.
pub struct Internet {
    family: Family,
    prefixes: u32,
    vantage_points: u32,
    catalogues: [Vec<Segment>; 6],
    outlines: Box<[[Outline; CATALOGUE]; 6]>,
    /// What tells the levels' and families' hashes apart.
    seeds: [u64; 6],
    /// The first address of each level's blocks, counted from the first of all; one more at the end.
    offsets: [u32; 7],
}

/// Something with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address of a prefix, by the prefix's number.
    Host(u32),
    /// An interface of a router.
    Interface {
        /// The level of its segment.
        level: Level,
        /// The segment's number in its level.
        number: u32,
        /// The interface in the segment.
        vertex: Vertex,
    },
}

impl Internet {
    /// An Internet with so many prefixes, /24 or /64, seen from so many vantage points.
    ///
    /// # Panics
    /// When there are more of either than fit, [`MAX_PREFIXES`] and [`MAX_VANTAGE_POINTS`].
    #[must_use]
    pub fn new(family: Family, prefixes: u32, vantage_points: u32, seed: u64) -> Self {
        assert!(prefixes <= MAX_PREFIXES && vantage_points <= MAX_VANTAGE_POINTS);
        let seed_of = |level: Level| {
            let number = 2 * level as u64 + u64::from(family == Family::V6);
            mix(scatter(seed), scatter(number))
        };
        let mut offsets = [0; 7];
        for level in LEVELS {
            let instances = match level {
                Level::Home => 0,
                Level::Core => vantage_points * count(prefixes, Level::Region),
                _ => count(prefixes, level),
            };
            let i = level as usize;
            offsets[i + 1] = offsets[i] + instances * plan(level).block;
        }
        let catalogues = LEVELS.map(|level| {
            let mut draws = Draws::new(seed_of(level));
            let shape = plan(level).shape;
            let segments = (0..CATALOGUE).map(|_| Segment::draw(shape, &mut draws));
            segments.collect::<Vec<_>>()
        });
        let mut outlines = Box::new([[Outline::default(); CATALOGUE]; 6]);
        for (outlines, segments) in outlines.iter_mut().zip(&catalogues) {
            for (outline, segment) in outlines.iter_mut().zip(segments) {
                *outline = Outline::of(segment);
            }
        }
        Self {
            family,
            prefixes,
            vantage_points,
            catalogues,
            outlines,
            seeds: LEVELS.map(seed_of),
            offsets,
        }
    }

    /// The number of prefixes.
    #[must_use]
    pub const fn prefixes(&self) -> u32 {
        self.prefixes
    }

    /// The number of instances of a level.
    #[must_use]
    pub fn instances(&self, level: Level) -> u32 {
        match level {
            // Without prefixes nothing leads anywhere.
            Level::Home => self.vantage_points * self.prefixes.min(1),
            Level::Core => self.vantage_points * count(self.prefixes, Level::Region),
            _ => count(self.prefixes, level),
        }
    }

    /// How many instances of the next level an instance of a tree's level leads to.
    #[must_use]
    pub fn fan_out(&self, level: Level) -> u32 {
        match LEVELS.get(level as usize + 1) {
            Some(next) => 1 << (plan(level).shift - plan(*next).shift),
            None => 0,
        }
    }

    /// An instance of a level, in one of the epochs that a route change divides time into.
    #[inline]
    #[must_use]
    pub fn instance(&self, level: Level, number: u32, epoch: u32) -> Instance<'_> {
        let i = level as usize;
        // A route change moves what crosses the core, and leaves the rest.
        let epoch = if level == Level::Core { epoch } else { 0 };
        let salt = scatter(self.seeds[i] ^ (u64::from(number) | u64::from(epoch) << 32));
        let place = salt as usize % CATALOGUE;
        Instance {
            segment: &self.catalogues[i][place],
            outline: self.outlines[i][place],
            level,
            number,
            salt,
        }
    }

    /// The address of an interface, as a number of the family.
    #[must_use]
    pub fn interface(&self, level: Level, number: u32, vertex: Vertex) -> u128 {
        if level == Level::Home {
            return self.home(number) + HOME_STEP * u128::from(vertex) + HOST - 1;
        }
        let offset = self.offsets[level as usize] + number * plan(level).block + vertex;
        u128::from(offset)
            + match self.family {
                Family::V4 => u128::from(INTERFACES_V4),
                Family::V6 => INTERFACES_V6,
            }
    }

    /// The first address of a vantage point's own network.
    #[must_use]
    pub fn home(&self, vantage_point: u32) -> u128 {
        match self.family {
            Family::V4 => HOMES_V4 + (u128::from(vantage_point) << 8),
            Family::V6 => HOMES_V6 + (u128::from(vantage_point) << 64),
        }
    }

    /// Whether an address belongs to the network of a vantage point.
    #[must_use]
    pub fn is_home(&self, address: u128) -> bool {
        let bits = match self.family {
            Family::V4 => 8,
            Family::V6 => 64,
        };
        let homes = (0..self.vantage_points).map(|number| self.home(number));
        homes
            .into_iter()
            .any(|home| home >> bits == address >> bits)
    }

    /// The address of a vantage point.
    #[must_use]
    pub fn vantage_point(&self, number: u32) -> u128 {
        self.home(number) + HOST
    }

    /// The length of the prefix of a vantage point's link.
    #[must_use]
    pub const fn link_len(&self) -> u8 {
        self.family.bits() - LINK_HOST_BITS
    }

    /// The first address of a prefix.
    #[must_use]
    pub fn prefix(&self, number: u32) -> u128 {
        match self.family {
            Family::V4 => PREFIXES_V4 + (u128::from(number) << 8),
            Family::V6 => PREFIXES_V6 + (u128::from(number) << 64),
        }
    }

    /// What has an address; nothing outside of this Internet, or where no interface is.
    #[inline]
    #[must_use]
    pub fn find(&self, address: u128) -> Option<Place> {
        let (prefixes, host_bits, interfaces) = match self.family {
            Family::V4 => (PREFIXES_V4, 8, u128::from(INTERFACES_V4)),
            Family::V6 => (PREFIXES_V6, 64, INTERFACES_V6),
        };
        let number = address
            .checked_sub(prefixes)
            .map(|offset| offset >> host_bits);
        if let Some(number) = number.filter(|number| *number < u128::from(self.prefixes)) {
            return Some(Place::Host(number as u32));
        }
        match address.checked_sub(interfaces) {
            Some(offset) if offset < u128::from(self.offsets[6]) => {
                self.find_interface(offset as u32)
            }
            _ => self.find_home(address),
        }
    }

    fn find_interface(&self, offset: u32) -> Option<Place> {
        let i = self.offsets.partition_point(|first| *first <= offset) - 1;
        let level = LEVELS[i];
        let inside = offset - self.offsets[i];
        let (number, vertex) = (inside / plan(level).block, inside % plan(level).block);
        self.existing(level, number, vertex)
    }

    fn find_home(&self, address: u128) -> Option<Place> {
        (0..self.instances(Level::Home)).find_map(|number| {
            let offset = address.checked_sub(self.home(number) + HOST - 1)?;
            let vertex = u32::try_from(offset / HOME_STEP).ok()?;
            let is_router = offset % HOME_STEP == 0;
            is_router.then(|| self.existing(Level::Home, number, vertex))?
        })
    }

    fn existing(&self, level: Level, number: u32, vertex: Vertex) -> Option<Place> {
        // A route change moves flows to other routers, with addresses of the same blocks.
        let there = (0..2).any(|epoch| {
            let instance = self.instance(level, number, epoch);
            vertex < instance.segment.graph().vertices()
        });
        there.then_some(Place::Interface {
            level,
            number,
            vertex,
        })
    }

    /// The prefix whose path holds a place, from where a vantage point can reach it.
    #[must_use]
    pub fn prefix_behind(&self, vantage_point: u32, place: Place) -> Option<u32> {
        match place {
            Place::Host(prefix) => Some(prefix),
            Place::Interface { level, number, .. } => match level {
                Level::Home => (number == vantage_point).then_some(0),
                Level::Core => (number % self.vantage_points == vantage_point)
                    .then_some((number / self.vantage_points) << plan(level).shift),
                _ => Some(number << plan(level).shift),
            },
        }
    }

    /// The segments on the way from a vantage point to a prefix.
    #[inline]
    pub fn path(
        &self,
        vantage_point: u32,
        prefix: u32,
        epoch: u32,
    ) -> impl Iterator<Item = Instance<'_>> {
        let region = prefix >> plan(Level::Region).shift;
        let numbers = [
            vantage_point,
            // Regions first, so that the vantage points' ways into one are neighbours.
            region * self.vantage_points + vantage_point,
            region,
            prefix >> plan(Level::Provider).shift,
            prefix >> plan(Level::Access).shift,
            prefix,
        ];
        LEVELS
            .into_iter()
            .zip(numbers)
            .map(move |(level, number)| self.instance(level, number, epoch))
    }

    /// An address as others write it.
    #[must_use]
    pub fn address(&self, number: u128) -> IpAddr {
        match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::from(number as u32)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from(number)),
        }
    }
}
