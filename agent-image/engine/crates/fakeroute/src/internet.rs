//! A procedural Internet of any size: a tree of providers. Only the shapes of its segments take
//! memory.
//!
//! A path leads from a vantage point's home through the core into a region, a provider, an access
//! network and an edge router to a prefix. Each of these is an instance of a [`Segment`]: a hash of
//! its number draws it from the catalogue of its level. Each has a block of addresses of its own.
//! So arithmetic alone turns an address into an interface, and back. All vantage points share the
//! segments from the region on: their paths merge there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anabranch_prefixes::Family;

use crate::graph::Vertex;
use crate::level::{Instance, LEVELS, Landscape, Level, Outline, plan};
use crate::segment::Segment;
use anabranch_chance::{Draws, mix, scatter};

/// The most vantage points.
pub const MAX_VANTAGE_POINTS: u32 = 16;
/// The most prefixes of a family: as many as fit into 240.0.0.0/4 below the routers.
pub const MAX_PREFIXES: u32 = (INTERFACES_V4 - PREFIXES_V4 as u32) >> 8;

const PREFIXES_V4: u128 = 0xf000_0000; // 240.0.0.0
const INTERFACES_V4: u32 = 0xff80_0000; // 255.128.0.0
const HOMES_V4: u128 = 0xc612_0000; // 198.18.0.0, a /24 for each vantage point
const PREFIXES_V6: u128 = 0x3fff << 112; // 3fff::
const INTERFACES_V6: u128 = PREFIXES_V6 | 0xfff << 96; // 3fff:fff::
const HOMES_V6: u128 = PREFIXES_V6 | 0xffe << 96; // 3fff:ffe::, a /64 for each vantage point
/// The addresses from one home router to the next. A vantage point's link takes the first four, and
/// only the first router is on it.
const HOME_STEP: u128 = 4;
/// The offset of a vantage point's own address on its link. Routers have the address before.
const HOST: u128 = 2;
/// The host bits of a vantage point's link.
const LINK_HOST_BITS: u8 = 2;

/// The number of segments in each level's catalogue: a power of two.
const CATALOGUE: usize = 512;

/// An Internet of one family.
pub struct Internet {
    family: Family,
    prefixes: u32,
    vantage_points: u32,
    /// The bits of a prefix's number that each level's numbers lack.
    shifts: [u32; 6],
    catalogues: [Vec<Segment>; 6],
    outlines: Box<[[Outline; CATALOGUE]; 6]>,
    /// The seeds that make the hashes of levels and families differ.
    seeds: [u64; 6],
    /// The first address of each level's blocks, as an offset from the first of all, and the end.
    offsets: [u32; 7],
}

/// The place of an address in an Internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address in a prefix, with the prefix's number.
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
    /// Makes an Internet with `prefixes` prefixes (/24 or /64), seen from `vantage_points`.
    ///
    /// # Panics
    /// If there are more than [`MAX_PREFIXES`] or [`MAX_VANTAGE_POINTS`].
    #[must_use]
    pub fn new(family: Family, prefixes: u32, vantage_points: u32, seed: u64) -> Self {
        let landscape = Landscape::default();
        Self::draw(family, prefixes, vantage_points, seed, &landscape)
    }

    /// Makes an Internet of a landscape.
    ///
    /// # Panics
    /// If there are more than [`MAX_PREFIXES`] or [`MAX_VANTAGE_POINTS`], or if it does not
    /// [fit](Self::fits).
    #[must_use]
    pub fn draw(
        family: Family,
        prefixes: u32,
        vantage_points: u32,
        seed: u64,
        landscape: &Landscape,
    ) -> Self {
        assert!(prefixes <= MAX_PREFIXES && vantage_points <= MAX_VANTAGE_POINTS);
        assert!(Self::fits(family, prefixes, vantage_points, landscape));
        let seed_of = |level: Level| {
            let number = 2 * level as u64 + u64::from(family == Family::V6);
            mix(scatter(seed), scatter(number))
        };
        let offsets = lay_out(prefixes, vantage_points, landscape).map(|offset| offset as u32);
        let catalogues = LEVELS.map(|level| {
            let mut draws = Draws::new(seed_of(level));
            let shape = landscape.shape(level);
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
            shifts: LEVELS.map(|level| landscape.shift(level)),
            catalogues,
            outlines,
            seeds: LEVELS.map(seed_of),
            offsets,
        }
    }

    /// Returns whether the family has addresses for all routers of an Internet.
    #[must_use]
    pub fn fits(family: Family, prefixes: u32, vantage_points: u32, its: &Landscape) -> bool {
        let room = match family {
            Family::V4 => u32::MAX - INTERFACES_V4,
            Family::V6 => u32::MAX,
        };
        lay_out(prefixes, vantage_points, its)[6] <= u64::from(room)
    }

    /// The number of prefixes.
    #[must_use]
    pub const fn prefixes(&self) -> u32 {
        self.prefixes
    }

    /// Returns the number of instances of a level.
    #[must_use]
    pub fn instances(&self, level: Level) -> u32 {
        match level {
            // Without prefixes, home networks lead nowhere.
            Level::Home => self.vantage_points * self.prefixes.min(1),
            Level::Core => self.vantage_points * self.instances(Level::Region),
            _ => self.prefixes.div_ceil(1 << self.shift(level)),
        }
    }

    #[inline]
    const fn shift(&self, level: Level) -> u32 {
        self.shifts[level as usize]
    }

    /// Returns the number of instances of the next level below an instance of a tree's level.
    #[must_use]
    pub fn fan_out(&self, level: Level) -> u32 {
        match LEVELS.get(level as usize + 1) {
            Some(next) => 1 << (self.shift(level) - self.shift(*next)),
            None => 0,
        }
    }

    /// Returns an instance of a level, before (epoch 0) or after (epoch 1) the route change.
    #[inline]
    #[must_use]
    pub fn instance(&self, level: Level, number: u32, epoch: u32) -> Instance<'_> {
        let i = level as usize;
        // A route change affects only the core.
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

    /// Returns the address of an interface, as a number of the family.
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

    /// Returns the first address of a vantage point's own network.
    #[must_use]
    pub fn home(&self, vantage_point: u32) -> u128 {
        match self.family {
            Family::V4 => HOMES_V4 + (u128::from(vantage_point) << 8),
            Family::V6 => HOMES_V6 + (u128::from(vantage_point) << 64),
        }
    }

    /// Returns whether an address belongs to a vantage point's own network.
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

    /// Returns the address of a vantage point, as a number of the family.
    #[must_use]
    pub fn vantage_point(&self, number: u32) -> u128 {
        self.home(number) + HOST
    }

    /// The prefix length of a vantage point's link.
    #[must_use]
    pub const fn link_len(&self) -> u8 {
        self.family.bits() - LINK_HOST_BITS
    }

    /// Returns the first address of a prefix, as a number of the family.
    #[must_use]
    pub fn prefix(&self, number: u32) -> u128 {
        match self.family {
            Family::V4 => PREFIXES_V4 + (u128::from(number) << 8),
            Family::V6 => PREFIXES_V6 + (u128::from(number) << 64),
        }
    }

    /// Returns the place of an address, or None if it is outside of this Internet or of no
    /// interface.
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
        // After a route change, flows meet other routers with addresses of the same blocks.
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

    /// Returns a prefix whose path from a vantage point leads through a place, or None if none
    /// does.
    #[must_use]
    pub fn prefix_behind(&self, vantage_point: u32, place: Place) -> Option<u32> {
        match place {
            Place::Host(prefix) => Some(prefix),
            Place::Interface { level, number, .. } => match level {
                Level::Home => (number == vantage_point).then_some(0),
                Level::Core => (number % self.vantage_points == vantage_point)
                    .then_some((number / self.vantage_points) << self.shift(level)),
                _ => Some(number << self.shift(level)),
            },
        }
    }

    /// Returns the segments on the way from a vantage point to a prefix, first to last.
    #[inline]
    pub fn path(
        &self,
        vantage_point: u32,
        prefix: u32,
        epoch: u32,
    ) -> impl Iterator<Item = Instance<'_>> {
        let region = prefix >> self.shift(Level::Region);
        let numbers = [
            vantage_point,
            // All vantage points' ways into a region have adjacent numbers.
            region * self.vantage_points + vantage_point,
            region,
            prefix >> self.shift(Level::Provider),
            prefix >> self.shift(Level::Access),
            prefix,
        ];
        LEVELS
            .into_iter()
            .zip(numbers)
            .map(move |(level, number)| self.instance(level, number, epoch))
    }

    /// Converts a number of the family to an address.
    #[must_use]
    pub fn address(&self, number: u128) -> IpAddr {
        match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::from(number as u32)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from(number)),
        }
    }
}

/// Returns where the blocks of each level begin, as offsets from the first of all, and the end.
fn lay_out(prefixes: u32, vantage_points: u32, landscape: &Landscape) -> [u64; 7] {
    let mut offsets = [0; 7];
    for level in LEVELS {
        let instances = match level {
            Level::Home => 0,
            _ => u64::from(prefixes.div_ceil(1 << landscape.shift(level))),
        };
        let ways = if level == Level::Core {
            vantage_points
        } else {
            1
        };
        let i = level as usize;
        offsets[i + 1] = offsets[i] + instances * u64::from(ways * plan(level).block);
    }
    offsets
}
