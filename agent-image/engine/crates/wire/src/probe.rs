//! Probes, and their tags.
//!
//! The tag is a keyed hash of the destination, the ports, the protocol, the TTL and the time. It does
//! not cover the source address, since translation changes it.

use std::hash::Hasher;

use anabranch_prefixes::Family;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

use crate::checksum::Sum;
use crate::ip::{ICMP, ICMP6};

/// The length of the tag, in bytes.
pub(crate) const TAG: usize = 8;
/// The length of the copy of the ports and the time of sending, in bytes.
pub(crate) const COPY: usize = 6;
/// The number of bytes that give the checksum its value.
pub(crate) const BALANCE: usize = 2;
/// The longest contact, in bytes.
pub const MAX_CONTACT: usize = 256;

/// The number of different times of sending that probes can carry, in steps of 100 microseconds. So
/// times repeat after 6.5 seconds.
pub const TIMES: u16 = u16::MAX;

/// A probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The address family.
    pub family: Family,
    /// The destination, as a number of the family.
    pub destination: u128,
    /// The protocol's number in the IP header: [`UDP`](crate::ip::UDP), [`TCP`](crate::ip::TCP),
    /// [`ICMP`] or [`ICMP6`].
    pub protocol: u8,
    /// The source port; for ICMP, the checksum and the identifier.
    pub source_port: u16,
    /// The destination port; 0 for ICMP.
    pub destination_port: u16,
    /// The TTL or hop limit.
    pub ttl: u8,
    /// When it was sent, from 1 to [`TIMES`].
    pub sent: u16,
}

/// Returns the IPv6 flow label of a flow: 20 bits that its ports give.
///
/// As RFC 6437 asks of hosts, it is never 0, which stands for no label. Flows that differ in the
/// source port alone have different labels.
#[inline]
#[must_use]
pub const fn flow_label(source_port: u16, destination_port: u16) -> u32 {
    let ports = (source_port as u32) << 16 | destination_port as u32;
    match ports.wrapping_mul(0x9e37_79b1) >> 12 {
        0 => 1,
        label => label,
    }
}

/// Returns the time of sending that a probe carries, for microseconds since any start.
#[inline]
#[must_use]
pub const fn carried_time(at_us: u64) -> u16 {
    (at_us / 100 % TIMES as u64) as u16 + 1
}

/// Returns the microseconds from the sending of a probe to a time, in steps of 100. `sent` is what
/// the probe carries. The result is below 6.5 seconds, since times repeat.
#[inline]
#[must_use]
pub const fn elapsed_us(sent: u16, at_us: u64) -> u32 {
    let steps = TIMES as u32 + carried_time(at_us) as u32 - sent as u32;
    steps % TIMES as u32 * 100
}

/// What the TCP probes of a prober are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Segment {
    /// SYNs. Open ports answer with a SYN-ACK, others with a reset.
    Syn,
    /// ACKs, of connections that do not exist. All ports answer with a reset.
    Ack,
}

/// What all probes of a prober share: the key of their tags, a contact, and what those of TCP are.
#[derive(Clone, Debug)]
pub struct Stamp {
    key: [u64; 2],
    contact: Vec<u8>,
    segment: Option<Segment>,
    labels_flows: bool,
}

impl Stamp {
    /// Makes a stamp. Probes carry the contact for people who wonder about them.
    ///
    /// # Panics
    /// If the contact is longer than [`MAX_CONTACT`].
    #[must_use]
    pub fn new(key: [u64; 2], contact: &str) -> Self {
        assert!(contact.len() <= MAX_CONTACT);
        Self {
            key,
            contact: contact.as_bytes().to_vec(),
            segment: None,
            labels_flows: false,
        }
    }

    /// Returns the stamp for a prober that also sends TCP probes, if it does.
    #[must_use]
    pub fn with_segment(self, segment: Option<Segment>) -> Self {
        Self { segment, ..self }
    }

    /// Returns the stamp for a prober whose IPv6 probes have the label of their flow.
    #[must_use]
    pub fn with_flow_labels(self) -> Self {
        Self {
            labels_flows: true,
            ..self
        }
    }

    /// What the TCP probes are; None if there are none.
    pub(crate) const fn segment(&self) -> Option<Segment> {
        self.segment
    }

    /// The contact that probes carry.
    pub(crate) fn contact(&self) -> &[u8] {
        &self.contact
    }

    /// Returns the IPv6 flow label of a probe.
    #[inline]
    pub(crate) const fn flow_label(&self, probe: &Probe) -> u32 {
        if self.labels_flows {
            flow_label(probe.source_port, probe.destination_port)
        } else {
            0
        }
    }

    /// Returns the tag of a probe.
    #[inline]
    #[must_use]
    pub fn tag(&self, probe: &Probe) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.key[0], self.key[1]);
        hasher.write_u128(probe.destination);
        let ports = u32::from(probe.source_port) << 16 | u32::from(probe.destination_port);
        let rest =
            u32::from(probe.protocol) << 24 | u32::from(probe.ttl) << 16 | u32::from(probe.sent);
        hasher.write_u64(u64::from(ports) << 32 | u64::from(rest));
        hasher.finish()
    }

    /// Returns the length of a probe's payload after the UDP or ICMP header, in bytes.
    pub(crate) const fn payload(&self, ttl: u8) -> usize {
        TAG + COPY + BALANCE + self.contact.len() + ttl as usize
    }

    /// Returns the TTL that a payload of this length encodes, if a probe can have this length.
    #[must_use]
    pub fn ttl_of(&self, payload: usize) -> Option<u8> {
        let ttl = payload.checked_sub(self.payload(0))?;
        u8::try_from(ttl).ok().filter(|ttl| *ttl > 0)
    }

    /// Returns whether the tag that a reply shows is that of the probe that it claims to quote.
    #[must_use]
    pub fn vouches_for(&self, probe: &Probe, seen: Seen) -> bool {
        let tag = self.tag(probe);
        match seen {
            Seen::Tag(quoted) => quoted == tag,
            Seen::Identification(quoted) => quoted == tag as u16,
            Seen::Segment(quoted) => quoted == tag as u32 & 0xff_ffff,
            Seen::Sequence(quoted) => quoted == (tag >> 16) as u8,
            Seen::Nothing => false,
        }
    }
}

/// What a reply shows of a probe's tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// All of the tag.
    Tag(u64),
    /// The lowest 16 bits of the tag, which are the IPv4 identification.
    Identification(u16),
    /// The lowest 24 bits of the tag, which a quoted TCP header has.
    Segment(u32),
    /// Bits 16 to 23 of the tag, which a TCP answer repeats.
    Sequence(u8),
    /// Nothing of the tag.
    Nothing,
}

/// Returns the time that a UDP checksum carried before a translator changed the source address from
/// `own` to `quoted` and updated the checksum (RFC 1624).
#[must_use]
pub(crate) fn restore_time(sent: u16, family: Family, quoted: u128, own: u128) -> u16 {
    let words = |address: u128| match family {
        Family::V4 => Sum::default()
            .with(&(address as u32).to_be_bytes())
            .finish(),
        Family::V6 => Sum::default().with(&address.to_be_bytes()).finish(),
    };
    // In one's complement, the inverse of a sum is its negative. So this adds the quoted address to
    // the checksum and subtracts our own.
    let sum = u32::from(sent) + u32::from(!words(quoted)) + u32::from(words(own));
    match (sum % u32::from(u16::MAX)) as u16 {
        0 => u16::MAX,
        time => time,
    }
}

/// Returns the protocol number of echo requests.
#[must_use]
pub const fn icmp_of(family: Family) -> u8 {
    match family {
        Family::V4 => ICMP,
        Family::V6 => ICMP6,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ip::{TCP, UDP};

    pub(crate) fn probes() -> impl Strategy<Value = Probe> {
        (
            any::<bool>(),
            0usize..3,
            any::<u128>(),
            any::<[u16; 2]>(),
            1u8..,
            1u16..,
        )
            .prop_map(|(v6, protocol, destination, ports, ttl, sent)| {
                let family = if v6 { Family::V6 } else { Family::V4 };
                let protocol = [icmp_of(family), UDP, TCP][protocol];
                Probe {
                    family,
                    destination: destination & family.last(),
                    protocol,
                    source_port: ports[0],
                    destination_port: if protocol == icmp_of(family) {
                        0
                    } else {
                        ports[1]
                    },
                    ttl,
                    sent,
                }
            })
    }

    proptest! {
        #[test]
        fn another_key_or_any_other_field_gives_another_tag(probe in probes(), bit in 0u32..16) {
            let stamp = Stamp::new([5, 6], "");
            let tag = stamp.tag(&probe);
            prop_assert!(stamp.vouches_for(&probe, Seen::Tag(tag)));
            prop_assert!(stamp.vouches_for(&probe, Seen::Identification(tag as u16)));
            prop_assert!(!stamp.vouches_for(&probe, Seen::Nothing));
            prop_assert_ne!(tag, Stamp::new([5, 7], "").tag(&probe));
            let flipped = 1u16 << bit;
            for other in [
                Probe { destination: probe.destination ^ u128::from(flipped), ..probe },
                Probe { source_port: probe.source_port ^ flipped, ..probe },
                Probe { destination_port: probe.destination_port ^ flipped, ..probe },
                Probe { ttl: probe.ttl ^ (1 << (bit % 8)), ..probe },
                Probe { sent: probe.sent ^ flipped, ..probe },
            ] {
                prop_assert!(!stamp.vouches_for(&other, Seen::Tag(tag)));
            }
        }
    }

    #[test]
    fn times_come_around_after_six_seconds_and_a_half() {
        assert_eq!(carried_time(0), 1);
        assert_eq!(carried_time(6_553_400), u16::MAX);
        assert_eq!(carried_time(6_553_500), 1);
        assert_eq!(elapsed_us(carried_time(6_553_000), 6_553_900), 900);
        assert_eq!(elapsed_us(carried_time(250), 250), 0);
    }
}
