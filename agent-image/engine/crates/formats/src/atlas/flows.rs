//! Traceroutes as results: one for each flow.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::encoder::Ends;
use super::message::{Extensions, TCP_FLAGS, Unreachable, letters};
use crate::implied::{Protocol, implied};
use crate::record::{Found, Graph, Kind, Method, Probe, Reply, Trace};

/// The most probes that RIPE Atlas sends to a hop.
const MOST_ATTEMPTS: u16 = 16;

/// A result being written.
#[derive(Serialize)]
pub(super) struct Written {
    #[serde(flatten)]
    ends: Ends,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endtime: Option<u64>,
    proto: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u16>,
    paris_id: u32,
    result: Vec<WrittenHop>,
    msm_name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WrittenHop {
    Hop { hop: u8, result: Vec<WrittenAnswer> },
    Error { hop: u8, error: String },
}

#[derive(Serialize)]
#[serde(untagged)]
enum WrittenAnswer {
    Silence { x: &'static str },
    Reply(Box<WrittenReply>),
}

#[derive(Serialize)]
struct WrittenReply {
    from: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    err: Option<Unreachable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    itos: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ittl: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u16>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dup: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmpext: Option<Extensions>,
}

const SILENCE: WrittenAnswer = WrittenAnswer::Silence { x: "*" };

/// Returns a result for each flow of a trace, if its method is one of theirs.
pub(super) fn lines(trace: &Trace) -> Option<Vec<Written>> {
    let (protocol, proto, paris) = match trace.method {
        Method::IcmpEcho => (Protocol::Icmp, "ICMP", false),
        Method::IcmpEchoParis => (Protocol::Icmp, "ICMP", true),
        Method::Udp => (Protocol::Udp, "UDP", false),
        Method::UdpParis | Method::UdpDestinationPort | Method::UdpSourcePort => {
            (Protocol::Udp, "UDP", true)
        }
        Method::Tcp | Method::TcpAck => (Protocol::Tcp, "TCP", false),
        Method::TcpSourcePort | Method::TcpAckSourcePort => (Protocol::Tcp, "TCP", true),
        Method::IcmpTimestamp | Method::TcpSynAck | Method::TcpReset => return None,
    };
    let flows = match &trace.found {
        Found::Path { probes, last_ttl } => by_flow(probes.iter(), Some((trace, *last_ttl))),
        Found::Graph(graph) => by_flow(probes_of(graph), None),
    };
    // Number 0 stands for what varies from probe to probe.
    let first = u32::from(paris && flows.contains_key(&0));
    let name = trace.destination_name.as_deref();
    let seconds = |micros: u64| micros / 1_000_000;
    let line = |(flow, hops): (u32, BTreeMap<u8, Vec<&Probe>>)| {
        // It ended the trace.
        let last = hops.keys().next_back().copied().unwrap_or(0);
        let error = trace.error.clone().map(|error| WrittenHop::Error {
            hop: last.saturating_add(1),
            error,
        });
        let hops = hops.into_iter().map(|(hop, probes)| WrittenHop::Hop {
            hop,
            result: answers(&probes, trace, protocol),
        });
        Written {
            ends: Ends::new(trace.source, trace.destination, name, &trace.origin),
            timestamp: trace.began_us.map(seconds),
            endtime: trace.ended_us.map(seconds),
            proto,
            size: trace.settings.probe_size,
            paris_id: if paris {
                flow.saturating_add(first)
            } else {
                flow
            },
            result: hops.chain(error).collect(),
            msm_name: "Traceroute",
            kind: "traceroute",
        }
    };
    Some(flows.into_iter().map(line).collect())
}

/// Returns the probes whose flows are known.
fn probes_of(graph: &Graph) -> impl Iterator<Item = &Probe> {
    let probes = graph
        .links
        .iter()
        .flat_map(|link| link.hops.iter().flatten());
    probes.filter(|probe| probe.attempt > 0)
}

/// Returns the probes of each flow by their hops, in the order of their attempts.
///
/// A path has all hops to its last one, the first of which are those of `whole`. If it lists no silent
/// probes, hops without probes are silent.
fn by_flow<'a>(
    probes: impl Iterator<Item = &'a Probe>,
    whole: Option<(&Trace, u8)>,
) -> BTreeMap<u32, BTreeMap<u8, Vec<&'a Probe>>> {
    let mut flows: BTreeMap<u32, BTreeMap<u8, Vec<&Probe>>> = BTreeMap::new();
    let mut silence = false;
    for probe in probes {
        silence |= probe.replies.is_empty();
        let hops = flows.entry(probe.flow).or_default();
        hops.entry(probe.ttl).or_default().push(probe);
    }
    if let Some((trace, last_ttl)) = whole {
        if flows.is_empty() {
            flows.entry(0).or_default();
        }
        let first_ttl = trace.settings.first_ttl.unwrap_or(1);
        for hops in flows.values_mut().filter(|_| !silence) {
            for ttl in first_ttl..=last_ttl {
                hops.entry(ttl).or_default();
            }
        }
    }
    for hop in flows.values_mut().flat_map(BTreeMap::values_mut) {
        hop.sort_by_key(|probe| probe.attempt);
    }
    flows
}

/// Returns what came of the probes of a hop.
fn answers(probes: &[&Probe], trace: &Trace, protocol: Protocol) -> Vec<WrittenAnswer> {
    let mut answers = Vec::new();
    if probes.is_empty() {
        let attempts = trace.settings.attempts.map_or(1, u16::from);
        answers.extend((0..attempts.clamp(1, MOST_ATTEMPTS)).map(|_| SILENCE));
    }
    let mut next = 1;
    for probe in probes {
        // The attempts before it were in vain, whether they are listed or not.
        if probe.attempt <= MOST_ATTEMPTS {
            answers.extend((next..probe.attempt).map(|_| SILENCE));
        }
        next = probe.attempt.saturating_add(1);
        if probe.replies.is_empty() {
            answers.push(SILENCE);
        }
        for (number, reply) in probe.replies.iter().enumerate() {
            let shown = WrittenReply::new(reply, number > 0, protocol, trace.destination);
            answers.push(WrittenAnswer::Reply(Box::new(shown)));
        }
    }
    answers
}

impl WrittenReply {
    fn new(reply: &Reply, dup: bool, protocol: Protocol, destination: IpAddr) -> Self {
        let usual = implied(protocol, reply.from, destination);
        let err = match reply.kind {
            kind if kind == usual => None,
            Kind::Icmp(kind, code) => {
                let mut known = letters(reply.from.is_ipv4()).iter();
                let letter = known.find(|(_, it, number)| (*it, *number) == (kind, code));
                let unreachable = if reply.from.is_ipv4() { 3 } else { 1 };
                let letter = letter.map(|(it, ..)| Unreachable::Letter((*it).to_owned()));
                letter.or((kind == unreachable).then_some(Unreachable::Code(code)))
            }
            _ => None,
        };
        let set = |bits: u8| {
            let flags = TCP_FLAGS.chars().enumerate();
            flags
                .filter(move |(bit, _)| bits >> bit & 1 == 1)
                .map(|(_, flag)| flag)
                .collect()
        };
        Self {
            from: reply.from,
            rtt: reply.rtt_us.map(|micros| f64::from(micros) / 1000.0),
            size: reply.size,
            ttl: reply.ttl,
            err,
            flags: match reply.kind {
                Kind::Tcp(bits) => Some(set(bits)),
                _ => None,
            },
            itos: reply.quoted_tos.filter(|tos| *tos != 0),
            ittl: reply.quoted_ttl.filter(|ttl| *ttl != 1),
            mtu: reply.next_mtu,
            dup,
            icmpext: Extensions::new(&reply.extensions),
        }
    }
}
