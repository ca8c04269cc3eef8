//! Traces of one path: what was asked, and the replies by their TTLs.

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;

use super::addresses::{Addresses, Table, put_alone, read_alone};
use super::aside;
use super::bytes::{Reader, narrow, unsupported};
use super::definitions::Known;
use super::hop;
use super::parameters::{Block, Parameters};
use crate::codec::ReadError;
use crate::record::{Found, Method, Origin, Probe, Record, Settings, Stop, Trace};

/// A second and a hundredth of one, in microseconds: the units of waits.
pub(super) const SECOND: u64 = 1_000_000;
pub(super) const CENTISECOND: u64 = 10_000;

/// The flag of a trace whose destination port is the checksum of ICMP.
const CHECKSUM_IN_PORT: u32 = 0x20;

/// Reads a trace.
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
    let reason = has.get(6, Reader::byte)?.unwrap_or(0);
    let stop = stop_of(reason, has.get(7, Reader::byte)?.unwrap_or(0));
    let low_flags = has.get(8, Reader::byte)?.map(u32::from);
    let mut settings = Settings {
        attempts: has.get(9, Reader::byte)?,
        max_ttl: has.get(10, Reader::byte)?,
        ..Settings::default()
    };
    let method = has.get(11, Reader::byte)?.and_then(method_of);
    settings.probe_size = has.get(12, Reader::short)?;
    let source_port = has.get(13, Reader::short)?;
    let destination_port = has.get(14, Reader::short)?;
    settings.first_ttl = has.get(15, Reader::byte)?;
    settings.tos = has.get(16, Reader::byte)?;
    settings.wait_us = has
        .get(17, Reader::byte)?
        .map(|wait| u64::from(wait) * SECOND);
    settings.loops = has.get(18, Reader::byte)?;
    let hop_count = has.get(19, Reader::short)?;
    settings.gap_limit = has.get(20, Reader::byte)?;
    settings.gap_action = has.get(21, Reader::byte)?;
    settings.loop_action = has.get(22, Reader::byte)?;
    let probe_count = has.get(23, Reader::short)?.map(u32::from);
    let wait_probe = has.get(24, Reader::byte)?;
    settings.wait_probe_us = wait_probe.map(|wait| u64::from(wait) * CENTISECOND);
    settings.confidence = has.get(25, Reader::byte)?;
    let source = has.get(26, |reader| addresses.read(reader))?;
    let destination = has.get(27, |reader| addresses.read(reader))?;
    settings.user_id = has.get(28, Reader::word)?;
    settings.offset = has.get(29, Reader::short)?;
    let router = has.get(30, read_alone)?;
    settings.window = has.get(31, Reader::byte)?;
    settings.flags = has.get(32, Reader::word)?.or(low_flags);
    let destination = destination.or(old_destination);
    let destination = destination.ok_or_else(|| has.damaged("a trace has no destination"))?;
    let Some(method) = method else {
        return Ok(Record::Other("trace of an unknown method"));
    };
    let probes = hop::read_all(reader, known, addresses)?;
    let farthest = probes.iter().map(|probe| probe.ttl).max().unwrap_or(0);
    let last_ttl = hop_count.unwrap_or(farthest.into());
    if !(farthest.into()..=255).contains(&last_ttl) {
        let what = format!("{last_ttl} hops were probed, with replies to TTL {farthest}");
        return Err(reader.damaged(what));
    }
    // scamper itself takes a trace without replies to have no attributes.
    let ends = probes.is_empty() && reader.is_empty();
    let aside = if ends {
        None
    } else {
        aside::read(reader, known, addresses)?
    };
    Ok(Record::Trace(Box::new(Trace {
        list,
        cycle,
        method,
        source: said(source.or(old_source)),
        router,
        destination,
        destination_name: None,
        source_port,
        destination_port,
        began_us,
        ended_us: None,
        stop,
        probe_count,
        settings,
        error: None,
        origin: Origin::default(),
        found: Found::Path {
            probes,
            last_ttl: last_ttl as u8,
        },
        aside,
    })))
}

/// Writes the content of a trace of one path.
pub(super) fn write(
    trace: &Trace,
    (probes, last_ttl): (&[Probe], u8),
    (list, cycle): (u32, u32),
    out: &mut Vec<u8>,
    block: &mut Block,
    table: &mut Table,
) -> io::Result<()> {
    let probes = by_ttl(probes);
    let farthest = probes.last().map_or(0, |probe| probe.ttl);
    let settings = &trace.settings;
    let flags = flags_of(trace);
    let (reason, data) = number_of(trace.stop);
    block.word(1, Some(list));
    block.word(2, Some(cycle));
    block.time(5, trace.began_us)?;
    block.byte(6, Some(reason));
    block.byte(7, Some(data));
    let low = flags.map(|flags| flags as u8);
    block.byte(8, low.filter(|low| *low != 0 || flags == Some(0)));
    block.byte(9, settings.attempts);
    block.byte(10, settings.max_ttl);
    block.byte(11, Some(number_of_method(trace.method)?));
    block.short(12, settings.probe_size);
    block.short(13, trace.source_port);
    block.short(14, trace.destination_port);
    block.byte(15, settings.first_ttl);
    block.byte(16, settings.tos);
    block.byte(17, settings.wait_us.map(|wait| rounded(wait, SECOND)));
    block.byte(18, settings.loops);
    block.short(19, Some(last_ttl.max(farthest).into()));
    block.byte(20, settings.gap_limit);
    block.byte(21, settings.gap_action);
    block.byte(22, settings.loop_action);
    let count = trace
        .probe_count
        .map(|count| narrow(count, "probes of a path"));
    block.short(23, count.transpose()?);
    let wait_probe = settings.wait_probe_us;
    block.byte(24, wait_probe.map(|wait| rounded(wait, CENTISECOND)));
    block.byte(25, settings.confidence);
    let source = trace.source.unwrap_or(unspecified(trace.destination));
    table.put(block.add(26), source);
    table.put(block.add(27), trace.destination);
    block.word(28, settings.user_id.filter(|id| *id != 0));
    block.short(29, settings.offset.filter(|offset| *offset != 0));
    if let Some(router) = trace.router {
        put_alone(block.add(30), router);
    }
    block.byte(31, settings.window);
    block.word(32, flags.filter(|flags| *flags > u8::MAX.into()));
    block.end(out)?;
    hop::write_all(&probes, settings.probe_size, out, block, table)?;
    aside::write(
        trace.aside.as_deref(),
        settings.probe_size,
        out,
        block,
        table,
    )
}

/// Returns probes in the order of their TTLs: readers take them for one hop after the other.
fn by_ttl(probes: &[Probe]) -> Cow<'_, [Probe]> {
    if probes.is_sorted_by_key(|probe| probe.ttl) {
        return Cow::Borrowed(probes);
    }
    let mut probes = probes.to_vec();
    probes.sort_by_key(|probe| probe.ttl);
    Cow::Owned(probes)
}

/// Returns scamper's flags. A tool without them still has ICMP's checksum in the port.
fn flags_of(trace: &Trace) -> Option<u32> {
    let checksum = trace.method == Method::IcmpEchoParis && trace.destination_port.is_some();
    trace
        .settings
        .flags
        .or(checksum.then_some(CHECKSUM_IN_PORT))
}

/// Returns a wait in some unit: what is between two of them counts as the longer one.
pub(super) fn rounded(wait_us: u64, unit_us: u64) -> u8 {
    u8::try_from(wait_us.div_ceil(unit_us)).unwrap_or(u8::MAX)
}

/// Returns the address that stands for an unknown one: scamper's tools need some.
pub(super) fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => [0; 4].into(),
        IpAddr::V6(_) => [0; 16].into(),
    }
}

/// Returns an address unless it stands for an unknown one.
pub(super) fn said(address: Option<IpAddr>) -> Option<IpAddr> {
    address.filter(|address| !address.is_unspecified())
}

fn method_of(number: u8) -> Option<Method> {
    Some(match number {
        1 => Method::IcmpEcho,
        2 => Method::Udp,
        3 => Method::Tcp,
        4 => Method::IcmpEchoParis,
        5 => Method::UdpParis,
        6 => Method::TcpAck,
        _ => return None,
    })
}

fn number_of_method(method: Method) -> io::Result<u8> {
    Ok(match method {
        Method::IcmpEcho => 1,
        Method::Udp => 2,
        Method::Tcp | Method::TcpSourcePort => 3,
        Method::IcmpEchoParis => 4,
        Method::UdpParis | Method::UdpDestinationPort | Method::UdpSourcePort => 5,
        Method::TcpAck | Method::TcpAckSourcePort => 6,
        Method::IcmpTimestamp | Method::TcpSynAck | Method::TcpReset => {
            return Err(unsupported(format!("warts has no traces of {method:?}")));
        }
    })
}

fn stop_of(reason: u8, data: u8) -> Stop {
    match reason {
        1 => Stop::Completed,
        2 => Stop::Unreachable(data),
        3 => Stop::Icmp(data),
        4 => Stop::Loop(data),
        5 => Stop::GapLimit(data),
        6 => Stop::Error(data),
        7 => Stop::HopLimit,
        8 => Stop::StopSet,
        9 => Stop::Halted,
        10 => Stop::InProgress,
        _ => Stop::None,
    }
}

fn number_of(stop: Stop) -> (u8, u8) {
    match stop {
        Stop::None => (0, 0),
        Stop::Completed => (1, 0),
        Stop::Unreachable(code) => (2, code),
        Stop::Icmp(kind) => (3, kind),
        Stop::Loop(length) => (4, length),
        Stop::GapLimit(hops) => (5, hops),
        Stop::Error(number) => (6, number),
        Stop::HopLimit => (7, 0),
        Stop::StopSet => (8, 0),
        Stop::Halted => (9, 0),
        Stop::InProgress => (10, 0),
    }
}
