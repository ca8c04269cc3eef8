//! Trials of multipath algorithms on a topology, in the process.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anabranch_fakeroute::topology::Topology;
use anabranch_fakeroute::trial::Trial as Inner;
use anabranch_trace::diamond::Diamond as Measured;
use anabranch_trace::rule::Rule;
use anabranch_trace::stopping;
use pyo3::prelude::*;

use crate::rule::read_rule;
use crate::topologies::read_topology;
use crate::trace::tell_address;

/// A topology's file, or the seed that one of a single diamond is drawn from.
#[derive(FromPyObject)]
enum Drawn {
    Seed(u64),
    File(PathBuf),
}

/// What distinguishes a diamond.
#[pyclass(frozen, get_all, module = "anabranch_engine")]
pub struct Diamond {
    max_width: usize,
    max_length: usize,
    width_asymmetry: usize,
    meshed_ratio: f64,
    probability_difference: f64,
}

impl Diamond {
    fn new(diamond: &Measured) -> Self {
        Self {
            max_width: diamond.max_width(),
            max_length: diamond.max_length(),
            width_asymmetry: diamond.width_asymmetry(),
            meshed_ratio: diamond.meshed_ratio(),
            probability_difference: diamond.probability_difference(),
        }
    }
}

#[pyclass(module = "anabranch_engine")]
pub struct Trial {
    trial: Inner,
    rule: Arc<Rule>,
}

#[pymethods]
impl Trial {
    #[new]
    #[allow(clippy::needless_pass_by_value)] // what a path becomes
    #[pyo3(signature = (topology, *, algorithm, failure_probability, phi, seed))]
    fn new(
        topology: Drawn,
        algorithm: &str,
        failure_probability: f64,
        phi: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let rule = read_rule(algorithm, failure_probability, phi)?;
        Ok(Self {
            trial: Inner::new(
                match topology {
                    Drawn::File(file) => read_topology(&file)?,
                    Drawn::Seed(seed) => Topology::draw(seed),
                },
                seed,
            ),
            rule: Arc::new(rule),
        })
    }

    #[getter]
    fn vertices(&self) -> usize {
        self.trial.vertices()
    }

    #[getter]
    fn edges(&self) -> usize {
        self.trial.edges()
    }

    #[getter]
    fn links(&self) -> Vec<(IpAddr, IpAddr)> {
        let family = self.trial.topology().family();
        let address = |number| tell_address(family, number);
        let links = self.trial.links();
        links
            .map(|(near, far)| (address(near), address(far)))
            .collect()
    }

    #[getter]
    fn diamonds(&self) -> Option<Vec<Diamond>> {
        let diamonds = self.trial.topology().measure_diamonds()?;
        Some(diamonds.iter().map(Diamond::new).collect())
    }

    #[getter]
    fn predicted(&self) -> Option<f64> {
        self.trial.predict_failure(&self.rule.points)
    }

    fn run(&mut self, py: Python<'_>, first: u32, runs: u32) -> Sample {
        py.detach(|| {
            let mut sample = Sample::default();
            for number in first..first.saturating_add(runs) {
                let run = self.trial.run(&self.rule, number);
                sample.failures += u32::from(!run.is_exact);
                sample.probes += u64::from(run.tracer.probes());
                sample.vertices += run.vertices as u64;
                sample.edges += run.edges as u64;
                if let Some((_, switch)) = run.tracer.switch() {
                    *sample.switches.entry(switch.name()).or_default() += 1;
                }
            }
            sample
        })
    }

    #[staticmethod]
    fn share_failure(failure_probability: f64, branching: u32) -> f64 {
        stopping::share_failure(failure_probability, branching)
    }
}

/// Sums over some runs.
#[pyclass(frozen, get_all, module = "anabranch_engine")]
#[derive(Default)]
pub struct Sample {
    failures: u32,
    probes: u64,
    vertices: u64,
    edges: u64,
    switches: BTreeMap<&'static str, u32>,
}
