//! The network: what there is, and the hashes by which its routers choose.

use std::sync::Arc;

use anabranch_prefixes::Family;

use crate::behaviour::{Behaviour, Switches};
use crate::graph::{Balancing, Keys, Vertex};
use crate::internet::Internet;
use crate::level::Instance;
use crate::measured::Measured;
use crate::packet::Probe;
use crate::router::Memory;
use crate::topology::{Topologies, Topology};
use anabranch_chance::{mix, scatter};

/// The network: an Internet of each family, topologies, measured paths, and the memory of its
/// routers.
pub struct Network {
    v4: Internet,
    v6: Internet,
    topologies: Topologies,
    measured: Arc<Measured>,
    seed: u64,
    pub(crate) switches: Switches,
    packets: u64,
    pub(crate) memory: Memory,
}

impl Network {
    /// Makes a network of two Internets and of topologies. An address that both have belongs to the
    /// topology.
    #[must_use]
    pub fn new(
        v4: Internet,
        v6: Internet,
        topologies: Topologies,
        behaviour: &Behaviour,
        seed: u64,
    ) -> Self {
        Self {
            v4,
            v6,
            topologies,
            measured: Arc::default(),
            seed: scatter(scatter(seed)),
            switches: behaviour.compile(),
            packets: 0,
            memory: Memory::new(),
        }
    }

    /// Adds measured paths. They go before those of an Internet to the same address, but behind
    /// those of a topology.
    #[must_use]
    pub fn with_measured(self, measured: Arc<Measured>) -> Self {
        Self { measured, ..self }
    }

    /// Returns the Internet of a family.
    #[must_use]
    pub const fn internet(&self, family: Family) -> &Internet {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// True if routes through the core change at some time.
    #[must_use]
    pub const fn changes_routes(&self) -> bool {
        self.switches.route_change_us > 0
    }

    /// Returns whether routes through the core have changed: 0 before, 1 from then on.
    #[must_use]
    pub fn epoch(&self, now_us: u64) -> u32 {
        u32::from(self.changes_routes() && now_us >= self.switches.route_change_us)
    }

    /// The network's topologies.
    #[must_use]
    pub const fn topologies(&self) -> &Topologies {
        &self.topologies
    }

    /// The network's measured paths.
    #[must_use]
    pub fn measured(&self) -> &Measured {
        &self.measured
    }

    /// Returns the hash of the next packet alone.
    #[inline]
    pub(crate) fn draw_packet(&mut self) -> u64 {
        self.packets += 1;
        scatter(self.seed ^ self.packets)
    }

    /// Returns whether a router never answers.
    #[inline]
    pub(crate) fn is_silent(&self, router: u64) -> bool {
        self.switches.silent_routers.of_mix(router, 6)
    }

    /// Returns the vertex that a probe meets in a layer of a segment.
    #[inline]
    pub(crate) fn walk(
        &self,
        instance: &Instance<'_>,
        layer: u32,
        probe: &Probe,
        packet: u64,
    ) -> Vertex {
        if !instance.branches() {
            return layer;
        }
        let keys = self.keys(probe, packet);
        instance.walk(layer, self.switches.choice(instance.salt, &keys))
    }

    /// Returns whether the routers of a segment, by its salt, balance per packet.
    pub(crate) fn sprays(&self, salt: u64) -> bool {
        self.switches.balancing(salt) == Balancing::Packet
    }

    /// Returns the salt of a topology: its choices are independent of those of others.
    pub(crate) fn salt_of(&self, topology: &Topology) -> u64 {
        self.router_in(topology, topology.destination())
    }

    /// Returns the number that identifies the router at a vertex, the same in all topologies.
    #[inline]
    pub(crate) fn router_in(&self, topology: &Topology, vertex: Vertex) -> u64 {
        self.router_at(topology.address(vertex))
    }

    /// Returns the number that identifies the router with an address of its own.
    #[inline]
    pub(crate) fn router_at(&self, address: u128) -> u64 {
        self.fold(address)
    }

    /// Returns whether a router forwards packets whose TTL has reached 0.
    #[inline]
    pub(crate) fn forwards_at_zero(&self, router: u64) -> bool {
        self.switches.zero_ttl.of_mix(router, 24)
    }

    /// Returns whether the last routers before a prefix send errors from the probe's destination.
    #[inline]
    pub(crate) fn masquerades(&self, prefix: u64) -> bool {
        self.switches.masquerades.of_mix(prefix, 23)
    }

    /// Returns the number that identifies a prefix among those of both families.
    #[inline]
    pub(crate) fn tell_prefix(&self, family: Family, prefix: u32) -> u64 {
        let number = u64::from(prefix) << 1 | u64::from(family == Family::V6);
        mix(self.seed, scatter(number))
    }

    #[inline]
    pub(crate) fn fold(&self, address: u128) -> u64 {
        mix(self.seed ^ address as u64, (address >> 64) as u64)
    }

    /// Returns the hashes of a probe that routers may choose by.
    #[inline]
    pub(crate) fn keys(&self, probe: &Probe, packet: u64) -> Keys {
        let ends = mix(self.fold(probe.destination), scatter(probe.source as u64));
        let destination = mix(ends, scatter(u64::from(probe.protocol)));
        let octets_and_label = u64::from(probe.octets) << 20 ^ u64::from(probe.flow_label);
        let flow = mix(destination, scatter(octets_and_label));
        Keys {
            flow,
            destination,
            packet,
            label: match probe.family {
                Family::V4 => flow,
                Family::V6 => mix(ends, scatter(probe.flow_label.into())),
            },
        }
    }
}
