//! Quotes: what an ICMP error repeats of the packet that it is about.

use anabranch_prefixes::Family;

use crate::claim::{Claim, Quoted, Rewritten, word};
use crate::ip::{Packet, TCP, UDP};
use crate::probe::{COPY, Probe, Seen, Stamp, TAG, icmp_of, restore_time};

/// The length of the header of UDP, and of an ICMP echo, in bytes.
const TRANSPORT: usize = 8;
/// The offsets at which the quoted packet may begin, in bytes. Some routers leave the end of an
/// Ethernet header with a VLAN tag, or entries of an MPLS label stack, in front of it.
const QUOTE_STARTS: [usize; 3] = [0, 4, 8];

impl Stamp {
    /// Returns the probe that an error quotes, perhaps behind what a router left of lower layers.
    /// If there are several candidates, this is the first whose tag is right, or else the first
    /// one.
    pub(crate) fn find_quote(&self, family: Family, quote: &[u8], own: u128) -> Option<Claim> {
        let mut claims = QUOTE_STARTS
            .into_iter()
            .filter_map(|start| self.read_quote(family, quote.get(start..)?, own));
        let first = claims.next()?;
        let is_ours = |(probe, seen, _): &Claim| self.vouches_for(probe, *seen);
        if is_ours(&first) {
            return Some(first);
        }
        Some(claims.find(is_ours).unwrap_or(first))
    }

    /// Reads the probe in a quote, whose end may be cut off. The probe was sent from `own`; a
    /// translator may have replaced this address.
    fn read_quote(&self, family: Family, quote: &[u8], own: u128) -> Option<Claim> {
        let packet = Packet::parse_head(quote).filter(|packet| packet.family() == family)?;
        if packet.protocol() == TCP {
            return self.read_quoted_segment(&packet, own);
        }
        let transport = packet.payload();
        let (protocol, length) = (packet.protocol(), packet.length());
        let behind = usize::from(length).checked_sub(packet.header_len() + TRANSPORT)?;
        let mut probe = Probe {
            family,
            destination: packet.destination(),
            protocol,
            source_port: word(transport, 0)?,
            destination_port: word(transport, 2)?,
            ttl: 0,
            sent: word(transport, 6)?,
        };
        let checksum;
        if protocol == UDP {
            let length = usize::from(word(transport, 4)?);
            probe.ttl = self.ttl_of(length.checked_sub(TRANSPORT)?)?;
            checksum = probe.sent;
            if packet.source() != own {
                probe.sent = restore_time(checksum, family, packet.source(), own);
            }
        } else if protocol == icmp_of(family) {
            checksum = probe.destination_port;
            probe.source_port = word(transport, 4)?;
            probe.destination_port = 0;
            probe.ttl = self.read_ttl(behind, &transport[TRANSPORT..])?;
        } else {
            return None;
        }
        let payload = &transport[TRANSPORT..];
        let mut rewritten = Rewritten::default().with(Rewritten::SOURCE, packet.source() != own);
        if let Some(copy) = payload.get(TAG..TAG + COPY) {
            let quoted = probe;
            probe = with_copy(quoted, copy)?;
            let ports = |probe: &Probe| (probe.source_port, probe.destination_port);
            let as_sent = match protocol {
                UDP => probe.sent,
                _ => probe.source_port,
            };
            rewritten = rewritten
                .with(Rewritten::PORTS, ports(&quoted) != ports(&probe))
                .with(Rewritten::CHECKSUM, checksum != as_sent);
        }
        let identification = packet.identification_v4();
        let seen = see(payload, identification);
        if let (Seen::Tag(tag), Some(identification)) = (seen, identification) {
            rewritten = rewritten.with(Rewritten::IDENTIFICATION, identification != tag as u16);
        }
        let quoted = Quoted {
            ttl: packet.ttl(),
            tos: packet.tos(),
            length,
            rewritten,
        };
        Some((probe, seen, quoted))
    }
}

/// Returns a probe with the ports and the time that its payload repeats.
fn with_copy(probe: Probe, copy: &[u8]) -> Option<Probe> {
    Some(Probe {
        source_port: word(copy, 0)?,
        destination_port: word(copy, 2)?,
        sent: word(copy, 4)?,
        ..probe
    })
}

/// Returns what the head of a payload shows of a tag, or else what the identification shows.
pub(crate) fn see(payload: &[u8], identification: Option<u16>) -> Seen {
    match (payload.first_chunk::<TAG>(), identification) {
        (Some(tag), _) => Seen::Tag(u64::from_be_bytes(*tag)),
        (None, Some(identification)) => Seen::Identification(identification),
        (None, None) => Seen::Nothing,
    }
}
