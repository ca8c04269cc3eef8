//! The simulated Internet.

use std::ffi::OsString;

use anabranch_fakeroute::behaviour::Behaviour;
use anabranch_fakeroute::internet::{MAX_PREFIXES, MAX_VANTAGE_POINTS};
use anabranch_simulator::simulation::Plan;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

#[pyclass(frozen, module = "anabranch_engine")]
pub struct Simulation(Plan);

#[pymethods]
impl Simulation {
    #[new]
    #[pyo3(signature = (*, prefixes_v4, prefixes_v6, vantage_points, seed, hostile = false))]
    fn new(
        prefixes_v4: u32,
        prefixes_v6: u32,
        vantage_points: u32,
        seed: u64,
        hostile: bool,
    ) -> PyResult<Self> {
        let refuse = |reason: String| Err(PyValueError::new_err(reason));
        if prefixes_v4.max(prefixes_v6) > MAX_PREFIXES {
            return refuse(format!("at most {MAX_PREFIXES} prefixes of a family fit"));
        }
        if !(1..=MAX_VANTAGE_POINTS).contains(&vantage_points) {
            return refuse(format!(
                "there can be 1 to {MAX_VANTAGE_POINTS} vantage points"
            ));
        }
        let behaviour = if hostile {
            Behaviour::hostile()
        } else {
            Behaviour::default()
        };
        Ok(Self(Plan {
            prefixes_v4,
            prefixes_v6,
            vantage_points,
            seed,
            behaviour,
        }))
    }

    #[allow(clippy::needless_pass_by_value)] // what Python's list becomes
    fn run(&self, py: Python<'_>, command: Vec<OsString>) -> PyResult<(i32, u64, u64, u64)> {
        if command.is_empty() {
            return Err(PyValueError::new_err("there must be a command to run"));
        }
        let (code, counts) = py.detach(|| self.0.run(&command))?;
        Ok((code, counts.received, counts.replies, counts.lost))
    }
}
