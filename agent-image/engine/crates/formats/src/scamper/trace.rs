//! Traces of one path.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;

use super::text::{Text, path_method, path_name, stop, stop_words};
use crate::json::{Time, address, list, millis, quoted, shown_millis};
use crate::record::{
    Cycle, Extension, Found, Kind, Label, List, Method, Origin, Probe, Record, Reply, Settings,
    Trace,
};

/// scamper's flag of traces whose destination port is a checksum.
const CHOSEN_CHECKSUM: u32 = 0x20;

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
    icmp_sum: Option<u16>,
    stop_reason: Option<String>,
    #[serde(default)]
    stop_data: u8,
    errmsg: Option<String>,
    start: Option<Time>,
    hop_count: Option<u8>,
    attempts: Option<u8>,
    hoplimit: Option<u8>,
    firsthop: Option<u8>,
    wait: Option<u32>,
    wait_probe: Option<u32>,
    tos: Option<u8>,
    probe_size: Option<u16>,
    probe_count: Option<u32>,
    pub(super) monitor: Option<String>,
    #[serde(default, deserialize_with = "list")]
    hops: Vec<Hop>,
    #[serde(default, deserialize_with = "list")]
    extra_hops: Vec<Hop>,
    #[serde(default, deserialize_with = "list")]
    no_hops: Vec<Hop>,
    #[serde(default, deserialize_with = "list")]
    extra_no_hops: Vec<Hop>,
}

/// A reply, or a probe that has none.
#[derive(Deserialize)]
struct Hop {
    #[serde(default, deserialize_with = "address")]
    addr: Option<IpAddr>,
    name: Option<String>,
    probe_ttl: u8,
    #[serde(default)]
    probe_id: u16,
    probe_size: Option<u16>,
    tx: Option<Time>,
    #[serde(default, deserialize_with = "millis")]
    rtt: Option<u32>,
    reply_ttl: Option<u8>,
    reply_tos: Option<u8>,
    #[serde(default, deserialize_with = "list")]
    flags: Vec<String>,
    reply_ipid: Option<u32>,
    reply_size: Option<u16>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    icmp_q_ttl: Option<u8>,
    icmp_q_ipl: Option<u16>,
    icmp_q_tos: Option<u8>,
    // Versions until today write the key with a colon in it.
    #[serde(rename = "icmp_nhmtu:", alias = "icmp_nhmtu")]
    icmp_nhmtu: Option<u16>,
    tcp_flags: Option<u8>,
    #[serde(default, deserialize_with = "list")]
    icmpext: Vec<Object>,
}

/// An object of an ICMP extension. Only labels are written in full.
#[derive(Deserialize)]
pub(super) struct Object {
    ie_cn: u8,
    ie_ct: u8,
    #[serde(default, deserialize_with = "list")]
    mpls_labels: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "mpls_ttl")]
    ttl: u8,
    #[serde(rename = "mpls_s")]
    bottom: u8,
    #[serde(rename = "mpls_exp")]
    exp: u8,
    #[serde(rename = "mpls_label")]
    label: u32,
}

impl Object {
    pub(super) fn into_extension(self) -> Extension {
        let label = |it: &Entry| Label {
            label: it.label & 0xf_ffff,
            exp: it.exp,
            bottom: it.bottom,
            ttl: it.ttl,
        };
        let labels: Vec<Label> = self.mpls_labels.iter().map(label).collect();
        Extension {
            class: self.ie_cn,
            kind: self.ie_ct,
            data: Extension::from_labels(&labels).data,
        }
    }
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
        let method = path_method(&self.method)
            .ok_or_else(|| format!("{:?} is no method of a trace", self.method))?;
        let settings = Settings {
            user_id: self.userid,
            first_ttl: self.firsthop,
            max_ttl: self.hoplimit,
            attempts: self.attempts,
            wait_us: self.wait.map(|seconds| u64::from(seconds) * 1_000_000),
            wait_probe_us: self.wait_probe.map(|it| u64::from(it) * 10_000),
            tos: self.tos,
            probe_size: self.probe_size,
            ..Settings::default()
        };
        let hops = [self.hops, self.extra_hops, self.no_hops, self.extra_no_hops];
        let probes = gather(hops.into_iter().flatten());
        let deepest = probes.last().map_or(0, |probe| probe.ttl);
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
            destination_port: self.dport.or(self.icmp_sum),
            began_us: self.start.and_then(Time::micros),
            ended_us: None,
            stop: stop(self.stop_reason.as_deref(), self.stop_data),
            probe_count: self.probe_count,
            settings,
            error: self.errmsg,
            origin,
            found: Found::Path {
                probes,
                last_ttl: self.hop_count.unwrap_or(deepest),
            },
        })))
    }
}

/// Returns the probes that hops are about, in the order of their TTLs and attempts.
fn gather(hops: impl Iterator<Item = Hop>) -> Vec<Probe> {
    let mut probes: Vec<Probe> = hops.map(Hop::into_probe).collect();
    probes.sort_by_key(|probe| (probe.ttl, probe.attempt));
    probes.dedup_by(|later, probe| {
        let same = (later.ttl, later.attempt) == (probe.ttl, probe.attempt);
        if same {
            probe.replies.append(&mut later.replies);
        }
        same
    });
    probes
}

impl Hop {
    fn into_probe(self) -> Probe {
        let mut probe = Probe {
            ttl: self.probe_ttl,
            attempt: self.probe_id,
            sent_us: self.tx.and_then(Time::micros),
            size: self.probe_size,
            ..Probe::default()
        };
        let Some(from) = self.addr else {
            return probe;
        };
        let kind = match (self.icmp_type, self.tcp_flags) {
            (Some(kind), _) => Kind::Icmp(kind, self.icmp_code.unwrap_or_default()),
            (None, Some(flags)) => Kind::Tcp(flags),
            (None, None) => Kind::Udp,
        };
        let bit = |name: &String| match &**name {
            "sockrxts" => 1,
            "dltxts" => 2,
            "dlrxts" => 4,
            _ => 0,
        };
        let sent = probe.sent_us;
        probe.replies.push(Reply {
            from,
            name: self.name.filter(|name| !name.is_empty()),
            received_us: sent.zip(self.rtt).map(|(sent, rtt)| sent + u64::from(rtt)),
            rtt_us: self.rtt,
            kind,
            ttl: self.reply_ttl,
            size: self.reply_size,
            tos: self.reply_tos,
            id: self.reply_ipid,
            quoted_ttl: self.icmp_q_ttl,
            quoted_length: self.icmp_q_ipl,
            quoted_tos: self.icmp_q_tos,
            next_mtu: self.icmp_nhmtu,
            extensions: self
                .icmpext
                .into_iter()
                .map(Object::into_extension)
                .collect(),
            flags: self.flags.iter().map(bit).reduce(|flags, bit| flags | bit),
            answers: None,
        });
        probe
    }
}

/// Returns the line of a trace, if its method is one of traces.
pub(super) fn line(trace: &Trace, probes: &[Probe], last_ttl: u8) -> Option<String> {
    let settings = &trace.settings;
    let mut text = Text::begin("{\"type\":\"trace\",\"version\":\"0.1\"");
    text.number("userid", settings.user_id);
    text.key("method", quoted(path_name(trace.method)?));
    text.quote("src", trace.source);
    text.quote("dst", Some(trace.destination));
    text.quote("rtr", trace.router);
    match trace.method {
        Method::IcmpEcho => {}
        Method::IcmpEchoParis => {
            let chosen = settings
                .flags
                .is_none_or(|flags| flags & CHOSEN_CHECKSUM != 0);
            let checksum = trace.destination_port.filter(|_| chosen);
            text.maybe("icmp_sum", checksum);
        }
        _ => {
            text.number("sport", trace.source_port);
            text.number("dport", trace.destination_port);
        }
    }
    let (reason, data) = stop_words(trace.stop);
    text.key("stop_reason", quoted(reason));
    text.key("stop_data", data);
    text.quote("errmsg", trace.error.as_deref());
    text.start(trace.began_us);
    text.key("hop_count", last_ttl);
    text.number("attempts", settings.attempts);
    text.number("hoplimit", settings.max_ttl);
    text.key("firsthop", settings.first_ttl.unwrap_or(1));
    text.number("wait", settings.wait_us.map(|micros| micros / 1_000_000));
    text.number(
        "wait_probe",
        settings.wait_probe_us.map(|micros| micros / 10_000),
    );
    text.number("tos", settings.tos);
    text.number("probe_size", settings.probe_size);
    text.number("probe_count", trace.probe_count);
    text.quote("monitor", monitor(trace));
    for (name, extra, silent) in [
        ("hops", false, false),
        ("extra_hops", true, false),
        ("no_hops", false, true),
        ("extra_no_hops", true, true),
    ] {
        let wanted =
            |probe: &&Probe| (probe.ttl > last_ttl, probe.replies.is_empty()) == (extra, silent);
        let shown = probes.iter().filter(wanted).flat_map(hops);
        let shown: Vec<String> = shown.collect();
        if !shown.is_empty() {
            text.push(&format!(", \"{name}\":"));
            text.list(&shown);
        }
    }
    text.push("}");
    Some(text.end())
}

/// Returns the vantage point, if the begin of the cycle does not name the host.
pub(super) fn monitor(trace: &Trace) -> Option<&str> {
    let hostname = trace
        .cycle
        .as_ref()
        .and_then(|cycle| cycle.hostname.as_ref());
    let list = trace.list.as_ref().filter(|_| hostname.is_none());
    list.and_then(|list| list.monitor.as_deref())
}

/// Returns an object for each reply, or one if there is none.
fn hops(probe: &Probe) -> Vec<String> {
    let said = |text: &mut Text| {
        text.key("probe_id", probe.attempt);
        text.number("probe_size", probe.size);
        text.time("tx", probe.sent_us);
    };
    if probe.replies.is_empty() {
        let mut text = Text::begin(format!("{{\"probe_ttl\":{}", probe.ttl));
        said(&mut text);
        text.push("}");
        return vec![text.end()];
    }
    let shown = |reply: &Reply| {
        let mut text = Text::begin(format!("{{\"addr\":\"{}\"", reply.from));
        text.quote("name", reply.name.as_deref());
        text.key("probe_ttl", probe.ttl);
        said(&mut text);
        text.maybe("rtt", reply.rtt_us.map(shown_millis));
        text.number("reply_ttl", reply.ttl);
        text.number("reply_tos", reply.tos);
        text.number("reply_ipid", reply.id);
        text.number("reply_size", reply.size);
        match reply.kind {
            Kind::Icmp(kind, code) => {
                text.key("icmp_type", kind);
                text.key("icmp_code", code);
                let v4 = reply.from.is_ipv4();
                let zero = quotes(kind, v4).then_some(0);
                text.maybe("icmp_q_ttl", reply.quoted_ttl.or(zero));
                text.maybe("icmp_q_ipl", reply.quoted_length.or(zero.map(u16::from)));
                text.maybe("icmp_q_tos", reply.quoted_tos.or(zero.filter(|_| v4)));
                let too_big = matches!((v4, kind, code), (true, 3, 4) | (false, 2, _));
                text.maybe("icmp_nhmtu:", reply.next_mtu.or(too_big.then_some(0)));
            }
            Kind::Tcp(flags) => text.key("tcp_flags", flags),
            Kind::Udp | Kind::Unknown => {}
        }
        if !reply.extensions.is_empty() {
            let objects: Vec<String> = reply.extensions.iter().map(object).collect();
            text.push(", \"icmpext\":");
            text.list(&objects);
        }
        text.push("}");
        text.end()
    };
    probe.replies.iter().map(shown).collect()
}

/// Returns whether messages of an ICMP type quote the probe.
pub(super) fn quotes(kind: u8, v4: bool) -> bool {
    matches!((v4, kind), (true, 3 | 11) | (false, 1..=3))
}

/// Returns an object of an ICMP extension.
pub(super) fn object(extension: &Extension) -> String {
    let (class, kind, length) = (extension.class, extension.kind, extension.data.len());
    let head = format!("{{\"ie_cn\":{class},\"ie_ct\":{kind},\"ie_dl\":{length}");
    if (class, kind) == (1, 1) {
        let labels = extension.labels();
        let label = |it: &Label| {
            format!(
                "{{\"mpls_ttl\":{},\"mpls_s\":{},\"mpls_exp\":{},\"mpls_label\":{}}}",
                it.ttl, it.bottom, it.exp, it.label
            )
        };
        let labels: Vec<String> = labels.iter().map(label).collect();
        return format!("{head},\"mpls_labels\":[{}]}}", labels.join(","));
    }
    head + "}"
}
