//! Traceroutes.

use std::net::IpAddr;

use serde::Deserialize;

use super::message::{Extensions, TCP_FLAGS, Unreachable, letters};
use crate::implied::{Protocol, implied};
use crate::json::{address, list, millis};
use crate::record::{Found, Kind, Method, Origin, Probe, Record, Reply, Settings, Stop, Trace};

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
