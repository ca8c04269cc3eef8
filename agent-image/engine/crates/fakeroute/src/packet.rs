//! Probes and replies, with the fields that the network reads or decides.

use anabranch_prefixes::Family;

use crate::quote::Quote;

/// A probe, with the fields that the network reads.
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
    /// The first four octets after the IP header: ports, or ICMP type, code and checksum.
    pub octets: u32,
    /// The IPv6 flow label; 0 for IPv4.
    pub flow_label: u32,
    /// The IPv4 identification; 0 for IPv6.
    pub identification: u16,
    /// The reply that it asks a host for.
    pub asks: Asks,
}

/// The reply that a probe asks a host for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// An echo reply.
    Echo,
    /// An echo reply of more than 1,280 bytes.
    LargeEcho,
    /// No packets of more than 1,280 bytes, by a Packet Too Big. It is not answered.
    SmallerPackets,
    /// A port unreachable: UDP to a port where nobody listens.
    Port,
    /// A TCP connection: a SYN-ACK from an open port, a reset from others.
    Connection,
    /// A reset: TCP for a connection that does not exist.
    Reset,
    /// Nothing: hosts drop the probe.
    Nothing,
}

/// A kind of reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The TTL expired on the way.
    TimeExceeded,
    /// The destination's answer to an echo request.
    Echo,
    /// The destination's answer to UDP.
    PortUnreachable,
    /// The destination's answer to TCP where somebody listens.
    SynAck,
    /// The destination's answer to other TCP.
    Reset,
}

impl Reply {
    /// Returns whether the reply is an ICMP error, which quotes its probe.
    #[inline]
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(self, Self::TimeExceeded | Self::PortUnreachable)
    }
}

/// A reply, with the fields that the network decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The kind of reply.
    pub reply: Reply,
    /// The source address, as a number of the family.
    pub from: u128,
    /// The distance of its sender from the vantage point in hops: 1 for the first router.
    pub hops: u8,
    /// The TTL that it arrives with.
    pub ttl: u8,
    /// The identification of its IPv4 header.
    pub identification: u16,
    /// The identification of its fragments; None if it is not cut.
    pub fragment: Option<u32>,
    /// The time from the sending of the probe to the arrival of the reply, in microseconds.
    pub delay_us: u32,
    /// The MPLS label that the probe carried at the router.
    pub label: Option<u32>,
    /// How an error quotes the probe.
    pub quote: Quote,
    /// The number of times that it arrives.
    pub copies: u32,
}
