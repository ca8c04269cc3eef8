//! What simulated probes of a flow look like.

use anabranch_fakeroute::packet::{Asks, Probe};
use anabranch_prefixes::Family;
use anabranch_wire::ip::{ICMP, ICMP6, TCP, UDP};
use anabranch_wire::probe::flow_label;
use anabranch_wire::segment;

/// Returns what a probe of a protocol asks of its destination.
pub(crate) const fn asks_of(protocol: u8) -> Asks {
    match protocol {
        ICMP | ICMP6 => Asks::Echo,
        UDP => Asks::Port,
        TCP => Asks::Connection,
        _ => Asks::Nothing,
    }
}

/// Returns the first four octets after the IP header, of a flow's source port, or its checksum.
pub(crate) const fn octets_of(protocol: u8, port: u32, destination_port: u16) -> u32 {
    match protocol {
        UDP => port << 16 | destination_port as u32,
        TCP => port << 16 | segment::PORT as u32,
        ICMP => 8 << 24 | port,
        _ => 128 << 24 | port,
    }
}

/// Returns the label of a probe's flow, if flows have those that traces give them.
pub(crate) const fn label_of(probe: &Probe, labels_flows: bool) -> u32 {
    match (probe.family, probe.protocol) {
        (Family::V6, ICMP6) if labels_flows => flow_label(probe.octets as u16, 0),
        (Family::V6, _) if labels_flows => {
            flow_label((probe.octets >> 16) as u16, probe.octets as u16)
        }
        _ => 0,
    }
}
