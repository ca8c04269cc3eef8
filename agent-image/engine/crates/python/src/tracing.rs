//! Traces of destinations, with packets.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anabranch_aliases::evidence::Test;
use anabranch_aliases::resolver::Resolver;
use anabranch_aliases::routers::find_routers;
use anabranch_aliases::sounding::Evidence;
use anabranch_prefixes::{Family, Prefix, number_of};
use anabranch_prober::control::Control;
use anabranch_prober::error::ProberError;
use anabranch_prober::traceoptions::TraceOptions;
use anabranch_prober::tracing;
use anabranch_prober::work::{self as core, Heard, Next, Probed, Protocol, Target, Work};
use anabranch_trace::lite::Switch;
use anabranch_trace::parameters::Parameters;
use anabranch_trace::sightings::{Ask, Link, Vertex};
use anabranch_trace::tracer::End;
use anabranch_wire::probe::Segment;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::controlled::{Controlled, gap};
use crate::prefixes::PrefixSet;
use crate::prober::{LOOK, translate};

/// The source port of flow 0.
pub(crate) const FIRST_PORT: u16 = 24_000;
pub(crate) const DESTINATION_PORT: u16 = 33_434;

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

/// What the thread that traces tells.
enum Event {
    Heard(IpAddr, Ask, u8, Probed),
    Ended(Box<core::Trace>),
}

#[pyclass(frozen, extends = Controlled, module = "anabranch_engine")]
pub struct Tracing {
    control: Arc<Control>,
    running: Mutex<Option<Running>>,
}

struct Running {
    events: Receiver<Event>,
    /// The traces that have begun and were not read yet.
    open: Arc<AtomicUsize>,
    thread: JoinHandle<Result<(), ProberError>>,
}

/// The destinations that are left, and who is told.
struct Destinations {
    left: std::vec::IntoIter<IpAddr>,
    protocol: Protocol,
    ttls: (u8, u8),
    is_live: bool,
    events: Sender<Event>,
    /// The traces that have begun and were not read yet.
    open: Arc<AtomicUsize>,
    /// The most of them: a trace takes memory until it is read.
    window: usize,
    control: Arc<Control>,
}

impl Destinations {
    /// Tells the reader an event. If the reader is gone, nobody wants to know more.
    fn tell(&self, event: Event) {
        if self.events.send(event).is_err() {
            self.control.stop();
        }
    }
}

impl Work for Destinations {
    fn next(&mut self) -> Result<Next, ProberError> {
        if self.open.load(Ordering::Relaxed) >= self.window {
            return Ok(Next::Wait);
        }
        let next = self.left.next();
        Ok(next.map_or(Next::Nothing, |destination| {
            self.open.fetch_add(1, Ordering::Relaxed);
            Next::Trace(Target {
                number: 0,
                destination,
                protocol: self.protocol,
                ttls: self.ttls,
            })
        }))
    }

    fn hear(&mut self, target: &Target, ask: Ask, attempt: u8, probed: &Probed) {
        if self.is_live {
            self.tell(Event::Heard(target.destination, ask, attempt, *probed));
        }
    }

    fn end(&mut self, trace: core::Trace) -> Result<(), ProberError> {
        self.tell(Event::Ended(Box::new(trace)));
        Ok(())
    }
}

#[pymethods]
impl Tracing {
    #[new]
    #[pyo3(signature = (
        destinations, *, algorithm, failure_probability, phi = 2, per_packet_test = true, protocol = "udp", first_ttl = 1,
        max_ttl = 32, gap_limit = 5, attempts = 3, max_probes = 30_000, wait_s = None, alias_rounds = None, rate,
        max_rate_per_destination, forbidden, window = 1_000, live = false, network = None,
        interface = None, sources = Vec::new(), contact = ""
    ))]
    #[allow(clippy::too_many_arguments)] // each is an option of its own
    fn new(
        destinations: Vec<IpAddr>,
        algorithm: &str,
        failure_probability: f64,
        phi: usize,
        per_packet_test: bool,
        protocol: &str,
        first_ttl: u8,
        max_ttl: u8,
        gap_limit: u8,
        attempts: u8,
        max_probes: u32,
        wait_s: Option<u8>,
        alias_rounds: Option<u8>,
        rate: u32,
        max_rate_per_destination: f64,
        forbidden: &PrefixSet,
        window: usize,
        live: bool,
        network: Option<PathBuf>,
        interface: Option<String>,
        sources: Vec<IpAddr>,
        contact: &str,
    ) -> PyResult<PyClassInitializer<Self>> {
        if window == 0 {
            return Err(PyValueError::new_err("window must be 1 or more"));
        }
        let parameters = Parameters {
            algorithm: algorithm.to_owned(),
            phi,
            failure_probability,
            per_packet_test,
            gap_limit,
            attempts,
            max_probes,
            wait_s,
            alias_rounds,
        };
        let checked = parameters.rule(first_ttl, max_ttl);
        checked.map_err(PyValueError::new_err)?;
        let (protocol, segment) = match protocol {
            "udp" => (Protocol::Udp, None),
            "icmp" => (Protocol::Icmp, None),
            "tcpSyn" => (Protocol::Tcp, Some(Segment::Syn)),
            "tcpAck" => (Protocol::Tcp, Some(Segment::Ack)),
            other => {
                let reason =
                    format!("{other:?} is no protocol; choose udp, icmp, tcpSyn or tcpAck");
                return Err(PyValueError::new_err(reason));
            }
        };
        let options = TraceOptions {
            network,
            interface,
            sources,
            contact: contact.to_owned(),
            parameters,
            first_port: FIRST_PORT,
            destination_port: DESTINATION_PORT,
            segment,
            time_limit: None,
            window,
            lookups: 1,
        };
        let mut seen: Vec<_> = destinations.iter().map(|each| number_of(*each)).collect();
        seen.sort_unstable();
        if let Some(pair) = seen.windows(2).find(|pair| pair[0] == pair[1]) {
            let twice = tell_address(pair[0].0, pair[0].1);
            let reason = format!("{twice} is a destination twice; name each once");
            return Err(PyValueError::new_err(reason));
        }
        let gap = gap("max_rate_per_destination", max_rate_per_destination)?;
        let controlled = Controlled::new(rate, gap, forbidden, (first_ttl, max_ttl));
        let control = Arc::clone(&controlled.control);
        let (sender, events) = mpsc::channel();
        let open = Arc::new(AtomicUsize::new(0));
        let work = Destinations {
            left: destinations.into_iter(),
            protocol,
            ttls: (first_ttl, max_ttl),
            is_live: live,
            events: sender,
            open: Arc::clone(&open),
            window,
            control: Arc::clone(&control),
        };
        let thread = tracing::start(options, Arc::clone(&control), work).map_err(translate)?;
        let tracing = Self {
            control,
            running: Mutex::new(Some(Running {
                events,
                open,
                thread,
            })),
        };
        Ok(PyClassInitializer::from(controlled).add_subclass(tracing))
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let place = || self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut running) = place().take() else {
            return Ok(None);
        };
        loop {
            let event;
            (running, event) = py.detach(move || {
                let event = running.events.recv_timeout(LOOK);
                (running, event)
            });
            let told = match event {
                Err(RecvTimeoutError::Disconnected) => {
                    let outcome = py.detach(|| running.thread.join());
                    let outcome = outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                    return outcome.map(|()| None).map_err(translate);
                }
                Err(RecvTimeoutError::Timeout) => py.check_signals().map(|()| None),
                Ok(Event::Heard(destination, ask, attempt, probed)) => {
                    Probe::new(py, destination, ask, attempt, &probed)
                        .and_then(|probe| Ok(Some(Py::new(py, probe)?.into_any())))
                }
                Ok(Event::Ended(trace)) => {
                    running.open.fetch_sub(1, Ordering::Relaxed);
                    Trace::new(py, &trace)
                        .and_then(|trace| Ok(Some(Py::new(py, trace)?.into_any())))
                }
            };
            if !matches!(told, Ok(None)) {
                *place() = Some(running);
                return told;
            }
        }
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        self.control.stop();
    }
}

impl Probe {
    fn new(
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
            is_end: !core::tell_vertex(reply).leads_on(),
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
    fn new(py: Python<'_>, trace: &core::Trace) -> PyResult<Self> {
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
