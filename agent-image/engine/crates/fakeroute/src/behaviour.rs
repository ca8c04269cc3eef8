//! How the simulated network behaves; each trait is a switch.

use crate::chance::{Share, mix};
use crate::graph::{Balancing, Choice, Keys};

/// Shares and limits; the defaults make a demo.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// Packets lost, of probes and of replies alike.
    pub loss: f64,
    /// Routers that never answer.
    pub silent_routers: f64,
    /// Addresses of prefixes that answer.
    pub hosts: f64,
    /// Segments whose routers balance by the addresses alone.
    pub per_destination: f64,
    /// Segments whose routers balance packet by packet.
    pub per_packet: f64,
    /// Segments whose routers prefer some next hops to others.
    pub weighted: f64,
    /// Segments whose routers show MPLS labels (RFC 4950).
    pub mpls: f64,
    /// Prefixes whose last router answers more than once.
    pub amplification: f64,
    /// Prefixes to which packets loop.
    pub loops: f64,
    /// ICMP errors that a router sends in a second at most; no limit if 0.
    pub icmp_rate: u32,
    /// When routes through the core change, in microseconds from the start; never if 0.
    pub route_change_us: u64,
    /// What round-trip times are multiplied by; replies are immediate if 0.
    pub delay: f64,
    /// Routers that quote no more than 28 bytes of a probe (RFC 792's least).
    pub short_quotes: f64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            loss: 0.0,
            silent_routers: 0.02,
            hosts: 0.3,
            per_destination: 0.05,
            per_packet: 0.0,
            weighted: 0.0,
            mpls: 0.1,
            amplification: 0.0,
            loops: 0.0,
            icmp_rate: 0,
            route_change_us: 0,
            delay: 1.0,
            short_quotes: 0.2,
        }
    }
}

impl Behaviour {
    /// Everything that makes measuring hard, at once.
    #[must_use]
    pub fn hostile() -> Self {
        Self {
            loss: 0.02,
            silent_routers: 0.1,
            hosts: 0.3,
            per_destination: 0.1,
            per_packet: 0.05,
            weighted: 0.2,
            mpls: 0.2,
            amplification: 0.02,
            loops: 0.02,
            icmp_rate: 100,
            route_change_us: 0,
            delay: 1.0,
            short_quotes: 0.5,
        }
    }

    /// The same with hashes in place of probabilities, for many packets.
    #[must_use]
    pub(crate) fn compile(&self) -> Switches {
        Switches {
            loss: Share::new(self.loss),
            silent_routers: Share::new(self.silent_routers),
            hosts: Share::new(self.hosts),
            per_destination: Share::new(self.per_destination),
            per_packet: Share::new((self.per_destination + self.per_packet).min(1.0)),
            weighted: Share::new(self.weighted),
            mpls: Share::new(self.mpls),
            amplification: Share::new(self.amplification),
            loops: Share::new(self.loops),
            short_quotes: Share::new(self.short_quotes),
        }
    }
}

/// The traits as draws from hashes. Each reads a hash of its own, so that they are independent.
#[derive(Clone, Debug)]
pub(crate) struct Switches {
    pub loss: Share,
    pub silent_routers: Share,
    pub hosts: Share,
    pub per_destination: Share,
    /// That or per destination.
    pub per_packet: Share,
    pub weighted: Share,
    pub mpls: Share,
    pub amplification: Share,
    pub loops: Share,
    pub short_quotes: Share,
}

impl Switches {
    /// How the routers of a segment choose for a packet.
    #[inline]
    pub fn choice(&self, salt: u64, keys: &Keys) -> Choice {
        let hash = mix(salt, 1);
        let balancing = if self.per_destination.of(hash) {
            Balancing::Destination
        } else if self.per_packet.of(hash) {
            Balancing::Packet
        } else {
            Balancing::Flow
        };
        Choice {
            key: keys.of(balancing),
            weighted: self.weighted.of(mix(salt, 14)),
        }
    }
}
