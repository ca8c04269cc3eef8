//! What is told to those who send probes while they do: rates, limits, an end.

use std::sync::Arc;
use std::time::Duration;

use anabranch_prober::control::{Control, Limits};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::prefixes::PrefixSet;
use crate::statistics::Statistics;

#[pyclass(frozen, subclass, module = "anabranch_engine")]
pub struct Controlled {
    pub(crate) control: Arc<Control>,
}

#[pymethods]
impl Controlled {
    fn stop(&self) {
        self.control.stop();
    }

    #[getter]
    fn is_silent(&self) -> bool {
        self.control.is_silent()
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

    #[getter]
    fn statistics(&self) -> Statistics {
        self.control.counts().into()
    }
}

impl Controlled {
    /// Makes what controls a sender: its rate, the time from one probe to a prefix to the next, the
    /// addresses that it does not probe, and its lowest and highest TTL.
    pub(crate) fn new(rate: u32, gap: Duration, forbidden: &PrefixSet, ttls: (u8, u8)) -> Self {
        let limits = Limits {
            forbidden: forbidden.0.clone(),
            min_ttl: ttls.0,
            max_ttl: ttls.1,
        };
        Self {
            control: Arc::new(Control::new(rate, gap, limits)),
        }
    }
}

/// Returns the time from one probe to the next, for a rate in probes a second.
pub(crate) fn gap(name: &str, rate: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(rate.recip())
        .ok()
        .filter(|_| rate > 0.0)
        .ok_or_else(|| PyValueError::new_err(format!("{name} must be above 0, not {rate}")))
}
