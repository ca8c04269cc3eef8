//! How errors quote the probes that they are about.

use anabranch_chance::{below, mix};

use crate::behaviour::Switches;

/// TTLs that are quoted instead of what was left.
const ODD_TTLS: u32 = 200;

/// How an error quotes its probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// How much of it.
    pub extent: Extent,
    /// The TTL in the quoted header.
    pub ttl: u8,
    /// What of lower layers stands in front of it.
    pub leftover: Option<Leftover>,
    /// Fields that were rewritten on the way, and are not put back.
    pub rewritten: Rewritten,
}

/// How much of a probe is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// As much as fits.
    Whole,
    /// Of IPv4, 8 bytes behind the IP header (RFC 792); else as much as fits.
    Least,
    /// 16 bytes behind the IP header.
    Cut,
    /// As much as fits, then zeros.
    Padded,
}

/// What routers forget to take away in front of a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// The end of a VLAN tag (IEEE 802.1Q), and the packet's type.
    Vlan,
    /// An entry of an MPLS label stack.
    Label,
}

/// Fields of a probe that a translator rewrites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The source port, or the ICMP identifier.
    pub port: bool,
    /// The checksum of UDP or ICMP.
    pub checksum: bool,
    /// The identification of IPv4.
    pub identification: bool,
}

impl Switches {
    /// How a router quotes a probe of whose TTL this is left. A prefix is given if the router is
    /// one of the last before it, behind whoever rewrites what goes there.
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
