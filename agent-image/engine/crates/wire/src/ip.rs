//! IPv4 and IPv6 packets.

use anabranch_prefixes::Family;

use crate::checksum::{Sum, checksum};

/// ICMP, in the IPv4 header.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// A fragment of another protocol's packet, in the IPv6 header.
pub const FRAGMENT: u8 = 44;
/// `ICMPv6`.
pub const ICMP6: u8 = 58;

/// The length of an IPv6 header, in bytes.
pub const HEADER_V6: usize = 40;
/// The length of an IPv4 header without options, in bytes.
pub const HEADER_V4: usize = 20;

/// A whole packet whose lengths are consistent and whose header checksum is right.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    family: Family,
    header: usize,
    is_unsummed: bool,
}

impl<'a> Packet<'a> {
    /// Reads the packet at the head of some bytes; padding may follow it.
    ///
    /// Returns None if there is no whole packet: the bytes are of another kind, lengths do not fit,
    /// or the checksum of an IPv4 header is wrong.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 if bytes.len() >= HEADER_V4 => {
                let header = usize::from(bytes[0] & 15) * 4;
                let total = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
                let fits = header >= HEADER_V4 && header <= total && total <= bytes.len();
                (fits && checksum(&bytes[..header]) == 0).then(|| Self {
                    bytes: &bytes[..total],
                    family: Family::V4,
                    header,
                    is_unsummed: false,
                })
            }
            6 if bytes.len() >= HEADER_V6 => {
                let total = HEADER_V6 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
                (total <= bytes.len()).then(|| Self {
                    bytes: &bytes[..total],
                    family: Family::V6,
                    header: HEADER_V6,
                    is_unsummed: false,
                })
            }
            _ => None,
        }
    }

    /// Reads a packet that may be cut off behind its header. Its checksum may be wrong, since
    /// routers change a packet before they quote it.
    #[must_use]
    pub fn parse_head(bytes: &'a [u8]) -> Option<Self> {
        let (family, header) = match bytes.first()? >> 4 {
            4 => (Family::V4, usize::from(bytes[0] & 15) * 4),
            6 => (Family::V6, HEADER_V6),
            _ => return None,
        };
        let least = if family == Family::V4 {
            HEADER_V4
        } else {
            HEADER_V6
        };
        let packet = Self {
            bytes,
            family,
            header,
            is_unsummed: false,
        };
        if header < least || bytes.len() < header {
            return None;
        }
        let end = bytes.len().min(usize::from(packet.length())).max(header);
        Some(Self {
            bytes: &bytes[..end],
            ..packet
        })
    }

    /// Returns the packet as one whose transport has no checksum yet, if it has none: its sender
    /// leaves that to the link, and no link needed it on the way.
    #[must_use]
    pub const fn unsummed(self, is_unsummed: bool) -> Self {
        Self {
            is_unsummed,
            ..self
        }
    }

    /// All its bytes, header first.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The address family.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// The bytes after the IP header.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.header..]
    }

    /// The length of the IP header, in bytes.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        self.header
    }

    /// The protocol that follows the IP header; in IPv6, it may be that of an extension header.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.of_family(9, 6)
    }

    /// The TTL or hop limit.
    #[must_use]
    pub fn ttl(&self) -> u8 {
        self.of_family(8, 7)
    }

    /// The type of service, or traffic class.
    #[must_use]
    pub fn tos(&self) -> u8 {
        match self.family {
            Family::V4 => self.bytes[1],
            Family::V6 => self.bytes[0] << 4 | self.bytes[1] >> 4,
        }
    }

    /// The length of the packet according to its header, in bytes; at most 65,535.
    #[must_use]
    pub fn length(&self) -> u16 {
        match self.family {
            Family::V4 => u16::from_be_bytes([self.bytes[2], self.bytes[3]]),
            Family::V6 => {
                u16::from_be_bytes([self.bytes[4], self.bytes[5]]).saturating_add(HEADER_V6 as u16)
            }
        }
    }

    /// The source address, as a number of the family.
    #[must_use]
    pub fn source(&self) -> u128 {
        self.address(12, 8)
    }

    /// The destination address, as a number of the family.
    #[must_use]
    pub fn destination(&self) -> u128 {
        self.address(16, 24)
    }

    /// The identification of IPv4; 0 for IPv6.
    #[must_use]
    pub fn identification(&self) -> u16 {
        match self.family {
            Family::V4 => u16::from_be_bytes([self.bytes[4], self.bytes[5]]),
            Family::V6 => 0,
        }
    }

    /// The identification, if it is an IPv4 packet.
    #[must_use]
    pub fn identification_v4(&self) -> Option<u16> {
        (self.family == Family::V4).then(|| self.identification())
    }

    /// The flow label of IPv6; 0 for IPv4.
    #[must_use]
    pub fn flow_label(&self) -> u32 {
        match self.family {
            Family::V4 => 0,
            Family::V6 => u32::from_be_bytes([0, self.bytes[1] & 15, self.bytes[2], self.bytes[3]]),
        }
    }

    /// Returns whether it is a fragment of an IPv4 packet.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.family == Family::V4 && (self.bytes[6] & 0x3f, self.bytes[7]) != (0, 0)
    }

    /// Returns whether the checksum of UDP, TCP, ICMP or `ICMPv6` behind the header is right.
    ///
    /// UDP over IPv4 may have no checksum, and other packets may have none yet; this counts as
    /// right.
    #[must_use]
    pub fn has_right_checksum(&self) -> bool {
        let payload = self.payload();
        let protocol = self.protocol();
        if self.is_unsummed {
            return true;
        }
        if protocol == UDP && self.family == Family::V4 && payload.get(6..8) == Some(&[0, 0]) {
            return true;
        }
        let sum = if protocol == ICMP {
            Sum::default()
        } else {
            let (from, to) = (self.source(), self.destination());
            Sum::default().with_pseudo_header(self.family, from, to, protocol, payload.len())
        };
        sum.with(payload).finish() == 0
    }

    fn of_family(&self, v4: usize, v6: usize) -> u8 {
        match self.family {
            Family::V4 => self.bytes[v4],
            Family::V6 => self.bytes[v6],
        }
    }

    fn address(&self, v4: usize, v6: usize) -> u128 {
        let (start, len) = match self.family {
            Family::V4 => (v4, 4),
            Family::V6 => (v6, 16),
        };
        let bytes = &self.bytes[start..start + len];
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u128::from(*byte))
    }
}

/// The fields of an IP header. The others follow from the family and the payload.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// The address family.
    pub family: Family,
    /// The source address, as a number of the family.
    pub source: u128,
    /// The destination address, as a number of the family.
    pub destination: u128,
    /// The protocol of the payload.
    pub protocol: u8,
    /// The TTL or hop limit.
    pub ttl: u8,
    /// The identification, for IPv4.
    pub identification: u16,
    /// The flow label, for IPv6.
    pub flow_label: u32,
}

impl Header {
    /// The header's length, in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self.family {
            Family::V4 => HEADER_V4,
            Family::V6 => HEADER_V6,
        }
    }

    /// Returns false: a header always has bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Appends the header of a packet whose payload has `payload` bytes.
    ///
    /// # Panics
    /// If the length field would exceed 65,535.
    pub fn write(&self, out: &mut Vec<u8>, payload: usize) {
        let start = out.len();
        let length = |bytes: usize| {
            u16::try_from(bytes)
                .expect("at most 65,535 bytes")
                .to_be_bytes()
        };
        match self.family {
            Family::V4 => {
                out.extend([0x45, 0]);
                out.extend(length(HEADER_V4 + payload));
                out.extend(self.identification.to_be_bytes());
                out.extend([0, 0, self.ttl, self.protocol, 0, 0]);
                out.extend((self.source as u32).to_be_bytes());
                out.extend((self.destination as u32).to_be_bytes());
                let sum = checksum(&out[start..]);
                out[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
            }
            Family::V6 => {
                out.extend((6 << 28 | self.flow_label).to_be_bytes());
                out.extend(length(payload));
                out.extend([self.protocol, self.ttl]);
                out.extend(self.source.to_be_bytes());
                out.extend(self.destination.to_be_bytes());
            }
        }
    }

    /// Returns the sum that the checksum of a payload starts with. `payload` is its length in
    /// bytes.
    #[must_use]
    pub fn start_sum(&self, payload: usize) -> Sum {
        if self.protocol == ICMP {
            return Sum::default();
        }
        Sum::default().with_pseudo_header(
            self.family,
            self.source,
            self.destination,
            self.protocol,
            payload,
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(family: Family) -> Header {
        Header {
            family,
            source: 1,
            destination: 2,
            protocol: UDP,
            ttl: 3,
            identification: 4,
            flow_label: 0,
        }
    }

    #[test]
    fn a_packet_reads_back_as_it_was_written() {
        for family in [Family::V4, Family::V6] {
            let mut bytes = Vec::new();
            header(family).write(&mut bytes, 5);
            bytes.extend(b"hello and padding");
            let packet = Packet::parse(&bytes).unwrap();
            assert_eq!((packet.source(), packet.destination()), (1, 2));
            assert_eq!((packet.protocol(), packet.ttl()), (UDP, 3));
            assert_eq!(packet.payload(), b"hello");
            assert_eq!(packet.family(), family);
        }
    }

    #[test]
    fn a_wrong_header_checksum_or_length_is_no_packet() {
        let mut bytes = Vec::new();
        header(Family::V4).write(&mut bytes, 0);
        bytes[10] ^= 1;
        assert!(Packet::parse(&bytes).is_none());
        bytes[10] ^= 1;
        assert!(Packet::parse(&bytes).is_some());
        assert!(Packet::parse(&bytes[..19]).is_none());
        header(Family::V6).write(&mut bytes, 1);
        assert!(Packet::parse(&bytes[20..]).is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_view_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            for first in [0x45, 0x4f, 0x60] {
                let mut bytes = bytes.clone();
                if let Some(byte) = bytes.first_mut() {
                    *byte = first;
                }
                if let Some(packet) = Packet::parse(&bytes) {
                    let _ = (packet.source(), packet.destination(), packet.ttl(), packet.protocol());
                    let _ = (packet.flow_label(), packet.identification(), packet.is_fragment());
                    let _ = (packet.has_right_checksum(), packet.payload());
                }
            }
        }
    }
}
