//! Reads probes from packets, and writes their replies.

use anabranch_fakeroute::packet::{Answer, Asks, Probe, Reply};
use anabranch_prefixes::Family;
use anabranch_wire::ip::{Header, ICMP, ICMP6, Packet, TCP, UDP};
use anabranch_wire::segment::{ACK, FIN, HEADER as TCP_HEADER, RST, SYN};

use crate::fragment::LEAST_MTU;
use crate::quote::Quoting;

const ICMP_HEADER: usize = 8;

/// Reads the fields of a packet that the network looks at.
#[must_use]
pub fn read_probe(packet: &Packet<'_>, vantage_point: u32) -> Probe {
    let payload = packet.payload();
    let octets = payload
        .first_chunk::<4>()
        .map_or(0, |four| u32::from_be_bytes(*four));
    Probe {
        vantage_point,
        family: packet.family(),
        source: packet.source(),
        destination: packet.destination(),
        protocol: packet.protocol(),
        ttl: packet.ttl(),
        octets,
        flow_label: packet.flow_label(),
        identification: packet.identification(),
        asks: read_asks(packet),
    }
}

fn read_asks(packet: &Packet<'_>) -> Asks {
    let payload = packet.payload();
    let is_whole = !packet.is_fragment() && payload.len() >= ICMP_HEADER;
    if !is_whole || !packet.has_right_checksum() {
        return Asks::Nothing;
    }
    match (packet.family(), packet.protocol(), payload[0]) {
        (Family::V6, ICMP6, 128) if packet.bytes().len() > LEAST_MTU => Asks::LargeEcho,
        (Family::V4, ICMP, 8) | (Family::V6, ICMP6, 128) => Asks::Echo,
        (Family::V6, ICMP6, 2) if is_about_a_reply(packet) => Asks::SmallerPackets,
        (_, UDP, _)
            if usize::from(u16::from_be_bytes([payload[4], payload[5]])) <= payload.len() =>
        {
            Asks::Port
        }
        (_, TCP, _) => read_segment(payload),
        _ => Asks::Nothing,
    }
}

/// Returns whether a Packet Too Big tells the least MTU, and quotes an echo reply that its receiver may
/// have sent to its sender. A router believes no other.
fn is_about_a_reply(packet: &Packet<'_>) -> bool {
    let (head, quote) = packet.payload().split_at(ICMP_HEADER);
    let is_least = head[4..] == (LEAST_MTU as u32).to_be_bytes();
    Packet::parse_head(quote).is_some_and(|quoted| {
        let ends = (quoted.source(), quoted.destination());
        let is_echo_reply = quoted.protocol() == ICMP6 && quoted.payload().first() == Some(&129);
        is_least && is_echo_reply && ends == (packet.destination(), packet.source())
    })
}

/// Returns what a TCP segment asks for, if it is complete and no reset.
fn read_segment(segment: &[u8]) -> Asks {
    let is_whole = segment.len() >= TCP_HEADER
        && (TCP_HEADER..=segment.len()).contains(&(usize::from(segment[12] >> 4) * 4));
    if !is_whole || segment[13] & RST != 0 {
        return Asks::Nothing;
    }
    if segment[13] & (SYN | ACK | FIN) == SYN {
        return Asks::Connection;
    }
    Asks::Reset
}

/// Appends the reply to a probe, as an IP packet.
pub fn write_reply(out: &mut Vec<u8>, packet: &Packet<'_>, answer: &Answer) {
    let (protocol, kind, code) = match (packet.family(), answer.reply) {
        (_, Reply::SynAck | Reply::Reset) => return write_segment(out, packet, answer),
        (Family::V4, Reply::TimeExceeded) => (ICMP, 11, 0),
        (Family::V4, Reply::PortUnreachable) => (ICMP, 3, 3),
        (Family::V4, Reply::Echo) => (ICMP, 0, 0),
        (Family::V6, Reply::TimeExceeded) => (ICMP6, 3, 0),
        (Family::V6, Reply::PortUnreachable) => (ICMP6, 1, 4),
        (Family::V6, Reply::Echo) => (ICMP6, 129, 0),
    };
    let header = header(packet, answer, protocol);
    let quote = Quoting::choose(packet, answer);
    let payload = if answer.reply.is_error() {
        ICMP_HEADER + quote.size()
    } else {
        packet.payload().len()
    };
    header.write(out, payload);
    let body = out.len();
    out.extend([kind, code, 0, 0]);
    if answer.reply.is_error() {
        out.extend(quote.length_field(packet.family()));
        quote.write(out, packet);
    } else {
        // Identifier, sequence number and data are returned unchanged.
        out.extend(&packet.payload()[4..]);
    }
    let sum = header.start_sum(payload).with(&out[body..]).finish();
    out[body + 2..body + 4].copy_from_slice(&sum.to_be_bytes());
}

fn header(packet: &Packet<'_>, answer: &Answer, protocol: u8) -> Header {
    Header {
        family: packet.family(),
        source: answer.from,
        destination: packet.source(),
        protocol,
        ttl: answer.ttl,
        identification: answer.identification,
        flow_label: 0,
    }
}

/// Appends the SYN-ACK from an open TCP port, or the reset from a closed one (RFC 9293, sections
/// 3.5 and 3.5.2).
fn write_segment(out: &mut Vec<u8>, packet: &Packet<'_>, answer: &Answer) {
    let segment = packet.payload();
    let flags = segment[13];
    let data = segment.len() - usize::from(segment[12] >> 4) * 4;
    let header = header(packet, answer, TCP);
    header.write(out, TCP_HEADER);
    let body = out.len();
    out.extend(&segment[2..4]);
    out.extend(&segment[..2]);
    if flags & ACK == 0 {
        let sequence = u32::from_be_bytes([segment[4], segment[5], segment[6], segment[7]]);
        let octets = data as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN);
        out.extend([0; 4]);
        out.extend(sequence.wrapping_add(octets).to_be_bytes());
        let kind = if answer.reply == Reply::SynAck {
            SYN
        } else {
            RST
        };
        out.extend([5 << 4, kind | ACK]);
    } else {
        out.extend(&segment[8..12]);
        out.extend([0; 4]);
        out.extend([5 << 4, RST]);
    }
    out.extend([0; 6]);
    let sum = header.start_sum(TCP_HEADER).with(&out[body..]).finish();
    out[body + 16..body + 18].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use anabranch_fakeroute::quote::{Extent, Leftover, Quote, Rewritten};
    use anabranch_wire::checksum::{Sum, checksum};
    use anabranch_wire::probe::{Probe as WireProbe, Stamp};

    use super::*;

    fn udp(family: Family, ttl: u8, data: usize) -> Vec<u8> {
        let header = Header {
            family,
            source: 7,
            destination: 9,
            protocol: UDP,
            ttl,
            identification: 5,
            flow_label: 0,
        };
        let mut payload = vec![0x5d, 0xc0, 0x82, 0x9a];
        payload.extend(((8 + data) as u16).to_be_bytes());
        payload.resize(8 + data, 0);
        let sum = header.start_sum(payload.len()).with(&payload).finish();
        payload[6..8].copy_from_slice(&sum.to_be_bytes());
        let mut bytes = Vec::new();
        header.write(&mut bytes, payload.len());
        bytes.extend(payload);
        bytes
    }

    fn answer(reply: Reply) -> Answer {
        Answer {
            reply,
            from: 3,
            hops: 4,
            ttl: 252,
            identification: 1,
            fragment: None,
            delay_us: 0,
            label: None,
            quote: Quote {
                extent: Extent::Whole,
                ttl: 1,
                leftover: None,
                rewritten: Rewritten::default(),
            },
            copies: 1,
        }
    }

    fn reply(probe: &[u8], answer: &Answer) -> Vec<u8> {
        let mut out = Vec::new();
        write_reply(&mut out, &Packet::parse(probe).unwrap(), answer);
        out
    }

    #[test]
    fn an_error_comes_from_the_router_and_quotes_the_probe_with_ttl_1() {
        for family in [Family::V4, Family::V6] {
            let probe = udp(family, 4, 6);
            let bytes = reply(&probe, &answer(Reply::TimeExceeded));
            let packet = Packet::parse(&bytes).unwrap();
            assert_eq!(
                (packet.source(), packet.destination(), packet.ttl()),
                (3, 7, 252)
            );
            assert!(packet.has_right_checksum());
            let quote = Packet::parse(&packet.payload()[8..]).unwrap();
            assert_eq!((quote.ttl(), quote.destination()), (1, 9));
            assert_eq!(quote.payload(), Packet::parse(&probe).unwrap().payload());
        }
    }

    /// Returns an answer whose quote is changed.
    fn quoting(change: impl FnOnce(&mut Quote)) -> Answer {
        let mut answer = answer(Reply::TimeExceeded);
        change(&mut answer.quote);
        answer
    }

    #[test]
    fn a_quote_has_the_ttl_that_is_said() {
        let odd = Answer {
            reply: Reply::PortUnreachable,
            ..quoting(|quote| quote.ttl = 29)
        };
        let bytes = reply(&udp(Family::V4, 32, 0), &odd);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.payload()[..2], [3, 3]);
        assert_eq!(Packet::parse(&packet.payload()[8..]).unwrap().ttl(), 29);
    }

    #[test]
    fn a_short_quote_has_28_bytes() {
        let short = quoting(|quote| quote.extent = Extent::Least);
        assert_eq!(reply(&udp(Family::V4, 4, 30), &short).len(), 20 + 8 + 28);
    }

    #[test]
    fn a_quote_is_cut_or_padded() {
        let cut = quoting(|quote| quote.extent = Extent::Cut);
        assert_eq!(reply(&udp(Family::V4, 4, 30), &cut).len(), 20 + 8 + 36);
        let padded = quoting(|quote| quote.extent = Extent::Padded);
        assert_eq!(reply(&udp(Family::V4, 4, 30), &padded).len(), 20 + 8 + 128);
    }

    #[test]
    fn what_is_left_of_lower_layers_stands_in_front_of_a_quote() {
        for (leftover, first) in [(Leftover::Vlan, 0), (Leftover::Label, 0x45)] {
            for label in [None, Some(77)] {
                let left = Answer {
                    label,
                    ..quoting(|quote| quote.leftover = Some(leftover))
                };
                let bytes = reply(&udp(Family::V4, 4, 30), &left);
                let packet = Packet::parse(&bytes).unwrap();
                assert!(packet.has_right_checksum());
                assert_eq!(packet.payload()[8], first);
                let quote = Packet::parse(&packet.payload()[12..]).unwrap();
                assert_eq!((quote.ttl(), quote.destination()), (1, 9));
            }
        }
    }

    #[test]
    fn a_translator_mends_the_checksum_behind_a_port() {
        for family in [Family::V4, Family::V6] {
            let translated = quoting(|quote| quote.rewritten.port = true);
            let bytes = reply(&udp(family, 4, 30), &translated);
            let quote = Packet::parse(&Packet::parse(&bytes).unwrap().payload()[8..]).unwrap();
            assert!(quote.has_right_checksum());
            assert_eq!(quote.payload()[..2], (0x5dc0u16 + 1_000).to_be_bytes());
        }
    }

    #[test]
    fn a_label_follows_a_quote_of_128_bytes() {
        for (family, field, words) in [(Family::V4, 5, 32), (Family::V6, 4, 16)] {
            let labelled = Answer {
                label: Some(300),
                ..answer(Reply::TimeExceeded)
            };
            let bytes = reply(&udp(family, 4, 6), &labelled);
            let packet = Packet::parse(&bytes).unwrap();
            assert!(packet.has_right_checksum());
            assert_eq!(packet.payload()[field], words);
            let extension = &packet.payload()[8 + 128..];
            assert_eq!(checksum(extension), 0);
            assert_eq!(extension[4..8], [0, 8, 1, 1]);
            let entry = u32::from_be_bytes(extension[8..12].try_into().unwrap());
            assert_eq!((entry >> 12, entry >> 8 & 1), (300, 1));
        }
    }

    #[test]
    fn an_echo_reply_returns_what_came() {
        let header = Header {
            family: Family::V4,
            source: 7,
            destination: 9,
            protocol: ICMP,
            ttl: 9,
            identification: 0,
            flow_label: 0,
        };
        let mut payload = vec![8, 0, 0, 0, 1, 2, 3, 4, 5];
        let sum = checksum(&payload);
        payload[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut bytes = Vec::new();
        header.write(&mut bytes, payload.len());
        bytes.extend(&payload);
        let probe = Packet::parse(&bytes).unwrap();
        assert_eq!(read_probe(&probe, 0).asks, Asks::Echo);
        let bytes = reply(&bytes, &answer(Reply::Echo));
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.payload()[0], 0);
        assert_eq!(packet.payload()[4..], payload[4..]);
        assert!(packet.has_right_checksum());
    }

    #[test]
    fn a_packet_too_big_is_believed_if_it_quotes_a_reply_between_the_two() {
        let stamp = Stamp::new([1, 2], "");
        let large = WireProbe {
            family: Family::V6,
            destination: 9,
            protocol: ICMP6,
            source_port: 1,
            destination_port: 0,
            ttl: 64,
            sent: 1,
        };
        let asks = |bytes: &[u8]| read_probe(&Packet::parse(bytes).unwrap(), 0).asks;
        let mut bytes = Vec::new();
        stamp.write_large(&mut bytes, 7, &large);
        assert_eq!(asks(&bytes), Asks::LargeEcho);
        bytes.clear();
        stamp.write_too_big(&mut bytes, 7, &large, 60);
        assert_eq!(asks(&bytes), Asks::SmallerPackets);
        // Another MTU, another source in the quote, and a quote of a request; each with its checksum.
        for (place, value) in [(47, 1), (48 + 23, 5), (48 + 40, 128)] {
            let mut other = bytes.clone();
            other[place] = value;
            other[42..44].fill(0);
            let sum = Sum::default()
                .with_pseudo_header(Family::V6, 7, 9, ICMP6, other.len() - 40)
                .with(&other[40..]);
            other[42..44].copy_from_slice(&sum.finish().to_be_bytes());
            assert_eq!(asks(&other), Asks::Nothing);
        }
    }

    #[test]
    fn a_tcp_port_accepts_or_resets_what_comes() {
        // A SYN with one octet of data to a closed and to an open port, then an ACK.
        let acknowledges = [0, 0, 0, 0, 0, 0, 1, 2];
        for (flags, asked, kind, expected, told) in [
            (SYN, Asks::Connection, Reply::Reset, acknowledges, RST | ACK),
            (
                SYN,
                Asks::Connection,
                Reply::SynAck,
                acknowledges,
                SYN | ACK,
            ),
            (
                ACK,
                Asks::Reset,
                Reply::Reset,
                [0, 0, 0, 9, 0, 0, 0, 0],
                RST,
            ),
        ] {
            let header = Header {
                family: Family::V6,
                source: 7,
                destination: 9,
                protocol: TCP,
                ttl: 9,
                identification: 0,
                flow_label: 0,
            };
            let mut segment = vec![1, 2, 0, 80, 0, 0, 1, 0, 0, 0, 0, 9, 0x50, flags, 0, 0];
            segment.extend([0, 0, 0, 0, 99]);
            let sum = header.start_sum(segment.len()).with(&segment).finish();
            segment[16..18].copy_from_slice(&sum.to_be_bytes());
            let mut bytes = Vec::new();
            header.write(&mut bytes, segment.len());
            bytes.extend(&segment);
            let asks = read_probe(&Packet::parse(&bytes).unwrap(), 0).asks;
            assert_eq!(asks, asked);
            let bytes = reply(&bytes, &answer(kind));
            let packet = Packet::parse(&bytes).unwrap();
            assert!(packet.has_right_checksum());
            assert_eq!(packet.payload()[..4], [0, 80, 1, 2]);
            assert_eq!(packet.payload()[4..12], expected);
            assert_eq!(packet.payload()[13], told);
        }
    }

    #[test]
    fn a_damaged_packet_asks_for_nothing() {
        let mut bytes = udp(Family::V4, 9, 4);
        assert_eq!(
            read_probe(&Packet::parse(&bytes).unwrap(), 0).asks,
            Asks::Port
        );
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(
            read_probe(&Packet::parse(&bytes).unwrap(), 0).asks,
            Asks::Nothing
        );
    }
}
