//! What there is to be found.

use std::ops::Range;

use crate::graph::Vertex;
use crate::internet::{Internet, Place};
use crate::level::{Instance, LEVELS, Level};
use crate::network::Network;
use crate::packet::Probe;
use crate::topology::Topology;

/// An interface of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interface {
    /// Its address, as a number of the family.
    pub address: u128,
    /// What tells its router from all others.
    pub router: u64,
    /// Whether the router answers.
    pub answers: bool,
}

/// A branching of paths and where they meet again (Augustin et al., IMC 2011).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diamond {
    /// The address of the divergence point.
    pub divergence: u128,
    /// The address of the convergence point.
    pub convergence: u128,
    /// The most interfaces at one hop in between.
    pub max_width: u32,
    /// Links from one to the other, on the longest path.
    pub max_length: u32,
}

impl Internet {
    /// The instances of the next level that traffic through an instance can go on to.
    fn next_numbers(&self, level: Level, number: u32) -> Range<u32> {
        let Some(next) = LEVELS.get(level as usize + 1) else {
            return 0..0;
        };
        let regions = self.instances(Level::Region);
        let vantage_points = self.instances(Level::Home);
        match level {
            // A vantage point's ways into the regions lie as far apart as there are vantage points.
            Level::Home => number..number + (regions.max(1) - 1) * vantage_points + 1,
            Level::Core => number / vantage_points..number / vantage_points + 1,
            _ => {
                let fan_out = self.fan_out(level);
                let first = number * fan_out;
                first..(first + fan_out).min(self.instances(*next))
            }
        }
    }

    /// The entries of the segments that follow an instance.
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

    /// All pieces of this Internet, in one of the epochs that a route change makes.
    pub fn all(&self, epoch: u32) -> impl Iterator<Item = Instance<'_>> {
        LEVELS.into_iter().flat_map(move |level| {
            (0..self.instances(level)).map(move |number| self.instance(level, number, epoch))
        })
    }

    /// The links of a piece, within it and to those that follow: near and far address.
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

    /// The diamonds that diverge in a piece.
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
    /// The links between interfaces: near and far vertex.
    pub fn links(&self) -> impl Iterator<Item = (Vertex, Vertex)> {
        self.interfaces().flat_map(|near| {
            let mut next = self.graph().next_hops(near).to_vec();
            next.dedup(); // a weight repeats a link
            next.into_iter().map(move |far| (near, far))
        })
    }

    /// The diamonds, from first to last.
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

    /// The vertices that lie on all paths: where no link leads past, once those before are passed.
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

    /// The interfaces at each hop between two vertices, on paths of whatever length.
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

impl Network {
    /// The interfaces of a piece.
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

    /// Whether a router answers, and in its own place.
    fn shows(&self, router: u64) -> bool {
        !self.is_silent(router) && !self.forwards_at_zero(router)
    }

    /// The same interface as the flow of a probe meets it: the last routers before a prefix may
    /// answer in the name of the destination alone.
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

    /// The interface at a vertex of a topology; the destination always answers.
    #[must_use]
    pub fn interface_in(&self, topology: &Topology, vertex: Vertex) -> Interface {
        let router = self.router_in(topology, vertex);
        Interface {
            address: topology.address(vertex),
            router,
            answers: vertex == topology.destination() || self.shows(router),
        }
    }

    /// The topology that a probe's destination is the end of.
    fn find_destination(&self, probe: &Probe) -> Option<(&Topology, Vertex)> {
        let (topology, vertex) = self.topologies().find(probe.family, probe.destination)?;
        (vertex == topology.destination()).then_some((topology, vertex))
    }

    /// The segments on the way to a probe's destination, if it lies in a prefix.
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

    /// The interfaces that the packets of a flow to a prefix, or to a topology's destination, meet
    /// before their destination, first to last; nothing for other destinations. Where routers
    /// balance packet by packet, one of the flow's paths.
    #[must_use]
    pub fn path(&self, probe: &Probe) -> Vec<Interface> {
        if let Some((topology, place)) = self.find_destination(probe) {
            let way = self.walk_in(topology, place, probe, 0);
            return way
                .filter(|vertex| *vertex != place)
                .map(|vertex| self.interface_in(topology, vertex))
                .collect();
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

    /// The links between routers, and to a topology's destination, that the packets of a flow can
    /// cross: those of its path, and where routers balance packet by packet all that they choose from.
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
