//! The simulated Internet.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::iter::repeat_n;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use anabranch_fakeroute::behaviour::{Behaviour, SWITCHES};
use anabranch_fakeroute::internet::{Internet, MAX_PREFIXES, MAX_VANTAGE_POINTS};
use anabranch_fakeroute::measured::Measured;
use anabranch_fakeroute::network::Network;
use anabranch_fakeroute::packet::{Asks, Probe, Reply};
use anabranch_fakeroute::topology::{MAX_TOPOLOGIES, Topologies};
use anabranch_prefixes::{Family, Prefix};
use anabranch_simulator::simulation::Plan;
use anabranch_simulator::truth::write_truth;
use anabranch_wire::ip::UDP;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::flow::{asks_of, each_flow, label_of};
use crate::measured::read_measured;
use crate::plan::Plan as FilePlan;
use crate::prefixes::PrefixSet;
use crate::rehearsal::{find_expired, trace_plan};
use crate::stream::Table;
use crate::topologies::{join_topologies, read_topologies};
use crate::truth::Links;

/// A destination for probes that get another one.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[pyclass(frozen, module = "anabranch_engine")]
pub struct Simulation {
    plan: Plan,
    /// The network that questions are answered about. A run builds a network of its own, which it
    /// changes.
    network: Network,
    /// The destination of each copy of a topology: as drawn, and as vantage points can send to it.
    destinations: Vec<(IpAddr, IpAddr)>,
}

#[pymethods]
impl Simulation {
    #[new]
    #[allow(clippy::needless_pass_by_value)] // what Python's list becomes
    #[allow(clippy::too_many_arguments)] // Python names each
    #[pyo3(signature = (*, prefixes_v4, prefixes_v6, vantage_points, seed, switches, topologies=Vec::new(), copies=1, measured=None))]
    fn new(
        py: Python<'_>,
        prefixes_v4: u32,
        prefixes_v6: u32,
        vantage_points: u32,
        seed: u64,
        switches: BTreeMap<String, f64>,
        topologies: Vec<PathBuf>,
        copies: u32,
        measured: Option<&Bound<'_, PyAny>>,
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
        if copies == 0 || topologies.len().saturating_mul(copies as usize) > MAX_TOPOLOGIES {
            return refuse(format!(
                "there must be 1 copy or more, and at most {MAX_TOPOLOGIES} of all topologies"
            ));
        }
        // Whoever gives a network wants to see that network, so all disturbances are off.
        let usual = if topologies.is_empty() && measured.is_none() {
            Behaviour::default()
        } else {
            Behaviour::plain()
        };
        let behaviour = read_behaviour(usual, switches)?;
        let landscape = behaviour.landscape();
        for (family, prefixes) in [(Family::V4, prefixes_v4), (Family::V6, prefixes_v6)] {
            if !Internet::fits(family, prefixes, vantage_points, &landscape) {
                return refuse(format!(
                    "{prefixes} prefixes that share this little have more routers than there are \
                     addresses; ask for fewer, or for more sharing"
                ));
            }
        }
        let mut plan = Plan {
            prefixes_v4,
            prefixes_v6,
            topologies: Topologies::default(),
            measured: Arc::default(),
            vantage_points,
            seed,
            behaviour,
        };
        let bare = plan.build();
        if let Some(found) = measured {
            let has_flows = plan.behaviour.weights_some();
            plan.measured = Arc::new(read_measured(py, found, vantage_points, has_flows)?);
            if let Some(prefix) = find_home(&bare, &plan.measured, vantage_points) {
                return refuse(format!(
                    "{prefix} of a survey holds addresses of a vantage point; leave it out"
                ));
            }
        }
        let drawn = read_topologies(&topologies)?;
        let is_routable = |family, address| {
            let internet = bare.internet(family);
            !internet.address(address).is_loopback() && !internet.is_home(address)
        };
        let routed = Topologies::route_destinations(&drawn, copies, is_routable);
        let repeated = drawn.iter().flat_map(|one| repeat_n(one, copies as usize));
        let destinations = repeated.zip(&routed).map(|(drawn, routed)| {
            [drawn, routed].map(|topology| {
                let internet = bare.internet(topology.family());
                internet.address(topology.address(topology.destination()))
            })
        });
        let destinations = destinations
            .map(|[drawn, routed]| (drawn, routed))
            .collect();
        let files: Vec<_> = (topologies.iter())
            .flat_map(|file| repeat_n(file.as_path(), copies as usize))
            .collect();
        plan.topologies = join_topologies(&files, routed)?;
        let network = plan.build();
        for (family, address) in plan.topologies.addresses() {
            let internet = network.internet(family);
            if internet.is_home(address) {
                let address = internet.address(address);
                return refuse(format!(
                    "{address} of a topology belongs to a vantage point; use another address"
                ));
            }
        }
        Ok(Self {
            plan,
            network,
            destinations,
        })
    }

    #[getter]
    fn destinations(&self) -> Vec<(IpAddr, IpAddr)> {
        self.destinations.clone()
    }

    /// Return the name, help, default value and hostile value of each switch.
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

    #[pyo3(signature = (vantage_point, destination, protocol, octets, labels_flows = false))]
    fn path(
        &self,
        vantage_point: u32,
        destination: IpAddr,
        protocol: u8,
        octets: u32,
        labels_flows: bool,
    ) -> PyResult<Vec<(String, bool)>> {
        let probe = self.probe(vantage_point, destination, protocol, octets, labels_flows)?;
        let internet = self.network.internet(probe.family);
        let path = self.network.path(&probe).into_iter();
        Ok(path
            .map(|hop| (internet.address(hop.address).to_string(), hop.answers))
            .collect())
    }

    #[pyo3(signature = (vantage_point, destination, protocol, octets, ttl, labels_flows = false))]
    fn reply(
        &self,
        vantage_point: u32,
        destination: IpAddr,
        protocol: u8,
        octets: u32,
        ttl: u8,
        labels_flows: bool,
    ) -> PyResult<Option<(&'static str, String)>> {
        let probe = self.probe(vantage_point, destination, protocol, octets, labels_flows)?;
        let asks = asks_of(protocol);
        let internet = self.network.internet(probe.family);
        let reply = self.network.predict(&Probe { ttl, asks, ..probe });
        Ok(reply.map(|(reply, from)| {
            let kind = match reply {
                Reply::TimeExceeded => "time exceeded",
                Reply::Echo => "echo",
                Reply::PortUnreachable => "port unreachable",
                Reply::SynAck => "SYN-ACK",
                Reply::Reset => "reset",
            };
            (kind, internet.address(from).to_string())
        }))
    }

    #[allow(clippy::needless_pass_by_value)] // what Python's lists become
    #[pyo3(signature = (vantage_point, destinations, protocol, octets, labels_flows = false))]
    fn links_of_flows(
        &self,
        py: Python<'_>,
        vantage_point: u32,
        destinations: Vec<IpAddr>,
        protocol: u8,
        octets: Vec<u32>,
        labels_flows: bool,
    ) -> PyResult<Vec<(String, String, bool)>> {
        let mut links = Links::new(&self.network);
        for destination in destinations {
            let mut probe = self.probe(vantage_point, destination, protocol, 0, false)?;
            py.detach(|| {
                for octets in &octets {
                    probe.octets = *octets;
                    probe.flow_label = label_of(&probe, labels_flows);
                    links.add(&probe);
                }
            });
        }
        Ok(links.name())
    }

    fn links_of_plan(
        &self,
        py: Python<'_>,
        vantage_point: u32,
        plan: &FilePlan,
    ) -> PyResult<Vec<(String, String, bool)>> {
        let model = self.model(vantage_point)?;
        let mut links = Links::new(&self.network);
        each_flow(py, &self.network, &model, plan.path(), |_, _, probe| {
            links.add(&probe);
        })?;
        Ok(links.name())
    }

    fn time_exceeded(
        &self,
        py: Python<'_>,
        vantage_point: u32,
        plan: &FilePlan,
    ) -> PyResult<Table> {
        let model = self.model(vantage_point)?;
        find_expired(py, &self.network, &model, plan.path())
    }

    fn trace_plan(
        &self,
        py: Python<'_>,
        vantage_point: u32,
        plan: &FilePlan,
        forbidden: &PrefixSet,
    ) -> PyResult<(BTreeSet<(u64, u64)>, u64)> {
        let model = self.model(vantage_point)?;
        py.detach(|| trace_plan(&self.network, &model, plan.path(), &forbidden.0))
    }

    #[allow(clippy::needless_pass_by_value)] // what Python's lists become
    #[pyo3(signature = (command, *, namespaces = Vec::new()))]
    fn run(
        &self,
        py: Python<'_>,
        command: Vec<OsString>,
        namespaces: Vec<PathBuf>,
    ) -> PyResult<(i32, u64, u64, u64)> {
        if command.is_empty() {
            return Err(PyValueError::new_err("there must be a command to run"));
        }
        if !namespaces.is_empty() && namespaces.len() != self.plan.vantage_points as usize {
            return Err(PyValueError::new_err(
                "there must be a namespace for each vantage point, or none at all",
            ));
        }
        let (code, counts) = py.detach(|| self.plan.run(&command, &namespaces))?;
        Ok((code, counts.received, counts.replies, counts.lost))
    }
}

impl Simulation {
    /// Makes a probe of a vantage point, of which those of many flows are made.
    fn model(&self, vantage_point: u32) -> PyResult<Probe> {
        self.probe(vantage_point, NOBODY, UDP, 0, false)
    }

    /// Makes a probe of a flow.
    fn probe(
        &self,
        vantage_point: u32,
        destination: IpAddr,
        protocol: u8,
        octets: u32,
        labels_flows: bool,
    ) -> PyResult<Probe> {
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
        let mut probe = Probe {
            vantage_point,
            family,
            source: internet.vantage_point(vantage_point),
            destination,
            protocol,
            ttl: 1,
            octets,
            flow_label: 0,
            identification: 0,
            asks: Asks::Nothing,
        };
        probe.flow_label = label_of(&probe, labels_flows);
        Ok(probe)
    }
}

/// Returns a target of measured paths that shares addresses with a vantage point's own network.
fn find_home(network: &Network, measured: &Measured, vantage_points: u32) -> Option<Prefix> {
    let is_home = |prefix: &Prefix| {
        let internet = network.internet(prefix.family());
        let mut homes = (0..vantage_points).map(|number| internet.home(number));
        internet.is_home(prefix.first())
            || homes.any(|home| (prefix.first()..=prefix.last()).contains(&home))
    };
    let mut prefixes = (0..vantage_points).flat_map(|number| measured.prefixes(number));
    prefixes.find(is_home)
}

/// Returns a behaviour with these switches.
pub(crate) fn read_behaviour(
    usual: Behaviour,
    switches: BTreeMap<String, f64>,
) -> PyResult<Behaviour> {
    let mut behaviour = usual;
    for (name, value) in switches {
        let set = behaviour.set(&name, value);
        set.map_err(|error| PyValueError::new_err(error.to_string()))?;
    }
    Ok(behaviour)
}
