//! Traces of several paths: scamper's tracelb.
//!
//! A line lists nodes that have links. If a node has several links, all are of one hop, and one list has
//! the far ends. If it has one link, there is a list for each hop of it, of what replied there. Nodes
//! without links are counted and not listed: those that no link leads to have no address.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;

use super::text::{Text, graph_method, graph_name, shown_time};
use super::trace::{Object, monitor, object, quotes};
use crate::json::{Time, address, list, millis, quoted, shown_millis};
use crate::record::{
    Cycle, Found, Graph, Kind, Link, List, Node, Origin, Probe, Record, Reply, Settings, Stop,
    Trace,
};

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
struct LinkedNode {
    #[serde(default, deserialize_with = "address")]
    addr: Option<IpAddr>,
    name: Option<String>,
    q_ttl: Option<u8>,
    #[serde(default)]
    linkc: u32,
    #[serde(default, deserialize_with = "list")]
    links: Vec<Vec<Source>>,
}

/// What replied at a hop, with the probes that it replied to.
#[derive(Deserialize)]
struct Source {
    #[serde(default, deserialize_with = "address")]
    addr: Option<IpAddr>,
    #[serde(default, deserialize_with = "list")]
    probes: Vec<SentProbe>,
}

#[derive(Deserialize)]
struct SentProbe {
    tx: Option<Time>,
    ttl: u8,
    #[serde(default)]
    attempt: u8,
    #[serde(default)]
    flowid: u32,
    #[serde(default, deserialize_with = "list")]
    replies: Vec<Received>,
}

#[derive(Deserialize)]
struct Received {
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
            found: Found::Graph(assemble(self.nodes, self.nodec.into())),
        })))
    }
}

/// The nodes of a graph by their addresses.
struct Places {
    nodes: Vec<Node>,
    /// Those of an address in their order.
    by_address: HashMap<IpAddr, Vec<usize>>,
}

impl Places {
    fn add(&mut self, node: Node) -> usize {
        let place = self.nodes.len();
        if let Some(address) = node.address {
            self.by_address.entry(address).or_default().push(place);
        }
        self.nodes.push(node);
        place
    }

    /// Returns the far end of a link: the next node of this address, or else one before.
    ///
    /// An address has several nodes if the TTLs in its quotes differ.
    fn far(&mut self, near: usize, address: IpAddr) -> usize {
        let known = self.by_address.get(&address).map_or(&[][..], Vec::as_slice);
        let behind = known.partition_point(|place| *place <= near);
        let before = known.first().filter(|place| **place < near);
        match known.get(behind).or(before) {
            Some(place) => *place,
            None => self.add(Node {
                address: Some(address),
                ..Node::default()
            }),
        }
    }
}

/// Returns the graph of the nodes that have links, and that has so many nodes if they are fewer.
fn assemble(listed: Vec<LinkedNode>, count: usize) -> Graph {
    let mut places = Places {
        nodes: Vec::new(),
        by_address: HashMap::new(),
    };
    let mut all = Vec::new();
    for node in listed {
        all.push((node.linkc, node.links));
        places.add(Node {
            address: node.addr,
            quoted_ttl: node.q_ttl,
            name: node.name.filter(|name| !name.is_empty()),
        });
    }
    let mut links = Vec::new();
    for (near, (count, hops)) in all.into_iter().enumerate() {
        if count > 1 {
            for source in hops.into_iter().flatten() {
                let far = source.addr.map(|address| places.far(near, address));
                let hops = vec![gather(vec![source])];
                links.push(Link { near, far, hops });
            }
        } else if let Some(last) = hops.last() {
            let address = last.iter().find_map(|source| source.addr);
            let far = address.map(|address| places.far(near, address));
            let hops = hops.into_iter().map(gather).collect();
            links.push(Link { near, far, hops });
        }
    }
    let mut nodes = places.nodes;
    if nodes.len() < count {
        nodes.resize_with(count, Node::default);
    }
    Graph { nodes, links }
}

/// Returns the probes of a hop, each once, whatever replied to it.
///
/// A star beside other sources says that a probe was silent, and not which.
fn gather(sources: Vec<Source>) -> Vec<Probe> {
    let mut probes: Vec<Probe> = Vec::new();
    let mut known = HashMap::new();
    let star = |source: &Source| source.addr.is_none() && source.probes.is_empty();
    let silent = sources.len() > 1 && sources.iter().any(star);
    for source in sources {
        for sent in source.probes {
            let time = sent.tx.and_then(Time::micros);
            let key = (sent.ttl, sent.flowid, sent.attempt, time);
            let place = *known.entry(key).or_insert(probes.len());
            if place == probes.len() {
                probes.push(Probe {
                    ttl: sent.ttl,
                    flow: sent.flowid,
                    attempt: u16::from(sent.attempt) + 1,
                    sent_us: time,
                    ..Probe::default()
                });
            }
            // What replied without an address has not been told apart from silence.
            if let Some(from) = source.addr {
                let replies = sent.replies.into_iter();
                probes[place]
                    .replies
                    .extend(replies.map(|it| it.into_reply(from)));
            }
        }
    }
    if silent {
        let ttl = probes.first().map_or(0, |probe| probe.ttl);
        probes.push(Probe {
            ttl,
            ..Probe::default()
        });
    }
    probes
}

impl Received {
    fn into_reply(self, from: IpAddr) -> Reply {
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

/// Returns the line of a trace, if its method is one of multipath traces.
pub(super) fn line(trace: &Trace, graph: &Graph) -> Option<String> {
    let settings = &trace.settings;
    let mut text = Text::begin("{\"type\":\"tracelb\", \"version\":\"0.1\"");
    text.number("userid", settings.user_id);
    let method = graph_name(trace.method)?;
    text.key("method", quoted(method));
    text.quote("src", trace.source);
    text.quote("dst", Some(trace.destination));
    text.quote("rtr", trace.router);
    if method != "icmp-echo" {
        text.number("sport", trace.source_port);
        text.number("dport", trace.destination_port);
    }
    text.start(trace.began_us);
    text.number("probe_size", settings.probe_size);
    text.key("firsthop", settings.first_ttl.unwrap_or(1));
    text.number("attempts", settings.attempts);
    text.number("confidence", settings.confidence);
    text.number("tos", settings.tos);
    text.number("gaplimit", settings.gap_limit);
    text.number("wait_timeout", settings.wait_us.map(|it| it / 1_000_000));
    text.number("wait_probe", settings.wait_probe_us.map(|it| it / 1000));
    text.number("probec", trace.probe_count);
    text.number("probec_max", settings.max_probes);
    text.key("nodec", graph.nodes.len());
    text.key("linkc", graph.links.len());
    text.quote("errmsg", trace.error.as_deref());
    text.quote("monitor", monitor(trace));
    let mut links = vec![Vec::new(); graph.nodes.len()];
    for link in &graph.links {
        links.get_mut(link.near)?.push(link);
    }
    let linked = graph.nodes.iter().zip(&links);
    let linked = linked.filter(|(_, links)| !links.is_empty());
    let nodes = linked.map(|(near, links)| node(near, links, &graph.nodes));
    let nodes = nodes.collect::<Option<Vec<String>>>()?;
    if !nodes.is_empty() {
        text.push(", \"nodes\":");
        text.list(&nodes);
    }
    text.push("}");
    Some(text.end())
}

/// Returns a node with its links.
fn node(near: &Node, links: &[&Link], nodes: &[Node]) -> Option<String> {
    let shown = near.address.map_or("*".to_owned(), |it| it.to_string());
    let mut text = Text::begin(format!("{{\"addr\":\"{shown}\""));
    text.quote("name", near.name.as_deref());
    text.maybe("q_ttl", near.quoted_ttl);
    text.key("linkc", links.len());
    let far = |link: &Link| match link.far {
        Some(far) => Some(nodes.get(far)?.address),
        None => Some(None),
    };
    let mut hops = Vec::new();
    if let [link] = links {
        let (last, between) = link.hops.split_last()?;
        hops.extend(between.iter().map(|hop| format!("[{}]", sources(hop))));
        hops.push(format!("[{}]", far_end(far(link)?, last, "")));
    } else {
        // scamper has a space here that it does not have elsewhere.
        let ends = links
            .iter()
            .map(|link| Some(far_end(far(link)?, link.hops.last()?, " ")));
        hops.push(format!(
            "[{}]",
            ends.collect::<Option<Vec<String>>>()?.join(",")
        ));
    }
    text.push(", \"links\":");
    text.list(&hops);
    text.push("}");
    Some(text.end())
}

/// Returns the last hop of a link: its far end, with all probes there behind `space`.
fn far_end(far: Option<IpAddr>, probes: &[Probe], space: &str) -> String {
    match far {
        Some(address) => source(address, probes.iter(), space),
        None => "{\"addr\":\"*\"}".to_owned(),
    }
}

/// Returns a hop before the last one: all that replied there, by address, and a star if a flow met
/// silence alone.
fn sources(probes: &[Probe]) -> String {
    let mut found: BTreeMap<IpAddr, Vec<&Probe>> = BTreeMap::new();
    let mut heard = HashSet::new();
    for probe in probes {
        if !probe.replies.is_empty() {
            heard.insert(probe.flow);
        }
        for reply in &probe.replies {
            let probes = found.entry(reply.from).or_default();
            if !probes.last().is_some_and(|last| std::ptr::eq(*last, probe)) {
                probes.push(probe);
            }
        }
    }
    let shown = found.into_iter();
    let shown = shown.map(|(from, probes)| source(from, probes.into_iter(), ""));
    let mut shown: Vec<String> = shown.collect();
    let silent = |probe: &Probe| probe.attempt == 0 || !heard.contains(&probe.flow);
    if shown.is_empty() || probes.iter().any(silent) {
        shown.push("{\"addr\":\"*\"}".to_owned());
    }
    shown.join(", ")
}

/// Returns what replied, with probes, and its replies to them.
fn source<'a>(from: IpAddr, probes: impl Iterator<Item = &'a Probe>, space: &str) -> String {
    let shown: Vec<String> = probes.map(|probe| sent(probe, from)).collect();
    format!(
        "{{\"addr\":\"{from}\", \"probes\":[{space}{}]}}",
        shown.join(",")
    )
}

fn sent(probe: &Probe, from: IpAddr) -> String {
    let replies = probe.replies.iter().filter(|reply| reply.from == from);
    let replies: Vec<String> = replies.map(|reply| received(probe, reply)).collect();
    let tx = probe
        .sent_us
        .map(|it| format!("\"tx\":{}, ", shown_time(it)));
    let mut text = Text::begin(format!(
        "{{{}\"replyc\":{}",
        tx.unwrap_or_default(),
        replies.len()
    ));
    text.key("ttl", probe.ttl);
    text.key("attempt", probe.attempt.saturating_sub(1));
    text.key("flowid", probe.flow);
    if !replies.is_empty() {
        text.push(", \"replies\":");
        text.list(&replies);
    }
    text.push("}");
    text.end()
}

fn received(probe: &Probe, reply: &Reply) -> String {
    // Of the times of sending, of coming and between, formats may leave out one.
    let took = reply.rtt_us.map(u64::from);
    let came = probe.sent_us.zip(took).map(|(sent, took)| sent + took);
    let between = reply.received_us.zip(probe.sent_us);
    let between = between.and_then(|(came, sent)| came.checked_sub(sent)?.try_into().ok());
    let mut keys = Text::default();
    keys.time("rx", reply.received_us.or(came));
    keys.number("ttl", reply.ttl);
    keys.maybe("rtt", reply.rtt_us.or(between).map(shown_millis));
    if reply.from.is_ipv4() {
        keys.number("ipid", reply.id);
    }
    match reply.kind {
        Kind::Tcp(flags) => keys.key("tcp_flags", flags),
        Kind::Icmp(kind, code) => {
            keys.key("icmp_type", kind);
            keys.key("icmp_code", code);
            keys.number("icmp_q_tos", reply.quoted_tos);
            let zero = quotes(kind, reply.from.is_ipv4()).then_some(0);
            keys.maybe("icmp_q_ttl", reply.quoted_ttl.or(zero));
        }
        Kind::Udp | Kind::Unknown => {}
    }
    if !reply.extensions.is_empty() {
        let objects: Vec<String> = reply.extensions.iter().map(object).collect();
        keys.push(", \"icmpext\":");
        keys.list(&objects);
    }
    let keys = keys.end();
    format!("{{{}}}", keys.strip_prefix(", ").unwrap_or(&keys))
}
