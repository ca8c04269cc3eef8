//! Pings.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;

use super::text::{Text, ping_method, ping_name};
use crate::json::{Time, address, list, millis, quoted, shown_millis};
use crate::record::{
    Answers, Cycle, Kind, List, Origin, Ping, PingSettings, Probe, Record, Reply, Settings,
};

/// The names of flags, from the lowest bit.
const FLAGS: [&str; 10] = [
    "v4rr",
    "spoof",
    "payload",
    "tsonly",
    "tsandaddr",
    "icmpsum",
    "dl",
    "tbt",
    "nosrc",
    "raw",
];
/// The bit of `payload`: what probes carry is a payload, not a pattern that is repeated.
const PAYLOAD: u32 = 1 << 2;
/// The bit of `tsonly`: routers record times without addresses.
const TIMES_ALONE: u32 = 1 << 3;

/// A line as it is.
#[derive(Deserialize)]
pub(super) struct Line {
    method: String,
    #[serde(default, deserialize_with = "address")]
    src: Option<IpAddr>,
    #[serde(default, deserialize_with = "address")]
    dst: Option<IpAddr>,
    #[serde(default, deserialize_with = "address")]
    rtr: Option<IpAddr>,
    start: Option<Time>,
    ping_sent: Option<u16>,
    probe_size: Option<u16>,
    userid: Option<u32>,
    ttl: Option<u8>,
    tos: Option<u8>,
    wait: Option<u32>,
    #[serde(default)]
    wait_us: u32,
    timeout: Option<u32>,
    #[serde(default)]
    timeout_us: u32,
    sport: Option<u16>,
    dport: Option<u16>,
    tcp_seq: Option<u32>,
    tcp_ack: Option<u32>,
    payload: Option<String>,
    pattern: Option<String>,
    #[serde(default, deserialize_with = "list")]
    flags: Vec<String>,
    icmp_csum: Option<u16>,
    #[serde(default, deserialize_with = "list")]
    probe_tsps: Vec<IpAddr>,
    #[serde(default, deserialize_with = "list")]
    responses: Vec<Response>,
}

#[derive(Deserialize)]
struct Response {
    from: IpAddr,
    seq: u16,
    reply_size: Option<u16>,
    reply_ttl: Option<u8>,
    tx: Option<Time>,
    rx: Option<Time>,
    #[serde(default, deserialize_with = "millis")]
    rtt: Option<u32>,
    probe_ipid: Option<u16>,
    reply_ipid: Option<u32>,
    reply_tos: Option<u8>,
    icmp_type: Option<u8>,
    #[serde(default)]
    icmp_code: u8,
    tcp_flags: Option<u8>,
    #[serde(rename = "RR", default, deserialize_with = "list")]
    route: Vec<IpAddr>,
    #[serde(default, deserialize_with = "list")]
    tsandaddr: Vec<Stamp>,
    #[serde(default, deserialize_with = "list")]
    tsonly: Vec<u32>,
}

#[derive(Deserialize)]
struct Stamp {
    ip: IpAddr,
    ts: u32,
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
            return Ok(Record::Other("ping without a destination"));
        };
        let method = ping_method(&self.method)
            .ok_or_else(|| format!("{:?} is no method of a ping", self.method))?;
        let micros = |seconds: Option<u32>, rest: u32| {
            seconds.map(|seconds| u64::from(seconds) * 1_000_000 + u64::from(rest))
        };
        let bit = |name: &String| FLAGS.iter().position(|flag| flag == name);
        let bits = self.flags.iter().filter_map(bit);
        let payload = self.payload.or(self.pattern).unwrap_or_default();
        Ok(Record::Ping(Box::new(Ping {
            list,
            cycle,
            method,
            source: self.src,
            destination,
            source_port: self.sport,
            destination_port: self.dport,
            began_us: self.start.and_then(Time::micros),
            stop: (0, 0),
            asked: None,
            probe_count: self.ping_sent,
            settings: Settings {
                user_id: self.userid,
                max_ttl: self.ttl,
                wait_us: micros(self.timeout, self.timeout_us),
                wait_probe_us: micros(self.wait, self.wait_us),
                tos: self.tos,
                probe_size: self.probe_size,
                flags: bits
                    .map(|bit| 1 << bit)
                    .reduce(|flags: u32, bit| flags | bit),
                ..Settings::default()
            },
            origin,
            specific: PingSettings {
                payload: bytes(&payload).ok_or("payload and pattern are hexadecimal digits")?,
                routers: self.probe_tsps,
                checksum: self.icmp_csum,
                acknowledgement: self.tcp_ack,
                sequence: self.tcp_seq,
                router: self.rtr,
                ..PingSettings::default()
            },
            probes: gather(self.responses),
        })))
    }
}

/// Returns what hexadecimal digits stand for.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let bytes = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    bytes
        .collect::<Option<Vec<u8>>>()
        .filter(|_| rest.is_empty())
}

/// Returns the probes that were answered, in the order in which they were sent.
fn gather(responses: Vec<Response>) -> Vec<Probe> {
    let mut probes: Vec<Probe> = responses.into_iter().map(Response::into_probe).collect();
    probes.sort_by_key(|probe| probe.attempt);
    probes.dedup_by(|later, probe| {
        let same = later.attempt == probe.attempt;
        if same {
            probe.replies.append(&mut later.replies);
        }
        same
    });
    probes
}

impl Response {
    fn into_probe(self) -> Probe {
        let sent = self.tx.and_then(Time::micros);
        let kind = match (self.icmp_type, self.tcp_flags) {
            (Some(kind), _) => Kind::Icmp(kind, self.icmp_code),
            (None, Some(flags)) => Kind::Tcp(flags),
            (None, None) => Kind::Udp,
        };
        let stamps = self.tsandaddr.into_iter().map(|it| (Some(it.ip), it.ts));
        let alone = self.tsonly.into_iter().map(|time| (None, time));
        let answers = Answers {
            route: self.route,
            times: stamps.chain(alone).collect(),
            clock: None,
        };
        Probe {
            attempt: self.seq.saturating_add(1),
            id: self.probe_ipid,
            sent_us: sent,
            replies: vec![Reply {
                from: self.from,
                name: None,
                received_us: self.rx.and_then(Time::micros),
                rtt_us: self.rtt,
                kind,
                ttl: self.reply_ttl,
                size: self.reply_size,
                tos: self.reply_tos,
                id: self.reply_ipid,
                quoted_ttl: None,
                quoted_length: None,
                quoted_tos: None,
                next_mtu: None,
                extensions: Vec::new(),
                flags: None,
                answers: (answers != Answers::default()).then(|| Box::new(answers)),
            }],
            ..Probe::default()
        }
    }
}

/// Returns the line of a ping.
pub(super) fn line(ping: &Ping) -> String {
    let (settings, specific) = (&ping.settings, &ping.specific);
    let mut text = Text::begin("{\"type\":\"ping\", \"version\":\"0.4\"");
    let method = ping_name(ping.method);
    text.key("method", quoted(method));
    text.quote("src", ping.source);
    text.quote("dst", Some(ping.destination));
    text.quote("rtr", specific.router);
    let start = ping.began_us.unwrap_or_default();
    let (sec, usec) = (start / 1_000_000, start % 1_000_000);
    text.key("start", format!("{{\"sec\":{sec},\"usec\":{usec}}}"));
    text.number("ping_sent", ping.probe_count);
    text.number("probe_size", settings.probe_size);
    text.number("userid", settings.user_id);
    text.number("ttl", settings.max_ttl);
    text.maybe("tos", settings.tos.filter(|tos| *tos != 0));
    for (name, micros) in [
        ("wait", settings.wait_probe_us),
        ("timeout", settings.wait_us),
    ] {
        let rest = micros.map(|micros| micros % 1_000_000);
        text.number(name, micros.map(|micros| micros / 1_000_000));
        text.maybe(&format!("{name}_us"), rest.filter(|rest| *rest != 0));
    }
    if !method.starts_with("icmp") {
        text.number("sport", ping.source_port);
        text.number("dport", ping.destination_port);
        text.maybe("tcp_seq", specific.sequence);
        text.maybe("tcp_ack", specific.acknowledgement);
    }
    let flags = settings.flags.unwrap_or_default();
    let whole = flags & PAYLOAD != 0;
    let digits: Vec<String> = specific
        .payload
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let digits = digits.concat();
    let name = if whole { "payload" } else { "pattern" };
    text.quote(name, Some(digits).filter(|digits| !digits.is_empty()));
    let names = FLAGS
        .iter()
        .enumerate()
        .filter(|(bit, _)| flags >> bit & 1 == 1);
    let names: Vec<String> = names.map(|(_, name)| quoted(name)).collect();
    if !names.is_empty() {
        text.push(", \"flags\":");
        text.list(&names);
    }
    if method.starts_with("icmp") {
        // scamper puts a space here, and nowhere else.
        text.maybe("icmp_csum", specific.checksum.map(|sum| format!(" {sum}")));
    }
    if !specific.routers.is_empty() {
        let routers: Vec<String> = specific.routers.iter().map(quoted_address).collect();
        text.push(", \"probe_tsps\":");
        text.list(&routers);
    }
    let replies = ping.probes.iter();
    let replies = replies.flat_map(|probe| probe.replies.iter().map(move |it| (probe, it)));
    let replies: Vec<String> = replies
        .map(|(probe, it)| response(probe, it, flags))
        .collect();
    text.push(", \"responses\":");
    text.list(&replies);
    text.push(",\"statistics\":{");
    text.push(&statistics(ping));
    text.push("}}");
    text.end()
}

fn quoted_address(address: &IpAddr) -> String {
    format!("\"{address}\"")
}

fn response(probe: &Probe, reply: &Reply, flags: u32) -> String {
    let mut text = Text::begin(format!("{{\"from\":\"{}\"", reply.from));
    text.key("seq", probe.attempt.saturating_sub(1));
    text.number("reply_size", reply.size);
    text.number("reply_ttl", reply.ttl);
    let protocol = match reply.kind {
        Kind::Icmp(..) => Some("icmp"),
        Kind::Tcp(_) => Some("tcp"),
        Kind::Udp => Some("udp"),
        Kind::Unknown => None,
    };
    text.quote("reply_proto", protocol);
    let rtt = reply.rtt_us.map(u64::from);
    let computed = probe.sent_us.zip(rtt).map(|(sent, rtt)| sent + rtt);
    text.time("tx", probe.sent_us);
    text.time("rx", reply.received_us.or(computed));
    text.maybe("rtt", reply.rtt_us.map(shown_millis));
    if reply.from.is_ipv4() {
        text.number("probe_ipid", probe.id);
        text.number("reply_ipid", reply.id);
    } else {
        text.maybe("reply_ipid", reply.id);
    }
    text.maybe("reply_tos", reply.tos);
    match reply.kind {
        Kind::Icmp(kind, code) => {
            text.key("icmp_type", kind);
            text.key("icmp_code", code);
        }
        Kind::Tcp(flags) => text.key("tcp_flags", flags),
        Kind::Udp | Kind::Unknown => {}
    }
    if let Some(answers) = &reply.answers {
        if !answers.route.is_empty() {
            let route: Vec<String> = answers.route.iter().map(quoted_address).collect();
            text.push(", \"RR\":");
            text.list(&route);
        }
        if !answers.times.is_empty() {
            let alone = flags & TIMES_ALONE != 0;
            let stamp = |(address, time): &(Option<IpAddr>, u32)| match address {
                Some(address) => format!("{{\"ip\":\"{address}\",\"ts\":{time}}}"),
                None => time.to_string(),
            };
            let times: Vec<String> = answers.times.iter().map(stamp).collect();
            let name = if alone { "tsonly" } else { "tsandaddr" };
            text.push(&format!(", \"{name}\":"));
            text.list(&times);
        }
    }
    text.push("}");
    text.end()
}

/// Returns the statistics of the first reply to each probe.
fn statistics(ping: &Ping) -> String {
    let first = |probe: &Probe| probe.replies.first()?.rtt_us.map(u64::from);
    let times: Vec<u64> = ping.probes.iter().filter_map(first).collect();
    let (count, sent) = (times.len() as u64, ping.probe_count.map_or(0, u64::from));
    let mut text = Text::begin(format!("\"replies\":{count}"));
    let loss = match count {
        0 => "1".to_owned(),
        count if count >= sent => "0".to_owned(),
        #[allow(clippy::cast_precision_loss)] // both are counts of 16 bits
        count => format!("{:.2}", (sent - count) as f32 / sent as f32),
    };
    text.maybe("loss", (sent != 0).then_some(loss));
    if let (Some(least), Some(most)) = (times.iter().min(), times.iter().max()) {
        let mean = times.iter().sum::<u64>() / count;
        let square = |time: &u64| u128::from(time.abs_diff(mean)).pow(2);
        let variance = times.iter().map(square).sum::<u128>() / u128::from(count);
        let deviation = variance.isqrt() as u64;
        let all = [
            ("min", *least),
            ("max", *most),
            ("avg", mean),
            ("stddev", deviation),
        ];
        for (name, micros) in all {
            text.key(name, shown_millis(micros as u32));
        }
    }
    text.end()
}
