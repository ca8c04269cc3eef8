//! Computes the network's answer to a probe: a function of the probe, the time and the seed.

use std::sync::Arc;

use anabranch_prefixes::Family;

use crate::behaviour::{Behaviour, Switches};
use crate::graph::{Balancing, Keys, Vertex};
use crate::internet::Internet;
use crate::level::Instance;
use crate::measured::Measured;
use crate::packet::{Answer, Asks, Probe, Reply};
use crate::router::{Memory, Sender, initial_ttl};
use crate::stop::Stop;
use crate::topology::{Topologies, Topology};
use anabranch_chance::{below, mix, scatter};

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
    memory: Memory,
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

    /// Returns the answer to a probe sent at `now_us` microseconds from the start, or None.
    #[inline]
    pub fn answer(&mut self, probe: &Probe, now_us: u64) -> Option<Answer> {
        self.packets += 1;
        let packet = scatter(self.seed ^ self.packets);
        let lost = self.switches.loss.of(packet) || self.switches.loss.of_mix(packet, 2);
        if lost || probe.ttl == 0 {
            return None;
        }
        let (stop, left) = self.find_end(probe, packet, now_us)?;
        let router = stop.router;
        let path = mix(router, self.fold(probe.source));
        if probe.asks == Asks::SmallerPackets {
            // Nothing is said about an error.
            if stop.is_destination && !self.switches.whole_replies.of_mix(router, 52) {
                self.memory.begin_to_cut(path, now_us);
            }
            return None;
        }
        let reply = self.reply_of(&stop, probe)?;
        let interval_us = self.switches.error_interval_us;
        if reply.is_error() && !self.memory.may_send_error(router, interval_us, now_us) {
            return None;
        }
        let from = self.sender_of(&stop, probe);
        let sender = Sender {
            router,
            address: from,
            probe,
            reply,
            packet,
        };
        let is_cut = stop.is_destination
            && probe.asks == Asks::LargeEcho
            && self.memory.is_cutting(path, now_us);
        let travel_us = u64::from(2 * stop.delay_us + below(mix(packet, 8), JITTER_US));
        Some(Answer {
            reply,
            from,
            hops: stop.hops as u8,
            ttl: initial_ttl(router, reply).saturating_sub(stop.hops as u8 - 1),
            identification: self.memory.identify(&sender, &self.switches, now_us),
            fragment: is_cut.then(|| {
                self.memory
                    .number_fragments(&sender, &self.switches, now_us)
            }),
            delay_us: ((travel_us * self.switches.delay_per_1024) >> 10) as u32,
            label: stop.label,
            quote: self.switches.quote(router, stop.prefix, left),
            copies: stop.copies,
        })
    }

    /// Returns the reply to a probe and its source address, as if nothing were lost or rate-limited
    /// and before any route change. Under per-packet balancing it is one of the possible replies.
    #[must_use]
    pub fn predict(&self, probe: &Probe) -> Option<(Reply, u128)> {
        let (stop, _) = self.find_end(probe, 0, 0).filter(|_| probe.ttl > 0)?;
        Some((self.reply_of(&stop, probe)?, self.sender_of(&stop, probe)))
    }

    /// Returns where a probe ends and what is left of its TTL there, or None if nobody answers
    /// there.
    #[inline]
    fn find_end(&self, probe: &Probe, packet: u64, now_us: u64) -> Option<(Stop, u8)> {
        let stop = self.find_stop(probe, packet, now_us)?;
        if stop.is_destination {
            let left = u32::from(probe.ttl) + 1 - stop.hops;
            return Some((stop, left as u8));
        }
        if !self.forwards_at_zero(stop.router) {
            return Some((stop, 1));
        }
        let further = Probe {
            ttl: probe.ttl.checked_add(1)?,
            ..*probe
        };
        Some((self.find_stop(&further, packet, now_us)?, 0))
    }

    /// Returns the kind of reply to a probe from a stop, or None if there is no reply.
    #[inline]
    fn reply_of(&self, stop: &Stop, probe: &Probe) -> Option<Reply> {
        if !stop.is_destination {
            return Some(Reply::TimeExceeded);
        }
        match probe.asks {
            Asks::Echo | Asks::LargeEcho => Some(Reply::Echo),
            Asks::Port => Some(Reply::PortUnreachable),
            Asks::Connection if self.is_open(stop.router, probe) => Some(Reply::SynAck),
            Asks::Connection | Asks::Reset => Some(Reply::Reset),
            Asks::SmallerPackets | Asks::Nothing => None,
        }
    }

    /// Returns whether the port that a probe goes to is open at a host or router.
    fn is_open(&self, router: u64, probe: &Probe) -> bool {
        let port = u64::from(probe.octets as u16);
        self.switches.open_ports.of_mix(mix(router, 26), port)
    }

    /// Returns the source address of replies from a stop.
    #[inline]
    fn sender_of(&self, stop: &Stop, probe: &Probe) -> u128 {
        match stop.prefix {
            Some(prefix) if self.masquerades(prefix) => probe.destination,
            _ if stop.is_destination
                && probe.asks == Asks::Port
                && self.switches.one_source.of_mix(stop.router, 34) =>
            {
                stop.first_address
            }
            _ => stop.address,
        }
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

const JITTER_US: u32 = 200;
