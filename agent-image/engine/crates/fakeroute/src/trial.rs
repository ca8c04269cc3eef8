//! Trials of tracers on a topology, in the process: does an algorithm fail as often as it may?
//!
//! As Fakeroute does it (Vermeulen et al., IMC 2018, section 3): a run fails unless the links that
//! it finds are exactly those of the topology.

use std::collections::BTreeSet;
use std::sync::Arc;

use anabranch_prefixes::Family;
use anabranch_trace::rule::Rule;
use anabranch_trace::sightings::{Ask, Link, Vertex};
use anabranch_trace::stopping::StoppingPoints;
use anabranch_trace::tracer::{Tracer, Want};

use crate::behaviour::Behaviour;
use crate::internet::Internet;
use crate::laboratory::Laboratory;
use crate::network::Network;
use crate::packet::{Answer, Asks, Probe};
use crate::topology::{Topologies, Topology};

const UDP: u8 = 17;

/// The outcome of one run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The tracer at its end.
    pub tracer: Tracer,
    /// The interfaces of the topology that were found.
    pub vertices: usize,
    /// The links of the topology that were found.
    pub edges: usize,
    /// True if the links found are exactly those of the topology.
    pub is_exact: bool,
}

/// A topology on which tracers are put to the test.
pub struct Trial {
    topology: Topology,
    laboratory: Laboratory,
    links: BTreeSet<(u128, u128)>,
}

impl Trial {
    /// Makes a trial on a topology whose routers all answer, and at once.
    ///
    /// # Panics
    /// Never: one topology has no address twice.
    #[must_use]
    pub fn new(topology: Topology, seed: u64) -> Self {
        let mut behaviour = Behaviour::plain();
        behaviour.set("delay", 0.0).expect("a switch");
        Self::with_behaviour(topology, &behaviour, seed)
    }

    /// Makes a trial on a topology whose routers behave like this.
    ///
    /// # Panics
    /// Never: one topology has no address twice.
    #[must_use]
    pub fn with_behaviour(topology: Topology, behaviour: &Behaviour, seed: u64) -> Self {
        let internet = |family| Internet::new(family, 0, 1, seed);
        let topologies = Topologies::new(vec![topology.clone()]).expect("one topology");
        let (v4, v6) = (internet(Family::V4), internet(Family::V6));
        let network = Network::new(v4, v6, topologies, behaviour, seed);
        let graph = topology.graph();
        let links = (0..graph.vertices())
            .flat_map(|near| graph.next_hops(near).iter().map(move |far| (near, *far)))
            .map(|(near, far)| (topology.address(near), topology.address(far)))
            .collect();
        Self {
            topology,
            laboratory: Laboratory::new(network),
            links,
        }
    }

    /// The topology.
    #[must_use]
    pub const fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The number of interfaces of the topology.
    #[must_use]
    pub fn vertices(&self) -> usize {
        self.topology.interfaces().count()
    }

    /// The links of the topology between interfaces, as addresses.
    pub fn links(&self) -> impl Iterator<Item = (u128, u128)> {
        // No interface has the address 0, which stands for the vantage point.
        self.links.iter().copied().filter(|link| link.0 != 0)
    }

    /// The number of links of the topology.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.links.len()
    }

    /// Returns the probability that the MDA misses a link: that it fails at a vertex of K
    /// successors at least, `1 - prod(1 - P_K)`. None if a load balancer prefers some of its
    /// successors, since the stopping points take them for equally likely.
    #[must_use]
    pub fn predict_failure(&self, points: &StoppingPoints) -> Option<f64> {
        let graph = self.topology.graph();
        let mut success = 1.0;
        for vertex in 0..graph.vertices() {
            let hops = graph.next_hops(vertex);
            let distinct = hops.iter().collect::<BTreeSet<_>>().len();
            if distinct != hops.len() && distinct > 1 {
                return None;
            }
            success *= 1.0 - points.failure_of(distinct.max(1));
        }
        Some(1.0 - success)
    }

    /// Traces the destination once. Runs of different numbers are independent.
    pub fn run(&mut self, rule: &Arc<Rule>, number: u32) -> Run {
        let mut tracer = Tracer::new(Arc::clone(rule));
        let sample = Probe {
            vantage_point: 0,
            family: self.topology.family(),
            source: u128::from(number),
            destination: self.topology.address(self.topology.destination()),
            protocol: UDP,
            ttl: 0,
            octets: 0,
            flow_label: 0,
            identification: 0,
            asks: Asks::Port,
        };
        loop {
            match tracer.poll(self.laboratory.now_us()) {
                Want::Send(ask, _) => self.laboratory.send(&Probe {
                    ttl: ask.ttl,
                    octets: u32::from(ask.flow),
                    ..sample
                }),
                Want::Wait(until_us) => {
                    if let Some(reply) = self.laboratory.receive(until_us) {
                        let ask = Ask {
                            flow: reply.probe.octets as u16,
                            ttl: reply.probe.ttl,
                        };
                        let rtt_us = reply.answer.delay_us.into();
                        tracer.take(ask, tell_vertex(&reply.answer), rtt_us);
                    }
                }
                Want::Nothing(_) => return self.judge(tracer),
            }
        }
    }

    /// Compares what was found with what there is.
    fn judge(&self, tracer: Tracer) -> Run {
        let found: BTreeSet<(u128, u128)> = tracer.seen().links().iter().map(tell_link).collect();
        let edges = found.intersection(&self.links).count();
        let vertices = found.iter().map(|link| link.1).collect::<BTreeSet<_>>();
        Run {
            vertices: vertices.len(),
            edges,
            is_exact: edges == found.len() && edges == self.links.len(),
            tracer,
        }
    }
}

pub(crate) const fn tell_vertex(answer: &Answer) -> Vertex {
    match answer.reply {
        crate::packet::Reply::TimeExceeded => Vertex::Router(answer.from),
        _ => Vertex::End(answer.from),
    }
}

/// Returns the addresses of a link; 0 stands for the vantage point, and for a star.
fn tell_link(link: &Link) -> (u128, u128) {
    let address = |vertex| match vertex {
        Vertex::Router(address) | Vertex::End(address) => address,
        Vertex::Silent => 0,
    };
    (link.near.map_or(0, address), address(link.far))
}
