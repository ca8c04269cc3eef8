//! What a reply is where a format says it only if it surprises.

use std::net::IpAddr;

use crate::record::Kind;

/// By what probes were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Icmp,
    Udp,
    Tcp,
}

/// Returns what a reply is by its source: routers say that the TTL was exceeded, destinations answer.
pub(crate) fn implied(protocol: Protocol, from: IpAddr, destination: IpAddr) -> Kind {
    match (from == destination, protocol, from.is_ipv4()) {
        (false, _, true) => Kind::Icmp(11, 0),
        (false, _, false) => Kind::Icmp(3, 0),
        (true, Protocol::Icmp, true) => Kind::Icmp(0, 0),
        (true, Protocol::Icmp, false) => Kind::Icmp(129, 0),
        (true, Protocol::Udp, true) => Kind::Icmp(3, 3),
        (true, Protocol::Udp, false) => Kind::Icmp(1, 4),
        // Segments differ, and tell by their flags what they are.
        (true, Protocol::Tcp, _) => Kind::Unknown,
    }
}
