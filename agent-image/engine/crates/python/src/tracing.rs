//! Traces of destinations, with packets.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anabranch_prefixes::number_of;
use anabranch_prober::control::Control;
use anabranch_prober::error::ProberError;
use anabranch_prober::traceoptions::TraceOptions;
use anabranch_prober::tracing;
use anabranch_prober::work::{self, Next, Probed, Protocol, Target, Work};
use anabranch_trace::parameters::Parameters;
use anabranch_trace::sightings::Ask;
use anabranch_wire::probe::Segment;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::controlled::{Controlled, gap};
use crate::prefixes::PrefixSet;
use crate::prober::{LOOK, translate};
use crate::trace::{Probe, Trace, tell_address};

/// The source port of flow 0.
pub(crate) const FIRST_PORT: u16 = 24_000;
pub(crate) const DESTINATION_PORT: u16 = 33_434;

/// What the thread that traces tells.
enum Event {
    Heard(IpAddr, Ask, u8, Probed),
    Ended(Box<work::Trace>),
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

    fn end(&mut self, trace: work::Trace) -> Result<(), ProberError> {
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
