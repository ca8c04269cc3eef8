//! Pings.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::encoder::Ends;
use crate::implied::{Protocol, implied};
use crate::json::{address, list, millis};
use crate::record::{Method, Origin, Ping, PingSettings, Probe, Record, Reply, Settings};

/// A result being read.
#[derive(Deserialize)]
pub(super) struct Line {
    #[serde(default, deserialize_with = "address")]
    dst_addr: Option<IpAddr>,
    #[serde(default, deserialize_with = "address")]
    src_addr: Option<IpAddr>,
    #[serde(default, deserialize_with = "address")]
    from: Option<IpAddr>,
    timestamp: Option<u32>,
    msm_id: Option<i64>,
    prb_id: Option<i64>,
    sent: Option<u16>,
    size: Option<u16>,
    ttl: Option<u8>,
    step: Option<u32>,
    #[serde(default, deserialize_with = "list")]
    result: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, deserialize_with = "millis")]
    rtt: Option<u32>,
    ttl: Option<u8>,
    #[serde(default, deserialize_with = "address")]
    src_addr: Option<IpAddr>,
    dup: Option<serde::de::IgnoredAny>,
    error: Option<String>,
}

impl Line {
    pub(super) fn into_record(self) -> Record {
        let Some(destination) = self.dst_addr else {
            return Record::Other("ping without a destination");
        };
        let mut probes: Vec<Probe> = Vec::new();
        for answer in self.result {
            // It was not sent.
            if answer.error.is_some() {
                continue;
            }
            if answer.dup.is_none() || probes.is_empty() {
                let attempt = u16::try_from(probes.len() + 1).unwrap_or(u16::MAX);
                probes.push(Probe {
                    attempt,
                    ..Probe::default()
                });
            }
            let from = answer.src_addr.unwrap_or(destination);
            let reply = answer.rtt.map(|rtt| Reply {
                from,
                name: None,
                received_us: None,
                rtt_us: Some(rtt),
                kind: implied(Protocol::Icmp, destination, destination),
                ttl: answer.ttl.or(self.ttl),
                size: None,
                tos: None,
                id: None,
                quoted_ttl: None,
                quoted_length: None,
                quoted_tos: None,
                next_mtu: None,
                extensions: Vec::new(),
                flags: None,
                answers: None,
            });
            if let Some(probe) = probes.last_mut() {
                probe.replies.extend(reply);
            }
        }
        Record::Ping(Box::new(Ping {
            list: None,
            cycle: None,
            method: Method::IcmpEcho,
            source: self.src_addr,
            destination,
            source_port: None,
            destination_port: None,
            began_us: self.timestamp.map(|it| u64::from(it) * 1_000_000),
            stop: (0, 0),
            asked: None,
            probe_count: self.sent,
            settings: Settings {
                probe_size: self.size,
                wait_probe_us: self.step.map(|it| u64::from(it) * 1_000_000),
                ..Settings::default()
            },
            origin: Origin {
                measurement: self.msm_id.and_then(|id| id.try_into().ok()),
                host: self.prb_id.and_then(|id| id.try_into().ok()),
                public_source: self.from.filter(|from| Some(*from) != self.src_addr),
                ..Origin::default()
            },
            specific: PingSettings::default(),
            probes,
        }))
    }
}

/// A result being written.
#[derive(Serialize)]
pub(super) struct Written {
    #[serde(flatten)]
    ends: Ends,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<u64>,
    proto: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u64>,
    sent: usize,
    rcvd: usize,
    dup: usize,
    min: f64,
    avg: f64,
    max: f64,
    result: Vec<WrittenAnswer>,
    msm_name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WrittenAnswer {
    Silence {
        x: &'static str,
    },
    Reply {
        rtt: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        ttl: Option<u8>,
        #[serde(skip_serializing_if = "Option::is_none")]
        src_addr: Option<IpAddr>,
        #[serde(skip_serializing_if = "Option::is_none")]
        dup: Option<u8>,
    },
}

/// Returns the result of a ping, if its probes are echo requests.
pub(super) fn line(ping: &Ping) -> Option<Written> {
    if !matches!(ping.method, Method::IcmpEcho | Method::IcmpEchoParis) {
        return None;
    }
    let expected = implied(Protocol::Icmp, ping.destination, ping.destination);
    let mut probes: Vec<&Probe> = ping.probes.iter().collect();
    probes.sort_by_key(|probe| probe.attempt);
    let (mut result, mut times, mut dup, mut next) = (Vec::new(), Vec::new(), 0, 1);
    for probe in probes {
        result.extend((next..probe.attempt).map(|_| WrittenAnswer::Silence { x: "*" }));
        next = probe.attempt.saturating_add(1);
        // Errors are no replies to them.
        let replies = probe.replies.iter().filter(|reply| reply.kind == expected);
        let mut answered = false;
        for (reply, rtt) in replies.filter_map(|reply| Some((reply, reply.rtt_us?))) {
            let rtt = f64::from(rtt) / 1000.0;
            if answered {
                dup += 1;
            } else {
                times.push(rtt);
            }
            result.push(WrittenAnswer::Reply {
                rtt,
                ttl: reply.ttl,
                src_addr: Some(reply.from).filter(|from| *from != ping.destination),
                dup: answered.then_some(1),
            });
            answered = true;
        }
        if !answered {
            result.push(WrittenAnswer::Silence { x: "*" });
        }
    }
    let sent = ping
        .probe_count
        .map_or(next - 1, |count| count.max(next - 1));
    result.extend((next..=sent).map(|_| WrittenAnswer::Silence { x: "*" }));
    // Without replies there are none, which they write so.
    let of = |times: &[f64], pick: fn(f64, f64) -> f64| times.iter().copied().reduce(pick);
    #[allow(clippy::cast_precision_loss)] // a few thousand at most
    let mean = of(&times, |sum, rtt| sum + rtt).map(|sum| sum / times.len() as f64);
    let mut ttls = ping.probes.iter().flat_map(|probe| &probe.replies);
    Some(Written {
        ends: Ends::new(ping.source, ping.destination, None, &ping.origin),
        timestamp: ping.began_us.map(|micros| micros / 1_000_000),
        proto: "ICMP",
        size: ping.settings.probe_size,
        ttl: ttls.find_map(|reply| reply.ttl),
        step: ping.settings.wait_probe_us.map(|micros| micros / 1_000_000),
        sent: sent.into(),
        rcvd: times.len(),
        dup,
        min: of(&times, f64::min).unwrap_or(-1.0),
        avg: mean.unwrap_or(-1.0),
        max: of(&times, f64::max).unwrap_or(-1.0),
        result,
        msm_name: "Ping",
        kind: "ping",
    })
}
