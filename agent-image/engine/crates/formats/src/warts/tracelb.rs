//! Multipath traces: nodes, and links with the probes that found them.

use std::io;

use super::addresses::{Addresses, Table, put_alone, read_alone};
use super::bytes::{Reader, narrow, unsupported};
use super::definitions::Known;
use super::extensions;
use super::hop::quotes;
use super::parameters::{Block, Parameters};
use super::trace::{CENTISECOND, SECOND, rounded, said, unspecified};
use crate::codec::ReadError;
use crate::record::{
    Found, Graph, Kind, Link, Method, Node, Origin, Probe, Record, Reply, Settings, Stop, Trace,
};

/// The flag of a node whose quoted TTL is known.
const HAS_QUOTED_TTL: u8 = 1;

/// Flags of a reply: its TTL is known, it is TCP.
const HAS_TTL: u8 = 1;
const TCP: u8 = 2;

/// Reads a multipath trace.
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
    let source_port = has.get(6, Reader::short)?;
    let destination_port = has.get(7, Reader::short)?;
    let mut settings = Settings {
        probe_size: has.get(8, Reader::short)?,
        ..Settings::default()
    };
    let method = has.get(9, Reader::byte)?.and_then(method_of);
    settings.first_ttl = has.get(10, Reader::byte)?;
    settings.wait_us = has
        .get(11, Reader::byte)?
        .map(|wait| u64::from(wait) * SECOND);
    let wait_probe = has.get(12, Reader::byte)?;
    settings.wait_probe_us = wait_probe.map(|wait| u64::from(wait) * CENTISECOND);
    settings.attempts = has.get(13, Reader::byte)?;
    settings.confidence = has.get(14, Reader::byte)?;
    settings.tos = has.get(15, Reader::byte)?;
    let node_count = has.get(16, Reader::short)?.unwrap_or(0);
    let link_count = has.get(17, Reader::short)?.unwrap_or(0);
    let probe_count = has.get(18, Reader::word)?;
    settings.max_probes = has.get(19, Reader::word)?;
    settings.gap_limit = has.get(20, Reader::byte)?;
    let source = has.get(21, |reader| addresses.read(reader))?;
    let destination = has.get(22, |reader| addresses.read(reader))?;
    settings.user_id = has.get(23, Reader::word)?;
    settings.flags = has.get(24, Reader::byte)?.map(u32::from);
    let router = has.get(25, read_alone)?;
    let destination = destination.or(old_destination);
    let destination = destination.ok_or_else(|| has.damaged("a tracelb has no destination"))?;
    let Some(method) = method else {
        return Ok(Record::Other("tracelb of an unknown method"));
    };
    let mut graph = Graph::default();
    for _ in 0..node_count {
        graph.nodes.push(read_node(reader, known, addresses)?);
    }
    for _ in 0..link_count {
        let link = read_link(reader, known, addresses, graph.nodes.len())?;
        graph.links.push(link);
    }
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
        stop: Stop::None,
        probe_count,
        settings,
        error: None,
        origin: Origin::default(),
        found: Found::Graph(graph),
        aside: None,
    })))
}

fn read_node(
    reader: &mut Reader,
    known: &Known,
    addresses: &mut Addresses,
) -> Result<Node, ReadError> {
    let mut has = Parameters::read(reader)?;
    let old_address = has.get(1, |reader| known.read_address_reference(reader))?;
    let flags = has.get(2, Reader::byte)?.unwrap_or(0);
    // How many links it has is what the links say themselves.
    has.get(3, Reader::short)?;
    let quoted_ttl = has.get(4, Reader::byte)?;
    let address = has.get(5, |reader| addresses.read(reader))?;
    Ok(Node {
        address: address.or(old_address),
        quoted_ttl: quoted_ttl.filter(|_| flags & HAS_QUOTED_TTL != 0),
        name: has.get(6, Reader::text)?,
    })
}

fn read_link(
    reader: &mut Reader,
    known: &Known,
    addresses: &mut Addresses,
    nodes: usize,
) -> Result<Link, ReadError> {
    let mut has = Parameters::read(reader)?;
    let near = has.get(1, Reader::short)?.unwrap_or(0).into();
    let far = has.get(2, Reader::short)?.map(usize::from);
    let hop_count = has.get(3, Reader::byte)?.unwrap_or(0);
    if let Some(end) = [Some(near), far]
        .into_iter()
        .flatten()
        .find(|end| *end >= nodes)
    {
        return Err(has.damaged(format!("a link has its end at node {end} of {nodes}")));
    }
    let mut hops = Vec::new();
    for _ in 0..hop_count {
        let mut has = Parameters::read(reader)?;
        let probe_count = has.get(1, Reader::short)?;
        let probe_count = probe_count.ok_or_else(|| has.damaged("a hop has no count of probes"))?;
        let mut probes = Vec::new();
        for _ in 0..probe_count {
            probes.push(read_probe(reader, known, addresses)?);
        }
        hops.push(probes);
    }
    Ok(Link { near, far, hops })
}

fn read_probe(
    reader: &mut Reader,
    known: &Known,
    addresses: &mut Addresses,
) -> Result<Probe, ReadError> {
    let mut has = Parameters::read(reader)?;
    let sent_us = has.get(1, Reader::time)?;
    let flow = has.get(2, Reader::short)?.unwrap_or(0).into();
    let ttl = has.get(3, Reader::byte)?;
    // Attempts are counted from 0 in the file.
    let attempt = has
        .get(4, Reader::byte)?
        .map_or(0, |attempt| u16::from(attempt) + 1);
    let mut probe = Probe {
        ttl: ttl.ok_or_else(|| has.damaged("a probe has no TTL"))?,
        flow,
        attempt,
        sent_us,
        ..Probe::default()
    };
    for _ in 0..has.get(5, Reader::short)?.unwrap_or(0) {
        probe.replies.push(read_reply(reader, known, addresses)?);
    }
    Ok(probe)
}

fn read_reply(
    reader: &mut Reader,
    known: &Known,
    addresses: &mut Addresses,
) -> Result<Reply, ReadError> {
    let mut has = Parameters::read(reader)?;
    let received_us = has.get(1, Reader::time)?;
    let id = has.get(2, Reader::short)?;
    let ttl = has.get(3, Reader::byte)?;
    let flags = has.get(4, Reader::byte)?.unwrap_or(0);
    let icmp = has.get(5, Reader::kind)?;
    let tcp = has.get(6, Reader::byte)?;
    let extensions = has.get(7, extensions::read)?.unwrap_or_default();
    let quoted_ttl = has.get(8, Reader::byte)?;
    let quoted_tos = has.get(9, Reader::byte)?;
    let old_from = has.get(10, |reader| known.read_address_reference(reader))?;
    let from = has.get(11, |reader| addresses.read(reader))?;
    let from = from.or(old_from);
    let from = from.ok_or_else(|| has.damaged("a reply has no address"))?;
    let kind = match icmp {
        _ if flags & TCP != 0 => Kind::Tcp(tcp.unwrap_or(0)),
        Some((kind, code)) => Kind::Icmp(kind, code),
        None => Kind::Unknown,
    };
    // Fields of quotes are there, as 0, where nothing is quoted.
    let quotes = quotes(kind, from);
    Ok(Reply {
        from,
        name: None,
        received_us,
        rtt_us: None,
        kind,
        ttl: ttl.filter(|_| flags & HAS_TTL != 0),
        size: None,
        tos: None,
        id: id.filter(|id| from.is_ipv4() || *id != 0).map(u32::from),
        quoted_ttl: quoted_ttl.filter(|ttl| quotes || *ttl != 0),
        quoted_length: None,
        quoted_tos: quoted_tos.filter(|tos| quotes || *tos != 0),
        next_mtu: None,
        extensions,
        flags: None,
        answers: None,
    })
}

/// Writes the content of a multipath trace.
pub(super) fn write(
    trace: &Trace,
    graph: &Graph,
    (list, cycle): (u32, u32),
    out: &mut Vec<u8>,
    block: &mut Block,
    table: &mut Table,
) -> io::Result<()> {
    let settings = &trace.settings;
    block.word(1, Some(list));
    block.word(2, Some(cycle));
    block.time(5, trace.began_us)?;
    block.short(6, trace.source_port);
    block.short(7, trace.destination_port);
    block.short(8, settings.probe_size);
    block.byte(9, Some(number_of_method(trace.method)?));
    block.byte(10, settings.first_ttl);
    block.byte(11, settings.wait_us.map(|wait| rounded(wait, SECOND)));
    let wait_probe = settings.wait_probe_us;
    block.byte(12, wait_probe.map(|wait| rounded(wait, CENTISECOND)));
    block.byte(13, settings.attempts);
    block.byte(14, settings.confidence);
    block.byte(15, settings.tos);
    block.short(16, Some(narrow(graph.nodes.len(), "nodes")?));
    block.short(17, Some(narrow(graph.links.len(), "links")?));
    block.word(18, trace.probe_count);
    block.word(19, settings.max_probes);
    block.byte(20, settings.gap_limit);
    let source = trace.source.unwrap_or(unspecified(trace.destination));
    table.put(block.add(21), source);
    table.put(block.add(22), trace.destination);
    block.word(23, settings.user_id.filter(|id| *id != 0));
    let flags = settings.flags.filter(|flags| *flags != 0);
    block.byte(
        24,
        flags
            .map(|flags| narrow(flags, "as flags of a tracelb"))
            .transpose()?,
    );
    if let Some(router) = trace.router {
        put_alone(block.add(25), router);
    }
    block.end(out)?;
    let mut link_counts = vec![0u16; graph.nodes.len()];
    for link in &graph.links {
        let count = link_counts.get_mut(link.near);
        let count = count.filter(|_| link.far.is_none_or(|far| far < graph.nodes.len()));
        let count = count.ok_or_else(|| unsupported("a link has an end that is no node"))?;
        *count += 1;
    }
    for (node, links) in graph.nodes.iter().zip(link_counts) {
        let has_ttl = node.quoted_ttl.is_some();
        block.byte(2, Some(if has_ttl { HAS_QUOTED_TTL } else { 0 }));
        block.short(3, Some(links));
        block.byte(4, node.quoted_ttl);
        if let Some(address) = node.address {
            table.put(block.add(5), address);
        }
        block.text(6, node.name.as_deref())?;
        block.end(out)?;
    }
    for link in &graph.links {
        write_link(link, out, block, table)?;
    }
    Ok(())
}

fn write_link(
    link: &Link,
    out: &mut Vec<u8>,
    block: &mut Block,
    table: &mut Table,
) -> io::Result<()> {
    // There are no more nodes than fit.
    block.short(1, Some(link.near as u16));
    block.short(2, link.far.map(|far| far as u16));
    block.byte(3, Some(narrow(link.hops.len(), "hops of a link")?));
    block.end(out)?;
    for probes in &link.hops {
        block.short(1, Some(narrow(probes.len(), "probes of a hop")?));
        block.end(out)?;
        for probe in probes {
            block.time(1, probe.sent_us)?;
            block.short(2, Some(narrow(probe.flow, "as a flow")?));
            block.byte(3, Some(probe.ttl));
            let attempt = probe.attempt.checked_sub(1);
            let attempt = attempt.map(|attempt| narrow(attempt, "attempts"));
            block.byte(4, attempt.transpose()?);
            block.short(5, Some(narrow(probe.replies.len(), "replies to a probe")?));
            block.end(out)?;
            for reply in &probe.replies {
                write_reply(probe, reply, out, block, table)?;
            }
        }
    }
    Ok(())
}

fn write_reply(
    probe: &Probe,
    reply: &Reply,
    out: &mut Vec<u8>,
    block: &mut Block,
    table: &mut Table,
) -> io::Result<()> {
    let received_us = reply.received_us.or_else(|| {
        let rtt_us = reply.rtt_us?;
        probe.sent_us?.checked_add(rtt_us.into())
    });
    block.time(1, received_us)?;
    block.short(
        2,
        Some(narrow(reply.id.unwrap_or(0), "as an identification")?),
    );
    block.byte(3, reply.ttl);
    let has_ttl = if reply.ttl.is_some() { HAS_TTL } else { 0 };
    if let Kind::Tcp(tcp) = reply.kind {
        block.byte(4, Some(has_ttl | TCP));
        block.byte(6, Some(tcp));
    } else {
        block.byte(4, Some(has_ttl));
        if let Kind::Icmp(kind, code) = reply.kind {
            block.add(5).extend([kind, code]);
        }
        if !reply.extensions.is_empty() {
            extensions::write(&reply.extensions, block.add(7))?;
        }
        block.byte(8, Some(reply.quoted_ttl.unwrap_or(0)));
        block.byte(9, Some(reply.quoted_tos.unwrap_or(0)));
    }
    table.put(block.add(11), reply.from);
    block.end(out)
}

fn method_of(number: u8) -> Option<Method> {
    Some(match number {
        1 => Method::UdpDestinationPort,
        2 => Method::IcmpEchoParis,
        3 => Method::UdpSourcePort,
        4 => Method::TcpSourcePort,
        5 => Method::TcpAckSourcePort,
        _ => return None,
    })
}

fn number_of_method(method: Method) -> io::Result<u8> {
    Ok(match method {
        Method::UdpDestinationPort | Method::Udp | Method::UdpParis => 1,
        Method::IcmpEchoParis | Method::IcmpEcho => 2,
        Method::UdpSourcePort => 3,
        Method::TcpSourcePort | Method::Tcp => 4,
        Method::TcpAckSourcePort | Method::TcpAck => 5,
        Method::IcmpTimestamp | Method::TcpSynAck | Method::TcpReset => {
            return Err(unsupported(format!("warts has no traces of {method:?}")));
        }
    })
}
