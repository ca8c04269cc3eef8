//! Lines of traces of several paths.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use super::text::{Text, graph_name, shown_time};
use super::trace::{monitor, object, quotes};
use crate::json::{quoted, shown_millis};
use crate::record::{Graph, Kind, Link, Node, Probe, Reply, Trace};

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
        hops.extend(between.iter().map(|probes| hop(probes)));
        hops.push(format!("[{}]", far_end(far(link)?, last, "")));
    } else {
        // scamper has a space here that it does not have elsewhere. It has no place for hops before the
        // last one: the TTLs of probes tell that there are some.
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

/// Returns a hop of which no link tells where it ends: all that replied there, by address, and a star if
/// a flow met silence alone.
#[must_use]
pub fn hop(probes: &[Probe]) -> String {
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
    format!("[{}]", shown.join(", "))
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
