//! What there is to be found.

use crate::graph::Vertex;
use crate::internet::{Instance, Internet, LEVELS, Level};
use crate::network::{Network, Probe};

/// An interface of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Links from one to the other.
    pub max_length: u32,
}

impl Internet {
    /// The instances of the next level that traffic through an instance can go on to.
    fn next_numbers(&self, level: Level, number: u32) -> std::ops::Range<u32> {
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

impl Network {
    /// The interfaces of a piece.
    pub fn interfaces<'a>(
        &'a self,
        internet: &'a Internet,
        instance: Instance<'a>,
    ) -> impl Iterator<Item = Interface> + 'a {
        (0..instance.segment.graph().vertices()).map(move |vertex| Interface {
            address: internet.interface(instance.level, instance.number, vertex),
            router: instance.router(vertex),
            answers: !self.is_silent(instance.router(vertex)),
        })
    }

    /// The interfaces that the packets of a flow to a prefix meet, first to last, and whether they
    /// answer; nothing for other destinations. Where routers balance packet by packet, one of
    /// the flow's paths.
    #[must_use]
    pub fn path(&self, probe: &Probe) -> Vec<Interface> {
        let internet = self.internet(probe.family);
        let Some(crate::internet::Place::Host(prefix)) = internet.find(probe.destination) else {
            return Vec::new();
        };
        internet
            .path(probe.vantage_point, prefix, 0)
            .flat_map(|instance| {
                (0..instance.segment.length()).map(move |layer| {
                    let vertex = self.choose_vertex(&instance, layer, probe);
                    Interface {
                        address: internet.interface(instance.level, instance.number, vertex),
                        router: instance.router(vertex),
                        answers: !self.is_silent(instance.router(vertex)),
                    }
                })
            })
            .collect()
    }

    fn choose_vertex(&self, instance: &Instance<'_>, layer: u32, probe: &Probe) -> Vertex {
        instance.walk(layer, self.choice(instance, probe, 0))
    }
}
