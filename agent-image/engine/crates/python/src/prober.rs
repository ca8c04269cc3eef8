//! Probers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anabranch_prober::control::{Control, Counts, Limits};
use anabranch_prober::options::Options;
use anabranch_prober::part::read_tail;
use anabranch_prober::prober::{Prober as Core, ProberError};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::plan::{Plan, raise};
use crate::prefixes::PrefixSet;

/// The time between two looks for signals and for the end.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// The counts of a prober since it started.
#[pyclass(frozen, eq, get_all, module = "anabranch_engine")]
#[derive(PartialEq)]
pub struct Statistics {
    sent: u64,
    unsent: u64,
    forbidden: u64,
    unroutable: u64,
    replies: u64,
    foreign: u64,
    forged: u64,
    unplanned: u64,
    late: u64,
    excess: u64,
    dropped: u64,
    stalled_us: u64,
    traced: u64,
    further: u64,
}

#[pymethods]
impl Statistics {
    fn __repr__(&self) -> String {
        format!(
            "Statistics(sent={}, unsent={}, forbidden={}, unroutable={}, replies={}, foreign={}, \
             forged={}, unplanned={}, late={}, excess={}, dropped={}, stalled_us={}, traced={}, \
             further={})",
            self.sent,
            self.unsent,
            self.forbidden,
            self.unroutable,
            self.replies,
            self.foreign,
            self.forged,
            self.unplanned,
            self.late,
            self.excess,
            self.dropped,
            self.stalled_us,
            self.traced,
            self.further
        )
    }
}

impl From<Counts> for Statistics {
    fn from(counts: Counts) -> Self {
        Self {
            sent: counts.sent,
            unsent: counts.unsent,
            forbidden: counts.forbidden,
            unroutable: counts.unroutable,
            replies: counts.replies,
            foreign: counts.foreign,
            forged: counts.forged,
            unplanned: counts.unplanned,
            late: counts.late,
            excess: counts.excess,
            dropped: counts.dropped,
            stalled_us: counts.stalled_us,
            traced: counts.traced,
            further: counts.further,
        }
    }
}

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

#[pyclass(frozen, module = "anabranch_engine")]
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
    ) -> PyResult<Self> {
        let limits = Limits {
            forbidden: forbidden.0.clone(),
            min_ttl,
            max_ttl,
        };
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
        Ok(Self {
            control: Arc::new(Control::new(rate, gap, limits)),
            options: Mutex::new(Some(options)),
        })
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

    fn stop(&self) {
        self.control.stop();
    }

    #[getter]
    fn is_silent(&self) -> bool {
        self.control.is_silent()
    }

    #[getter]
    fn is_ending(&self) -> bool {
        self.control.is_ending()
    }

    fn set_rate(&self, rate: u32) {
        self.control.set_rate(rate);
    }

    fn set_max_rate_per_prefix(&self, rate: f64) -> PyResult<()> {
        self.control.set_prefix_gap(gap("rate", rate)?);
        Ok(())
    }

    fn forbid(&self, forbidden: &PrefixSet) {
        self.control.forbid(forbidden.0.clone());
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

/// Returns the time from one probe to the next, for a rate in probes a second.
pub(crate) fn gap(name: &str, rate: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(rate.recip())
        .ok()
        .filter(|_| rate > 0.0)
        .ok_or_else(|| PyValueError::new_err(format!("{name} must be above 0, not {rate}")))
}

pub(crate) fn translate(error: ProberError) -> PyErr {
    match error {
        ProberError::Plan { path, error } => raise(&path, error),
        ProberError::Option(reason) => PyValueError::new_err(reason),
        ProberError::Io(error) => error.into(),
    }
}
