//! Finds where a probe ends: at a router where its TTL expires, at its destination, or nowhere.

use crate::graph::Vertex;
use crate::internet::{Internet, Place};
use crate::level::{Instance, Level};
use crate::measured::{Route, START, Stand};
use crate::network::Network;
use crate::packet::Probe;
use crate::topology::Topology;
use anabranch_chance::{below, mix};

/// The router or host at which a probe ends, and its answer.
pub(crate) struct Stop {
    pub address: u128,
    /// The first address of the same router.
    pub first_address: u128,
    /// The number that identifies the router or host among all.
    pub router: u64,
    /// Its distance from the vantage point in hops: 1 for the first router.
    pub hops: u32,
    pub delay_us: u32,
    pub is_destination: bool,
    pub label: Option<u32>,
    pub copies: u32,
    /// The number that identifies the prefix of the host, or behind one of its last routers.
    pub prefix: Option<u64>,
}

impl Network {
    /// Returns where a probe ends by its TTL alone, or None if nobody answers there.
    #[inline]
    pub(crate) fn find_stop(&self, probe: &Probe, packet: u64, now_us: u64) -> Option<Stop> {
        if let Some((topology, place)) = self.topologies().find(probe.family, probe.destination) {
            return self.find_stop_in(topology, place, probe, packet);
        }
        if let Some(route) = self.measured().find(probe) {
            return self.find_stop_on(&route, probe, packet);
        }
        let internet = self.internet(probe.family);
        let place = internet.find(probe.destination)?;
        let prefix = internet.prefix_behind(probe.vantage_point, place)?;
        let epoch = self.epoch(now_us);
        let told = self.tell_prefix(probe.family, prefix);
        let is_host = matches!(place, Place::Host(_));
        let near = |stop: Stop, level: Level| Stop {
            prefix: (is_host && level >= Level::Access).then_some(told),
            ..stop
        };
        // The TTL that is left for this segment and those behind it.
        let mut ttl = u32::from(probe.ttl);
        let mut reached = Reached::default();
        let mut before: Option<(Instance<'_>, Reached)> = None;
        for instance in internet.path(probe.vantage_point, prefix, epoch) {
            let length = instance.length();
            if let Place::Interface { level, vertex, .. } = place
                && level == instance.level
            {
                let layer = instance.segment.layer_of(vertex)?;
                if ttl > layer {
                    let stop = self.stop_at(internet, &instance, vertex, layer, reached)?;
                    // The interfaces of a router are neighbours.
                    let before = (0..vertex).rev();
                    let its = before.take_while(|each| instance.router(*each) == stop.router);
                    let first = its.last().unwrap_or(vertex);
                    return Some(Stop {
                        is_destination: true,
                        first_address: internet.interface(level, instance.number, first),
                        ..stop
                    });
                }
            }
            if instance.level == Level::Edge && ttl > 1 && self.switches.loops.of(told) {
                let (access, reached_access) = before?;
                if ttl % 2 == 0 {
                    let layer = access.length() - 1;
                    let vertex = self.walk(&access, layer, probe, packet);
                    let stop = self.stop_at(internet, &access, vertex, layer, reached_access);
                    return stop.map(|stop| near(stop, access.level));
                }
                ttl = 1;
            }
            if ttl <= length {
                let vertex = self.walk(&instance, ttl - 1, probe, packet);
                let stop = self.stop_at(internet, &instance, vertex, ttl - 1, reached);
                return stop.map(|stop| near(stop, instance.level));
            }
            before = Some((instance, reached));
            ttl -= length;
            reached.hops += length;
            reached.delay_us += delay(&instance);
        }
        let stop = self.stop_at_host(probe, reached);
        stop.map(|stop| near(stop, Level::Edge))
    }

    /// Does the same in a topology, for a probe to one of its vertices.
    fn find_stop_in(
        &self,
        topology: &Topology,
        place: Vertex,
        probe: &Probe,
        packet: u64,
    ) -> Option<Stop> {
        let mut reached = Reached::default();
        let mut vertex = 0;
        for next in self
            .walk_in(topology, place, probe, packet)
            .take(usize::from(probe.ttl))
        {
            vertex = next;
            reached.hops += 1;
            let router = self.router_in(topology, vertex);
            reached.delay_us += LEAST_HOP_US + below(mix(router, 13), MORE_HOP_US);
        }
        let router = self.router_in(topology, vertex);
        if vertex != topology.destination() && self.is_silent(router) {
            return None;
        }
        Some(Stop {
            address: topology.address(vertex),
            first_address: topology.address(vertex),
            router,
            hops: reached.hops,
            delay_us: reached.delay_us,
            is_destination: vertex == place,
            label: self.switches.mpls.of_mix(router, 4).then(|| label(router)),
            copies: 1,
            prefix: None,
        })
    }

    /// Does the same on a measured route.
    fn find_stop_on(&self, route: &Route<'_>, probe: &Probe, packet: u64) -> Option<Stop> {
        let mut reached = Reached::default();
        let mut last = None;
        for stand in self
            .walk_on(route, probe, packet)
            .take(usize::from(probe.ttl))
        {
            let router = self.router_on(route, stand);
            reached.hops += 1;
            reached.delay_us += LEAST_HOP_US + below(mix(router, 13), MORE_HOP_US);
            last = Some((stand, router));
        }
        if reached.hops < u32::from(probe.ttl) {
            let host_hops = (reached.hops + 1).max(u32::from(route.target.host_ttl));
            // Silent routers are between the last one that was seen and the host.
            reached.hops = host_hops - 1;
            let host = self.fold(probe.destination);
            let answers = route.target.hosts.of(host) && u32::from(probe.ttl) >= host_hops;
            return answers.then(|| host_at(probe, host, reached));
        }
        let (stand, router) = last?;
        let address = route.address(stand).filter(|_| !self.is_silent(router))?;
        Some(Stop {
            address,
            first_address: address,
            router,
            hops: reached.hops,
            delay_us: reached.delay_us,
            is_destination: false,
            label: self.switches.mpls.of_mix(router, 4).then(|| label(router)),
            copies: 1,
            prefix: None,
        })
    }

    /// Returns the routers that a probe meets on a measured route, silent ones too.
    pub(crate) fn walk_on<'a>(
        &'a self,
        route: &'a Route<'a>,
        probe: &Probe,
        packet: u64,
    ) -> impl Iterator<Item = Stand> + 'a {
        let keys = self.keys(probe, packet);
        let mut at = START;
        std::iter::from_fn(move || {
            let router = self.router_on(route, at);
            at = route.choose(at, self.switches.choice(router, &keys), router)?;
            Some(at)
        })
    }

    /// Returns the routers that a probe may meet next on a measured route: all, if packets spread.
    pub(crate) fn next_on(&self, route: &Route<'_>, stand: Stand, probe: &Probe) -> Vec<Stand> {
        let router = self.router_on(route, stand);
        if self.sprays(router) {
            return route.next(stand).collect();
        }
        let choice = self.switches.choice(router, &self.keys(probe, 0));
        route.choose(stand, choice, router).into_iter().collect()
    }

    /// Returns the number that identifies a router on a measured route. If it has an address, the
    /// number is the same on all routes.
    #[inline]
    pub(crate) fn router_on(&self, route: &Route<'_>, stand: Stand) -> u64 {
        let address = route.address(stand);
        address.map_or_else(
            || route.silent_router(stand),
            |address| self.router_at(address),
        )
    }

    /// Returns the vertices that a probe to the vertex `place` meets in a topology.
    pub(crate) fn walk_in<'a>(
        &self,
        topology: &'a Topology,
        place: Vertex,
        probe: &Probe,
        packet: u64,
    ) -> impl Iterator<Item = Vertex> + use<'a> {
        let salt = self.salt_of(topology);
        let choice = self.switches.choice(salt, &self.keys(probe, packet));
        let spreads = place == topology.destination();
        let way = if spreads {
            Vec::new()
        } else {
            topology.way_to(place)
        };
        let mut spread = 0;
        let spreading = std::iter::from_fn(move || {
            spread = topology
                .graph()
                .next_hop(spread, choice, salt)
                .filter(|_| spreads)?;
            Some(spread)
        });
        way.into_iter().chain(spreading)
    }

    /// Returns the stop at a router, or None if the router never answers.
    #[inline]
    fn stop_at(
        &self,
        internet: &Internet,
        instance: &Instance<'_>,
        vertex: Vertex,
        layer: u32,
        reached: Reached,
    ) -> Option<Stop> {
        let router = instance.router(vertex);
        if self.is_silent(router) {
            return None;
        }
        let shows_labels = layer > 0
            && matches!(instance.level, Level::Region | Level::Provider)
            && self.switches.mpls.of_mix(instance.salt, 4);
        let amplifies =
            instance.level == Level::Edge && self.switches.amplification.of_mix(instance.salt, 3);
        let address = internet.interface(instance.level, instance.number, vertex);
        Some(Stop {
            address,
            first_address: address,
            router,
            hops: reached.hops + layer + 1,
            delay_us: reached.delay_us + delay(instance) * (layer + 1) / instance.length(),
            is_destination: false,
            label: shows_labels.then(|| label(router)),
            copies: if amplifies { 3 } else { 1 },
            prefix: None,
        })
    }

    /// Returns the stop at a host behind the last router, or None if no host has the address.
    fn stop_at_host(&self, probe: &Probe, reached: Reached) -> Option<Stop> {
        let host = self.fold(probe.destination);
        let answers = self.switches.hosts.of(host);
        answers.then(|| host_at(probe, host, reached))
    }
}

const LAST_LINK_US: u32 = 300;
/// The least delay of a topology's link, in microseconds, and the range above it.
const LEAST_HOP_US: u32 = 200;
const MORE_HOP_US: u32 = 4_000;
/// Labels below this one are reserved (RFC 3032).
const FIRST_LABEL: u32 = 16;
const LABELS: u32 = (1 << 20) - FIRST_LABEL;

/// Returns the MPLS label that a router sees on packets.
#[inline]
fn label(router: u64) -> u32 {
    FIRST_LABEL + below(mix(router, 5), LABELS)
}

/// Returns the delay of a segment in one direction, in microseconds.
#[inline]
fn delay(instance: &Instance<'_>) -> u32 {
    let (least, most) = match instance.level {
        Level::Home => (100, 500),
        Level::Core => (1_000, 60_000),
        Level::Region => (500, 8_000),
        Level::Provider | Level::Access => (200, 4_000),
        Level::Edge => (100, 2_000),
    };
    // The lowest bits of the salt chose the segment's shape, so the delay uses others.
    least + below(instance.salt << 16, most - least)
}

/// Returns the stop at a probe's destination, behind the last router.
fn host_at(probe: &Probe, host: u64, reached: Reached) -> Stop {
    Stop {
        address: probe.destination,
        first_address: probe.destination,
        router: host,
        hops: reached.hops + 1,
        delay_us: reached.delay_us + LAST_LINK_US,
        is_destination: true,
        label: None,
        copies: 1,
        prefix: None,
    }
}

/// The hops and the delay of a probe so far.
#[derive(Clone, Copy, Default)]
struct Reached {
    hops: u32,
    delay_us: u32,
}
