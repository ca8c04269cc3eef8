//! Measured paths: what the flows of a survey met on the way to its targets.
//!
//! A path to a target leads through *hops*, one for each TTL. A hop has the routers at its TTL, and
//! says to which routers of the next hop each of them leads. Hops that are equal are held once,
//! whatever the targets and vantage points: most are, near a vantage point.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use anabranch_chance::{below, mix, scatter};
use anabranch_prefixes::{Family, Prefix};

use crate::graph::Choice;
use crate::packet::Probe;
use crate::weave::{Crossing, Hop, Target, weave};

/// The number of an address that no router has: a silent one's.
const SILENT: u32 = u32::MAX;
/// The most flows of a link that count, so that sums fit into 32 bits.
const MAX_FLOWS: u64 = 1 << 20;
/// Protocols whose paths stand for those of a protocol that a target was not probed by: UDP, ICMP
/// and `ICMPv6`.
const OTHERS: [u8; 3] = [17, 1, 58];

/// The paths to the targets of a survey, from each vantage point.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// The addresses of routers.
    addresses: Vec<(Family, u128)>,
    /// All hops, one after the other. In order: the number of routers; the address of each, as its
    /// number; for each, the end of its next routers; the places of all next routers; with flows,
    /// how many went to the next router and to those before it, of the same router.
    hops: Vec<u32>,
    has_flows: bool,
    /// For each target the hops on its way, as their places.
    ways: Vec<u32>,
    targets: Vec<Way>,
    places: HashMap<(u32, Prefix, u8), u32>,
    /// The lengths of each family's prefixes, longest first.
    lengths: [Vec<u8>; 2],
}

/// The way to a target.
#[derive(Clone, Copy, Debug)]
struct Way {
    target: Target,
    /// Where its hops begin and end in `ways`. The first is the vantage point.
    first: usize,
    end: usize,
}

/// What is needed to add targets to measured paths.
#[derive(Debug)]
pub struct Builder {
    measured: Measured,
    addresses: HashMap<(Family, u128), u32>,
    /// The place of a hop, by the hash of its content.
    hops: HashMap<u64, u32>,
}

impl Builder {
    /// Begins without a target. `has_flows` keeps how many flows crossed each link; without, hops
    /// are equal if their links are, which takes less memory.
    #[must_use]
    pub fn new(has_flows: bool) -> Self {
        let measured = Measured {
            has_flows,
            ..Measured::default()
        };
        Self {
            measured,
            addresses: HashMap::new(),
            hops: HashMap::new(),
        }
    }

    /// Adds a target with the links on the way to it. Of a target that is there already, nothing
    /// changes.
    pub fn add(&mut self, target: Target, crossings: &[Crossing]) {
        let key = (target.vantage_point, target.prefix, target.protocol);
        let number = self.measured.targets.len() as u32;
        if *self.measured.places.entry(key).or_insert(number) != number {
            return;
        }
        let first = self.measured.ways.len();
        for hop in weave(crossings) {
            let place = self.place(target.prefix.family(), &hop);
            self.measured.ways.push(place);
        }
        let end = self.measured.ways.len();
        self.measured.targets.push(Way { target, first, end });
        let lengths = &mut self.measured.lengths[target.prefix.family() as usize];
        let len = target.prefix.len();
        if let Err(place) = lengths.binary_search_by(|each| len.cmp(each)) {
            lengths.insert(place, len);
        }
    }

    /// Returns the paths.
    #[must_use]
    pub fn finish(mut self) -> Measured {
        self.measured.hops.shrink_to_fit();
        self.measured.ways.shrink_to_fit();
        self.measured
    }

    /// Returns the place of a hop, which is added if it is new.
    fn place(&mut self, family: Family, hop: &Hop) -> u32 {
        let content = self.write(family, hop);
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let hops = &mut self.measured.hops;
        let place = hops.len() as u32;
        let there = *self.hops.entry(hasher.finish()).or_insert(place);
        if hops[there as usize..].starts_with(&content) {
            return there;
        }
        // It is new or, once in a blue moon, has the hash of another one.
        hops.extend(content);
        place
    }

    fn write(&mut self, family: Family, hop: &Hop) -> Vec<u32> {
        let mut content = vec![hop.addresses.len() as u32];
        for address in &hop.addresses {
            content.push(match address {
                Some(address) => self.number((family, *address)),
                None => SILENT,
            });
        }
        let mut end = 0;
        for next in &hop.next {
            end += next.len() as u32;
            content.push(end);
        }
        content.extend(hop.next.iter().flatten().map(|(place, _)| place));
        if self.measured.has_flows {
            for next in &hop.next {
                let mut sum = 0u32;
                content.extend(next.iter().map(|(_, flows)| {
                    sum = sum.saturating_add((*flows).min(MAX_FLOWS) as u32);
                    sum
                }));
            }
        }
        content
    }

    /// Returns the number of an address, which is given if it is new.
    fn number(&mut self, address: (Family, u128)) -> u32 {
        let addresses = &mut self.measured.addresses;
        let next = addresses.len() as u32;
        let number = *self.addresses.entry(address).or_insert(next);
        if number == next {
            addresses.push(address);
        }
        number
    }
}

impl Measured {
    /// Returns the way of a probe, or None if no target has its destination. Of several targets
    /// that have it, the longest prefix counts.
    #[inline]
    #[must_use]
    pub fn find(&self, probe: &Probe) -> Option<Route<'_>> {
        let place = self.lengths[probe.family as usize].iter().find_map(|len| {
            let prefix = Prefix::containing(probe.family, probe.destination, *len);
            let protocols = [probe.protocol].into_iter().chain(OTHERS);
            let mut keys = protocols.map(|protocol| (probe.vantage_point, prefix, protocol));
            keys.find_map(|key| self.places.get(&key))
        })?;
        Some(self.route(&self.targets[*place as usize]))
    }

    /// Returns the ways to all targets, from all vantage points.
    pub fn routes(&self) -> impl Iterator<Item = Route<'_>> {
        self.targets.iter().map(|way| self.route(way))
    }

    /// Returns the prefixes of the targets of a vantage point, each once.
    pub fn prefixes(&self, vantage_point: u32) -> impl Iterator<Item = Prefix> {
        let targets = self.targets.iter().map(|way| way.target);
        let its = targets.filter(move |target| target.vantage_point == vantage_point);
        let prefixes: BTreeSet<Prefix> = its.map(|target| target.prefix).collect();
        prefixes.into_iter()
    }

    /// Returns the addresses of all routers that answer, each once.
    pub fn addresses(&self) -> impl Iterator<Item = (Family, u128)> {
        self.addresses.iter().copied()
    }

    /// The number of 32-bit words that all hops take.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.hops.len()
    }

    fn route(&self, way: &Way) -> Route<'_> {
        Route {
            measured: self,
            target: way.target,
            hops: &self.ways[way.first..way.end],
        }
    }
}

/// The way from a vantage point to a target.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    measured: &'a Measured,
    /// The target.
    pub target: Target,
    hops: &'a [u32],
}

/// A router on a route: its TTL, and its place in the hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stand {
    /// The TTL; 0 is the vantage point.
    pub ttl: u32,
    place: u32,
}

/// The vantage point, where each way begins.
pub const START: Stand = Stand { ttl: 0, place: 0 };

impl<'a> Route<'a> {
    /// The address family.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.target.prefix.family()
    }

    /// Returns the number that tells the hop at a TTL from all that differ.
    #[must_use]
    pub fn hop(&self, ttl: u32) -> Option<u32> {
        self.hops.get(ttl as usize).copied()
    }

    /// The highest TTL with routers.
    #[must_use]
    pub const fn last_ttl(&self) -> u32 {
        self.hops.len() as u32 - 1
    }

    /// Returns the routers at a TTL of the route.
    ///
    /// # Panics
    /// If no router is that far.
    pub fn stands(&self, ttl: u32) -> impl Iterator<Item = Stand> + use<> {
        (0..self.table(ttl)[0]).map(move |place| Stand { ttl, place })
    }

    /// Returns the address of a router, or None if it is silent.
    #[inline]
    #[must_use]
    pub fn address(&self, stand: Stand) -> Option<u128> {
        match self.table(stand.ttl)[1 + stand.place as usize] {
            SILENT => None,
            number => Some(self.measured.addresses[number as usize].1),
        }
    }

    /// Returns the routers that a router leads to.
    pub fn next(&self, stand: Stand) -> impl Iterator<Item = Stand> + use<'a> {
        let (places, _) = self.lead(stand);
        let ttl = stand.ttl + 1;
        places.iter().map(move |place| Stand { ttl, place: *place })
    }

    /// Returns the router that a packet goes to, or None where the route ends. `router` is the
    /// number of the router that chooses: as often as the survey saw if the choice is weighted and
    /// flows are known, each as often as the others otherwise.
    #[inline]
    #[must_use]
    pub fn choose(&self, stand: Stand, choice: Choice, router: u64) -> Option<Stand> {
        let (places, sums) = self.lead(stand);
        let place = match (places, sums.last()) {
            ([], _) => return None,
            ([only], _) => *only,
            (many, Some(all)) if choice.weighted => {
                let flow = below(mix(choice.key, scatter(router)), *all);
                many[sums.partition_point(|sum| *sum <= flow)]
            }
            (many, _) => {
                let even = Choice {
                    weighted: false,
                    ..choice
                };
                many[even.choose(router, many.len() as u32) as usize]
            }
        };
        let ttl = stand.ttl + 1;
        Some(Stand { ttl, place })
    }

    /// Returns a number that identifies a silent router among all.
    #[inline]
    #[must_use]
    pub fn silent_router(&self, stand: Stand) -> u64 {
        let hop = u64::from(self.hops[stand.ttl as usize]);
        scatter(hop << 32 | u64::from(stand.place))
    }

    /// Returns the places that a router leads to, and the sums of flows if these are known.
    #[inline]
    fn lead(&self, stand: Stand) -> (&'a [u32], &'a [u32]) {
        let table = self.table(stand.ttl);
        let routers = table[0] as usize;
        let ends = &table[1 + routers..=2 * routers];
        let place = stand.place as usize;
        let first = if place == 0 { 0 } else { ends[place - 1] };
        let these = first as usize..ends[place] as usize;
        let all = ends[routers - 1] as usize;
        let places = &table[1 + 2 * routers..];
        let sums = if self.measured.has_flows {
            &places[all..][these.clone()]
        } else {
            &[]
        };
        (&places[these], sums)
    }

    #[inline]
    fn table(&self, ttl: u32) -> &'a [u32] {
        &self.measured.hops[self.hops[ttl as usize] as usize..]
    }
}
