//! Fragments of IPv6: what makes a router send them, and what the first one of a reply shows.
//!
//! Packets of IPv6 have an identification only where their sender has cut them. So a large echo request
//! asks for a reply that is as large. A Packet Too Big quotes such a reply, as if it had found no way
//! here: from then on, the router cuts its replies to this address, for ten minutes or less (RFC
//! 8201, section 5.2). The method is that of Luckie, Beverly, Brinkmeyer and claffy, "Speedtrap:
//! Internet-scale IPv6 alias resolution" (IMC 2013).
//!
//! The length of a large echo request can't encode the TTL, as the first fragment does not tell the
//! length of a reply. So a byte of the payload repeats it.

use anabranch_prefixes::Family;

use crate::encoding::{MARK, TRANSPORT};
use crate::ip::{FRAGMENT, HEADER_V6, Header, ICMP6, Packet};
use crate::probe::{MAX_CONTACT, Probe, Stamp};

/// The length of a large echo request, in bytes.
pub const LARGE: usize = 1_300;
/// The least MTU of IPv6 (RFC 8200, section 5), which a Packet Too Big tells.
const LEAST_MTU: usize = 1_280;
/// The length of a fragment header.
const HEADER: usize = 8;
const ECHO_REPLY: u8 = 129;
const PACKET_TOO_BIG: u8 = 2;

/// The first fragment of an IPv6 packet.
#[derive(Clone, Copy, Debug)]
pub struct First<'a> {
    /// The identification that all fragments of the packet have.
    pub identification: u32,
    /// The protocol of the packet.
    pub protocol: u8,
    /// The first bytes behind the headers.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Returns the packet as a first fragment, if it is one (RFC 8200, section 4.5).
    #[must_use]
    pub fn first_fragment(&self) -> Option<First<'a>> {
        if self.family() != Family::V6 || self.protocol() != FRAGMENT {
            return None;
        }
        let (header, payload) = self.payload().split_first_chunk::<HEADER>()?;
        let [protocol, _, high, low, rest @ ..] = *header;
        let is_first = u16::from_be_bytes([high, low]) >> 3 == 0;
        is_first.then_some(First {
            identification: u32::from_be_bytes(rest),
            protocol,
            payload,
        })
    }
}

impl Stamp {
    /// Appends a large echo request of IPv6, as an IP packet.
    pub fn write_large(&self, out: &mut Vec<u8>, source: u128, probe: &Probe) {
        self.write_message(out, source, probe, LARGE - HEADER_V6, &[probe.ttl]);
    }

    /// Appends a Packet Too Big about the reply to a large echo request, which arrived with a hop limit of
    /// `ttl`.
    pub fn write_too_big(&self, out: &mut Vec<u8>, source: u128, probe: &Probe, ttl: u8) {
        let mut message = vec![PACKET_TOO_BIG, 0, 0, 0];
        message.extend((LEAST_MTU as u32).to_be_bytes());
        message.extend(self.shape_large_reply(source, probe, ttl));
        message.truncate(LEAST_MTU - HEADER_V6);
        let header = self.header(source, probe, 0);
        sum_up(&header, &mut message);
        header.write(out, message.len());
        out.extend(message);
    }

    /// Returns the TTL of a probe whose payload has this length, and begins with these bytes.
    pub(crate) fn read_ttl(&self, length: usize, payload: &[u8]) -> Option<u8> {
        if length == LARGE_PAYLOAD {
            return payload.get(MARK).copied().filter(|ttl| *ttl > 0);
        }
        self.ttl_of(length)
    }

    /// Returns the reply to a large echo request.
    fn shape_large_reply(&self, source: u128, probe: &Probe, ttl: u8) -> Vec<u8> {
        let mut request = Vec::with_capacity(LARGE);
        self.write_large(&mut request, source, probe);
        let mut message = request.split_off(HEADER_V6);
        message[0] = ECHO_REPLY;
        let header = Header {
            source: probe.destination,
            destination: source,
            ttl,
            flow_label: 0,
            ..self.header(source, probe, 0)
        };
        sum_up(&header, &mut message);
        let mut reply = Vec::with_capacity(LARGE);
        header.write(&mut reply, message.len());
        reply.extend(message);
        reply
    }
}

/// Gives a message of `ICMPv6` its checksum.
fn sum_up(header: &Header, message: &mut [u8]) {
    debug_assert_eq!(header.protocol, ICMP6);
    message[2..4].fill(0);
    let sum = header.start_sum(message.len()).with(message).finish();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
}

/// The length of a large echo request's payload.
pub(crate) const LARGE_PAYLOAD: usize = LARGE - HEADER_V6 - TRANSPORT;

const _: () = assert!(MARK + MAX_CONTACT < LARGE_PAYLOAD);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::probe::tests::probes;

    const OWN: u128 = 7;
    /// The shortest first fragment that shows all that a large echo request repeats. The lengths of first
    /// fragments are multiples of eight bytes (RFC 8200, section 4.5).
    const SHORTEST: usize = (TRANSPORT + MARK + 1).next_multiple_of(8);
    /// The longest first fragment in a packet of the least MTU.
    const LONGEST: usize = LEAST_MTU - HEADER_V6 - HEADER;

    fn requests() -> impl Strategy<Value = Probe> {
        probes().prop_map(|probe| Probe {
            family: Family::V6,
            protocol: ICMP6,
            destination_port: 0,
            ..probe
        })
    }

    fn stamp() -> Stamp {
        Stamp::new([1, 2], "who@example.org")
    }

    /// Returns the first fragment of a packet, with this many bytes of it.
    fn cut(packet: &[u8], bytes: usize, identification: u32) -> Vec<u8> {
        let whole = Packet::parse(packet).unwrap();
        let mut fragment = vec![ICMP6, 0, 0, 1];
        fragment.extend(identification.to_be_bytes());
        fragment.extend(&whole.payload()[..bytes]);
        let header = Header {
            family: Family::V6,
            source: whole.source(),
            destination: whole.destination(),
            protocol: FRAGMENT,
            ttl: whole.ttl(),
            identification: 0,
            flow_label: 0,
        };
        let mut out = Vec::new();
        header.write(&mut out, fragment.len());
        out.extend(fragment);
        out
    }

    proptest! {
        #[test]
        fn the_reply_to_a_large_request_names_it_whether_it_is_cut_or_not(
            probe in requests(), id in any::<u32>(), eights in SHORTEST / 8..=LONGEST / 8, ttl in 1u8..
        ) {
            let whole = stamp().shape_large_reply(OWN, &probe, ttl);
            prop_assert_eq!(whole.len(), LARGE);
            for (packet, identification) in [(whole.clone(), None), (cut(&whole, eights * 8, id), Some(id))] {
                let reply = stamp().read(&Packet::parse(&packet).unwrap()).unwrap();
                prop_assert_eq!((reply.probe, reply.fragment), (probe, identification));
                prop_assert_eq!((reply.protocol, reply.kind, reply.ttl), (ICMP6, ECHO_REPLY, ttl));
                prop_assert!(stamp().vouches_for(&reply.probe, reply.seen));
            }
        }

        #[test]
        fn a_packet_too_big_is_no_larger_than_the_mtu_it_tells_and_quotes_the_reply(
            probe in requests(), ttl in 1u8..
        ) {
            let mut bytes = Vec::new();
            stamp().write_too_big(&mut bytes, OWN, &probe, ttl);
            prop_assert_eq!(bytes.len(), LEAST_MTU);
            let packet = Packet::parse(&bytes).unwrap();
            prop_assert!(packet.has_right_checksum());
            prop_assert_eq!((packet.source(), packet.destination()), (OWN, probe.destination));
            let (head, quote) = packet.payload().split_at(8);
            prop_assert_eq!((head[0], &head[4..]), (PACKET_TOO_BIG, &[0, 0, 5, 0][..]));
            let reply = stamp().shape_large_reply(OWN, &probe, ttl);
            prop_assert!(Packet::parse(&reply).unwrap().has_right_checksum());
            prop_assert_eq!(quote, &reply[..quote.len()]);
        }

        #[test]
        fn an_error_about_a_large_request_names_it(probe in requests()) {
            let mut request = Vec::new();
            stamp().write_large(&mut request, OWN, &probe);
            prop_assert!(Packet::parse(&request).unwrap().has_right_checksum());
            let mut message = [&[1, 3, 0, 0, 0, 0, 0, 0][..], &request[..1_232]].concat();
            let header = Header { source: 99, destination: OWN, ..stamp().header(OWN, &probe, 0) };
            sum_up(&header, &mut message);
            let mut error = Vec::new();
            header.write(&mut error, message.len());
            error.extend(message);
            let reply = stamp().read(&Packet::parse(&error).unwrap()).unwrap();
            prop_assert_eq!((reply.probe, reply.from), (probe, 99));
            prop_assert!(stamp().vouches_for(&reply.probe, reply.seen));
        }
    }

    #[test]
    fn later_fragments_and_errors_in_fragments_are_no_replies() {
        let probe = Probe {
            family: Family::V6,
            destination: 9,
            protocol: ICMP6,
            source_port: 23_999,
            destination_port: 0,
            ttl: 32,
            sent: 5,
        };
        let first = cut(&stamp().shape_large_reply(OWN, &probe, 60), 1_232, 4);
        let read = |bytes: &[u8]| stamp().read(&Packet::parse(bytes).unwrap());
        assert!(read(&first).is_some());
        let mut later = first.clone();
        later[HEADER_V6 + 2] = 4;
        assert!(read(&later).is_none());
        let mut error = first;
        error[HEADER_V6 + HEADER] = 1;
        assert!(read(&error).is_none());
    }
}
