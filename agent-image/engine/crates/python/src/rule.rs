//! The rules of traces and trials, from Python's words.

use anabranch_trace::parameters::{Parameters, check_failure_probability};
use anabranch_trace::rule::{Algorithm, Rule};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Reads a rule with the usual bounds; the failure probability is that of a vertex.
pub(crate) fn read_rule(algorithm: &str, failure_probability: f64, phi: usize) -> PyResult<Rule> {
    let algorithm = Algorithm::read(algorithm, phi).map_err(PyValueError::new_err)?;
    check_failure_probability(failure_probability).map_err(PyValueError::new_err)?;
    Ok(Rule::new(algorithm, failure_probability))
}

/// How the targets of a plan are traced.
#[pyclass(frozen, eq, get_all, module = "anabranch_engine")]
#[derive(PartialEq)]
pub struct TraceParameters {
    algorithm: String,
    failure_probability: f64,
    phi: usize,
    per_packet_test: bool,
    gap_limit: u8,
    attempts: u8,
    max_probes: u32,
    wait_s: Option<u8>,
    alias_rounds: Option<u8>,
}

#[pymethods]
impl TraceParameters {
    #[new]
    #[pyo3(signature = (
        *, algorithm, failure_probability, phi = 2, per_packet_test = true, gap_limit = 5,
        attempts = 3, max_probes = 30_000, wait_s = None, alias_rounds = None
    ))]
    #[allow(clippy::too_many_arguments)] // each is a parameter of its own
    fn new(
        algorithm: String,
        failure_probability: f64,
        phi: usize,
        per_packet_test: bool,
        gap_limit: u8,
        attempts: u8,
        max_probes: u32,
        wait_s: Option<u8>,
        alias_rounds: Option<u8>,
    ) -> PyResult<Self> {
        let parameters = Self {
            algorithm,
            failure_probability,
            phi,
            per_packet_test,
            gap_limit,
            attempts,
            max_probes,
            wait_s,
            alias_rounds,
        };
        let checked = parameters.core().rule(1, 1);
        checked.map_err(PyValueError::new_err)?;
        Ok(parameters)
    }
}

impl TraceParameters {
    /// Returns the parameters as the engine has them.
    pub fn core(&self) -> Parameters {
        Parameters {
            algorithm: self.algorithm.clone(),
            phi: self.phi,
            failure_probability: self.failure_probability,
            per_packet_test: self.per_packet_test,
            gap_limit: self.gap_limit,
            attempts: self.attempts,
            max_probes: self.max_probes,
            wait_s: self.wait_s,
            alias_rounds: self.alias_rounds,
        }
    }
}
