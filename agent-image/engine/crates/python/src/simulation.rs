//! The simulated Internet.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use anabranch_fakeroute::behaviour::{Behaviour, SWITCHES};
use anabranch_fakeroute::internet::{MAX_PREFIXES, MAX_VANTAGE_POINTS};
use anabranch_fakeroute::network::{Asks, Network, Probe};
use anabranch_prefixes::Family;
use anabranch_simulator::simulation::Plan;
use anabranch_simulator::truth::write_truth;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

#[pyclass(frozen, module = "anabranch_engine")]
pub struct Simulation {
    plan: Plan,
    /// What the truth is told of; each run has its own, which it changes.
    network: Network,
}

#[pymethods]
impl Simulation {
    #[new]
    #[pyo3(signature = (*, prefixes_v4, prefixes_v6, vantage_points, seed, switches))]
    fn new(
        prefixes_v4: u32,
        prefixes_v6: u32,
        vantage_points: u32,
        seed: u64,
        switches: BTreeMap<String, f64>,
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
        let mut behaviour = Behaviour::default();
        for (name, value) in switches {
            if let Err(error) = behaviour.set(&name, value) {
                return refuse(error.to_string());
            }
        }
        let plan = Plan {
            prefixes_v4,
            prefixes_v6,
            vantage_points,
            seed,
            behaviour,
        };
        let network = plan.build();
        Ok(Self { plan, network })
    }

    /// Name, help, default, hostile value.
    #[staticmethod]
    fn switches() -> Vec<(&'static str, &'static str, f64, f64)> {
        let all = SWITCHES.iter();
        all.map(|s| (s.name, s.help, s.default, s.hostile))
            .collect()
    }

    #[allow(clippy::needless_pass_by_value)] // what a path becomes
    fn write_truth(&self, py: Python<'_>, folder: PathBuf) -> PyResult<()> {
        Ok(py.detach(|| write_truth(&self.network, &folder))?)
    }

    #[pyo3(signature = (vantage_point, destination, protocol, octets, flow_label = 0))]
    fn path(
        &self,
        vantage_point: u32,
        destination: IpAddr,
        protocol: u8,
        octets: u32,
        flow_label: u32,
    ) -> PyResult<Vec<(String, bool)>> {
        if vantage_point >= self.plan.vantage_points {
            return Err(PyValueError::new_err(format!(
                "there is no vantage point {vantage_point}; they count from 0"
            )));
        }
        let (family, destination) = match destination {
            IpAddr::V4(v4) => (Family::V4, u128::from(u32::from(v4))),
            IpAddr::V6(v6) => (Family::V6, u128::from(v6)),
        };
        let internet = self.network.internet(family);
        let probe = Probe {
            vantage_point,
            family,
            source: internet.vantage_point(vantage_point),
            destination,
            protocol,
            ttl: 1,
            octets,
            flow_label,
            identification: 0,
            asks: Asks::Nothing,
        };
        let path = self.network.path(&probe).into_iter();
        Ok(path
            .map(|hop| (internet.address(hop.address).to_string(), hop.answers))
            .collect())
    }

    #[allow(clippy::needless_pass_by_value)] // what Python's list becomes
    fn run(&self, py: Python<'_>, command: Vec<OsString>) -> PyResult<(i32, u64, u64, u64)> {
        if command.is_empty() {
            return Err(PyValueError::new_err("there must be a command to run"));
        }
        let (code, counts) = py.detach(|| self.plan.run(&command))?;
        Ok((code, counts.received, counts.replies, counts.lost))
    }
}
