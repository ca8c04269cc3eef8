//! Pings: what was asked, and the replies by the numbers of their probes.

use std::io;
use std::net::IpAddr;

use super::addresses::{Addresses, Table};
use super::bytes::{Reader, narrow, unsupported};
use super::definitions::Known;
use super::parameters::{Block, Parameters};
use super::trace::{SECOND, rounded, said, unspecified};
use crate::codec::ReadError;
use crate::record::{Answers, Kind, Method, Ping, PingSettings, Probe, Record, Reply, Settings};

/// Flags of a reply: its TTL, its identification, and the probe's identification are known.
const HAS_TTL: u8 = 1;
const HAS_ID: u8 = 2;
const HAS_PROBE_ID: u8 = 4;

/// Protocols, by their numbers in IP.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Reads a ping.
pub(super) fn read(
    reader: &mut Reader,
    known: &Known,
    addresses: &mut Addresses,
) -> Result<Record, ReadError> {
    let mut has = Parameters::read(reader)?;
    let list = has.get(1, |reader| known.read_reference(reader))?.flatten();
    let cycle = has
        .get(2, |reader| known.read_cycle_reference(reader))?
        .flatten();
    let old_source = has.get(3, |reader| known.read_address_reference(reader))?;
    let old_destination = has.get(4, |reader| known.read_address_reference(reader))?;
    let began_us = has.get(5, Reader::time)?;
    let stop = has.get(6, Reader::byte)?.unwrap_or(0);
    let stop = (stop, has.get(7, Reader::byte)?.unwrap_or(0));
    let payload = has.get(8, Reader::short)?.unwrap_or(0).into();
    let payload = has
        .get(9, |reader| reader.bytes(payload))?
        .unwrap_or_default();
    let asked = has.get(10, Reader::short)?;
    let mut settings = Settings {
        probe_size: has.get(11, Reader::short)?,
        ..Settings::default()
    };
    let wait_probe = has.get(12, Reader::byte)?;
    settings.max_ttl = has.get(13, Reader::byte)?;
    let replies = has.get(14, Reader::short)?;
    let probe_count = has.get(15, Reader::short)?;
    let method = method_of(has.get(16, Reader::byte)?.unwrap_or(0));
    let source_port = has.get(17, Reader::short)?;
    let destination_port = has.get(18, Reader::short)?;
    settings.user_id = has.get(19, Reader::word)?;
    let source = has.get(20, |reader| addresses.read(reader))?;
    let destination = has.get(21, |reader| addresses.read(reader))?;
    let low_flags = has.get(22, Reader::byte)?.map(u32::from);
    settings.tos = has.get(23, Reader::byte)?;
    let routers = has.get(24, |reader| {
        let count = reader.byte()?;
        (0..count)
            .map(|_| addresses.read(reader))
            .collect::<Result<_, _>>()
    })?;
    let checksum = has.get(25, Reader::short)?;
    let reply_mtu = has.get(26, Reader::short)?;
    let wait = has.get(27, Reader::byte)?.or(wait_probe);
    settings.wait_us = wait.map(|wait| u64::from(wait) * SECOND);
    let wait_probe_us = u64::from(has.get(28, Reader::word)?.unwrap_or(0));
    settings.wait_probe_us = wait_probe.map(|wait| u64::from(wait) * SECOND + wait_probe_us);
    let acknowledgement = has.get(29, Reader::word)?;
    settings.flags = has.get(30, Reader::word)?.or(low_flags);
    let specific = PingSettings {
        replies,
        payload: payload.to_vec(),
        routers: routers.unwrap_or_default(),
        checksum,
        reply_mtu,
        acknowledgement,
        sequence: has.get(31, Reader::word)?,
        router: has.get(32, |reader| addresses.read(reader))?,
    };
    let destination = destination.or(old_destination);
    let destination = destination.ok_or_else(|| has.damaged("a ping has no destination"))?;
    let Some(method) = method else {
        return Ok(Record::Other("ping of an unknown method"));
    };
    let probes = read_probes(reader, known, addresses, destination)?;
    Ok(Record::Ping(Box::new(Ping {
        list,
        cycle,
        method,
        source: said(source.or(old_source)),
        destination,
        source_port,
        destination_port,
        began_us,
        stop,
        asked,
        probe_count,
        settings,
        specific,
        probes,
    })))
}

/// Reads replies as the probes that they are of. Probes without a reply are not in the file.
fn read_probes(
    reader: &mut Reader,
    known: &Known,
    addresses: &mut Addresses,
    destination: IpAddr,
) -> Result<Vec<Probe>, ReadError> {
    let count = reader.short()?;
    let mut probes: Vec<Probe> = Vec::new();
    for _ in 0..count {
        let (mut probe, reply) = read_reply(reader, known, addresses, destination)?;
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

fn read_reply(
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

/// Writes the content of a ping. It belongs to no list or cycle if their numbers are 0.
pub(super) fn write(
    ping: &Ping,
    (list, cycle): (u32, u32),
    out: &mut Vec<u8>,
    block: &mut Block,
    table: &mut Table,
) -> io::Result<()> {
    let (settings, specific) = (&ping.settings, &ping.specific);
    let method = number_of_method(ping.method)?;
    block.word(1, Some(list).filter(|list| *list != 0));
    block.word(2, Some(cycle).filter(|cycle| *cycle != 0));
    block.time(5, ping.began_us)?;
    block.byte(6, Some(ping.stop.0));
    block.byte(7, Some(ping.stop.1));
    if !specific.payload.is_empty() {
        block.short(
            8,
            Some(narrow(specific.payload.len(), "bytes of a payload")?),
        );
        block.add(9).extend(&specific.payload);
    }
    block.short(10, ping.asked);
    block.short(11, settings.probe_size);
    let interval_us = settings.wait_probe_us;
    let interval = interval_us.map(|wait| u8::try_from(wait / SECOND).unwrap_or(u8::MAX));
    block.byte(12, interval);
    block.byte(13, settings.max_ttl);
    block.short(14, specific.replies);
    block.short(15, ping.probe_count);
    block.byte(16, Some(method).filter(|method| *method != 0));
    block.short(17, ping.source_port.filter(|port| *port != 0));
    block.short(18, ping.destination_port.filter(|port| *port != 0));
    block.word(19, settings.user_id.filter(|id| *id != 0));
    table.put(
        block.add(20),
        ping.source.unwrap_or(unspecified(ping.destination)),
    );
    table.put(block.add(21), ping.destination);
    let flags = settings.flags.filter(|flags| *flags != 0);
    let low = flags.map(|flags| flags as u8);
    block.byte(22, low.filter(|low| *low != 0));
    block.byte(23, settings.tos.filter(|tos| *tos != 0));
    if !specific.routers.is_empty() {
        let bytes = block.add(24);
        bytes.push(narrow(specific.routers.len(), "routers with timestamps")?);
        specific
            .routers
            .iter()
            .for_each(|router| table.put(bytes, *router));
    }
    block.short(25, specific.checksum.filter(|sum| *sum != 0));
    block.short(26, specific.reply_mtu.filter(|mtu| *mtu != 0));
    let wait = settings.wait_us.map(|wait| rounded(wait, SECOND));
    block.byte(27, wait.filter(|_| wait != interval));
    let rest_us = interval_us.map(|wait| (wait % SECOND) as u32);
    block.word(28, rest_us.filter(|rest| *rest != 0));
    block.word(29, specific.acknowledgement);
    block.word(30, flags.filter(|flags| *flags > u8::MAX.into()));
    block.word(31, specific.sequence);
    if let Some(router) = specific.router {
        table.put(block.add(32), router);
    }
    block.end(out)?;
    let replies = ping
        .probes
        .iter()
        .map(|probe| probe.replies.len())
        .sum::<usize>();
    let count: u16 = narrow(replies, "replies to a ping")?;
    out.extend(count.to_be_bytes());
    for probe in &ping.probes {
        for reply in &probe.replies {
            write_reply(ping, probe, reply, out, block, table)?;
        }
    }
    Ok(())
}

fn write_reply(
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
    addresses
        .into_iter()
        .for_each(|address| table.put(bytes, address));
    Ok(())
}

fn method_of(number: u8) -> Option<Method> {
    Some(match number {
        0 => Method::IcmpEcho,
        1 => Method::TcpAck,
        2 => Method::TcpAckSourcePort,
        3 => Method::UdpParis,
        4 => Method::UdpDestinationPort,
        5 => Method::IcmpTimestamp,
        6 => Method::Tcp,
        7 => Method::TcpSynAck,
        8 => Method::TcpReset,
        9 => Method::TcpSourcePort,
        _ => return None,
    })
}

fn number_of_method(method: Method) -> io::Result<u8> {
    Ok(match method {
        Method::IcmpEcho | Method::IcmpEchoParis => 0,
        Method::TcpAck => 1,
        Method::TcpAckSourcePort => 2,
        Method::Udp | Method::UdpParis => 3,
        Method::UdpDestinationPort => 4,
        Method::IcmpTimestamp => 5,
        Method::Tcp => 6,
        Method::TcpSynAck => 7,
        Method::TcpReset => 8,
        Method::TcpSourcePort => 9,
        Method::UdpSourcePort => {
            return Err(unsupported(
                "warts has no pings of several UDP source ports",
            ));
        }
    })
}
