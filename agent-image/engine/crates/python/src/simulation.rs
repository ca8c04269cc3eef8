//! The simulated Internet.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::iter::repeat_n;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anabranch_fakeroute::behaviour::{Behaviour, SWITCHES};
use anabranch_fakeroute::internet::{Internet, MAX_PREFIXES, MAX_VANTAGE_POINTS};
use anabranch_fakeroute::measured::Measured;
use anabranch_fakeroute::network::Network;
use anabranch_fakeroute::packet::{Asks, Probe, Reply};
use anabranch_fakeroute::topology::{MAX_TOPOLOGIES, Topologies, Topology};
use anabranch_plan::{FlowMapper, Row};
use anabranch_prefixes::{Family, Prefix};
use anabranch_simulator::simulation::Plan;
use anabranch_simulator::truth::write_truth;
use anabranch_wire::ip::UDP;
use arrow_array::{ArrayRef, UInt8Array, UInt32Array, UInt64Array};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::flow::{asks_of, label_of, octets_of};
use crate::measured::read_measured;
use crate::plan::{Plan as FilePlan, raise};
use crate::prefixes::PrefixSet;
use crate::rehearsal::trace_plan;
use crate::stream::Table;

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
        let mut links = BTreeSet::new();
        for destination in destinations {
            let mut probe = self.probe(vantage_point, destination, protocol, 0, false)?;
            py.detach(|| {
                for octets in &octets {
                    probe.octets = *octets;
                    probe.flow_label = label_of(&probe, labels_flows);
                    self.network.links_of_flow(&probe, |near, far| {
                        let seen = near.answers && far.answers;
                        links.insert((probe.family, near.address, far.address, seen));
                    });
                }
            });
        }
        Ok(self.name_links(links))
    }

    fn links_of_plan(
        &self,
        py: Python<'_>,
        vantage_point: u32,
        plan: &FilePlan,
    ) -> PyResult<Vec<(String, String, bool)>> {
        let mut links = BTreeSet::new();
        self.each_flow(py, vantage_point, plan, |_, _, probe| {
            self.network.links_of_flow(&probe, |near, far| {
                let seen = near.answers && far.answers;
                links.insert((probe.family, near.address, far.address, seen));
            });
        })?;
        Ok(self.name_links(links))
    }

    fn time_exceeded(
        &self,
        py: Python<'_>,
        vantage_point: u32,
        plan: &FilePlan,
    ) -> PyResult<Table> {
        let (mut prefixes, mut flows) = (Vec::new(), Vec::new());
        let (mut ttls, mut addresses) = (Vec::new(), Vec::new());
        let file = anabranch_plan::Plan::open(plan.path());
        let file = file.map_err(|error| raise(plan.path(), error))?;
        let fill_ttl = file.header().fill_ttl.unwrap_or(0);
        self.each_flow(py, vantage_point, plan, |row, flow, probe| {
            for ttl in row.min_ttl..=row.max_ttl.max(fill_ttl) {
                let reply = self.network.predict(&Probe { ttl, ..probe });
                let inside = row.prefix.first()..=row.prefix.last();
                let expired = match reply {
                    Some((Reply::TimeExceeded, from)) if !inside.contains(&from) => Some(from),
                    _ => None,
                };
                let Some(from) = expired else {
                    if ttl < row.max_ttl {
                        continue;
                    }
                    break; // only what expires asks for the next TTL
                };
                prefixes.push(row.prefix_index);
                flows.push(flow);
                ttls.push(ttl);
                addresses.push(tell(from));
            }
        })?;
        let columns: [(&str, ArrayRef); 4] = [
            ("prefix_index", Arc::new(UInt32Array::from(prefixes))),
            ("flow", Arc::new(UInt32Array::from(flows))),
            ("ttl", Arc::new(UInt8Array::from(ttls))),
            ("address", Arc::new(UInt64Array::from(addresses))),
        ];
        Table::new(columns)
    }

    fn trace_plan(
        &self,
        py: Python<'_>,
        vantage_point: u32,
        plan: &FilePlan,
        forbidden: &PrefixSet,
    ) -> PyResult<(BTreeSet<(u64, u64)>, u64)> {
        // This checks the vantage point, once for all destinations.
        let model = self.probe(vantage_point, NOBODY, UDP, 0, false)?;
        let traced = py.detach(|| trace_plan(&self.network, &model, plan.path(), &forbidden.0));
        let (links, probes) = traced?;
        let told = links.into_iter().map(|(near, far)| (tell(near), tell(far)));
        Ok((told.collect(), probes))
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

/// Returns 64 bits that identify an interface of the simulation among those of both families. For
/// IPv4 they are the address.
const fn tell(address: u128) -> u64 {
    ((address >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ address as u64
}

/// A link: the family, its near and far address, and whether both ends answer.
type Link = (Family, u128, u128, bool);

impl Simulation {
    /// Returns links with their addresses as text.
    fn name_links(&self, links: BTreeSet<Link>) -> Vec<(String, String, bool)> {
        let named = links.into_iter().map(|(family, near, far, seen)| {
            let internet = self.network.internet(family);
            let [near, far] = [near, far].map(|end| internet.address(end).to_string());
            (near, far, seen)
        });
        named.collect()
    }

    /// Calls `take` for each flow of a plan, as the prober sends it: with its row, its number, and
    /// a probe of it.
    fn each_flow(
        &self,
        py: Python<'_>,
        vantage_point: u32,
        plan: &FilePlan,
        mut take: impl FnMut(&Row, u32, Probe) + Send,
    ) -> PyResult<()> {
        // This checks the vantage point, once for all flows.
        let model = self.probe(vantage_point, NOBODY, UDP, 0, false)?;
        let refuse = |error| raise(plan.path(), error);
        let file = anabranch_plan::Plan::open(plan.path()).map_err(refuse)?;
        let header = file.header();
        let mut mapper = FlowMapper::new(header.mapping);
        for block in 0..header.blocks {
            let rows = file.rows(block).map_err(refuse)?;
            py.detach(|| {
                for row in rows {
                    let family = row.prefix.family();
                    let space = mapper.space(&row.prefix);
                    for flow in row.first_flow..row.first_flow + row.flow_count {
                        let (address, port) = mapper.offsets(space, flow);
                        let port = u32::from(header.initial_source_port) + port;
                        let probe = Probe {
                            family,
                            source: self.network.internet(family).vantage_point(vantage_point),
                            destination: row.prefix.first() + u128::from(address),
                            protocol: row.protocol,
                            octets: octets_of(row.protocol, port, header.destination_port),
                            ..model
                        };
                        take(&row, flow, probe);
                    }
                }
            });
        }
        Ok(())
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

fn read_topologies(files: &[PathBuf]) -> PyResult<Vec<Topology>> {
    files.iter().map(|file| read_topology(file)).collect()
}

/// Reads a topology file; errors name it.
pub fn read_topology(file: &Path) -> PyResult<Topology> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| PyOSError::new_err(format!("can't read {}: {error}", file.display())))?;
    Topology::read(&text)
        .map_err(|error| PyValueError::new_err(format!("{}: {error}", file.display())))
}

fn join_topologies(files: &[&Path], topologies: Vec<Topology>) -> PyResult<Topologies> {
    Topologies::new(topologies).map_err(|(one, other)| {
        PyValueError::new_err(format!(
            "{} and {}: the destination of one is an address of the other too; choose another one",
            files[one].display(),
            files[other].display()
        ))
    })
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
