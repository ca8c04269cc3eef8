//! The replies of a trace of one path, by the TTLs of their probes.

use std::io;
use std::net::IpAddr;

use super::addresses::{Addresses, Table};
use super::bytes::{Reader, narrow, unsupported};
use super::definitions::Known;
use super::extensions;
use super::parameters::{Block, Parameters};
use crate::codec::ReadError;
use crate::record::{Kind, Probe, Reply};

/// Flags of a reply: its TTL is known, it is TCP, it is UDP.
const HAS_TTL: u8 = 0x10;
const TCP: u8 = 0x20;
const UDP: u8 = 0x40;

/// The TTL in a quote that is left out.
const USUAL_QUOTED_TTL: u8 = 1;

/// Reads replies as the probes that they are of. Probes without a reply are not in the file.
pub(super) fn read_all(
    reader: &mut Reader,
    known: &Known,
    addresses: &mut Addresses,
) -> Result<Vec<Probe>, ReadError> {
    let count = reader.short()?;
    let mut probes: Vec<Probe> = Vec::new();
    for _ in 0..count {
        let (mut probe, reply) = read(reader, known, addresses)?;
        let last = probes.last_mut().filter(|last| {
            let place = |probe: &Probe| (probe.ttl, probe.attempt, probe.sent_us, probe.size);
            place(last) == place(&probe)
        });
        if let Some(last) = last {
            last.replies.push(reply);
        } else {
            probe.replies = vec![reply];
            probes.push(probe);
        }
    }
    Ok(probes)
}

fn read(
    reader: &mut Reader,
    known: &Known,
    addresses: &mut Addresses,
) -> Result<(Probe, Reply), ReadError> {
    let mut has = Parameters::read(reader)?;
    let old_from = has.get(1, |reader| known.read_address_reference(reader))?;
    let ttl = has.get(2, Reader::byte)?.unwrap_or(0);
    let reply_ttl = has.get(3, Reader::byte)?;
    let flags = has.get(4, Reader::byte)?;
    // Attempts are counted from 0 in the file.
    let attempt = has
        .get(5, Reader::byte)?
        .map_or(0, |attempt| u16::from(attempt) + 1);
    let rtt_us = has.get(6, Reader::word)?;
    let icmp = has.get(7, Reader::kind)?;
    let size = has.get(8, Reader::short)?;
    let reply_size = has.get(9, Reader::short)?;
    let id = has.get(10, Reader::short)?;
    let tos = has.get(11, Reader::byte)?;
    let next_mtu = has.get(12, Reader::short)?;
    let quoted_length = has.get(13, Reader::short)?;
    let quoted_ttl = has.get(14, Reader::byte)?;
    let tcp = has.get(15, Reader::byte)?;
    let quoted_tos = has.get(16, Reader::byte)?;
    let extensions = has.get(17, extensions::read)?.unwrap_or_default();
    let from = has.get(18, |reader| addresses.read(reader))?;
    let sent_us = has.get(19, Reader::time)?;
    let name = has.get(20, Reader::text)?;
    let from = from.or(old_from);
    let from = from.ok_or_else(|| has.damaged("a hop has no address"))?;
    if ttl == 0 {
        return Err(has.damaged("a hop has no TTL"));
    }
    let set = |flag| flags.is_some_and(|flags| flags & flag != 0);
    let kind = match icmp {
        _ if set(TCP) => Kind::Tcp(tcp.unwrap_or(0)),
        _ if set(UDP) => Kind::Udp,
        Some((kind, code)) => Kind::Icmp(kind, code),
        None => Kind::Unknown,
    };
    let quotes = quotes(kind, from);
    let probe = Probe {
        ttl,
        attempt,
        sent_us,
        size,
        ..Probe::default()
    };
    let reply = Reply {
        from,
        name,
        received_us: None,
        rtt_us,
        kind,
        ttl: reply_ttl.filter(|_| set(HAS_TTL)),
        size: reply_size,
        tos,
        id: id.map(u32::from).or(from.is_ipv4().then_some(0)),
        quoted_ttl: quoted_ttl.or(quotes.then_some(USUAL_QUOTED_TTL)),
        quoted_length: quoted_length.or(size.filter(|_| quotes)),
        quoted_tos,
        next_mtu,
        extensions,
        flags,
        answers: None,
    };
    Ok((probe, reply))
}

/// Returns whether a reply quotes the probe, in scamper's eyes.
pub(super) fn quotes(kind: Kind, from: IpAddr) -> bool {
    match kind {
        Kind::Icmp(kind, _) if from.is_ipv4() => matches!(kind, 3 | 11),
        Kind::Icmp(kind, _) => matches!(kind, 1..=3),
        _ => false,
    }
}

/// Writes the replies to probes, and before them their number. A trace's probes are of some size.
pub(super) fn write_all(
    probes: &[Probe],
    size: Option<u16>,
    out: &mut Vec<u8>,
    block: &mut Block,
    table: &mut Table,
) -> io::Result<()> {
    let replies = probes
        .iter()
        .map(|probe| probe.replies.len())
        .sum::<usize>();
    let count: u16 = narrow(replies, "replies of a path")?;
    out.extend(count.to_be_bytes());
    for probe in probes {
        for reply in &probe.replies {
            write(probe, size, reply, out, block, table)?;
        }
    }
    Ok(())
}

fn write(
    probe: &Probe,
    size: Option<u16>,
    reply: &Reply,
    out: &mut Vec<u8>,
    block: &mut Block,
    table: &mut Table,
) -> io::Result<()> {
    if probe.ttl == 0 {
        return Err(unsupported("warts has no place for replies to TTL 0"));
    }
    let mut flags = reply.flags.unwrap_or(0) & !(HAS_TTL | TCP | UDP);
    flags |= if reply.ttl.is_some() { HAS_TTL } else { 0 };
    flags |= match reply.kind {
        Kind::Tcp(_) => TCP,
        Kind::Udp => UDP,
        Kind::Icmp(..) | Kind::Unknown => 0,
    };
    let quotes = quotes(reply.kind, reply.from);
    block.byte(2, Some(probe.ttl));
    block.byte(3, Some(reply.ttl.unwrap_or(0)));
    block.byte(4, Some(flags));
    let attempt = probe.attempt.checked_sub(1);
    let attempt = attempt.map(|attempt| narrow(attempt, "attempts"));
    block.byte(5, attempt.transpose()?);
    block.word(6, round_trip(probe, reply));
    if let Kind::Icmp(kind, code) = reply.kind {
        block.add(7).extend([kind, code]);
    }
    block.short(8, probe.size);
    block.short(9, reply.size);
    let id = reply.id.map(|id| narrow(id, "as an identification"));
    let usual_id = reply.from.is_ipv4().then_some(0);
    block.short(10, id.transpose()?.filter(|id| Some(*id) != usual_id));
    block.byte(11, reply.tos);
    block.short(12, reply.next_mtu);
    // Readers take a length that is missing for that of this probe.
    let length = reply.quoted_length;
    let usual = quotes && length == size && length == probe.size;
    block.short(13, length.filter(|_| !usual));
    let ttl = reply.quoted_ttl;
    block.byte(14, ttl.filter(|ttl| !quotes || *ttl != USUAL_QUOTED_TTL));
    if let Kind::Tcp(tcp) = reply.kind {
        block.byte(15, Some(tcp));
    }
    block.byte(16, reply.quoted_tos);
    if !reply.extensions.is_empty() {
        extensions::write(&reply.extensions, block.add(17))?;
    }
    table.put(block.add(18), reply.from);
    block.time(19, probe.sent_us)?;
    block.text(20, reply.name.as_deref())?;
    block.end(out)
}

fn round_trip(probe: &Probe, reply: &Reply) -> Option<u32> {
    reply.rtt_us.or_else(|| {
        let elapsed = reply.received_us?.checked_sub(probe.sent_us?)?;
        u32::try_from(elapsed).ok()
    })
}
