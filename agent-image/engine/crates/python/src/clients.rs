//! Traces of clients, which are named as they come.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anabranch_exchange::alone::Alone;
use anabranch_exchange::netblock::find_netblock;
use anabranch_formats::record::Settings;
use anabranch_prober::control::Control;
use anabranch_prober::error::ProberError;
use anabranch_prober::tracecolumns::tabulate;
use anabranch_prober::traceoptions::TraceOptions;
use anabranch_prober::tracing;
use anabranch_prober::work::{Next, Probed, Protocol, Target, Trace, Work};
use anabranch_trace::sightings::Ask;
use anabranch_trace::tracer::End;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::controlled::{Controlled, gap};
use crate::prefixes::PrefixSet;
use crate::prober::{LOOK, translate};
use crate::rule::TraceParameters;
use crate::trace::tell_address;
use crate::tracing::{DESTINATION_PORT, FIRST_PORT};

/// What scamper says of the time that it waits for a reply where traces go by round-trip times.
const WAIT_S: u8 = 5;

/// A trace of a client that has ended.
#[pyclass(frozen, get_all, module = "anabranch_engine")]
pub struct ClientTrace {
    number: u32,
    began_us: u64,
    ended_us: u64,
    end: &'static str,
    refusal: Option<String>,
    probes: usize,
    replies: usize,
    hops: Vec<IpAddr>,
    text: Vec<u8>,
    first_hop: String,
}

#[pyclass(frozen, extends = Controlled, module = "anabranch_engine")]
pub struct ClientTracing {
    control: Arc<Control>,
    options: TraceOptions,
    alone: Alone,
    protocol: Protocol,
    ttls: (u8, u8),
    named: Mutex<Option<Sender<Target>>>,
    running: Mutex<Running>,
}

struct Running {
    ended: Receiver<Trace>,
    thread: Option<JoinHandle<Result<(), ProberError>>>,
}

/// The clients that are named, and who takes their traces.
struct Clients {
    named: Receiver<Target>,
    ended: Sender<Trace>,
    control: Arc<Control>,
}

impl Work for Clients {
    fn next(&mut self) -> Result<Next, ProberError> {
        Ok(match self.named.try_recv() {
            Ok(target) => Next::Trace(target),
            Err(TryRecvError::Empty) => Next::Wait,
            Err(TryRecvError::Disconnected) => Next::Nothing,
        })
    }

    fn hear(&mut self, _: &Target, _: Ask, _: u8, _: &Probed) {}

    fn end(&mut self, trace: Trace) -> Result<(), ProberError> {
        if self.ended.send(trace).is_err() {
            self.control.stop();
        }
        Ok(())
    }
}

#[pymethods]
impl ClientTracing {
    #[new]
    #[pyo3(signature = (
        parameters, *, protocol, min_ttl = 1, max_ttl = 255, rate, max_rate_per_prefix, forbidden,
        window, time_limit_s, confidence, hostname, hides_clients = false, network = None, interface = None,
        sources = Vec::new(), contact = ""
    ))]
    #[allow(clippy::too_many_arguments)] // each is an option of its own
    fn new(
        parameters: &TraceParameters,
        protocol: &str,
        min_ttl: u8,
        max_ttl: u8,
        rate: u32,
        max_rate_per_prefix: f64,
        forbidden: &PrefixSet,
        window: usize,
        time_limit_s: u32,
        confidence: u8,
        hostname: String,
        hides_clients: bool,
        network: Option<PathBuf>,
        interface: Option<String>,
        sources: Vec<IpAddr>,
        contact: &str,
    ) -> PyResult<PyClassInitializer<Self>> {
        let protocol = match protocol {
            "udp" => Protocol::Udp,
            "icmp" => Protocol::Icmp,
            other => {
                let reason = format!("{other:?} is no protocol; choose udp or icmp");
                return Err(PyValueError::new_err(reason));
            }
        };
        let parameters = parameters.core();
        let checked = parameters.rule(min_ttl, max_ttl);
        checked.map_err(PyValueError::new_err)?;
        let least = gap("max_rate_per_prefix", max_rate_per_prefix)?;
        let alone = Alone {
            hostname,
            settings: Settings {
                user_id: Some(0),
                tos: Some(0),
                first_ttl: Some(min_ttl),
                gap_limit: Some(parameters.gap_limit),
                attempts: Some(parameters.attempts),
                confidence: Some(confidence),
                max_probes: Some(parameters.max_probes),
                wait_us: Some(u64::from(parameters.wait_s.unwrap_or(WAIT_S)) * 1_000_000),
                wait_probe_us: Some(least.as_micros() as u64),
                ..Settings::default()
            },
            is_multipath: parameters.algorithm != "singlePath",
            hides_client: hides_clients,
        };
        let options = TraceOptions {
            network,
            interface,
            sources,
            contact: contact.to_owned(),
            parameters,
            first_port: FIRST_PORT,
            destination_port: DESTINATION_PORT,
            segment: None,
            time_limit: Some(Duration::from_secs(time_limit_s.into())),
            window,
            lookups: 1,
        };
        let controlled = Controlled::new(rate, least, forbidden, (min_ttl, max_ttl));
        let control = Arc::clone(&controlled.control);
        let (sender, named) = mpsc::channel();
        let (traced, ended) = mpsc::channel();
        let work = Clients {
            named,
            ended: traced,
            control: Arc::clone(&control),
        };
        let started = tracing::start(options.clone(), Arc::clone(&control), work);
        let thread = Some(started.map_err(translate)?);
        let tracing = Self {
            control,
            options,
            alone,
            protocol,
            ttls: (min_ttl, max_ttl),
            named: Mutex::new(Some(sender)),
            running: Mutex::new(Running { ended, thread }),
        };
        Ok(PyClassInitializer::from(controlled).add_subclass(tracing))
    }

    fn trace(&self, number: u32, client: IpAddr) -> PyResult<()> {
        let named = lock(&self.named);
        let target = Target {
            number: number.into(),
            destination: client,
            protocol: self.protocol,
            ttls: self.ttls,
        };
        let taken = named.as_ref().is_some_and(|to| to.send(target).is_ok());
        let reason = || PyRuntimeError::new_err("it has stopped, and traces nobody any more");
        taken.then_some(()).ok_or_else(reason)
    }

    fn take(&self, py: Python<'_>, timeout_s: f64) -> PyResult<Vec<ClientTrace>> {
        let timeout = Duration::try_from_secs_f64(timeout_s)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let until = Instant::now() + timeout;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let (ended, is_over) = py.detach(|| self.wait(left.min(LOOK)));
            if is_over {
                py.detach(|| self.join()).map_err(translate)?;
            }
            if !ended.is_empty() || is_over || left.is_zero() {
                return py.detach(|| ended.into_iter().map(|trace| self.tell(trace)).collect());
            }
            py.check_signals()?;
        }
    }

    fn stop(&self) {
        self.control.stop();
        drop(lock(&self.named).take());
    }
}

impl ClientTracing {
    /// Waits for traces; returns those that have ended, and whether there will be no more.
    fn wait(&self, timeout: Duration) -> (Vec<Trace>, bool) {
        let running = lock(&self.running);
        let first = running.ended.recv_timeout(timeout);
        let is_over = matches!(first, Err(RecvTimeoutError::Disconnected));
        let ended = first.into_iter().chain(running.ended.try_iter());
        (ended.collect(), is_over)
    }

    /// Returns the error that has ended the thread, if one has.
    fn join(&self) -> Result<(), ProberError> {
        let thread = lock(&self.running).thread.take();
        thread.map_or(Ok(()), |thread| {
            let outcome = thread.join();
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Returns the addresses that have replied, but for those of a client that is hidden.
    fn list_hops(&self, trace: &Trace) -> Vec<IpAddr> {
        let block = find_netblock(trace.target.destination);
        let replies = trace.probes.values().filter_map(|probed| probed.reply);
        let from = replies.map(|heard| tell_address(heard.reply.probe.family, heard.reply.from));
        let shown = from.filter(|from| !self.alone.hides_client || find_netblock(*from) != block);
        shown.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn tell(&self, trace: Trace) -> PyResult<ClientTrace> {
        let number = u32::try_from(trace.target.number).unwrap_or(u32::MAX);
        let (began_us, ended_us) = trace.span_us;
        let refusal = trace.refusal.as_ref();
        let told = ClientTrace {
            number,
            began_us,
            ended_us,
            end: trace.tracer.end().map_or("stopped", End::name),
            refusal: refusal.map(|refusal| refusal.reason().to_owned()),
            probes: trace.probes.len(),
            replies: (trace.probes.values())
                .filter(|probed| probed.reply.is_some())
                .count(),
            hops: Vec::new(),
            text: Vec::new(),
            first_hop: String::new(),
        };
        if told.probes == 0 || trace.tracer.end() == Some(End::TimeLimit) {
            return Ok(told);
        }
        let refuse = |error: String| PyValueError::new_err(error);
        let hops = self.list_hops(&trace);
        let rows = tabulate(trace, number, &self.options).map_err(|it| refuse(it.to_string()))?;
        let written = self.alone.write(&rows, (began_us, ended_us));
        let written = written.map_err(|error| refuse(error.to_string()))?;
        Ok(ClientTrace {
            hops,
            text: written.lines,
            first_hop: written.first_hop,
            ..told
        })
    }
}

impl Drop for ClientTracing {
    fn drop(&mut self) {
        self.control.stop();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
