//! What simulated probes of a flow look like, and which flows a plan has.

use std::path::Path;

use anabranch_fakeroute::network::Network;
use anabranch_fakeroute::packet::{Asks, Probe};
use anabranch_plan::{FlowMapper, Plan, Row};
use anabranch_prefixes::Family;
use anabranch_wire::ip::{ICMP, ICMP6, TCP, UDP};
use anabranch_wire::probe::flow_label;
use anabranch_wire::segment;
use pyo3::prelude::*;

use crate::plan::raise;

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

/// Calls `take` for each flow of a plan, as the prober sends it: with its row, its number, and
/// a probe of it. `model` is a probe of the vantage point.
pub(crate) fn each_flow(
    py: Python<'_>,
    network: &Network,
    model: &Probe,
    file: &Path,
    mut take: impl FnMut(&Row, u32, Probe) + Send,
) -> PyResult<()> {
    let refuse = |error| raise(file, error);
    let plan = Plan::open(file).map_err(refuse)?;
    let header = plan.header();
    let mut mapper = FlowMapper::new(header.mapping);
    for block in 0..header.blocks {
        let rows = plan.rows(block).map_err(refuse)?;
        py.detach(|| {
            for row in rows {
                let family = row.prefix.family();
                let space = mapper.space(&row.prefix);
                for flow in row.first_flow..row.first_flow + row.flow_count {
                    let (address, port) = mapper.offsets(space, flow);
                    let port = u32::from(header.initial_source_port) + port;
                    let probe = Probe {
                        family,
                        source: network.internet(family).vantage_point(model.vantage_point),
                        destination: row.prefix.first() + u128::from(address),
                        protocol: row.protocol,
                        octets: octets_of(row.protocol, port, header.destination_port),
                        ..*model
                    };
                    take(&row, flow, probe);
                }
            }
        });
    }
    Ok(())
}
