//! Claims: what a reply shows of the probe that it answers.

use crate::probe::{Probe, Seen};

/// What an error quotes of a probe's headers, besides what identifies the probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quoted {
    /// The TTL that the probe had left.
    pub ttl: u8,
    /// The type of service, or traffic class.
    pub tos: u8,
    /// The length of the packet according to its header, in bytes.
    pub length: u16,
    /// The header fields that are not as they were sent.
    pub rewritten: Rewritten,
}

/// The header fields of a quoted probe that are not as they were sent. A translator on the path
/// rewrote them, and did not restore them in the quote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewritten(u8);

impl Rewritten {
    /// The source address.
    pub const SOURCE: Self = Self(1);
    /// A port, or the ICMP identifier.
    pub const PORTS: Self = Self(2);
    /// The checksum of UDP, TCP or ICMP.
    pub const CHECKSUM: Self = Self(4);
    /// The IPv4 identification.
    pub const IDENTIFICATION: Self = Self(8);

    /// Returns these fields, and `others` too if they are rewritten.
    #[must_use]
    pub const fn with(self, others: Self, are_rewritten: bool) -> Self {
        Self(self.0 | if are_rewritten { others.0 } else { 0 })
    }

    /// The rewritten fields as a sum: 1 for the source address, 2 for ports or the ICMP identifier,
    /// 4 for the checksum, 8 for the identification.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

/// A probe that a quote claims to show, and what the quote shows of its tag and of its headers.
pub(crate) type Claim = (Probe, Seen, Quoted);

pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*word))
}
