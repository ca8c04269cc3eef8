//! Traces of several paths: scamper's tracelb.
//!
//! A line lists nodes that have links. If a node has several links, all are of one hop, and one list has
//! the far ends. If it has one link, there is a list for each hop of it, of what replied there. Nodes
//! without links are counted and not listed: those that no link leads to have no address.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;

use super::assembly::assemble;
use super::text::graph_method;
use super::trace::Object;
use crate::json::{Time, address, list, millis};
use crate::record::{Cycle, Found, Kind, List, Origin, Record, Reply, Settings, Stop, Trace};

/// The shortest time between probes that is written in milliseconds, as versions until 2023 do. Later ones
/// write centiseconds, of which more than this are beyond what anybody waits.
const LEAST_MILLIS: u32 = 150;

/// A line as it is.
#[derive(Deserialize)]
pub(super) struct Line {
    userid: Option<u32>,
    method: String,
    #[serde(default, deserialize_with = "address")]
    src: Option<IpAddr>,
    #[serde(default, deserialize_with = "address")]
    dst: Option<IpAddr>,
    #[serde(default, deserialize_with = "address")]
    rtr: Option<IpAddr>,
    sport: Option<u16>,
    dport: Option<u16>,
    start: Option<Time>,
    probe_size: Option<u16>,
    firsthop: Option<u8>,
    attempts: Option<u8>,
    confidence: Option<u8>,
    tos: Option<u8>,
    gaplimit: Option<u8>,
    wait_timeout: Option<u32>,
    wait_probe: Option<u32>,
    probec: Option<u32>,
    probec_max: Option<u32>,
    #[serde(default)]
    nodec: u16,
    errmsg: Option<String>,
    pub(super) monitor: Option<String>,
    #[serde(default, deserialize_with = "list")]
    nodes: Vec<LinkedNode>,
}

/// A node that has links.
#[derive(Deserialize)]
pub(super) struct LinkedNode {
    #[serde(default, deserialize_with = "address")]
    pub(super) addr: Option<IpAddr>,
    pub(super) name: Option<String>,
    pub(super) q_ttl: Option<u8>,
    #[serde(default)]
    pub(super) linkc: u32,
    #[serde(default, deserialize_with = "list")]
    pub(super) links: Vec<Vec<Source>>,
}

/// What replied at a hop, with the probes that it replied to.
#[derive(Deserialize)]
pub(super) struct Source {
    #[serde(default, deserialize_with = "address")]
    pub(super) addr: Option<IpAddr>,
    #[serde(default, deserialize_with = "list")]
    pub(super) probes: Vec<SentProbe>,
}

#[derive(Deserialize)]
pub(super) struct SentProbe {
    pub(super) tx: Option<Time>,
    pub(super) ttl: u8,
    #[serde(default)]
    pub(super) attempt: u8,
    #[serde(default)]
    pub(super) flowid: u32,
    #[serde(default, deserialize_with = "list")]
    pub(super) replies: Vec<Received>,
}

#[derive(Deserialize)]
pub(super) struct Received {
    rx: Option<Time>,
    ttl: Option<u8>,
    #[serde(default, deserialize_with = "millis")]
    rtt: Option<u32>,
    ipid: Option<u32>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    icmp_q_tos: Option<u8>,
    icmp_q_ttl: Option<u8>,
    tcp_flags: Option<u8>,
    #[serde(default, deserialize_with = "list")]
    icmpext: Vec<Object>,
}

impl Line {
    /// Returns what the line says, or what is wrong with it.
    pub(super) fn into_record(
        self,
        list: Option<Arc<List>>,
        cycle: Option<Arc<Cycle>>,
        origin: Origin,
    ) -> Result<Record, String> {
        let Some(destination) = self.dst else {
            return Ok(Record::Other("trace without a destination"));
        };
        let method = graph_method(&self.method)
            .ok_or_else(|| format!("{:?} is no method of a multipath trace", self.method))?;
        let first_ttl = self.firsthop.unwrap_or(1);
        let unit = |it| if it < LEAST_MILLIS { 10_000 } else { 1000 };
        let settings = Settings {
            user_id: self.userid,
            first_ttl: self.firsthop,
            gap_limit: self.gaplimit,
            attempts: self.attempts,
            confidence: self.confidence,
            wait_us: self
                .wait_timeout
                .map(|seconds| u64::from(seconds) * 1_000_000),
            wait_probe_us: self.wait_probe.map(|it| u64::from(it) * unit(it)),
            tos: self.tos,
            probe_size: self.probe_size,
            max_probes: self.probec_max,
            ..Settings::default()
        };
        Ok(Record::Trace(Box::new(Trace {
            aside: None,
            list,
            cycle,
            method,
            source: self.src,
            router: self.rtr,
            destination,
            destination_name: None,
            source_port: self.sport,
            destination_port: self.dport,
            began_us: self.start.and_then(Time::micros),
            ended_us: None,
            stop: Stop::None,
            probe_count: self.probec,
            settings,
            error: self.errmsg,
            origin,
            found: Found::Graph(assemble(self.nodes, self.nodec.into(), first_ttl)),
        })))
    }
}

impl Received {
    pub(super) fn into_reply(self, from: IpAddr) -> Reply {
        let kind = match (self.icmp_type, self.tcp_flags) {
            (Some(kind), _) => Kind::Icmp(kind, self.icmp_code.unwrap_or_default()),
            (None, Some(flags)) => Kind::Tcp(flags),
            (None, None) => Kind::Unknown,
        };
        Reply {
            from,
            name: None,
            received_us: self.rx.and_then(Time::micros),
            rtt_us: self.rtt,
            kind,
            ttl: self.ttl,
            size: None,
            tos: None,
            id: self.ipid,
            quoted_ttl: self.icmp_q_ttl,
            quoted_length: None,
            quoted_tos: self.icmp_q_tos,
            next_mtu: None,
            extensions: self
                .icmpext
                .into_iter()
                .map(Object::into_extension)
                .collect(),
            flags: None,
            answers: None,
        }
    }
}
