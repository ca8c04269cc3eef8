//! Fragments of IPv6 packets.

use anabranch_wire::ip::{FRAGMENT, HEADER_V6};

/// The least MTU of IPv6 (RFC 8200, section 5), in bytes.
pub(crate) const LEAST_MTU: usize = 1_280;
const HEADER: usize = 8;
/// The bytes behind the headers of a fragment, but of the last one: a multiple of 8.
const PIECE: usize = LEAST_MTU - HEADER_V6 - HEADER;

/// Returns the fragments of an IPv6 packet without extension headers (RFC 8200, section 4.5), each of
/// 1,280 bytes at most.
///
/// # Panics
/// If there is no whole IP header.
pub(crate) fn cut(packet: &[u8], identification: u32) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(HEADER_V6);
    let pieces = payload.chunks(PIECE).count();
    let fragments = payload.chunks(PIECE).zip(1..).map(|(piece, number)| {
        let offset = ((number - 1) * PIECE) as u16 | u16::from(number < pieces);
        let mut fragment = header.to_vec();
        fragment[4..6].copy_from_slice(&((HEADER + piece.len()) as u16).to_be_bytes());
        let next = std::mem::replace(&mut fragment[6], FRAGMENT);
        fragment.extend([next, 0]);
        fragment.extend(offset.to_be_bytes());
        fragment.extend(identification.to_be_bytes());
        fragment.extend(piece);
        fragment
    });
    fragments.collect()
}

#[cfg(test)]
mod tests {
    use anabranch_prefixes::Family;
    use anabranch_wire::ip::{Header, ICMP6, Packet};

    use super::*;

    #[test]
    fn fragments_have_all_bytes_of_the_packet_in_their_places() {
        let header = Header {
            family: Family::V6,
            source: 3,
            destination: 7,
            protocol: ICMP6,
            ttl: 60,
            identification: 0,
            flow_label: 0,
        };
        let payload: Vec<u8> = (0..=u8::MAX).cycle().take(2_600).collect();
        let mut packet = Vec::new();
        header.write(&mut packet, payload.len());
        packet.extend(&payload);
        let mut found: Vec<u8> = Vec::new();
        let fragments = cut(&packet, 0x0102_0304);
        for (fragment, number) in fragments.iter().zip(1..) {
            assert!(fragment.len() <= LEAST_MTU);
            let read = Packet::parse(fragment).unwrap();
            assert_eq!((read.source(), read.destination(), read.ttl()), (3, 7, 60));
            let (header, piece) = read.payload().split_at(HEADER);
            assert_eq!((header[0], &header[4..]), (ICMP6, &[1, 2, 3, 4][..]));
            let offset = u16::from_be_bytes([header[2], header[3]]);
            assert_eq!(usize::from(offset & !7), found.len());
            assert_eq!(offset & 1 == 1, number < fragments.len());
            assert_eq!(read.first_fragment().is_some(), number == 1);
            found.extend(piece);
        }
        assert_eq!(found, payload);
    }
}
