//! A target's flows as traces of a single path each, or as one trace of several paths.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use anabranch_formats::record::{
    Cycle, Found, Kind, List, Method, Origin, Record, Reply, Settings, Stop, Trace,
};

use crate::context::Context;
use crate::graph::join_flows;
use crate::probes::{is_end, is_exceeded, probe};
use crate::rows::{Row, Target};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// What a run says about all of its traces.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The list.
    pub list: Arc<List>,
    /// The cycle over it.
    pub cycle: Arc<Cycle>,
    /// What traces were asked to do.
    pub settings: Settings,
    /// Whether a trace has all flows of a target, and not only one.
    pub is_multipath: bool,
    /// Whether the rows are of echo requests to each target, which make a ping and no trace.
    pub is_ping: bool,
}

/// Returns the traces of a target as records. A target to which nothing was sent has none.
#[must_use]
pub fn write_traces(target: &Target, frame: &Frame) -> Vec<Record> {
    let context = target
        .conclusion
        .as_ref()
        .and_then(|conclusion| conclusion.context.as_deref())
        .and_then(|text| serde_json::from_str(text).ok());
    let context: Option<Context> = context;
    let sent = target.rows.iter().filter(|row| row.attempt > 0);
    let mut flows: BTreeMap<u32, Vec<&Row>> = BTreeMap::new();
    for row in sent {
        flows.entry(row.flow).or_default().push(row);
    }
    let is_single = context
        .as_ref()
        .is_some_and(|context| context.last_ttl.is_some());
    let traces = if frame.is_multipath && !is_single {
        vec![draw_paths(target, &flows, frame, context.as_ref())]
    } else {
        let each = flows.values();
        each.map(|rows| draw_path(target, rows, frame, context.as_ref()))
            .collect()
    };
    let traces = traces.into_iter().flatten();
    traces.map(|trace| Record::Trace(Box::new(trace))).collect()
}

fn draw_path(
    target: &Target,
    rows: &[&Row],
    frame: &Frame,
    context: Option<&Context>,
) -> Option<Trace> {
    let end = rows
        .iter()
        .filter(|row| is_end(row))
        .map(|row| row.ttl)
        .min();
    // What was probed behind the end tells nothing about the path.
    let kept: Vec<&Row> = rows
        .iter()
        .copied()
        .filter(|row| end.is_none_or(|end| row.ttl <= end))
        .collect();
    let probes = kept.iter().map(|row| probe(row)).collect();
    let last_ttl = context.and_then(|context| context.last_ttl);
    let last_ttl = last_ttl.or(kept.iter().map(|row| row.ttl).max())?;
    let found = Found::Path { probes, last_ttl };
    let reply = rows
        .iter()
        .find(|row| Some(row.ttl) == end && is_end(row))
        .and_then(|row| row.reply.as_ref());
    let stop = match (reply, &target.conclusion) {
        (Some(reply), _) => stop_by(reply, kept[0].destination),
        (None, Some(conclusion)) => stop_of(&conclusion.end, frame),
        (None, None) => Stop::None,
    };
    outline(target, &kept, frame, context, stop, found)
}

fn draw_paths(
    target: &Target,
    flows: &BTreeMap<u32, Vec<&Row>>,
    frame: &Frame,
    context: Option<&Context>,
) -> Option<Trace> {
    let rows: Vec<&Row> = flows.values().flatten().copied().collect();
    let graph = join_flows(target, flows);
    let stop = target
        .conclusion
        .as_ref()
        .map_or(Stop::None, |conclusion| stop_of(&conclusion.end, frame));
    outline(target, &rows, frame, context, stop, Found::Graph(graph))
}

/// Returns a trace with everything but what was found; None without probes.
fn outline(
    target: &Target,
    rows: &[&Row],
    frame: &Frame,
    context: Option<&Context>,
    stop: Stop,
    found: Found,
) -> Option<Trace> {
    let first = rows
        .iter()
        .min_by_key(|row| (row.flow, row.ttl, row.attempt))?;
    let is_graph = matches!(found, Found::Graph(_));
    let span = target
        .conclusion
        .as_ref()
        .map(|conclusion| conclusion.span_us);
    let begins = rows.iter().filter_map(|row| row.sent_us);
    let ends = rows
        .iter()
        .filter_map(|row| row.reply.as_ref()?.received_us);
    let (source_port, destination_port) = first.ports;
    let is_icmp = target.protocol != UDP && target.protocol != TCP;
    let mut trace = Trace {
        aside: None,
        list: Some(Arc::clone(&frame.list)),
        cycle: Some(Arc::clone(&frame.cycle)),
        method: method_of(target.protocol, is_graph),
        source: first.source,
        router: None,
        destination: first.destination,
        destination_name: None,
        source_port: Some(source_port),
        // The checksum of an echo request is its identifier.
        destination_port: Some(if is_icmp {
            source_port
        } else {
            destination_port
        }),
        began_us: begins.min().or(span.and_then(|span| span.0)),
        ended_us: ends.max().or(span.and_then(|span| span.1)),
        stop,
        probe_count: is_counted(target).then_some(rows.len() as u32),
        settings: frame.settings.clone(),
        error: None,
        origin: Origin::default(),
        found,
    };
    if let Some(context) = context {
        let probes = target.conclusion.as_ref().and_then(|each| each.probes);
        trace.method = context.method().unwrap_or(trace.method);
        trace.router = context.router;
        trace.destination_name.clone_from(&context.name);
        trace.destination_port = context.destination_port;
        trace.source_port = (source_port > 0).then_some(source_port);
        trace.stop = context.stop();
        trace.probe_count = probes;
        trace.settings = context.settings.clone();
        trace.error.clone_from(&context.error);
        trace.origin = context.origin.clone();
        (trace.began_us, trace.ended_us) = span.unwrap_or_default();
    }
    Some(trace)
}

/// Whether all probes of a target are known, not only those with replies.
fn is_counted(target: &Target) -> bool {
    target.conclusion.is_some()
}

fn method_of(protocol: u8, is_graph: bool) -> Method {
    match (protocol, is_graph) {
        (UDP, true) => Method::UdpSourcePort,
        (UDP, false) => Method::UdpParis,
        (TCP, true) => Method::TcpAckSourcePort,
        (TCP, false) => Method::TcpAck,
        (_, true) => Method::IcmpEcho,
        (_, false) => Method::IcmpEchoParis,
    }
}

/// Returns why a path ends, given the reply that ended it.
fn stop_by(reply: &Reply, destination: IpAddr) -> Stop {
    let unreachable = if reply.from.is_ipv4() { 3 } else { 1 };
    match reply.kind {
        _ if reply.from == destination => Stop::Completed,
        Kind::Icmp(kind, code) if kind == unreachable => Stop::Unreachable(code),
        Kind::Icmp(kind, _) if !is_exceeded(reply) => Stop::Icmp(kind),
        _ => Stop::Completed,
    }
}

/// Returns why a trace ended, from the word for it in results.
fn stop_of(end: &str, frame: &Frame) -> Stop {
    match end {
        "completed" => Stop::Completed,
        "gap limit" => Stop::GapLimit(frame.settings.gap_limit.unwrap_or(0)),
        "loop" => Stop::Loop(0),
        "hop limit" => Stop::HopLimit,
        "probe limit" | "time limit" => Stop::Halted,
        _ => Stop::None,
    }
}
