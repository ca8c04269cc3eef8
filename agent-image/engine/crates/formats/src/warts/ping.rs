//! Pings: what was asked, and the replies by the numbers of their probes.

use std::io;

use super::addresses::{Addresses, Table, put_alone, read_alone};
use super::bytes::{Reader, narrow, unsupported};
use super::definitions::Known;
use super::parameters::{Block, Parameters};
use super::pingreply;
use super::trace::{SECOND, rounded, said, unspecified};
use crate::codec::ReadError;
use crate::record::{Method, Origin, Ping, PingSettings, Record, Settings};

/// Reads a ping.
pub(super) fn read(
    reader: &mut Reader,
    known: &Known,
    addresses: &mut Addresses,
) -> Result<Record, ReadError> {
    let mut has = Parameters::read(reader)?;
    let list = has
        .get(1, |reader| known.read_list_reference(reader))?
        .flatten();
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
        router: has.get(32, read_alone)?,
    };
    let destination = destination.or(old_destination);
    let destination = destination.ok_or_else(|| has.damaged("a ping has no destination"))?;
    let Some(method) = method else {
        return Ok(Record::Other("ping of an unknown method"));
    };
    let probes = pingreply::read_all(reader, known, addresses, destination)?;
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
        origin: Origin::default(),
        specific,
        probes,
    })))
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
        put_alone(block.add(32), router);
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
            pingreply::write(ping, probe, reply, out, block, table)?;
        }
    }
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
