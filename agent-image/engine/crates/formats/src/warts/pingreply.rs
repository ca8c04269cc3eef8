//! The replies to a ping, by the numbers of their probes.

use std::io;
use std::net::IpAddr;

use super::addresses::{Addresses, Table};
use super::bytes::{Reader, narrow, unsupported};
use super::definitions::Known;
use super::parameters::{Block, Parameters};
use crate::codec::ReadError;
use crate::record::{Answers, Kind, Method, Ping, Probe, Reply};

/// Flags of a reply: its TTL, its identification, and the probe's identification are known.
const HAS_TTL: u8 = 1;
const HAS_ID: u8 = 2;
const HAS_PROBE_ID: u8 = 4;

/// Protocols, by their numbers in IP.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Reads replies as the probes that they are of. Probes without a reply are not in the file.
pub(super) fn read_all(
    reader: &mut Reader,
    known: &Known,
    addresses: &mut Addresses,
    destination: IpAddr,
) -> Result<Vec<Probe>, ReadError> {
    let count = reader.short()?;
    let mut probes: Vec<Probe> = Vec::new();
    for _ in 0..count {
        let (mut probe, reply) = read(reader, known, addresses, destination)?;
        let last = probes.last_mut().filter(|last| {
            let place = |probe: &Probe| (probe.attempt, probe.sent_us, probe.id);
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
    destination: IpAddr,
) -> Result<(Probe, Reply), ReadError> {
    let mut has = Parameters::read(reader)?;
    let old_from = has.get(1, |reader| known.read_address_reference(reader))?;
    let flags = has.get(2, Reader::byte)?.unwrap_or(0);
    let ttl = has.get(3, Reader::byte)?;
    let size = has.get(4, Reader::short)?;
    let icmp = has.get(5, Reader::kind)?;
    let rtt_us = has.get(6, Reader::word)?;
    let place = has.get(7, Reader::short)?.unwrap_or(0);
    let id = has.get(8, Reader::short)?;
    let probe_id = has.get(9, Reader::short)?;
    let protocol = has.get(10, Reader::byte)?;
    let tcp = has.get(11, Reader::byte)?;
    let from = has.get(12, |reader| addresses.read(reader))?;
    let route = has.get(13, |reader| {
        let count = reader.byte()?;
        (0..count)
            .map(|_| addresses.read(reader))
            .collect::<Result<_, _>>()
    })?;
    let times = has.get(14, |reader| read_times(reader, addresses))?;
    let fragment_id = has.get(15, Reader::word)?;
    let sent_us = has.get(16, Reader::time)?;
    let clock = has.get(17, |reader| {
        Ok([reader.word()?, reader.word()?, reader.word()?])
    })?;
    let from = from.or(old_from);
    let from = from.ok_or_else(|| has.damaged("a reply has no address"))?;
    let attempt = place.checked_add(1);
    let attempt = attempt.ok_or_else(|| has.damaged("a reply is to the 65536th probe"))?;
    let kind = match (protocol, icmp) {
        (Some(TCP), _) => Kind::Tcp(tcp.unwrap_or(0)),
        (Some(UDP), _) => Kind::Udp,
        (_, Some((kind, code))) => Kind::Icmp(kind, code),
        _ => Kind::Unknown,
    };
    let set = |flag| flags & flag != 0;
    let id = if destination.is_ipv4() {
        id.map(u32::from)
    } else {
        fragment_id
    };
    let answers = Answers {
        route: route.unwrap_or_default(),
        times: times.unwrap_or_default(),
        clock,
    };
    let probe = Probe {
        attempt,
        sent_us,
        id: probe_id.filter(|_| set(HAS_PROBE_ID)),
        ..Probe::default()
    };
    let reply = Reply {
        from,
        name: None,
        received_us: None,
        rtt_us,
        kind,
        ttl: ttl.filter(|_| set(HAS_TTL)),
        size,
        tos: None,
        id: id.filter(|_| set(HAS_ID)),
        quoted_ttl: None,
        quoted_length: None,
        quoted_tos: None,
        next_mtu: None,
        extensions: Vec::new(),
        flags: None,
        answers: (answers != Answers::default()).then(|| Box::new(answers)),
    };
    Ok((probe, reply))
}

fn read_times(
    reader: &mut Reader,
    addresses: &mut Addresses,
) -> Result<Vec<(Option<IpAddr>, u32)>, ReadError> {
    let (count, address_count) = (reader.byte()?, reader.byte()?);
    if address_count != 0 && address_count != count {
        return Err(reader.damaged(format!("{count} times have {address_count} addresses")));
    }
    let times = (0..count).map(|_| Ok((None, reader.word()?)));
    let mut times = times.collect::<Result<Vec<_>, ReadError>>()?;
    for (address, _) in &mut times[..address_count.into()] {
        *address = Some(addresses.read(reader)?);
    }
    Ok(times)
}

/// Writes a reply.
pub(super) fn write(
    ping: &Ping,
    probe: &Probe,
    reply: &Reply,
    out: &mut Vec<u8>,
    block: &mut Block,
    table: &mut Table,
) -> io::Result<()> {
    let v4 = ping.destination.is_ipv4();
    let mut flags = 0;
    flags |= if reply.ttl.is_some() { HAS_TTL } else { 0 };
    flags |= if reply.id.is_some() { HAS_ID } else { 0 };
    flags |= if probe.id.is_some() { HAS_PROBE_ID } else { 0 };
    let protocol = match reply.kind {
        Kind::Tcp(_) => TCP,
        Kind::Udp => UDP,
        Kind::Icmp(..) | Kind::Unknown if reply.from.is_ipv4() => ICMP,
        Kind::Icmp(..) | Kind::Unknown => ICMPV6,
    };
    let place = probe.attempt.checked_sub(1);
    let place = place.ok_or_else(|| unsupported("a probe of a ping has no number"))?;
    block.byte(2, Some(flags).filter(|flags| *flags != 0));
    block.byte(3, reply.ttl);
    block.short(4, reply.size);
    if let Kind::Icmp(kind, code) = reply.kind {
        block.add(5).extend([kind, code]);
    }
    block.word(6, reply.rtt_us);
    block.short(7, Some(place));
    // Of IPv6, scamper writes zeros here, and of IPv4 behind.
    if v4 {
        let id = reply.id.map(|id| narrow(id, "as an identification"));
        block.short(8, id.transpose()?);
        block.short(9, probe.id);
    } else {
        block.short(8, Some(0));
        block.short(9, Some(probe.id.unwrap_or(0)));
    }
    let icmp = matches!(
        ping.method,
        Method::IcmpEcho | Method::IcmpEchoParis | Method::IcmpTimestamp
    );
    block.byte(10, Some(protocol).filter(|_| !icmp));
    if let Kind::Tcp(tcp) = reply.kind {
        block.byte(11, Some(tcp));
    }
    table.put(block.add(12), reply.from);
    if let Some(answers) = &reply.answers {
        write_answers(answers, block, table)?;
    }
    if v4 {
        block.word(15, Some(0));
    } else {
        block.word(15, reply.id);
    }
    block.time(16, probe.sent_us)?;
    if let Some(clock) = reply.answers.as_ref().and_then(|answers| answers.clock) {
        block
            .add(17)
            .extend(clock.map(u32::to_be_bytes).as_flattened());
    }
    block.end(out)
}

fn write_answers(answers: &Answers, block: &mut Block, table: &mut Table) -> io::Result<()> {
    if !answers.route.is_empty() {
        let bytes = block.add(13);
        bytes.push(narrow(answers.route.len(), "recorded routers")?);
        answers
            .route
            .iter()
            .for_each(|router| table.put(bytes, *router));
    }
    if answers.times.is_empty() {
        return Ok(());
    }
    let addresses: Vec<_> = answers
        .times
        .iter()
        .filter_map(|(address, _)| *address)
        .collect();
    if !addresses.is_empty() && addresses.len() != answers.times.len() {
        return Err(unsupported(
            "some recorded times have addresses, and some have none",
        ));
    }
    let bytes = block.add(14);
    bytes.push(narrow(answers.times.len(), "recorded times")?);
    bytes.push(addresses.len() as u8);
    for (_, time) in &answers.times {
        bytes.extend(time.to_be_bytes());
    }
    for address in addresses {
        table.put(bytes, address);
    }
    Ok(())
}
