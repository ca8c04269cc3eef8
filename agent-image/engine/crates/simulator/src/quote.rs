//! The quotes of probes in ICMP errors, byte by byte.

use anabranch_fakeroute::packet::Answer;
use anabranch_fakeroute::quote::{Extent, Leftover, Quote, Rewritten};
use anabranch_prefixes::Family;
use anabranch_wire::checksum::{Sum, checksum};
use anabranch_wire::ip::{HEADER_V4, HEADER_V6, ICMP, ICMP6, Packet, TCP, UDP};

const ICMP_HEADER: usize = 8;
/// The bytes after the IPv4 header that an error must quote at least (RFC 792).
const LEAST_QUOTED: usize = 8;
/// The bytes after the IP header that routers with cut quotes quote.
const CUT_QUOTED: usize = 16;
/// The bytes of lower layers that some routers leave in front of a quote.
const LEFTOVER: usize = 4;
/// The number that a translator adds to source ports.
const PORT_SHIFT: u16 = 1_000;
/// The longest error over IPv4 (RFC 1812, section 4.3.2.3), in bytes.
const LONGEST_V4: usize = 576;
/// The longest error over IPv6 (RFC 4443, section 2.4), in bytes.
const LONGEST_V6: usize = 1280;
/// The length to which a quote is padded if extensions follow (RFC 4884, section 5), in bytes.
const QUOTE_BEFORE_EXTENSIONS: usize = 128;
/// The length of an extension structure with one MPLS label, in bytes.
const EXTENSION: usize = 12;

/// The quote of a probe in an ICMP error.
pub(crate) struct Quoting {
    quote: Quote,
    /// The number of quoted bytes.
    len: usize,
    /// The length to which zeros pad the quote, with its leftover, in bytes.
    filled: usize,
    /// The MPLS label in an extension after the quote.
    label: Option<u32>,
}

impl Quoting {
    pub fn choose(packet: &Packet<'_>, answer: &Answer) -> Self {
        let longest = match packet.family() {
            Family::V4 => LONGEST_V4 - HEADER_V4 - ICMP_HEADER,
            Family::V6 => LONGEST_V6 - HEADER_V6 - ICMP_HEADER,
        };
        let leftover = answer.quote.leftover.map_or(0, |_| LEFTOVER);
        let most = match (answer.quote.extent, answer.label) {
            (_, Some(_)) => QUOTE_BEFORE_EXTENSIONS - leftover,
            (Extent::Least, None) if packet.family() == Family::V4 => {
                packet.header_len() + LEAST_QUOTED
            }
            (Extent::Cut, None) => packet.header_len() + CUT_QUOTED,
            _ => longest - leftover,
        };
        let len = most.min(packet.bytes().len());
        let is_padded = answer.label.is_some() || answer.quote.extent == Extent::Padded;
        Self {
            quote: answer.quote,
            len,
            filled: if is_padded {
                QUOTE_BEFORE_EXTENSIONS.max(len + leftover)
            } else {
                len + leftover
            },
            label: answer.label,
        }
    }

    /// The length of the quote and its extension, in bytes.
    pub const fn size(&self) -> usize {
        self.filled + if self.label.is_some() { EXTENSION } else { 0 }
    }

    /// Returns the second word of the ICMP header. If an extension follows, this has the quote's
    /// length, in units of 4 bytes for IPv4 and 8 bytes for IPv6 (RFC 4884, section 4).
    pub const fn length_field(&self, family: Family) -> [u8; 4] {
        match (self.label, family) {
            (None, _) => [0; 4],
            (Some(_), Family::V4) => [0, (QUOTE_BEFORE_EXTENSIONS / 4) as u8, 0, 0],
            (Some(_), Family::V6) => [(QUOTE_BEFORE_EXTENSIONS / 8) as u8, 0, 0, 0],
        }
    }

    pub fn write(&self, out: &mut Vec<u8>, packet: &Packet<'_>) {
        let start = out.len();
        match self.quote.leftover {
            Some(Leftover::Vlan) => {
                out.extend([0, 7]); // VLAN 7
                out.extend(match packet.family() {
                    Family::V4 => [0x08, 0x00],
                    Family::V6 => [0x86, 0xdd],
                });
            }
            // The first bits look like those of an IPv4 header.
            Some(Leftover::Label) => out.extend((0x45_123u32 << 12 | 1 << 8 | 1).to_be_bytes()),
            None => {}
        }
        let quoted = out.len();
        out.extend(&packet.bytes()[..self.len]);
        rewrite(&mut out[quoted..], packet, self.quote.rewritten);
        set_ttl(&mut out[quoted..], packet, self.quote.ttl);
        out.resize(start + self.filled, 0);
        if let Some(label) = self.label {
            write_label(out, label);
        }
    }
}

/// Rewrites a quoted packet as a translator does.
fn rewrite(quote: &mut [u8], packet: &Packet<'_>, rewritten: Rewritten) {
    let (ports, checksum) = match packet.protocol() {
        UDP => (0, 6),
        TCP => (0, 16),
        ICMP | ICMP6 => (4, 2),
        _ => return,
    };
    let transport = &mut quote[packet.header_len()..];
    let change = |word: &mut [u8], by: u16| {
        let old = u16::from_be_bytes([word[0], word[1]]);
        word.copy_from_slice(&old.wrapping_add(by).to_be_bytes());
    };
    if rewritten.port && transport.len() >= LEAST_QUOTED {
        change(&mut transport[ports..ports + 2], PORT_SHIFT);
    }
    // A short quote of TCP ends before its checksum.
    if let Some(field) = transport.get_mut(checksum..checksum + 2) {
        if rewritten.port {
            // The checksum stays right (RFC 1624).
            let old = u32::from(u16::from_be_bytes([field[0], field[1]]));
            let new = old + u32::from(u16::MAX - PORT_SHIFT);
            let folded = (new & 0xffff) + (new >> 16);
            field.copy_from_slice(&(folded as u16).to_be_bytes());
        }
        if rewritten.checksum {
            change(field, 1);
        }
    }
    if rewritten.identification && packet.family() == Family::V4 {
        change(&mut quote[4..6], 1);
    }
}

/// Sets the TTL of a quoted packet, and updates an IPv4 header's checksum.
fn set_ttl(quote: &mut [u8], packet: &Packet<'_>, ttl: u8) {
    match packet.family() {
        Family::V4 => {
            quote[8] = ttl;
            quote[10..12].fill(0);
            let sum = checksum(&quote[..packet.header_len()]);
            quote[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        Family::V6 => quote[7] = ttl,
    }
}

/// Appends an extension structure with an MPLS label stack of one entry (RFC 4884, RFC 4950).
fn write_label(out: &mut Vec<u8>, label: u32) {
    let start = out.len();
    out.extend([0x20, 0, 0, 0]); // version 2
    out.extend([0, 8, 1, 1]); // an object of 8 bytes: MPLS label stack, incoming
    let entry = label << 12 | 1 << 8 | 1; // bottom of the stack, TTL 1
    out.extend(entry.to_be_bytes());
    let sum = Sum::default().with(&out[start..]).finish();
    out[start + 2..start + 4].copy_from_slice(&sum.to_be_bytes());
}
