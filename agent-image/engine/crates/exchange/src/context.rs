//! What a trace of another tool says beyond its probes, as a text in its first row.

use std::net::IpAddr;

use anabranch_formats::record::{Method, Origin, Settings, Stop, Trace};
use serde::{Deserialize, Serialize};

/// What a trace of another tool says beyond its probes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// How probes look, by scamper's names.
    pub method: String,
    /// Why it ended, by scamper's names, and the number that goes with it.
    pub stop: (String, u8),
    /// The destination port, or the checksum of ICMP.
    pub destination_port: Option<u16>,
    /// The last TTL that was probed, of a single path.
    pub last_ttl: Option<u8>,
    /// The first router on the way.
    pub router: Option<IpAddr>,
    /// The destination's name.
    pub name: Option<String>,
    /// An error that the tool reported.
    pub error: Option<String>,
    /// Who asked for the trace, and where it was made.
    pub origin: Origin,
    /// What the trace was asked to do.
    pub settings: Settings,
}

/// Methods, by scamper's names: of single paths, then of several.
const METHODS: [(Method, &str); 10] = [
    (Method::IcmpEcho, "icmp-echo"),
    (Method::IcmpEchoParis, "icmp-echo-paris"),
    (Method::Udp, "udp"),
    (Method::UdpParis, "udp-paris"),
    (Method::Tcp, "tcp"),
    (Method::TcpAck, "tcp-ack"),
    (Method::UdpDestinationPort, "udp-dport"),
    (Method::UdpSourcePort, "udp-sport"),
    (Method::TcpSourcePort, "tcp-sport"),
    (Method::TcpAckSourcePort, "tcp-ack-sport"),
];

impl Context {
    /// Takes it from a trace.
    #[must_use]
    pub fn of(trace: &Trace, last_ttl: Option<u8>) -> Self {
        let method = METHODS.iter().find(|(method, _)| *method == trace.method);
        Self {
            method: method.map_or("", |(_, name)| name).to_owned(),
            stop: name_stop(trace.stop),
            destination_port: trace.destination_port,
            last_ttl,
            router: trace.router,
            name: trace.destination_name.clone(),
            error: trace.error.clone(),
            origin: trace.origin.clone(),
            settings: trace.settings.clone(),
        }
    }

    /// Returns how probes look; None if it does not say.
    #[must_use]
    pub fn method(&self) -> Option<Method> {
        let found = METHODS.iter().find(|(_, name)| *name == self.method);
        found.map(|(method, _)| *method)
    }

    /// Returns why the trace ended.
    #[must_use]
    pub fn stop(&self) -> Stop {
        let data = self.stop.1;
        match self.stop.0.as_str() {
            "COMPLETED" => Stop::Completed,
            "UNREACH" => Stop::Unreachable(data),
            "ICMP" => Stop::Icmp(data),
            "LOOP" => Stop::Loop(data),
            "GAPLIMIT" => Stop::GapLimit(data),
            "ERROR" => Stop::Error(data),
            "HOPLIMIT" => Stop::HopLimit,
            "GSS" => Stop::StopSet,
            "HALTED" => Stop::Halted,
            "INPROGRESS" => Stop::InProgress,
            _ => Stop::None,
        }
    }
}

fn name_stop(stop: Stop) -> (String, u8) {
    let (name, data) = match stop {
        Stop::None => ("NONE", 0),
        Stop::Completed => ("COMPLETED", 0),
        Stop::Unreachable(code) => ("UNREACH", code),
        Stop::Icmp(kind) => ("ICMP", kind),
        Stop::Loop(length) => ("LOOP", length),
        Stop::GapLimit(hops) => ("GAPLIMIT", hops),
        Stop::Error(number) => ("ERROR", number),
        Stop::HopLimit => ("HOPLIMIT", 0),
        Stop::StopSet => ("GSS", 0),
        Stop::Halted => ("HALTED", 0),
        Stop::InProgress => ("INPROGRESS", 0),
    };
    (name.to_owned(), data)
}
