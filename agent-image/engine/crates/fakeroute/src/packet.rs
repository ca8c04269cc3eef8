//! Probes and replies, as far as the network looks at them and decides about them.

use anabranch_prefixes::Family;

use crate::quote::Quote;

/// A packet that a vantage point sent, as far as the network looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The vantage point's number.
    pub vantage_point: u32,
    /// The address family.
    pub family: Family,
    /// The source address, as a number of the family.
    pub source: u128,
    /// The destination address, as a number of the family.
    pub destination: u128,
    /// The protocol's number in the IP header.
    pub protocol: u8,
    /// The TTL or hop limit.
    pub ttl: u8,
    /// The first four octets behind the IP header: ports, or ICMP type, code and checksum.
    pub octets: u32,
    /// The flow label of IPv6; 0 for IPv4.
    pub flow_label: u32,
    /// The identification of IPv4; 0 for IPv6.
    pub identification: u16,
    /// What a host does with it.
    pub asks: Asks,
}

/// What a probe makes a host send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// An echo reply.
    Echo,
    /// A port unreachable: UDP to a port where nobody listens.
    Port,
    /// A reset: TCP to a port where nobody listens.
    Reset,
    /// Nothing: what hosts drop.
    Nothing,
}

/// What kind of reply it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The TTL ended on the way.
    TimeExceeded,
    /// The destination's answer to an echo request.
    Echo,
    /// The destination's answer to UDP.
    PortUnreachable,
    /// The destination's answer to TCP.
    Reset,
}

impl Reply {
    /// Whether it is an ICMP error, which quotes its probe.
    #[inline]
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(self, Self::TimeExceeded | Self::PortUnreachable)
    }
}

/// A reply, as far as the network decides about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The kind.
    pub reply: Reply,
    /// The address that it comes from.
    pub from: u128,
    /// Hops from the vantage point to where it comes from: 1 for the first router.
    pub hops: u8,
    /// The TTL that it arrives with.
    pub ttl: u8,
    /// The identification of its IPv4 header.
    pub identification: u16,
    /// When it arrives, in microseconds from when the probe was sent.
    pub delay_us: u32,
    /// The MPLS label that the probe had on the way.
    pub label: Option<u32>,
    /// How an error quotes the probe.
    pub quote: Quote,
    /// How often it comes.
    pub copies: u32,
}
