//! Trials of alias resolution on a simulated Internet, in the process: which pairs of addresses are
//! found to be aliases, and which of them are.

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_aliases::candidate::Shown;
use anabranch_aliases::evidence::Verdict;
use anabranch_aliases::resolver::{Resolver, Want as Next};
use anabranch_aliases::series::Sample;
use anabranch_aliases::sounding::{Echoed, Evidence, Sounding};
use anabranch_prefixes::Family;
use anabranch_trace::rule::Rule;
use anabranch_trace::sightings::Ask;
use anabranch_trace::tracer::{Tracer, Want};

use crate::behaviour::Behaviour;
use crate::internet::Internet;
use crate::laboratory::{Laboratory, Received};
use crate::network::Network;
use crate::packet::{Asks, Probe};
use crate::topology::Topologies;
use crate::trial::tell_vertex;
use anabranch_chance::scatter;

const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMP6: u8 = 58;
/// The flow and the TTL of probes to addresses that a trace has met.
const DIRECT: Ask = Ask { flow: 0, ttl: 64 };

/// What came of one destination.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What is said of each pair, and whether the two are aliases.
    pub pairs: Vec<(Evidence, bool)>,
    /// The probes of the trace.
    pub trace_probes: u32,
    /// The probes for alias resolution.
    pub alias_probes: u16,
}

impl Outcome {
    /// Returns the numbers of pairs with a verdict, of those that are aliases and of others.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> (usize, usize) {
        let said = self
            .pairs
            .iter()
            .filter(|(evidence, _)| evidence.finding.verdict == verdict);
        let aliases = said.clone().filter(|(_, are_aliases)| *are_aliases).count();
        (aliases, said.count() - aliases)
    }
}

/// An Internet of a family on which alias resolution is put to the test.
pub struct AliasTrial {
    family: Family,
    internet: Internet,
    laboratory: Laboratory,
    /// The router of each address, before and after a route change.
    routers: [BTreeMap<u128, u64>; 2],
}

impl AliasTrial {
    /// Makes a trial on an Internet of some prefixes of a family.
    ///
    /// # Panics
    /// Never: there is no topology that could be wrong.
    #[must_use]
    pub fn new(family: Family, prefixes: u32, behaviour: &Behaviour, seed: u64) -> Self {
        let internet = |its| {
            let prefixes = if its == family { prefixes } else { 0 };
            Internet::new(its, prefixes, 1, seed)
        };
        let (v4, v6) = (internet(Family::V4), internet(Family::V6));
        let topologies = Topologies::new(Vec::new()).expect("no topology has an address twice");
        let network = Network::new(v4, v6, topologies, behaviour, seed);
        let internet = internet(family);
        let routers = [0, 1].map(|epoch| {
            let pieces = internet.all(epoch);
            let interfaces = pieces.flat_map(|piece| network.interfaces(&internet, piece));
            interfaces.map(|each| (each.address, each.router)).collect()
        });
        Self {
            family,
            internet,
            laboratory: Laboratory::new(network),
            routers,
        }
    }

    /// Traces an address of a prefix, and resolves the aliases of each hop.
    pub fn run(&mut self, prefix: u32, rule: &Arc<Rule>, rounds: u8) -> Outcome {
        let destination = self.internet.prefix(prefix) + 1;
        let (tracer, replies) = self.trace(destination, rule);
        let mut resolver = Resolver::new(self.family, tracer.seen(), replies, rounds, |_, _| None);
        let mut sent: Vec<(Probe, Sounding, u16)> = Vec::new();
        loop {
            match resolver.poll(self.laboratory.now_us()) {
                Next::Send(sounding, number) => {
                    let probe = self.shape_sounding(destination, sounding, number);
                    self.laboratory.send(&probe);
                    sent.push((probe, sounding, number));
                }
                Next::Wait(until_us) => {
                    let received = self.laboratory.receive(until_us);
                    let answered = received.and_then(|received| {
                        let probe = received.probe;
                        let place = sent.iter().rposition(|(each, ..)| *each == probe)?;
                        Some((received, sent.swap_remove(place)))
                    });
                    if let Some((received, (_, sounding, number))) = answered {
                        resolver.take(sounding, number, tell(&received));
                    }
                }
                Next::Nothing => break,
            }
        }
        let epoch = self.laboratory.network().epoch(self.laboratory.now_us());
        let router_of = |address| self.routers[epoch as usize].get(&address);
        let pairs = resolver.evidence().map(|evidence| {
            let routers = [evidence.first, evidence.second].map(router_of);
            (evidence, routers[0].is_some() && routers[0] == routers[1])
        });
        Outcome {
            pairs: pairs.collect(),
            trace_probes: tracer.probes(),
            alias_probes: resolver.probes(),
        }
    }

    fn trace(&mut self, destination: u128, rule: &Arc<Rule>) -> (Tracer, Vec<(Ask, Echoed)>) {
        let mut tracer = Tracer::new(Arc::clone(rule));
        let mut replies = Vec::new();
        loop {
            match tracer.poll(self.laboratory.now_us()) {
                Want::Send(ask, _) => {
                    let probe = self.shape(destination, ask, tracer.probes());
                    self.laboratory.send(&probe);
                }
                Want::Wait(until_us) => {
                    if let Some(received) = self.laboratory.receive(until_us) {
                        let ask = Ask {
                            flow: received.probe.octets as u16,
                            ttl: received.probe.ttl,
                        };
                        let rtt_us = received.answer.delay_us.into();
                        tracer.take(ask, tell_vertex(&received.answer), rtt_us);
                        replies.push((ask, tell(&received)));
                    }
                }
                Want::Nothing(_) => return (tracer, replies),
            }
        }
    }

    fn shape(&self, destination: u128, ask: Ask, number: u32) -> Probe {
        Probe {
            vantage_point: 0,
            family: self.family,
            source: self.internet.vantage_point(0),
            destination,
            protocol: UDP,
            ttl: ask.ttl,
            octets: ask.flow.into(),
            flow_label: 0,
            identification: scatter(number.into()) as u16,
            asks: Asks::Port,
        }
    }

    fn shape_sounding(&self, destination: u128, sounding: Sounding, number: u16) -> Probe {
        // Numbers behind those of the trace: identifications look random.
        let number = u32::from(number) << 16;
        match sounding {
            Sounding::Along(ask) => self.shape(destination, ask, number),
            Sounding::Port(address) => self.shape(address, DIRECT, number),
            Sounding::Echo(address) => {
                let asks = match self.family {
                    Family::V4 => Asks::Echo,
                    Family::V6 => Asks::LargeEcho,
                };
                self.shape_icmp(address, asks, number)
            }
            Sounding::TooBig(address) => self.shape_icmp(address, Asks::SmallerPackets, number),
        }
    }

    fn shape_icmp(&self, address: u128, asks: Asks, number: u32) -> Probe {
        Probe {
            protocol: if self.family == Family::V4 {
                ICMP
            } else {
                ICMP6
            },
            asks,
            ..self.shape(address, DIRECT, number)
        }
    }
}

fn tell(received: &Received) -> Echoed {
    let Received {
        at_us,
        probe,
        answer,
    } = received;
    let is_v4 = probe.family == Family::V4;
    let id = answer
        .fragment
        .or(is_v4.then(|| answer.identification.into()));
    let sample = id.map(|id| Sample {
        sent_us: at_us - u64::from(answer.delay_us),
        at_us: *at_us,
        id,
        is_copied: is_v4 && answer.identification == probe.identification,
    });
    Echoed {
        from: answer.from,
        shown: Shown {
            sample,
            ttl: answer.ttl,
            labels: answer.label.into_iter().collect(),
        },
        rtt_us: answer.delay_us.into(),
    }
}
