//! A plan, rehearsed: what its probes, or the traces of its destinations, find.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anabranch_fakeroute::network::Network;
use anabranch_fakeroute::packet::{Probe, Reply};
use anabranch_fakeroute::rehearsal::rehearse;
use anabranch_plan::{Destination, Header, Plan};
use anabranch_prefixes::{Prefix, PrefixSet};
use anabranch_trace::sightings::{Ask, Vertex};
use anabranch_trace::tracer::Tracer;
use arrow_array::{ArrayRef, UInt8Array, UInt32Array, UInt64Array};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::flow::{asks_of, each_flow, label_of, octets_of};
use crate::plan::raise;
use crate::stream::Table;

/// The links between routers, as [`tell`] identifies them.
type Links = BTreeSet<(u64, u64)>;

/// Returns a row for each probe of a plan that expires on its way. `model` is a probe of the vantage
/// point.
pub(crate) fn find_expired(
    py: Python<'_>,
    network: &Network,
    model: &Probe,
    file: &Path,
) -> PyResult<Table> {
    let (mut prefixes, mut flows) = (Vec::new(), Vec::new());
    let (mut ttls, mut addresses) = (Vec::new(), Vec::new());
    let plan = Plan::open(file).map_err(|error| raise(file, error))?;
    let fill_ttl = plan.header().fill_ttl.unwrap_or(0);
    each_flow(py, network, model, file, |row, flow, probe| {
        for ttl in row.min_ttl..=row.max_ttl.max(fill_ttl) {
            let reply = network.predict(&Probe { ttl, ..probe });
            let inside = row.prefix.first()..=row.prefix.last();
            let expired = match reply {
                Some((Reply::TimeExceeded, from)) if !inside.contains(&from) => Some(from),
                _ => None,
            };
            let Some(from) = expired else {
                if ttl < row.max_ttl {
                    continue;
                }
                break; // only what expires asks for the next TTL
            };
            prefixes.push(row.prefix_index);
            flows.push(flow);
            ttls.push(ttl);
            addresses.push(tell(from));
        }
    })?;
    let columns: [(&str, ArrayRef); 4] = [
        ("prefix_index", Arc::new(UInt32Array::from(prefixes))),
        ("flow", Arc::new(UInt32Array::from(flows))),
        ("ttl", Arc::new(UInt8Array::from(ttls))),
        ("address", Arc::new(UInt64Array::from(addresses))),
    ];
    Table::new(columns)
}

/// Traces the destinations of a plan; returns what they find, and the number of probes. `model` is a
/// probe of the vantage point.
pub(crate) fn trace_plan(
    network: &Network,
    model: &Probe,
    file: &Path,
    forbidden: &PrefixSet,
) -> PyResult<(Links, u64)> {
    let refuse = |error| raise(file, error);
    let plan = Plan::open(file).map_err(refuse)?;
    let header = plan.header();
    let Some(parameters) = &header.tracing else {
        let reason = format!("{}: its targets are not traced", file.display());
        return Err(PyValueError::new_err(reason));
    };
    let (mut links, mut probes) = (Links::new(), 0);
    for number in 0..header.blocks {
        let block = plan.block(number, "").map_err(refuse)?;
        for to in block.destinations(0, forbidden) {
            let rule = parameters.rule(to.ttls.0, to.ttls.1);
            let rule = rule.map_err(PyValueError::new_err)?;
            let model = address(network, model, &to);
            let tracer = rehearse(network, rule.into(), |ask| shape(&model, header, ask));
            probes += u64::from(tracer.probes());
            links.extend(list_links(&tracer, &to.prefix));
        }
    }
    Ok((links, probes))
}

/// Returns a probe to a destination.
fn address(network: &Network, model: &Probe, to: &Destination) -> Probe {
    let family = to.prefix.family();
    Probe {
        family,
        source: network.internet(family).vantage_point(model.vantage_point),
        destination: to.address,
        protocol: to.protocol,
        asks: asks_of(to.protocol),
        ..*model
    }
}

/// Returns the probe of a flow and a TTL.
fn shape(model: &Probe, header: &Header, ask: Ask) -> Probe {
    let port = header.initial_source_port.wrapping_add(ask.flow);
    let mut probe = Probe {
        ttl: ask.ttl,
        octets: octets_of(model.protocol, port.into(), header.destination_port),
        ..*model
    };
    probe.flow_label = label_of(&probe, true);
    probe
}

/// Returns the links between routers that a trace to an address of a target found.
fn list_links(tracer: &Tracer, target: &Prefix) -> Links {
    // Replies from the target itself are those of hosts, as in parts.
    let is_router = |address: u128| !(target.first()..=target.last()).contains(&address);
    let links = tracer.seen().links();
    let routed = links.iter().filter_map(|link| match (link.near, link.far) {
        (Some(Vertex::Router(near)), Vertex::Router(far)) => Some((near, far)),
        _ => None,
    });
    routed
        .filter(|(near, far)| near != far && is_router(*near) && is_router(*far))
        .map(|(near, far)| (tell(near), tell(far)))
        .collect()
}

/// Returns 64 bits that identify an interface of the simulation among those of both families. For
/// IPv4 they are the address.
const fn tell(address: u128) -> u64 {
    ((address >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ address as u64
}
