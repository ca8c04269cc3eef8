//! What those who send probes count.

use anabranch_prober::control::Counts;
use pyo3::prelude::*;

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
