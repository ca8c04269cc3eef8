//! Replies: ICMP errors, echo replies and TCP segments, and the probes that they answer.

use anabranch_prefixes::Family;

use crate::checksum::checksum;
use crate::claim::{Claim, Quoted, word};
use crate::fragment::{First, LARGE_PAYLOAD};
use crate::ip::{ICMP6, Packet, TCP};
use crate::probe::{Probe, Seen, Stamp, icmp_of};
use crate::quote::see;
use crate::segment;

/// The most MPLS label stack entries that are read from a reply.
pub const MAX_LABELS: usize = 8;
const ICMP_HEADER: usize = 8;
/// The least length of a quote that extensions follow, in bytes (RFC 4884, section 5).
const LEAST_BEFORE_EXTENSIONS: usize = 128;
/// Version 2, in the first half of an extension structure's first byte.
const EXTENSION_VERSION: u8 = 2;

/// A reply to a probe, or a packet that claims to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The probe that it claims to answer.
    pub probe: Probe,
    /// What it shows of the probe's tag.
    pub seen: Seen,
    /// The address that it comes from, as a number of the family.
    pub from: u128,
    /// The address that it was sent to.
    pub to: u128,
    /// The protocol's number in its IP header.
    pub protocol: u8,
    /// The ICMP type; the flags of a TCP segment.
    pub kind: u8,
    /// The ICMP code; 0 for TCP.
    pub code: u8,
    /// The TTL that it arrived with.
    pub ttl: u8,
    /// The type of service, or traffic class.
    pub tos: u8,
    /// The IPv4 identification; 0 for IPv6.
    pub identification: u16,
    /// The identification of the fragment of IPv6 that it came in; None if it was not cut.
    pub fragment: Option<u32>,
    /// The length of the packet, in bytes.
    pub size: u16,
    /// What an error quotes of the probe's IP header; 0 in other replies.
    pub quoted: Quoted,
    /// The MPLS label stack that the probe had, outermost first.
    pub labels: Labels,
}

/// Entries of an MPLS label stack (RFC 3032): label, traffic class, bottom of stack, TTL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    entries: [u32; MAX_LABELS],
    count: u8,
}

impl Labels {
    /// Returns the label, traffic class, bottom-of-stack bit and TTL of each entry.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u8, u8, u8)> + '_ {
        let entries = self.entries[..usize::from(self.count)].iter();
        entries.map(|entry| {
            let class = (entry >> 9 & 7) as u8;
            (entry >> 12, class, (entry >> 8 & 1) as u8, *entry as u8)
        })
    }

    fn push(&mut self, entry: u32) {
        if let Some(place) = self.entries.get_mut(usize::from(self.count)) {
            *place = entry;
            self.count += 1;
        }
    }
}

impl Reply {
    /// Returns whether the probe's TTL reached 0 on the way.
    #[must_use]
    pub fn is_time_exceeded(&self) -> bool {
        let kind = match self.probe.family {
            Family::V4 => 11,
            Family::V6 => 3,
        };
        self.protocol == icmp_of(self.probe.family) && self.kind == kind
    }
}

impl Stamp {
    /// Reads a reply from a packet. Returns None unless the packet is an echo reply, a TCP segment
    /// that could answer a probe of ours, or an error about a packet that could be one. This does
    /// not check the tag: [`Stamp::vouches_for`] does.
    #[must_use]
    pub fn read(&self, packet: &Packet<'_>) -> Option<Reply> {
        if let Some(first) = packet.first_fragment() {
            return self.read_fragment(packet, &first);
        }
        let (family, message) = (packet.family(), packet.payload());
        let least = match packet.protocol() {
            TCP => segment::HEADER,
            protocol if protocol == icmp_of(family) => ICMP_HEADER,
            _ => return None,
        };
        if message.len() < least || packet.is_fragment() || !packet.has_right_checksum() {
            return None;
        }
        let (kind, code, (probe, seen, quoted), labels) = if packet.protocol() == TCP {
            let (flags, claim) = self.read_answer(packet)?;
            (flags, 0, claim, Labels::default())
        } else {
            let (claim, labels) = self.read_message(packet)?;
            (message[0], message[1], claim, labels)
        };
        Some(Reply {
            probe,
            seen,
            from: packet.source(),
            to: packet.destination(),
            protocol: packet.protocol(),
            kind,
            code,
            ttl: packet.ttl(),
            tos: packet.tos(),
            identification: packet.identification(),
            fragment: None,
            size: packet.bytes().len() as u16,
            quoted,
            labels,
        })
    }

    /// Reads the probe that an ICMP message answers, and the labels that the probe had.
    fn read_message(&self, packet: &Packet<'_>) -> Option<(Claim, Labels)> {
        let (family, message) = (packet.family(), packet.payload());
        match (family, message[0]) {
            (Family::V4, 0) | (Family::V6, 129) => {
                let length = message.len() - ICMP_HEADER;
                let probe = self.read_echo(family, packet.source(), message, length)?;
                let seen = see(&message[ICMP_HEADER..], None);
                Some(((probe, seen, Quoted::default()), Labels::default()))
            }
            (Family::V4, 3 | 11) | (Family::V6, 1 | 3) => {
                let (quote, own) = (&message[ICMP_HEADER..], packet.destination());
                let claim = self.find_quote(family, quote, own)?;
                Some((claim, read_labels(family, message)))
            }
            _ => None,
        }
    }

    /// Reads a reply from its first fragment: of an echo reply, this says all that matters. Its checksum
    /// is that of the whole reply, which nobody waits for; the tag tells whether it is right.
    fn read_fragment(&self, packet: &Packet<'_>, first: &First<'_>) -> Option<Reply> {
        let (family, message) = (packet.family(), first.payload);
        let is_echo = first.protocol == ICMP6 && message.len() >= ICMP_HEADER && message[0] == 129;
        if !is_echo {
            return None;
        }
        Some(Reply {
            probe: self.read_echo(family, packet.source(), message, LARGE_PAYLOAD)?,
            seen: see(&message[ICMP_HEADER..], None),
            from: packet.source(),
            to: packet.destination(),
            protocol: first.protocol,
            kind: message[0],
            code: message[1],
            ttl: packet.ttl(),
            tos: packet.tos(),
            identification: 0,
            fragment: Some(first.identification),
            size: packet.bytes().len() as u16,
            quoted: Quoted::default(),
            labels: Labels::default(),
        })
    }

    /// Reads the probe that an echo reply answers, of whose payload this message has the beginning.
    fn read_echo(
        &self,
        family: Family,
        from: u128,
        message: &[u8],
        length: usize,
    ) -> Option<Probe> {
        Some(Probe {
            family,
            destination: from,
            protocol: icmp_of(family),
            source_port: word(message, 4)?,
            destination_port: 0,
            ttl: self.read_ttl(length, &message[ICMP_HEADER..])?,
            sent: word(message, 6)?,
        })
    }
}

/// Reads the MPLS label stack behind the quote of an error (RFC 4884, RFC 4950). If the router does
/// not say how long the quote is, it has 128 bytes (RFC 4884, section 5.5).
fn read_labels(family: Family, message: &[u8]) -> Labels {
    let mut labels = Labels::default();
    let (at, unit) = match family {
        Family::V4 => (5, 4),
        Family::V6 => (4, 8),
    };
    let said = usize::from(message[at]) * unit;
    let quote = said.max(LEAST_BEFORE_EXTENSIONS);
    let structure = message.get(ICMP_HEADER + quote..).unwrap_or_default();
    // A checksum of 0 means that there is none. This is believed only of a router that says how
    // long its quote is.
    let is_right = checksum(structure) == 0 || said > 0 && structure.get(2..4) == Some(&[0, 0]);
    let is_there = structure.len() >= 4 && structure[0] >> 4 == EXTENSION_VERSION && is_right;
    let mut objects = if is_there { &structure[4..] } else { &[] };
    while let Some(length) = word(objects, 0).map(usize::from)
        && (4..=objects.len()).contains(&length)
    {
        // Class 1, type 1: the label stack of the packet as the router received it.
        if objects[2..4] == [1, 1] {
            let (entries, _) = objects[4..length].as_chunks::<4>();
            for entry in entries {
                labels.push(u32::from_be_bytes(*entry));
            }
        }
        objects = &objects[length..];
    }
    labels
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::claim::Rewritten;
    use crate::ip::{Header, UDP};
    use crate::probe::Segment;
    use crate::probe::tests::probes;

    const OWN: u128 = 7;

    /// Makes an error about a probe's packet, as a router sends it. It quotes `quote` bytes.
    fn error(probe: &[u8], kind: u8, quote: usize, extension: &[u8]) -> Vec<u8> {
        let family = Packet::parse_head(probe).unwrap().family();
        let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 0];
        message.extend(&probe[..quote.min(probe.len())]);
        if !extension.is_empty() {
            message.resize(ICMP_HEADER + LEAST_BEFORE_EXTENSIONS, 0);
            message.extend(extension);
        }
        packet(family, message)
    }

    fn packet(family: Family, mut message: Vec<u8>) -> Vec<u8> {
        let header = Header {
            family,
            source: 99,
            destination: OWN,
            protocol: icmp_of(family),
            ttl: 250,
            identification: 5,
            flow_label: 0,
        };
        message[2..4].fill(0);
        let sum = header.start_sum(message.len()).with(&message).finish();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut bytes = Vec::new();
        header.write(&mut bytes, message.len());
        bytes.extend(message);
        bytes
    }

    fn stamp() -> Stamp {
        Stamp::new([1, 2], "who@example.org").with_segment(Some(Segment::Syn))
    }

    fn sent(probe: &Probe) -> Vec<u8> {
        let mut bytes = Vec::new();
        stamp().write(&mut bytes, OWN, probe);
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Reply> {
        stamp().read(&Packet::parse(bytes).unwrap())
    }

    const fn time_exceeded(family: Family) -> u8 {
        match family {
            Family::V4 => 11,
            Family::V6 => 3,
        }
    }

    proptest! {
        #[test]
        fn an_error_names_its_probe_however_much_it_quotes(probe in probes(), quote in 0usize..400) {
            let bytes = sent(&probe);
            let header = bytes.len() - Packet::parse(&bytes).unwrap().payload().len();
            let reply = read(&error(&bytes, time_exceeded(probe.family), quote, &[]));
            prop_assert_eq!(reply.is_some(), quote >= header + 8);
            if let Some(reply) = reply {
                prop_assert_eq!(reply.probe, probe);
                let enough = probe.family == Family::V4 || quote >= header + 16;
                prop_assert_eq!(stamp().vouches_for(&reply.probe, reply.seen), enough);
                prop_assert_eq!((reply.from, reply.to, reply.ttl), (99, OWN, 250));
                prop_assert_eq!(reply.quoted.ttl, probe.ttl);
                prop_assert_eq!(usize::from(reply.quoted.length), bytes.len());
            }
        }

        #[test]
        fn a_quote_names_its_probe_behind_what_is_left_of_a_vlan_tag_or_labels(
            probe in probes(), leftover in proptest::collection::vec(any::<[u8; 4]>(), 0..3),
            padding in 0usize..99
        ) {
            let bytes = sent(&probe);
            let quote = [leftover.as_flattened(), &bytes, &vec![0; padding]].concat();
            let message = [&[time_exceeded(probe.family), 0, 0, 0, 0, 0, 0, 0][..], &quote].concat();
            let reply = read(&packet(probe.family, message)).unwrap();
            prop_assert_eq!(reply.probe, probe);
            prop_assert!(stamp().vouches_for(&reply.probe, reply.seen));
            prop_assert_eq!(reply.quoted.rewritten, Rewritten::default());
        }

        #[test]
        fn a_quote_names_its_probe_and_tells_what_a_translator_has_rewritten(
            probe in probes(), source in any::<bool>(), ports in any::<bool>(),
            identification in any::<bool>(), checksum in any::<bool>()
        ) {
            let v4 = probe.family == Family::V4;
            let (port, sum) = match probe.protocol {
                UDP => (1, 7),
                TCP => (1, 17),
                _ => (5, 3),
            };
            let bytes = sent(&probe);
            let header = bytes.len() - Packet::parse(&bytes).unwrap().payload().len();
            let mut quote = bytes.clone();
            let fields = [
                (Rewritten::SOURCE, source, if v4 { 15 } else { 23 }),
                (Rewritten::PORTS, ports, header + port),
                (Rewritten::IDENTIFICATION, identification && v4, 5),
                (Rewritten::CHECKSUM, checksum, header + sum),
            ];
            let mut expected = Rewritten::default();
            for (field, is_rewritten, place) in fields {
                expected = expected.with(field, is_rewritten);
                quote[place] ^= u8::from(is_rewritten);
            }
            let reply = read(&error(&quote, time_exceeded(probe.family), 999, &[])).unwrap();
            prop_assert_eq!(reply.probe, probe);
            prop_assert!(stamp().vouches_for(&reply.probe, reply.seen));
            prop_assert_eq!(reply.quoted.rewritten, expected);
        }

        #[test]
        fn an_echo_reply_names_its_probe(probe in probes()) {
            let probe = Probe {
                protocol: icmp_of(probe.family),
                destination: 99,
                destination_port: 0,
                ..probe
            };
            let bytes = sent(&probe);
            let mut message = Packet::parse(&bytes).unwrap().payload().to_vec();
            message[0] = if probe.family == Family::V4 { 0 } else { 129 };
            let reply = read(&packet(probe.family, message)).unwrap();
            prop_assert_eq!(reply.probe, probe);
            prop_assert!(stamp().vouches_for(&reply.probe, reply.seen));
        }

        #[test]
        fn no_packet_makes_it_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 8..300),
            v6 in any::<bool>(), kind in 0usize..6
        ) {
            let family = if v6 { Family::V6 } else { Family::V4 };
            bytes[0] = [0, 1, 3, 11, 129, 128][kind];
            if let Some(first) = bytes.get_mut(8) {
                *first = if v6 { 0x60 } else { 0x45 };
            }
            let _ = read(&packet(family, bytes));
        }
    }

    #[test]
    fn labels_are_read_whether_the_quotes_length_is_said_or_not() {
        let probe = Probe {
            family: Family::V4,
            destination: 9,
            protocol: UDP,
            source_port: 24_000,
            destination_port: 33_434,
            ttl: 4,
            sent: 5,
        };
        let mut extension = vec![0x20, 0, 0, 0, 0, 12, 1, 1];
        for (label, bottom) in [(300u32, 0), (16, 1)] {
            extension.extend((label << 12 | 3 << 9 | bottom << 8 | 0xfe).to_be_bytes());
        }
        let sum = checksum(&extension);
        extension[2..4].copy_from_slice(&sum.to_be_bytes());
        for said in [0, 32] {
            let bytes = error(&sent(&probe), 11, 128, &extension);
            let mut message = Packet::parse(&bytes).unwrap().payload().to_vec();
            message[5] = said;
            let reply = read(&packet(Family::V4, message)).unwrap();
            let labels: Vec<_> = reply.labels.iter().collect();
            assert_eq!(labels, [(300, 3, 0, 254), (16, 3, 1, 254)]);
        }
        extension[8] ^= 1; // a wrong checksum
        let reply = read(&error(&sent(&probe), 11, 128, &extension)).unwrap();
        assert_eq!(reply.labels, Labels::default());
    }
}
