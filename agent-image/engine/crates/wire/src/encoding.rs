//! How probes are encoded in packets.
//!
//! The encoding is that of caracal (<https://github.com/dioptra-io/caracal>), except for the tag:
//!
//! - The ports encode the flow; in ICMP, the checksum and the identifier do.
//! - The length encodes the TTL.
//! - The UDP checksum encodes the time of sending; in ICMP, the sequence number does.
//! - Two bytes of the payload give the checksum the value that it must have.
//!
//! The 64 bits of the tag are at the head of the payload. Its lowest 16 bits are also the IPv4
//! identification, for routers that quote only 28 bytes. After the tag, the payload repeats the ports
//! and the time: a translator may leave its own values in the headers of a quote.
//!
//! The IPv6 flow label is 0, as caracal's; a stamp may give each flow one of its own.
//!
//! TCP probes carry the same in other fields, since they have no payload: see [`crate::segment`]. Large echo
//! requests repeat the TTL in the payload: see [`crate::fragment`].

use crate::ip::{Header, ICMP, TCP, UDP};
use crate::probe::{BALANCE, COPY, Probe, Stamp, TAG};

/// The length of the header of UDP, and of an ICMP echo, in bytes.
pub(crate) const TRANSPORT: usize = 8;
/// Where the payload of a large echo request has the TTL.
pub(crate) const MARK: usize = TAG + COPY + BALANCE;

impl Stamp {
    /// Appends a probe as an IP packet.
    ///
    /// # Panics
    /// If it is a TCP probe, and the stamp is not for these.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>, source: u128, probe: &Probe) {
        if probe.protocol == TCP {
            let header = self.header(source, probe, self.tag(probe));
            let segment = self.segment().expect("a stamp for TCP probes");
            let shape = self.shape_segment(segment, source, probe);
            header.write(out, shape.len());
            out.extend(shape);
            return;
        }
        let length = TRANSPORT + self.payload(probe.ttl);
        self.write_message(out, source, probe, length, &[]);
    }

    /// Appends a packet of UDP or ICMP with a payload that makes the message this long, and has `mark` at
    /// its place.
    #[inline]
    pub(crate) fn write_message(
        &self,
        out: &mut Vec<u8>,
        source: u128,
        probe: &Probe,
        length: usize,
        mark: &[u8],
    ) {
        let tag = self.tag(probe);
        let header = self.header(source, probe, tag);
        header.write(out, length);
        let start = out.len();
        let ports = [probe.source_port, probe.destination_port].map(u16::to_be_bytes);
        let sent = probe.sent.to_be_bytes();
        if probe.protocol == UDP {
            out.extend(ports.as_flattened());
            out.extend((length as u16).to_be_bytes());
            out.extend(sent);
        } else {
            out.extend([if probe.protocol == ICMP { 8 } else { 128 }, 0]);
            out.extend(ports[0]);
            out.extend(ports[0]);
            out.extend(sent);
        }
        out.extend(tag.to_be_bytes());
        out.extend(ports.as_flattened());
        out.extend(sent);
        let balance = out.len();
        out.extend([0; BALANCE]);
        out.extend(mark);
        out.extend(self.contact());
        out.resize(start + length, 0);
        let missing = header.start_sum(length).with(&out[start..]).finish();
        out[balance..balance + BALANCE].copy_from_slice(&missing.to_be_bytes());
    }

    /// Returns the IP header of a probe with this tag.
    #[inline]
    pub(crate) const fn header(&self, source: u128, probe: &Probe, tag: u64) -> Header {
        Header {
            family: probe.family,
            source,
            destination: probe.destination,
            protocol: probe.protocol,
            ttl: probe.ttl,
            identification: tag as u16,
            flow_label: self.flow_label(probe),
        }
    }
}

#[cfg(test)]
mod tests {
    use anabranch_prefixes::Family;
    use proptest::prelude::*;

    use super::*;
    use crate::checksum::Sum;
    use crate::ip::Packet;
    use crate::probe::tests::probes;
    use crate::probe::{Segment, flow_label, icmp_of, restore_time};

    proptest! {
        #[test]
        fn a_probe_is_a_right_packet_that_tells_its_flow_ttl_and_time(
            probe in probes(), source in any::<u32>(), contact in "[a-z@.]{0,60}"
        ) {
            let stamp = Stamp::new([1, 2], &contact).with_segment(Some(Segment::Syn));
            let mut bytes = Vec::new();
            stamp.write(&mut bytes, source.into(), &probe);
            let packet = Packet::parse(&bytes).unwrap();
            prop_assert!(packet.has_right_checksum());
            prop_assert_eq!(packet.bytes().len(), bytes.len());
            prop_assert_eq!((packet.ttl(), packet.protocol()), (probe.ttl, probe.protocol));
            prop_assert_eq!(packet.destination(), probe.destination);
            let payload = packet.payload();
            let ttl = match probe.protocol {
                TCP => Some(payload[5]),
                _ => stamp.ttl_of(payload.len() - 8),
            };
            prop_assert_eq!(ttl, Some(probe.ttl));
            let is_icmp = probe.protocol == icmp_of(probe.family);
            let (flow, time) = if is_icmp { (2, 6) } else { (0, 6) };
            prop_assert_eq!(&payload[flow..flow + 2], probe.source_port.to_be_bytes());
            prop_assert_eq!(&payload[time..time + 2], probe.sent.to_be_bytes());
        }

        #[test]
        fn what_routers_look_at_is_the_same_for_all_of_a_flow(
            probe in probes(), ttl in 1u8.., sent in 1u16..
        ) {
            let stamp = Stamp::new([3, 4], "").with_segment(Some(Segment::Ack));
            let stamp = stamp.with_flow_labels();
            let octets = |probe: &Probe| {
                let mut bytes = Vec::new();
                stamp.write(&mut bytes, 7, probe);
                let packet = Packet::parse(&bytes).unwrap();
                (packet.payload()[..4].to_vec(), packet.flow_label())
            };
            prop_assert_eq!(octets(&probe), octets(&Probe { ttl, sent, ..probe }));
        }

        #[test]
        fn a_flow_has_a_label_of_its_own_if_flows_have_labels(
            probe in probes(), source_port in any::<u16>()
        ) {
            let plain = Stamp::new([3, 4], "").with_segment(Some(Segment::Syn));
            let label = |stamp: &Stamp, probe: &Probe| {
                let mut bytes = Vec::new();
                stamp.write(&mut bytes, 7, probe);
                Packet::parse(&bytes).unwrap().flow_label()
            };
            prop_assert_eq!(label(&plain, &probe), 0);
            let ours = flow_label(probe.source_port, probe.destination_port);
            let expected = if probe.family == Family::V6 { ours } else { 0 };
            prop_assert_eq!(label(&plain.with_flow_labels(), &probe), expected);
            prop_assert!((1..1 << 20).contains(&ours));
            let other = flow_label(source_port, probe.destination_port);
            prop_assert_eq!(ours == other, source_port == probe.source_port);
        }

        #[test]
        fn a_translated_checksum_still_tells_the_time(
            probe in probes(), own in any::<u32>(), public in any::<u32>()
        ) {
            let probe = Probe { protocol: UDP, ..probe };
            let stamp = Stamp::new([5, 6], "");
            let mut bytes = Vec::new();
            stamp.write(&mut bytes, own.into(), &probe);
            // A translator writes its own address, and the checksum that is right for it.
            let payload = bytes.len() - Packet::parse(&bytes).unwrap().payload().len();
            let mut transport = bytes[payload..].to_vec();
            transport[6..8].fill(0);
            let sum = Sum::default().with_pseudo_header(
                probe.family, public.into(), probe.destination, UDP, transport.len(),
            );
            let translated = match sum.with(&transport).finish() {
                0 => u16::MAX,
                sum => sum,
            };
            let restored = restore_time(translated, probe.family, public.into(), own.into());
            prop_assert_eq!(restored, probe.sent);
        }
    }
}
