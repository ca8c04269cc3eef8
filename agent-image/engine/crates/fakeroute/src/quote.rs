//! How ICMP errors quote their probes.

use anabranch_chance::{below, mix};

use crate::behaviour::Switches;

/// The range of wrong TTLs in quotes: at most this much above the TTL that was left.
const ODD_TTLS: u32 = 200;

/// How an ICMP error quotes its probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// How much of the probe it quotes.
    pub extent: Extent,
    /// The TTL in the quoted header.
    pub ttl: u8,
    /// The remnant of a lower layer in front of the quote.
    pub leftover: Option<Leftover>,
    /// The fields that a translator rewrote on the way, and did not put back.
    pub rewritten: Rewritten,
}

/// How much of a probe is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// As much of the probe as fits.
    Whole,
    /// 8 bytes after the IP header for IPv4 (RFC 792); as much as fits for IPv6.
    Least,
    /// 16 bytes after the IP header.
    Cut,
    /// As much as fits, then zeros.
    Padded,
}

/// A remnant that a router leaves in front of a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// The end of a VLAN tag (IEEE 802.1Q), and the packet's `EtherType`.
    Vlan,
    /// An MPLS label stack entry.
    Label,
}

/// The fields of a probe that a translator rewrites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The source port, or the ICMP identifier.
    pub port: bool,
    /// The checksum of UDP, TCP or ICMP.
    pub checksum: bool,
    /// The IPv4 identification.
    pub identification: bool,
}

impl Switches {
    /// Returns how a router quotes a probe that has a TTL of `left`. `prefix` is given if the
    /// router is one of the last before that prefix: a translator may have rewritten the probe
    /// before it.
    #[inline]
    pub fn quote(&self, router: u64, prefix: Option<u64>, left: u8) -> Quote {
        let extent = if self.short_quotes.of_mix(router, 9) {
            Extent::Least
        } else if self.cut_quotes.of_mix(router, 15) {
            Extent::Cut
        } else if self.padded_quotes.of_mix(router, 16) {
            Extent::Padded
        } else {
            Extent::Whole
        };
        let kind = if mix(router, 25) & 1 == 0 {
            Leftover::Vlan
        } else {
            Leftover::Label
        };
        let is_odd = left > 0 && self.quoted_ttls.of_mix(router, 18);
        Quote {
            extent,
            ttl: if is_odd {
                left.saturating_add(1 + below(mix(router, 19), ODD_TTLS) as u8)
            } else {
                left
            },
            leftover: self.quote_leftovers.of_mix(router, 17).then_some(kind),
            rewritten: prefix.map_or_else(Rewritten::default, |prefix| Rewritten {
                port: self.rewritten_ports.of_mix(prefix, 20),
                checksum: self.rewritten_checksums.of_mix(prefix, 21),
                identification: self.rewritten_ids.of_mix(prefix, 22),
            }),
        }
    }
}
