//! What traces found.

use std::net::IpAddr;

use anabranch_aliases::evidence::Test;
use anabranch_aliases::resolver::Resolver;
use anabranch_aliases::routers::find_routers;
use anabranch_aliases::sounding::Evidence;
use anabranch_prefixes::{Family, Prefix, number_of};
use anabranch_prober::work::{self, Heard, Probed};
use anabranch_trace::lite::Switch;
use anabranch_trace::sightings::{Ask, Link, Vertex};
use anabranch_trace::tracer::End;
use pyo3::prelude::*;

/// A reply to a probe.
#[pyclass(frozen, get_all, module = "anabranch_engine")]
pub struct Reply {
    source: IpAddr,
    at_us: u64,
    rtt_us: u64,
    protocol: u8,
    kind: u8,
    code: u8,
    is_end: bool,
    ttl: u8,
    tos: u8,
    identification: u16,
    size: u16,
    quoted_ttl: u8,
    quoted_tos: u8,
    quoted_length: u16,
    rewritten: u8,
    labels: Vec<(u32, u8, u8, u8)>,
}

/// A probe that was sent.
#[pyclass(frozen, get_all, module = "anabranch_engine")]
pub struct Probe {
    destination: IpAddr,
    flow: u16,
    ttl: u8,
    attempt: u8,
    sent_us: u64,
    reply: Option<Py<Reply>>,
}

/// A trace that has ended.
#[pyclass(frozen, get_all, module = "anabranch_engine")]
pub struct Trace {
    destination: IpAddr,
    interface: Option<String>,
    source: Option<IpAddr>,
    gateway: Option<IpAddr>,
    began_us: u64,
    ended_us: u64,
    end: &'static str,
    switch: Option<(u8, &'static str)>,
    /// Numbers of eight bits would become `bytes`.
    unsteady: Vec<u32>,
    gone: Vec<u32>,
    refusal: Option<String>,
    probes: Vec<Py<Probe>>,
    links: Vec<(u8, Option<IpAddr>, Option<IpAddr>)>,
    aliases: Option<Vec<Py<AliasPair>>>,
    routers: Vec<Vec<IpAddr>>,
    alias_probes: u32,
}

/// What alias resolution says of two addresses.
#[pyclass(frozen, get_all, module = "anabranch_engine")]
pub struct AliasPair {
    ttl: u8,
    first: IpAddr,
    second: IpAddr,
    verdict: &'static str,
    test: Option<&'static str>,
    round: u8,
}

impl Probe {
    pub(crate) fn new(
        py: Python<'_>,
        destination: IpAddr,
        ask: Ask,
        attempt: u8,
        probed: &Probed,
    ) -> PyResult<Self> {
        let reply = probed.reply.map(|heard| Py::new(py, Reply::new(&heard)));
        Ok(Self {
            destination,
            flow: ask.flow,
            ttl: ask.ttl,
            attempt,
            sent_us: probed.sent.unix_us,
            reply: reply.transpose()?,
        })
    }
}

impl Reply {
    fn new(heard: &Heard) -> Self {
        let reply = &heard.reply;
        Self {
            source: tell_address(reply.probe.family, reply.from),
            at_us: heard.at_us,
            rtt_us: heard.rtt_us,
            protocol: reply.protocol,
            kind: reply.kind,
            code: reply.code,
            is_end: !work::tell_vertex(reply).leads_on(),
            ttl: reply.ttl,
            tos: reply.tos,
            identification: reply.identification,
            size: reply.size,
            quoted_ttl: reply.quoted.ttl,
            quoted_tos: reply.quoted.tos,
            quoted_length: reply.quoted.length,
            rewritten: reply.quoted.rewritten.bits(),
            labels: reply.labels.iter().collect(),
        }
    }
}

impl Trace {
    pub(crate) fn new(py: Python<'_>, trace: &work::Trace) -> PyResult<Self> {
        let destination = trace.target.destination;
        let (family, _) = number_of(destination);
        let address = |vertex| match vertex {
            Vertex::Router(number) | Vertex::End(number) => Some(tell_address(family, number)),
            Vertex::Silent => None,
        };
        let probes = trace.probes.iter().map(|((ask, attempt), probed)| {
            Py::new(py, Probe::new(py, destination, *ask, *attempt, probed)?)
        });
        let seen = trace.tracer.seen();
        let links = seen.links();
        // One address at two hops in a row is no link: that has two ends.
        let returns = |link: &&Link| {
            let near = link.near.and_then(address);
            near.is_some() && near == address(link.far)
        };
        let links = links.iter().filter(|link| !returns(link)).map(|link| {
            (
                link.near_ttl,
                link.near.and_then(address),
                address(link.far),
            )
        });
        let way = trace.way.as_ref();
        let aliases = trace.resolver.as_ref().map(|resolver| {
            let pairs = resolver.evidence();
            let told = pairs.map(|evidence| Py::new(py, AliasPair::new(family, &evidence)));
            told.collect::<PyResult<_>>()
        });
        Ok(Self {
            destination,
            interface: way.map(|way| way.link.clone()),
            source: way.map(|way| way.source),
            gateway: way.and_then(|way| way.gateway),
            began_us: trace.span_us.0,
            ended_us: trace.span_us.1,
            end: trace.tracer.end().map_or("stopped", End::name),
            switch: (trace.tracer.switch()).map(|(ttl, switch)| (ttl, Switch::name(switch))),
            unsteady: (1..=seen.last_ttl())
                .filter(|ttl| seen.hop(*ttl).is_unsteady())
                .map(u32::from)
                .collect(),
            gone: seen.gone_ttls().map(u32::from).collect(),
            refusal: (trace.refusal.as_ref()).map(|refusal| refusal.reason().to_owned()),
            probes: probes.collect::<PyResult<_>>()?,
            links: links.collect(),
            aliases: aliases.transpose()?,
            routers: trace
                .resolver
                .as_ref()
                .map_or_else(Vec::new, |resolver| list_routers(family, resolver)),
            alias_probes: trace.soundings.0,
        })
    }
}

/// Returns the addresses of each router that has several, but for those in conflict.
fn list_routers(family: Family, resolver: &Resolver) -> Vec<Vec<IpAddr>> {
    let pairs = resolver
        .evidence()
        .map(|pair| (pair.first, pair.second, pair.finding.verdict));
    let found = find_routers(&pairs.collect::<Vec<_>>());
    let sound = found.iter().filter(|router| router.conflicts.is_empty());
    let told = sound.map(|router| {
        let addresses = router.addresses.iter();
        addresses.map(|each| tell_address(family, *each)).collect()
    });
    told.collect()
}

impl AliasPair {
    fn new(family: Family, evidence: &Evidence) -> Self {
        Self {
            ttl: evidence.ttl,
            first: tell_address(family, evidence.first),
            second: tell_address(family, evidence.second),
            verdict: evidence.finding.verdict.name(),
            test: evidence.finding.test.map(Test::name),
            round: evidence.round,
        }
    }
}

pub(crate) fn tell_address(family: Family, number: u128) -> IpAddr {
    Prefix::containing(family, number, family.bits()).address()
}
