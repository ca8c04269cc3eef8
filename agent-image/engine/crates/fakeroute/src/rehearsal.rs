//! A rehearsal of a trace: a tracer in a simulated Internet, without packets or a network's chances.

use std::sync::Arc;

use anabranch_trace::rule::Rule;
use anabranch_trace::sightings::{Ask, Vertex};
use anabranch_trace::tracer::{Tracer, Want};

use crate::network::Network;
use crate::packet::{Probe, Reply};

/// Traces a destination on the terms of [`Network::predict`]. `shape` returns the probe of a flow and
/// a TTL.
pub fn rehearse(network: &Network, rule: Arc<Rule>, shape: impl Fn(Ask) -> Probe) -> Tracer {
    let mut tracer = Tracer::new(rule);
    let mut now_us = 0;
    let mut sent = Vec::new();
    loop {
        match tracer.poll(now_us) {
            Want::Send(ask, _) => sent.push(ask),
            Want::Wait(until_us) if sent.is_empty() => now_us = until_us,
            // Replies take no time, but come after all that is sent at once.
            Want::Wait(_) => {
                for ask in sent.drain(..) {
                    if let Some(vertex) = meet(network, &shape(ask)) {
                        tracer.take(ask, vertex, 0);
                    }
                }
            }
            Want::Nothing(_) => return tracer,
        }
    }
}

/// Returns what the reply to a probe says that the probe met; None without a reply.
fn meet(network: &Network, probe: &Probe) -> Option<Vertex> {
    let (reply, from, quoted_ttl) = network.predict_quoted(probe)?;
    Some(match (reply, quoted_ttl) {
        // The router at this hop forwarded the probe instead of replying.
        (Reply::TimeExceeded, 0) => Vertex::Silent,
        (Reply::TimeExceeded, _) => Vertex::Router(from),
        _ => Vertex::End(from),
    })
}
