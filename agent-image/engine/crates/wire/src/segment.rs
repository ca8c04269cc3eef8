//! TCP segments: the probes that are some, and the answers of hosts.
//!
//! A probe has no data, and so no contact: hosts and firewalls drop a SYN with data, and an ACK of a
//! connection that they do not know. An answer repeats 32 bits of a probe and its ports, and a
//! router may quote no more than that. So one number holds 8 bits of the tag, the TTL and the time
//! of sending. It is the sequence number, which routers quote and the answers to a SYN acknowledge.
//! In an ACK it is the acknowledgment number, too, since a reset continues from there.
//!
//! The window has the tag's lowest 16 bits, as the IPv4 identification does. The timestamps option
//! repeats the ports; a SYN without any options is rare, and suspect to firewalls.

use crate::checksum::Sum;
use crate::claim::{Claim, Quoted, Rewritten, word};
use crate::ip::{Packet, TCP};
use crate::probe::{Probe, Seen, Segment, Stamp};

/// The length of a header without options, in bytes (RFC 9293, section 3.1).
pub const HEADER: usize = 20;
/// The destination port of probes: that of the web, which firewalls let through most.
pub const PORT: u16 = 80;
/// The flag of the segments that end a connection.
pub const FIN: u8 = 1;
/// The flag of the segments that open a connection.
pub const SYN: u8 = 2;
/// The flag of resets.
pub const RST: u8 = 4;
/// The flag of segments with an acknowledgment number.
pub const ACK: u8 = 16;

/// The length of a probe: a header and options.
const PROBE: usize = HEADER + 12;
/// Its length in words of 4 bytes.
const WORDS: u8 = (PROBE / 4) as u8;
/// Two times no operation, then the head of a timestamps option (RFC 7323, section 3.2).
const OPTION: [u8; 4] = [1, 1, 8, 10];
/// Where the fields of a probe begin, in bytes.
const SEQUENCE: usize = 4;
const ACKNOWLEDGMENT: usize = 8;
const FLAGS: usize = 13;
const WINDOW: usize = 14;
const CHECKSUM: usize = 16;
const COPY: usize = HEADER + OPTION.len();

impl Stamp {
    /// Returns the bytes of a probe that is sent from `source`.
    pub(crate) fn shape_segment(
        &self,
        segment: Segment,
        source: u128,
        probe: &Probe,
    ) -> [u8; PROBE] {
        let tag = self.tag(probe);
        let ports = [probe.source_port, probe.destination_port].map(u16::to_be_bytes);
        let number = join(tag, probe).to_be_bytes();
        let mut shape = [0; PROBE];
        let mut put = |at: usize, bytes: &[u8]| shape[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, ports.as_flattened());
        put(SEQUENCE, &number);
        let flag = match segment {
            Segment::Syn => SYN,
            Segment::Ack => {
                put(ACKNOWLEDGMENT, &number);
                ACK
            }
        };
        put(FLAGS - 1, &[WORDS << 4, flag]);
        put(WINDOW, &(tag as u16).to_be_bytes());
        put(HEADER, &OPTION);
        put(COPY, ports.as_flattened());
        let sum =
            Sum::default().with_pseudo_header(probe.family, source, probe.destination, TCP, PROBE);
        let sum = sum.with(&shape).finish();
        shape[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
        shape
    }

    /// Reads the probe in a quote, whose end may be cut off. The probe was sent from `own`; a
    /// translator may have replaced this address.
    #[inline(never)] // what reads other replies is faster without it
    pub(crate) fn read_quoted_segment(&self, packet: &Packet<'_>, own: u128) -> Option<Claim> {
        let (sent, segment) = (self.segment()?, packet.payload());
        let ports = |at| Some((word(segment, at)?, word(segment, at + 2)?));
        let quoted = ports(0)?;
        // A middlebox may have removed the option.
        let has_copy = segment.get(HEADER..COPY) == Some(&OPTION);
        let copied = ports(COPY).filter(|_| has_copy);
        let number = long(segment, SEQUENCE)?;
        let probe = split(
            number,
            packet,
            packet.destination(),
            copied.unwrap_or(quoted),
        )?;
        let mut rewritten = Rewritten::default()
            .with(Rewritten::SOURCE, packet.source() != own)
            .with(
                Rewritten::PORTS,
                copied.is_some_and(|copied| copied != quoted),
            );
        let identification = packet.identification_v4();
        let window = word(segment, WINDOW);
        if let (Some(window), Some(identification)) = (window, identification) {
            rewritten = rewritten.with(Rewritten::IDENTIFICATION, identification != window);
        }
        if let (Some(_), Some(checksum)) = (copied, word(segment, CHECKSUM)) {
            let as_sent = self.shape_segment(sent, own, &probe);
            let is_other = word(&as_sent, CHECKSUM) != Some(checksum);
            rewritten = rewritten.with(Rewritten::CHECKSUM, is_other);
        }
        let seen = window.or(identification).map_or(Seen::Nothing, |lowest| {
            Seen::Segment((number >> 24) << 16 | u32::from(lowest))
        });
        let quoted = Quoted {
            ttl: packet.ttl(),
            tos: packet.tos(),
            length: packet.length(),
            rewritten,
        };
        Some((probe, seen, quoted))
    }

    /// Reads the flags of a segment, and the probe that it answers.
    #[inline(never)] // the same
    pub(crate) fn read_answer(&self, packet: &Packet<'_>) -> Option<(u8, Claim)> {
        let segment = packet.payload();
        let flags = *segment.get(FLAGS)?;
        let number = match self.segment()? {
            Segment::Syn if flags & ACK != 0 && flags & (SYN | RST) != 0 => {
                long(segment, ACKNOWLEDGMENT)?.wrapping_sub(1)
            }
            Segment::Ack if flags & RST != 0 => long(segment, SEQUENCE)?,
            _ => return None,
        };
        let ports = (word(segment, 2)?, word(segment, 0)?);
        let probe = split(number, packet, packet.source(), ports)?;
        let seen = Seen::Sequence((number >> 24) as u8);
        Some((flags, (probe, seen, Quoted::default())))
    }
}

/// Returns the number that tells a probe's TTL, its time of sending and 8 bits of its tag.
fn join(tag: u64, probe: &Probe) -> u32 {
    let tag = (tag >> 16) as u8;
    u32::from(tag) << 24 | u32::from(probe.ttl) << 16 | u32::from(probe.sent)
}

/// Returns the probe to a destination that a number tells, if it tells one.
fn split(
    number: u32,
    packet: &Packet<'_>,
    destination: u128,
    (source_port, destination_port): (u16, u16),
) -> Option<Probe> {
    let (ttl, sent) = ((number >> 16) as u8, number as u16);
    (ttl > 0 && sent > 0).then_some(Probe {
        family: packet.family(),
        destination,
        protocol: TCP,
        source_port,
        destination_port,
        ttl,
        sent,
    })
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    let long = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*long))
}

#[cfg(test)]
mod tests {
    use anabranch_prefixes::Family;
    use proptest::prelude::*;

    use super::*;
    use crate::ip::Header;
    use crate::probe::tests::probes;
    use crate::reply::Reply;

    const OWN: u128 = 7;

    fn stamp(segment: Segment) -> Stamp {
        Stamp::new([1, 2], "who@example.org").with_segment(Some(segment))
    }

    fn tcp_probes() -> impl Strategy<Value = Probe> {
        probes().prop_map(|probe| Probe {
            protocol: TCP,
            ..probe
        })
    }

    fn kinds() -> impl Strategy<Value = Segment> {
        prop_oneof![Just(Segment::Syn), Just(Segment::Ack)]
    }

    /// Makes the packet of an answer to a probe, as its destination sends it.
    fn answer(probe: &Probe, sequence: u32, acknowledgment: u32, flags: u8) -> Vec<u8> {
        let header = Header {
            family: probe.family,
            source: probe.destination,
            destination: OWN,
            protocol: TCP,
            ttl: 60,
            identification: 0,
            flow_label: 0,
        };
        let mut segment = Vec::new();
        segment.extend(probe.destination_port.to_be_bytes());
        segment.extend(probe.source_port.to_be_bytes());
        segment.extend(sequence.to_be_bytes());
        segment.extend(acknowledgment.to_be_bytes());
        segment.extend([0x50, flags, 1, 0, 0, 0, 0, 0]);
        let sum = header.start_sum(HEADER).with(&segment).finish();
        segment[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
        let mut bytes = Vec::new();
        header.write(&mut bytes, segment.len());
        bytes.extend(segment);
        bytes
    }

    /// Returns the sequence and the acknowledgment number of a probe on the wire.
    fn numbers(stamp: &Stamp, probe: &Probe) -> (u32, u32) {
        let mut bytes = Vec::new();
        stamp.write(&mut bytes, OWN, probe);
        let segment = Packet::parse(&bytes).unwrap().payload().to_vec();
        let at = |at| long(&segment, at).unwrap();
        (at(SEQUENCE), at(ACKNOWLEDGMENT))
    }

    /// Returns the reply in a packet, if it answers a probe of ours.
    fn accept(stamp: &Stamp, bytes: &[u8]) -> Option<Reply> {
        let reply = stamp.read(&Packet::parse(bytes).unwrap())?;
        stamp.vouches_for(&reply.probe, reply.seen).then_some(reply)
    }

    proptest! {
        #[test]
        fn a_syn_ack_or_a_reset_names_its_syn(probe in tcp_probes(), flags in 0u8..64) {
            let stamp = stamp(Segment::Syn);
            let (sequence, acknowledgment) = numbers(&stamp, &probe);
            prop_assert_eq!(acknowledgment, 0);
            let bytes = answer(&probe, 99, sequence.wrapping_add(1), flags);
            let reply = accept(&stamp, &bytes);
            let is_answer = flags & ACK != 0 && flags & (SYN | RST) != 0;
            prop_assert_eq!(reply.is_some(), is_answer);
            if let Some(reply) = reply {
                prop_assert_eq!(reply.probe, probe);
                prop_assert_eq!((reply.protocol, reply.kind, reply.code), (TCP, flags, 0));
                prop_assert_eq!((reply.from, reply.to), (probe.destination, OWN));
                prop_assert_eq!(reply.quoted, Quoted::default());
            }
        }

        #[test]
        fn a_reset_names_its_ack(probe in tcp_probes(), flags in 0u8..64) {
            let stamp = stamp(Segment::Ack);
            let (_, acknowledgment) = numbers(&stamp, &probe);
            let reply = accept(&stamp, &answer(&probe, acknowledgment, 0, flags));
            prop_assert_eq!(reply.map(|reply| reply.probe), (flags & RST != 0).then_some(probe));
        }

        #[test]
        fn an_answer_with_another_tag_or_checksum_is_refused(
            probe in tcp_probes(), kind in kinds(), bit in 24u32..32, byte in 0usize..20,
        ) {
            let stamp = stamp(kind);
            let (sequence, _) = numbers(&stamp, &probe);
            let number = sequence ^ 1 << bit;
            let forged = answer(&probe, number, number.wrapping_add(1), RST | ACK);
            prop_assert!(accept(&stamp, &forged).is_none());
            let mut damaged = answer(&probe, sequence, sequence.wrapping_add(1), RST | ACK);
            let at = damaged.len() - HEADER + byte;
            damaged[at] ^= 1;
            prop_assert!(accept(&stamp, &damaged).is_none());
        }

        #[test]
        fn hardly_an_answer_with_another_port_ttl_or_time_passes(
            probe in tcp_probes(), kind in kinds()
        ) {
            let stamp = stamp(kind);
            let (sequence, _) = numbers(&stamp, &probe);
            let others = (0..16).map(|bit| (1 << bit, 0)).chain((0..24).map(|bit| (0, 1 << bit)));
            let passed = others.filter(|(port, number)| {
                let source_port = probe.source_port ^ port;
                let number = sequence ^ number;
                let other = Probe { source_port, ..probe };
                accept(&stamp, &answer(&other, number, number.wrapping_add(1), RST | ACK)).is_some()
            });
            // By chance, it is one in 256.
            prop_assert!(passed.count() < 8);
        }

        #[test]
        fn a_quote_with_another_bit_is_refused(
            probe in tcp_probes(), kind in kinds(), place in 0usize..14, bit in 0u32..8
        ) {
            let probe = Probe { family: Family::V4, destination: probe.destination & 0xffff_ffff, ..probe };
            let stamp = stamp(kind);
            let mut quote = Vec::new();
            stamp.write(&mut quote, OWN, &probe);
            quote.truncate(28);
            let is_ours = |quote: &[u8]| {
                let claim = stamp.find_quote(Family::V4, quote, OWN);
                claim.is_some_and(|(told, seen, _)| stamp.vouches_for(&told, seen))
            };
            prop_assert!(is_ours(&quote));
            // The identification, the destination, the ports and the sequence number.
            let places = [4, 5].into_iter().chain(16..28).collect::<Vec<_>>();
            quote[places[place]] ^= 1 << bit;
            prop_assert!(!is_ours(&quote));
        }

        #[test]
        fn no_segment_makes_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..60), kind in kinds(), v6 in any::<bool>()
        ) {
            let header = Header {
                family: if v6 { Family::V6 } else { Family::V4 },
                source: 99,
                destination: OWN,
                protocol: TCP,
                ttl: 60,
                identification: 0,
                flow_label: 0,
            };
            let mut quote = Vec::new();
            header.write(&mut quote, bytes.len());
            quote.extend(bytes);
            let stamp = stamp(kind);
            let _ = stamp.read_answer(&Packet::parse(&quote).unwrap());
            for end in 0..quote.len() {
                let _ = stamp.find_quote(header.family, &quote[..end], OWN);
            }
        }

        #[test]
        fn a_prober_without_tcp_probes_reads_no_segment(probe in tcp_probes(), kind in kinds()) {
            let (sequence, _) = numbers(&stamp(kind), &probe);
            let reset = answer(&probe, sequence, sequence.wrapping_add(1), RST | ACK);
            let bytes = Packet::parse(&reset).unwrap();
            prop_assert!(Stamp::new([1, 2], "").read(&bytes).is_none());
        }
    }

    #[test]
    fn a_quote_tells_its_probe_even_without_options() {
        let probe = Probe {
            family: Family::V4,
            destination: 9,
            protocol: TCP,
            source_port: 24_000,
            destination_port: 80,
            ttl: 4,
            sent: 5,
        };
        let stamp = stamp(Segment::Syn);
        let mut bytes = Vec::new();
        stamp.write(&mut bytes, OWN, &probe);
        let length = bytes.len();
        bytes[length - PROBE + HEADER..].fill(1);
        let (told, seen, quoted) = stamp.find_quote(Family::V4, &bytes, OWN).unwrap();
        assert_eq!(told, probe);
        assert!(stamp.vouches_for(&told, seen));
        assert_eq!(quoted.rewritten, Rewritten::default());
    }
}
