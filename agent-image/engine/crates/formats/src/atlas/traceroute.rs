//! Traceroutes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::encoder::Ends;
use crate::implied::{Protocol, implied};
use crate::json::{address, list, millis};
use crate::record::{
    Extension, Found, Graph, Kind, Label, Method, Origin, Probe, Record, Reply, Settings, Stop,
    Trace,
};

/// The most probes that RIPE Atlas sends to a hop.
const MOST_ATTEMPTS: u16 = 16;

/// A result being read.
#[derive(Deserialize)]
pub(super) struct Line {
    #[serde(default, deserialize_with = "address")]
    dst_addr: Option<IpAddr>,
    dst_name: Option<String>,
    #[serde(default, deserialize_with = "address")]
    src_addr: Option<IpAddr>,
    #[serde(default, deserialize_with = "address")]
    from: Option<IpAddr>,
    timestamp: Option<u32>,
    endtime: Option<u32>,
    msm_id: Option<i64>,
    prb_id: Option<i64>,
    #[serde(default)]
    paris_id: u32,
    proto: Option<String>,
    size: Option<u16>,
    #[serde(default, deserialize_with = "list")]
    result: Vec<Hop>,
}

#[derive(Deserialize)]
struct Hop {
    #[serde(rename = "hop")]
    ttl: Option<u8>,
    error: Option<String>,
    #[serde(default, deserialize_with = "list")]
    result: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    error: Option<String>,
    #[serde(default, deserialize_with = "address")]
    from: Option<IpAddr>,
    #[serde(default, deserialize_with = "millis")]
    rtt: Option<u32>,
    size: Option<u16>,
    ttl: Option<u8>,
    err: Option<Unreachable>,
    flags: Option<String>,
    itos: Option<u8>,
    ittl: Option<u8>,
    mtu: Option<u16>,
    late: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    dup: bool,
    icmpext: Option<Extensions>,
}

/// Why a destination is unreachable: by a letter if it is a common reason, else the code.
#[derive(Clone, Deserialize, Serialize)]
#[serde(untagged)]
enum Unreachable {
    Code(u8),
    Letter(String),
}

#[derive(Deserialize, Serialize)]
struct Extensions {
    #[serde(default)]
    version: u8,
    #[serde(default)]
    rfc4884: u8,
    #[serde(default)]
    obj: Vec<Object>,
}

#[derive(Deserialize, Serialize)]
struct Object {
    class: u8,
    #[serde(rename = "type")]
    kind: u8,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mpls: Vec<MplsLabel>,
}

#[derive(Deserialize, Serialize)]
struct MplsLabel {
    label: u32,
    exp: u8,
    s: u8,
    ttl: u8,
}

/// Returns the reasons that have letters, with the ICMP type and code of each.
fn letters(v4: bool) -> &'static [(&'static str, u8, u8)] {
    if v4 {
        &[
            ("N", 3, 0),
            ("H", 3, 1),
            ("P", 3, 2),
            ("p", 3, 3),
            ("A", 3, 13),
        ]
    } else {
        &[
            ("N", 1, 0),
            ("A", 1, 1),
            ("h", 1, 2),
            ("H", 1, 3),
            ("p", 1, 4),
            ("P", 4, 1),
        ]
    }
}

const TCP_FLAGS: &str = "FSRPAU";

impl Line {
    pub(super) fn into_record(self) -> Record {
        // A name that did not resolve leaves none.
        let Some(destination) = self.dst_addr else {
            return Record::Other("traceroute without a destination");
        };
        let paris = self.paris_id != 0;
        let (protocol, method) = match (self.proto.as_deref(), paris) {
            (Some("TCP"), _) => (Protocol::Tcp, Method::Tcp),
            (Some("UDP"), false) => (Protocol::Udp, Method::Udp),
            (Some("UDP"), true) => (Protocol::Udp, Method::UdpParis),
            (_, false) => (Protocol::Icmp, Method::IcmpEcho),
            (_, true) => (Protocol::Icmp, Method::IcmpEchoParis),
        };
        let mut error = None;
        let mut probes = Vec::new();
        for hop in self.result {
            error = error.or(hop.error);
            let Some(ttl) = hop.ttl else { continue };
            let begin = probes.len();
            for answer in hop.result {
                // It answers a probe before, and no word says which.
                if answer.late.is_some() {
                    continue;
                }
                error = error.or_else(|| answer.error.clone());
                if answer.error.is_some() {
                    continue;
                }
                if !answer.dup || probes.len() == begin {
                    let attempt = probes.len() - begin + 1;
                    probes.push(Probe {
                        ttl,
                        flow: self.paris_id,
                        attempt: u16::try_from(attempt).unwrap_or(u16::MAX),
                        ..Probe::default()
                    });
                }
                let reply = answer.into_reply(protocol, destination);
                if let Some(probe) = probes.last_mut() {
                    probe.replies.extend(reply);
                }
            }
        }
        let last_ttl = probes.iter().map(|probe| probe.ttl).max().unwrap_or(0);
        let shown = destination.to_string();
        let micros = |seconds: u32| u64::from(seconds) * 1_000_000;
        Record::Trace(Box::new(Trace {
            aside: None,
            list: None,
            cycle: None,
            method,
            source: self.src_addr,
            router: None,
            destination,
            destination_name: self.dst_name.filter(|name| *name != shown),
            source_port: None,
            destination_port: None,
            began_us: self.timestamp.map(micros),
            ended_us: self.endtime.map(micros),
            stop: Stop::None,
            probe_count: None,
            settings: Settings {
                first_ttl: probes.first().map(|probe| probe.ttl),
                probe_size: self.size,
                ..Settings::default()
            },
            error,
            origin: Origin {
                measurement: self.msm_id.and_then(|id| id.try_into().ok()),
                host: self.prb_id.and_then(|id| id.try_into().ok()),
                public_source: self.from.filter(|from| Some(*from) != self.src_addr),
                ..Origin::default()
            },
            found: Found::Path { probes, last_ttl },
        }))
    }
}

impl Answer {
    /// Returns the reply, if there is one.
    fn into_reply(self, protocol: Protocol, destination: IpAddr) -> Option<Reply> {
        let from = self.from?;
        let unreachable = if from.is_ipv4() { 3 } else { 1 };
        let kind = match (&self.flags, &self.err) {
            (Some(flags), _) => {
                let bits = flags.chars().filter_map(|flag| TCP_FLAGS.find(flag));
                Kind::Tcp(bits.fold(0, |all, bit| all | 1 << bit))
            }
            (None, Some(Unreachable::Code(code))) => Kind::Icmp(unreachable, *code),
            (None, Some(Unreachable::Letter(letter))) => {
                let known = letters(from.is_ipv4()).iter();
                let mut known = known.filter(|(it, ..)| it == letter);
                known
                    .next()
                    .map_or(Kind::Unknown, |(_, kind, code)| Kind::Icmp(*kind, *code))
            }
            (None, None) => implied(protocol, from, destination),
        };
        let quotes = matches!(kind, Kind::Icmp(kind, _) if !matches!(kind, 0 | 129));
        Some(Reply {
            from,
            name: None,
            received_us: None,
            rtt_us: self.rtt,
            kind,
            ttl: self.ttl,
            size: self.size,
            tos: None,
            id: None,
            // They are there if they are not the usual ones.
            quoted_ttl: self.ittl.or(quotes.then_some(1)),
            quoted_length: None,
            quoted_tos: self.itos.or(quotes.then_some(0)),
            next_mtu: self.mtu,
            extensions: self
                .icmpext
                .map(Extensions::into_extensions)
                .unwrap_or_default(),
            flags: None,
            answers: None,
        })
    }
}

impl Extensions {
    fn into_extensions(self) -> Vec<Extension> {
        let label = |it: &MplsLabel| Label {
            label: it.label & 0xf_ffff,
            exp: it.exp,
            bottom: it.s,
            ttl: it.ttl,
        };
        let extension = |it: Object| {
            let labels: Vec<Label> = it.mpls.iter().map(label).collect();
            Extension {
                class: it.class,
                kind: it.kind,
                data: Extension::from_labels(&labels).data,
            }
        };
        self.obj.into_iter().map(extension).collect()
    }

    fn new(extensions: &[Extension]) -> Option<Self> {
        let label = |it: Label| MplsLabel {
            label: it.label,
            exp: it.exp,
            s: it.bottom,
            ttl: it.ttl,
        };
        let object = |it: &Extension| Object {
            class: it.class,
            kind: it.kind,
            mpls: it.labels().into_iter().map(label).collect(),
        };
        (!extensions.is_empty()).then(|| Self {
            version: 2,
            rfc4884: 1,
            obj: extensions.iter().map(object).collect(),
        })
    }
}

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
