//! Probers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anabranch_prober::control::Control;
use anabranch_prober::error::ProberError;
use anabranch_prober::options::Options;
use anabranch_prober::part::read_tail;
use anabranch_prober::prober::Prober as Core;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::controlled::{Controlled, gap};
use crate::plan::{Plan, raise};
use crate::prefixes::PrefixSet;
use crate::statistics::Statistics;

/// The time between two looks for signals and for the end.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// The description of a reply part.
#[pyclass(frozen, get_all, module = "anabranch_engine")]
pub struct Part {
    block: u32,
    start: u64,
    end: u64,
    probes: u64,
    replies: u64,
    traced: u64,
    sender: String,
    hand_out: u32,
    counts: Py<Statistics>,
}

#[pymethods]
impl Part {
    #[staticmethod]
    fn read(py: Python<'_>, tail: Vec<u8>) -> PyResult<Self> {
        let (head, replies) = read_tail(tail)
            .map_err(|reason| PyValueError::new_err(format!("this is no reply part: {reason}")))?;
        Ok(Self {
            block: head.block,
            start: head.start,
            end: head.end,
            probes: head.probes,
            replies,
            traced: head.traced,
            sender: head.sender,
            hand_out: head.hand_out,
            counts: Py::new(py, Statistics::from(head.counts))?,
        })
    }
}

#[pyclass(frozen, extends = Controlled, module = "anabranch_engine")]
pub struct Prober {
    control: Arc<Control>,
    options: Mutex<Option<Options>>,
}

#[pymethods]
impl Prober {
    #[new]
    #[pyo3(signature = (
        plan, parts, *, network = None, order, round_number, rate, max_rate_per_prefix, forbidden, min_ttl = 1,
        max_ttl = 255, blocks = Vec::new(), sender = "", hand_out = 0, begin = HashMap::new(), wait_seconds = 5.0, part_probes = 524_288,
        part_seconds = 60.0, interface = None, sources = Vec::new(), contact = ""
    ))]
    #[allow(clippy::too_many_arguments)] // each is an option of its own
    fn new(
        plan: &Plan,
        parts: PathBuf,
        network: Option<PathBuf>,
        order: String,
        round_number: u8,
        rate: u32,
        max_rate_per_prefix: f64,
        forbidden: &PrefixSet,
        min_ttl: u8,
        max_ttl: u8,
        blocks: Vec<u32>,
        sender: &str,
        hand_out: u32,
        begin: HashMap<u32, u64>,
        wait_seconds: f64,
        part_probes: u64,
        part_seconds: f64,
        interface: Option<String>,
        sources: Vec<IpAddr>,
        contact: &str,
    ) -> PyResult<PyClassInitializer<Self>> {
        let options = Options {
            network,
            plan: plan.path().clone(),
            parts,
            blocks,
            sender: sender.to_owned(),
            hand_out,
            begin,
            order,
            round: round_number,
            wait: seconds("wait_seconds", wait_seconds)?,
            part_probes,
            part_time: seconds("part_seconds", part_seconds)?,
            interface,
            sources,
            contact: contact.to_owned(),
        };
        let gap = gap("max_rate_per_prefix", max_rate_per_prefix)?;
        let controlled = Controlled::new(rate, gap, forbidden, (min_ttl, max_ttl));
        let prober = Self {
            control: Arc::clone(&controlled.control),
            options: Mutex::new(Some(options)),
        };
        Ok(PyClassInitializer::from(controlled).add_subclass(prober))
    }

    #[pyo3(signature = (progress = None, every_seconds = 1.0))]
    fn run(
        &self,
        py: Python<'_>,
        progress: Option<&Bound<'_, PyAny>>,
        every_seconds: f64,
    ) -> PyResult<Statistics> {
        let every = seconds("every_seconds", every_seconds)?;
        let options = self
            .options
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let options = options.ok_or_else(|| PyRuntimeError::new_err("a prober runs once"))?;
        let control = Arc::clone(&self.control);
        let running = Core::start(options, control).map_err(translate)?;
        let watched = self.watch(py, &running, progress, every);
        if watched.is_err() {
            self.control.stop();
        }
        let counts = py.detach(|| running.wait()).map_err(translate);
        watched?;
        Ok(counts?.into())
    }

    #[getter]
    fn is_ending(&self) -> bool {
        self.control.is_ending()
    }
}

impl Prober {
    /// Waits for the end, and reports progress. Returns the first error of the callback or of a
    /// signal handler.
    fn watch(
        &self,
        py: Python<'_>,
        running: &Core,
        progress: Option<&Bound<'_, PyAny>>,
        every: Duration,
    ) -> PyResult<()> {
        let mut told = Instant::now();
        while !running.has_ended() {
            py.detach(|| sleep(LOOK));
            py.check_signals()?;
            if let Some(progress) = progress.filter(|_| told.elapsed() >= every) {
                told = Instant::now();
                progress.call1((Statistics::from(self.control.counts()),))?;
            }
        }
        Ok(())
    }
}

fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|_| {
        PyValueError::new_err(format!("{name} must be a time in seconds, not {value}"))
    })
}

pub(crate) fn translate(error: ProberError) -> PyErr {
    match error {
        ProberError::Plan { path, error } => raise(&path, error),
        ProberError::Option(reason) => PyValueError::new_err(reason),
        ProberError::Io(error) => error.into(),
    }
}
