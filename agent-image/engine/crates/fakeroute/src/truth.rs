//! The ground truth: the interfaces, links and diamonds that a measurement can find.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use anabranch_prefixes::Family;
use anabranch_trace::diamond::delimit;

use crate::graph::Vertex;
use crate::internet::{Internet, Place};
use crate::level::{Instance, LEVELS, Level};
use crate::measured::{Measured, Route, START, Stand};
use crate::network::Network;
use crate::packet::Probe;
use crate::topology::Topology;

/// An interface of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interface {
    /// Its address, as a number of the family.
    pub address: u128,
    /// The number that identifies its router among all.
    pub router: u64,
    /// True if the router answers.
    pub answers: bool,
}

/// A diamond: paths diverge and converge again (Augustin et al., IMC 2011).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diamond {
    /// The address of the divergence point.
    pub divergence: u128,
    /// The address of the convergence point.
    pub convergence: u128,
    /// The most interfaces at one hop in between.
    pub max_width: u32,
    /// The number of links between the two, on the longest path.
    pub max_length: u32,
}

impl Internet {
    /// Returns the instances of the next level that traffic through an instance can go on to.
    fn next_numbers(&self, level: Level, number: u32) -> Range<u32> {
        let Some(next) = LEVELS.get(level as usize + 1) else {
            return 0..0;
        };
        let regions = self.instances(Level::Region);
        let vantage_points = self.instances(Level::Home);
        match level {
            // A vantage point's ways into the regions are `vantage_points` numbers apart.
            Level::Home => number..number + (regions.max(1) - 1) * vantage_points + 1,
            Level::Core => number / vantage_points..number / vantage_points + 1,
            _ => {
                let fan_out = self.fan_out(level);
                let first = number * fan_out;
                first..(first + fan_out).min(self.instances(*next))
            }
        }
    }

    /// Returns the first addresses of the segments that follow an instance.
    fn next_entries(&self, instance: &Instance<'_>) -> impl Iterator<Item = u128> + '_ {
        let level = instance.level;
        let step = match level {
            Level::Home => self.instances(Level::Home) as usize,
            _ => 1,
        };
        let next = LEVELS.get(level as usize + 1).copied();
        self.next_numbers(level, instance.number)
            .step_by(step)
            .filter_map(move |number| Some(self.interface(next?, number, 0)))
    }

    /// Returns all instances of this Internet, before (epoch 0) or after (epoch 1) the route
    /// change.
    pub fn all(&self, epoch: u32) -> impl Iterator<Item = Instance<'_>> {
        LEVELS.into_iter().flat_map(move |level| {
            (0..self.instances(level)).map(move |number| self.instance(level, number, epoch))
        })
    }

    /// Passes each link of an instance to `take`, as the near and the far address. The links to the
    /// instances that follow are included.
    pub fn links(&self, instance: &Instance<'_>, mut take: impl FnMut(u128, u128)) {
        let graph = instance.segment.graph();
        let address = |vertex| self.interface(instance.level, instance.number, vertex);
        for vertex in 0..graph.vertices() {
            for next in graph.next_hops(vertex) {
                take(address(vertex), address(*next));
            }
        }
        for entry in self.next_entries(instance) {
            for exit in instance.segment.exits() {
                take(address(exit), entry);
            }
        }
    }

    /// Passes each diamond that diverges in an instance to `take`.
    pub fn diamonds(&self, instance: &Instance<'_>, mut take: impl FnMut(Diamond)) {
        let address = |vertex| self.interface(instance.level, instance.number, vertex);
        let widths = instance.segment.layer_ranges();
        let Some(first) = widths.iter().position(|layer| layer.len() > 1) else {
            return;
        };
        let wide = widths[first..].iter().take_while(|layer| layer.len() > 1);
        let max_width = wide
            .clone()
            .map(|layer| layer.len() as u32)
            .max()
            .unwrap_or(0);
        let length = wide.count();
        let mut diamond = Diamond {
            divergence: address(widths[first - 1].start),
            convergence: 0,
            max_width,
            max_length: length as u32 + 1,
        };
        match widths.get(first + length) {
            Some(meeting) => {
                diamond.convergence = address(meeting.start);
                take(diamond);
            }
            None => {
                for convergence in self.next_entries(instance) {
                    diamond.convergence = convergence;
                    take(diamond);
                }
            }
        }
    }
}

impl Topology {
    /// Returns the links between interfaces, as the near and the far vertex.
    pub fn links(&self) -> impl Iterator<Item = (Vertex, Vertex)> {
        self.interfaces().flat_map(|near| {
            let mut next = self.graph().next_hops(near).to_vec();
            next.dedup(); // a weight repeats a link
            next.into_iter().map(move |far| (near, far))
        })
    }

    /// Returns the diamonds, from first to last.
    #[must_use]
    pub fn diamonds(&self) -> Vec<Diamond> {
        let meeting = self.meeting_points();
        let pairs = meeting.windows(2).map(|pair| (pair[0], pair[1]));
        pairs
            .filter_map(|(divergence, convergence)| {
                let widths = self.widths(divergence, convergence);
                Some(Diamond {
                    divergence: self.address(divergence),
                    convergence: self.address(convergence),
                    max_width: widths.iter().copied().max()?,
                    max_length: widths.len() as u32 + 1,
                })
            })
            .collect()
    }

    /// Returns the vertices that lie on all paths: no link leads past them.
    fn meeting_points(&self) -> Vec<Vertex> {
        let mut last_reached = 0;
        let passed_by_none = self.interfaces().filter(|vertex| {
            let meets = last_reached <= *vertex;
            let next_hops = self.graph().next_hops(*vertex);
            last_reached = last_reached.max(next_hops.iter().copied().max().unwrap_or(0));
            meets
        });
        passed_by_none.collect()
    }

    /// Returns the number of interfaces at each hop between two vertices, over paths of all
    /// lengths.
    fn widths(&self, divergence: Vertex, convergence: Vertex) -> Vec<u32> {
        let mut widths = Vec::new();
        let mut layer = vec![divergence];
        loop {
            let next = layer.iter().flat_map(|at| self.graph().next_hops(*at));
            let mut next: Vec<Vertex> = next.copied().filter(|at| *at != convergence).collect();
            next.sort_unstable();
            next.dedup();
            if next.is_empty() {
                return widths;
            }
            widths.push(next.len() as u32);
            layer = next;
        }
    }
}

impl Measured {
    /// Returns the links between routers with addresses: the family, the near and the far address.
    #[must_use]
    pub fn links(&self) -> BTreeSet<(Family, u128, u128)> {
        let mut links = BTreeSet::new();
        // Links are those of two neighbouring hops, and most ways have these in common.
        let mut told = HashSet::new();
        for route in self.routes() {
            for ttl in 1..route.last_ttl() {
                if !told.insert((route.family(), route.hop(ttl), route.hop(ttl + 1))) {
                    continue;
                }
                for stand in route.stands(ttl) {
                    for far in route.next(stand) {
                        if let (Some(near), Some(far)) = (route.address(stand), route.address(far))
                        {
                            links.insert((route.family(), near, far));
                        }
                    }
                }
            }
        }
        links
    }
}

impl Route<'_> {
    /// Returns the diamonds on the route, from first to last, whose two ends have an address.
    #[must_use]
    pub fn diamonds(&self) -> Vec<Diamond> {
        let hops: Vec<Vec<Stand>> = (1..=self.last_ttl())
            .map(|ttl| self.stands(ttl).collect())
            .collect();
        let widths: Vec<usize> = hops.iter().map(Vec::len).collect();
        let diamonds = delimit(&widths).filter_map(|inside| {
            Some(Diamond {
                divergence: self.address(hops[inside.start][0])?,
                convergence: self.address(hops[inside.end][0])?,
                max_width: *widths[inside.clone()].iter().max()? as u32,
                max_length: inside.len() as u32,
            })
        });
        diamonds.collect()
    }
}

impl Network {
    /// Returns the interfaces of an instance.
    pub fn interfaces<'a>(
        &'a self,
        internet: &'a Internet,
        instance: Instance<'a>,
    ) -> impl Iterator<Item = Interface> + 'a {
        let vertices = 0..instance.segment.graph().vertices();
        vertices.map(move |vertex| self.interface(internet, &instance, vertex))
    }

    fn interface(&self, internet: &Internet, instance: &Instance<'_>, vertex: Vertex) -> Interface {
        Interface {
            address: internet.interface(instance.level, instance.number, vertex),
            router: instance.router(vertex),
            answers: self.shows(instance.router(vertex)),
        }
    }

    /// Returns whether a router answers, and at its own hop.
    fn shows(&self, router: u64) -> bool {
        !self.is_silent(router) && !self.forwards_at_zero(router)
    }

    /// Returns an interface as the flow of a probe sees it. The last routers before a prefix may
    /// send from the probe's destination alone, and then do not answer as themselves.
    fn interface_to(&self, probe: &Probe, instance: &Instance<'_>, vertex: Vertex) -> Interface {
        let internet = self.internet(probe.family);
        let interface = self.interface(internet, instance, vertex);
        let hides = instance.level >= Level::Access
            && matches!(internet.find(probe.destination), Some(Place::Host(prefix))
                if self.masquerades(self.tell_prefix(probe.family, prefix)));
        Interface {
            answers: interface.answers && !hides,
            ..interface
        }
    }

    /// Returns the interface at a vertex of a topology. The destination always answers.
    #[must_use]
    pub fn interface_in(&self, topology: &Topology, vertex: Vertex) -> Interface {
        let router = self.router_in(topology, vertex);
        Interface {
            address: topology.address(vertex),
            router,
            answers: vertex == topology.destination() || self.shows(router),
        }
    }

    /// Returns the topology whose destination a probe goes to, and the vertex of the destination.
    fn find_destination(&self, probe: &Probe) -> Option<(&Topology, Vertex)> {
        let (topology, vertex) = self.topologies().find(probe.family, probe.destination)?;
        (vertex == topology.destination()).then_some((topology, vertex))
    }

    /// Returns a router of a measured route. A silent one has no address: 0 stands for it.
    fn interface_on(&self, route: &Route<'_>, stand: Stand) -> Interface {
        let router = self.router_on(route, stand);
        let address = route.address(stand);
        Interface {
            address: address.unwrap_or(0),
            router,
            answers: address.is_some() && self.shows(router),
        }
    }

    /// Returns an interface of measured paths by its address.
    #[must_use]
    pub fn interface_at(&self, address: u128) -> Interface {
        let router = self.router_at(address);
        Interface {
            address,
            router,
            answers: self.shows(router),
        }
    }

    /// Passes each link that the packets of a flow can cross on a measured route to `take`.
    fn links_on(
        &self,
        route: &Route<'_>,
        probe: &Probe,
        mut take: impl FnMut(Interface, Interface),
    ) {
        let mut here = BTreeSet::from([START]);
        while !here.is_empty() {
            let mut behind = BTreeSet::new();
            for stand in here {
                let next = self.next_on(route, stand, probe);
                if stand != START {
                    let near = self.interface_on(route, stand);
                    for far in &next {
                        take(near, self.interface_on(route, *far));
                    }
                }
                behind.extend(next);
            }
            here = behind;
        }
    }

    /// Returns the segments on the way to a probe's destination, if that lies in a prefix.
    fn instances_to<'a>(&'a self, probe: &Probe) -> impl Iterator<Item = Instance<'a>> + use<'a> {
        let internet = self.internet(probe.family);
        let prefix = match internet.find(probe.destination) {
            Some(Place::Host(prefix)) => Some(prefix),
            _ => None,
        };
        let vantage_point = probe.vantage_point;
        prefix
            .into_iter()
            .flat_map(move |prefix| internet.path(vantage_point, prefix, 0))
    }

    /// Returns the interfaces that a flow meets before its destination, first to last.
    ///
    /// The destination is in a prefix, or is that of a topology; for others the path is empty.
    /// Under per-packet balancing, this is one of the flow's paths.
    #[must_use]
    pub fn path(&self, probe: &Probe) -> Vec<Interface> {
        if let Some((topology, place)) = self.find_destination(probe) {
            let way = self.walk_in(topology, place, probe, 0);
            return way
                .filter(|vertex| *vertex != place)
                .map(|vertex| self.interface_in(topology, vertex))
                .collect();
        }
        if let Some(route) = self.measured().find(probe) {
            let way = self.walk_on(&route, probe, 0);
            return way.map(|stand| self.interface_on(&route, stand)).collect();
        }
        let mut path = Vec::new();
        for instance in self.instances_to(probe) {
            path.extend((0..instance.length()).map(|layer| {
                let vertex = self.walk(&instance, layer, probe, 0);
                self.interface_to(probe, &instance, vertex)
            }));
        }
        path
    }

    /// Passes each link that the packets of a flow can cross to `take`, as the near and far
    /// interface.
    ///
    /// These are the links of the flow's path between routers, and to a topology's destination.
    /// Under per-packet balancing, they include all links that routers choose from.
    pub fn links_of_flow(&self, probe: &Probe, mut take: impl FnMut(Interface, Interface)) {
        if let Some((topology, place)) = self.find_destination(probe) {
            let mut link = |near, far| {
                take(
                    self.interface_in(topology, near),
                    self.interface_in(topology, far),
                );
            };
            if self.sprays(self.salt_of(topology)) {
                topology.links().for_each(|(near, far)| link(near, far));
            } else {
                let way: Vec<Vertex> = self.walk_in(topology, place, probe, 0).collect();
                way.windows(2).for_each(|pair| link(pair[0], pair[1]));
            }
            return;
        }
        if let Some(route) = self.measured().find(probe) {
            self.links_on(&route, probe, take);
            return;
        }
        let mut last: Vec<Interface> = Vec::new();
        for instance in self.instances_to(probe) {
            let at = |vertex| self.interface_to(probe, &instance, vertex);
            for exit in &last {
                take(*exit, at(0));
            }
            if instance.branches() && self.sprays(instance.salt) {
                let graph = instance.segment.graph();
                for near in 0..graph.vertices() {
                    graph
                        .next_hops(near)
                        .iter()
                        .for_each(|far| take(at(near), at(*far)));
                }
                last = instance.segment.exits().map(at).collect();
            } else {
                let walk =
                    (0..instance.length()).map(|layer| self.walk(&instance, layer, probe, 0));
                let way: Vec<Interface> = walk.map(at).collect();
                way.windows(2).for_each(|pair| take(pair[0], pair[1]));
                last = way[way.len() - 1..].to_vec();
            }
        }
    }
}
