//! ARP (RFC 826) and neighbour discovery (RFC 4861) of the gateways.

use anabranch_link::netlink::Mac;
use anabranch_prefixes::Family;
use anabranch_wire::ip::{HEADER_V6, Header, ICMP6, Packet};

/// The length of an Ethernet header, in bytes.
pub const ETHERNET: usize = 14;
/// The type of Ethernet frames with ARP.
pub const ARP: [u8; 2] = [0x08, 0x06];

const ARP_REQUEST: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 1];
const ARP_LEN: usize = 28;
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// Flags of a neighbour advertisement: from a router, overriding older entries; one is solicited.
const UNASKED: u8 = 0xa0;
const ASKED: u8 = 0xe0;
/// How long hosts may use a router after its advertisement, in seconds.
const ROUTER_LIFETIME: u16 = 1_800;
/// The address of all nodes on a link, and its Ethernet address.
const ALL_NODES: u128 = 0xff02 << 112 | 1;
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
const EVERYBODY_MAC: Mac = [0xff; 6];

/// Appends the ARP reply to a frame that asks for `gateway`; returns false for other frames.
pub fn answer_arp(out: &mut Vec<u8>, frame: &[u8], gateway: u128, mac: Mac) -> bool {
    let Some(request) = frame.get(ETHERNET..ETHERNET + ARP_LEN) else {
        return false;
    };
    let wanted = (gateway as u32).to_be_bytes();
    if request[..8] != ARP_REQUEST || request[24..28] != wanted {
        return false;
    }
    out.extend(&request[8..14]);
    out.extend(mac);
    out.extend(ARP);
    out.extend(&ARP_REQUEST[..7]);
    out.push(2); // a reply
    out.extend(mac);
    out.extend(wanted);
    out.extend(&request[8..18]);
    true
}

/// Returns whether a packet is a neighbour or router solicitation.
#[must_use]
pub fn is_solicitation(packet: &Packet<'_>) -> bool {
    let kind = packet.payload().first();
    packet.family() == Family::V6
        && packet.protocol() == ICMP6
        && matches!(kind, Some(&ROUTER_SOLICITATION | &NEIGHBOUR_SOLICITATION))
}

/// Appends the neighbour advertisement, as an IPv6 packet, that answers a solicitation for
/// `gateway`; returns false for other packets.
pub fn answer_solicitation(
    out: &mut Vec<u8>,
    packet: &Packet<'_>,
    gateway: u128,
    mac: Mac,
) -> bool {
    let payload = packet.payload();
    let asks = is_solicitation(packet)
        && payload.len() >= 24
        && payload[0] == NEIGHBOUR_SOLICITATION
        && payload[8..24] == gateway.to_be_bytes()
        && packet.source() != 0;
    if !asks {
        return false;
    }
    advertise(out, gateway, mac, packet.source(), ASKED);
    true
}

/// Appends the router advertisement, as an IPv6 packet, that answers a router solicitation. It
/// makes `gateway` the default router. Returns false for other packets.
pub fn answer_router_solicitation(
    out: &mut Vec<u8>,
    packet: &Packet<'_>,
    gateway: u128,
    mac: Mac,
) -> bool {
    let payload = packet.payload();
    let asks = is_solicitation(packet) && payload[0] == ROUTER_SOLICITATION;
    if asks {
        let mut body = vec![ROUTER_ADVERTISEMENT, 0, 0, 0, 64, 0];
        body.extend(ROUTER_LIFETIME.to_be_bytes());
        body.extend([0; 8]);
        body.extend([1, 1]); // the source's link-layer address, in units of 8 bytes
        body.extend(mac);
        write(out, gateway, ALL_NODES, body);
    }
    asks
}

/// Returns the unsolicited frame that announces the Ethernet address of a gateway to all.
#[must_use]
pub fn announce(family: Family, gateway: u128, mac: Mac) -> Vec<u8> {
    let mut frame = Vec::new();
    match family {
        Family::V4 => {
            let address = (gateway as u32).to_be_bytes();
            frame.extend(EVERYBODY_MAC);
            frame.extend(mac);
            frame.extend(ARP);
            frame.extend(&ARP_REQUEST[..7]);
            frame.push(2); // a reply, to itself
            frame.extend(mac);
            frame.extend(address);
            frame.extend(mac);
            frame.extend(address);
        }
        Family::V6 => {
            frame.extend(ALL_NODES_MAC);
            frame.extend(mac);
            frame.extend([0x86, 0xdd]);
            advertise(&mut frame, gateway, mac, ALL_NODES, UNASKED);
        }
    }
    frame
}

/// Appends a neighbour advertisement of a gateway, as an IPv6 packet.
fn advertise(out: &mut Vec<u8>, gateway: u128, mac: Mac, to: u128, flags: u8) {
    let mut body = vec![NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
    body.extend(gateway.to_be_bytes());
    body.extend([2, 1]); // the target's link-layer address, in units of 8 bytes
    body.extend(mac);
    write(out, gateway, to, body);
}

/// Appends an `ICMPv6` message as an IPv6 packet.
fn write(out: &mut Vec<u8>, from: u128, to: u128, mut body: Vec<u8>) {
    let header = Header {
        family: Family::V6,
        source: from,
        destination: to,
        protocol: ICMP6,
        ttl: 255,
        identification: 0,
        flow_label: 0,
    };
    let sum = header.start_sum(body.len()).with(&body).finish();
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    out.reserve(HEADER_V6 + body.len());
    header.write(out, body.len());
    out.extend(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 1];

    #[test]
    fn the_gateway_is_found_by_arp_and_nobody_else() {
        let mut frame = vec![0xff; 6];
        frame.extend([2, 0, 0, 0, 0, 9]);
        frame.extend(ARP);
        frame.extend(ARP_REQUEST);
        frame.extend([
            2, 0, 0, 0, 0, 9, 198, 18, 0, 254, 0, 0, 0, 0, 0, 0, 198, 18, 0, 1,
        ]);
        let mut out = Vec::new();
        assert!(answer_arp(&mut out, &frame, 0xc612_0001, MAC));
        assert_eq!(out[..6], [2, 0, 0, 0, 0, 9]);
        assert_eq!(
            out[ETHERNET + 6..ETHERNET + 18],
            [0, 2, 2, 0, 0, 0, 0, 1, 198, 18, 0, 1]
        );
        assert!(!answer_arp(&mut out, &frame, 0xc612_0002, MAC));
        assert!(!answer_arp(&mut out, &frame[..30], 0xc612_0001, MAC));
    }

    #[test]
    fn a_router_tells_that_it_is_one_and_that_its_address_has_changed() {
        let payload = vec![ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
        let header = Header {
            family: Family::V6,
            source: 9,
            destination: 0xff02 << 112 | 2,
            protocol: ICMP6,
            ttl: 255,
            identification: 0,
            flow_label: 0,
        };
        let mut bytes = Vec::new();
        header.write(&mut bytes, payload.len());
        bytes.extend(&payload);
        let mut out = Vec::new();
        let asked = Packet::parse(&bytes).unwrap();
        assert!(answer_router_solicitation(&mut out, &asked, 5, MAC));
        let answer = Packet::parse(&out).unwrap();
        assert!(answer.has_right_checksum());
        assert_eq!((answer.payload()[0], answer.ttl()), (134, 255));
        assert_eq!(answer.payload()[18..24], MAC);
        let frame = announce(Family::V6, 5, MAC);
        let told = Packet::parse(&frame[ETHERNET..]).unwrap();
        assert!(told.has_right_checksum());
        assert_eq!(told.payload()[8..24], 5u128.to_be_bytes());
    }

    #[test]
    fn the_gateway_is_found_by_neighbour_discovery() {
        let mut payload = vec![NEIGHBOUR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
        payload.extend(5u128.to_be_bytes());
        let header = Header {
            family: Family::V6,
            source: 9,
            destination: 1,
            protocol: ICMP6,
            ttl: 255,
            identification: 0,
            flow_label: 0,
        };
        let mut bytes = Vec::new();
        header.write(&mut bytes, payload.len());
        bytes.extend(&payload);
        let packet = Packet::parse(&bytes).unwrap();
        let mut out = Vec::new();
        assert!(answer_solicitation(&mut out, &packet, 5, MAC));
        let answer = Packet::parse(&out).unwrap();
        assert!(answer.has_right_checksum());
        assert_eq!(
            (answer.source(), answer.destination(), answer.ttl()),
            (5, 9, 255)
        );
        assert!(!answer_solicitation(&mut out, &packet, 6, MAC));
    }
}
