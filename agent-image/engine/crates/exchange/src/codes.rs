//! How rows call protocols, kinds of replies and ends of traces.

use anabranch_formats::record::{Kind, Method, Reply, Stop, Trace};

const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
const ICMP6: u8 = 58;

pub(crate) fn protocol_of(trace: &Trace) -> u8 {
    match trace.method {
        Method::Udp | Method::UdpParis | Method::UdpDestinationPort | Method::UdpSourcePort => UDP,
        Method::IcmpEcho | Method::IcmpEchoParis | Method::IcmpTimestamp => {
            if trace.destination.is_ipv4() {
                ICMP
            } else {
                ICMP6
            }
        }
        _ => TCP,
    }
}

/// Returns the protocol, and the type and code, of a reply.
///
/// Formats that do not tell the kind of a reply list hops. So a reply of an unknown kind is what makes
/// a hop: time exceeded, or from the destination what its host answers.
pub(crate) fn kind_of(trace: &Trace, reply: &Reply) -> (u8, Option<(u8, u8)>) {
    let is_v4 = reply.from.is_ipv4();
    let icmp = if is_v4 { ICMP } else { ICMP6 };
    let message = |v4, v6| (icmp, Some(if is_v4 { v4 } else { v6 }));
    match reply.kind {
        Kind::Icmp(kind, code) => (icmp, Some((kind, code))),
        Kind::Tcp(flags) => (TCP, Some((flags, 0))),
        Kind::Udp => (UDP, None),
        Kind::Unknown if reply.from != trace.destination => message((11, 0), (3, 0)),
        Kind::Unknown => match protocol_of(trace) {
            TCP => (TCP, None),
            UDP => message((3, 3), (1, 4)),
            _ => message((0, 0), (129, 0)),
        },
    }
}

pub(crate) fn name_end(stop: Stop) -> &'static str {
    match stop {
        Stop::None => "",
        Stop::Completed => "completed",
        Stop::Unreachable(_) => "unreachable",
        Stop::Icmp(_) | Stop::Error(_) => "error",
        Stop::Loop(_) => "loop",
        Stop::GapLimit(_) => "gap limit",
        Stop::HopLimit => "hop limit",
        Stop::StopSet => "stop set",
        Stop::Halted | Stop::InProgress => "halted",
    }
}
