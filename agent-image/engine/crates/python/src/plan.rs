//! Plans.

use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU32};
use std::path::PathBuf;

use anabranch_plan::{
    Demand, Header, Lists, Mapping, Plan as File, PlanError, PlanWriter, Row, Unit, count_blocks,
};
use anabranch_prefixes::{Prefix, PrefixSet as Set};
use anabranch_targets::Protocol;
use anabranch_wire::probe::Segment;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::prefixes::PrefixSet;
use crate::rule::TraceParameters;
use crate::stream::import;
use crate::targets::Targets;

/// The slot, destination, protocol, source port, destination port, TTL and flow of a probe.
type Drawn = (u64, IpAddr, u8, u16, u16, u8, u32);

pub fn raise(path: &std::path::Path, error: PlanError) -> PyErr {
    let path = path.display();
    match error {
        PlanError::Io(error) => PyOSError::new_err(format!("{path}: {error}")),
        other => PyValueError::new_err(format!("{path}: {other}")),
    }
}

#[pyclass(frozen, module = "anabranch_engine")]
pub struct Plan {
    #[pyo3(get)]
    path: PathBuf,
    #[pyo3(get)]
    blocks: u32,
    #[pyo3(get)]
    unit: &'static str,
    #[pyo3(get)]
    units: u64,
    #[pyo3(get)]
    segment: Option<&'static str>,
}

impl Plan {
    pub const fn path(&self) -> &PathBuf {
        &self.path
    }
}

#[pymethods]
impl Plan {
    #[new]
    fn new(path: PathBuf) -> PyResult<Self> {
        let plan = File::open(&path).map_err(|error| raise(&path, error))?;
        Ok(Self {
            path,
            blocks: plan.header().blocks,
            unit: tell_unit(plan.header()),
            units: plan.units(),
            segment: tell_segment(plan.header()),
        })
    }

    #[pyo3(signature = (block, *, order, start = 0, count = None, forbidden = None))]
    fn draw(
        &self,
        py: Python<'_>,
        block: u32,
        order: &str,
        start: u64,
        count: Option<usize>,
        forbidden: Option<&PrefixSet>,
    ) -> PyResult<Vec<Drawn>> {
        let nothing = Set::default();
        let forbidden = forbidden.map_or(&nothing, |set| &set.0);
        let drawn = py.detach(|| {
            let block = File::open(&self.path)?.block(block, order)?;
            let probes = block.walk(start).take(count.unwrap_or(usize::MAX));
            Ok(probes
                .map(|draw| {
                    let to = block.head(&draw);
                    let bits = to.family.bits();
                    let address = block.address(&draw, forbidden);
                    let address = Prefix::containing(to.family, address, bits).address();
                    let ports = (to.source_port, to.destination_port);
                    (
                        draw.slot,
                        address,
                        to.protocol,
                        ports.0,
                        ports.1,
                        draw.ttl,
                        draw.flow,
                    )
                })
                .collect())
        });
        drawn.map_err(|error| raise(&self.path, error))
    }

    fn end(&self, py: Python<'_>, block: u32) -> PyResult<u64> {
        let found = py.detach(|| Ok(File::open(&self.path)?.block(block, "")?.end()));
        found.map_err(|error| raise(&self.path, error))
    }

    #[staticmethod]
    #[pyo3(signature = (
        path, targets, *, initial_source_port, destination_port, flow_mapper, order_seed,
        seed = None, step = None, blocks = None, fill_ttl = None, tracing = None,
        destination_seed = None
    ))]
    #[allow(clippy::too_many_arguments)] // each is a field of the plan's header
    fn write(
        py: Python<'_>,
        path: PathBuf,
        targets: &Targets,
        initial_source_port: u16,
        destination_port: u16,
        flow_mapper: &str,
        order_seed: u64,
        seed: Option<u64>,
        step: Option<u8>,
        blocks: Option<NonZeroU32>,
        fill_ttl: Option<u8>,
        tracing: Option<&TraceParameters>,
        destination_seed: Option<u64>,
    ) -> PyResult<Self> {
        let step = step.map(NonZeroU8::new);
        let mapping = match (flow_mapper, seed, step) {
            ("SequentialFlowMapper", None, None) => Mapping::Sequential {},
            ("ReverseByteFlowMapper", None, None) => Mapping::ReverseByte {},
            ("RandomFlowMapper", Some(seed), None) => Mapping::Random { seed },
            ("IntervalFlowMapper", None, Some(Some(step))) => Mapping::Interval { step },
            _ => {
                return Err(PyValueError::new_err(format!(
                    "{flow_mapper:?} must be SequentialFlowMapper, ReverseByteFlowMapper, \
                     RandomFlowMapper with a seed, or IntervalFlowMapper with a step"
                )));
            }
        };
        let targets = targets.core();
        let segment = targets
            .runs()
            .iter()
            .find_map(|run| segment_of(run.protocol));
        let header = Header {
            blocks: blocks.map_or_else(|| count_blocks(targets.count()), NonZeroU32::get),
            initial_source_port,
            destination_port,
            order_seed,
            mapping,
            segment,
            fill_ttl,
            tracing: tracing.map(TraceParameters::core),
            destination_seed,
        };
        let (blocks, unit, segment) = (header.blocks, tell_unit(&header), tell_segment(&header));
        let written = py.detach(|| {
            let mut cursor = anabranch_targets::Cursor::default();
            let targets = std::iter::from_fn(|| targets.advance(&mut cursor));
            let mut rows: Vec<Row> = (0..)
                .zip(targets)
                .map(|(i, target)| row(i, &target))
                .collect();
            let mut writer = PlanWriter::create(&path, header)?;
            writer.write(&mut rows, &Lists::new())?;
            writer.finish()
        });
        let units = written.map_err(|error| raise(&path, error))?;
        Ok(Self {
            path,
            blocks,
            unit,
            units,
            segment,
        })
    }

    fn ask(&self, py: Python<'_>, path: PathBuf, demands: &Bound<'_, PyAny>) -> PyResult<Self> {
        let refuse = |error| raise(&self.path, error);
        let plan = File::open(&self.path).map_err(refuse)?;
        let header = plan.header().clone();
        let writer = PlanWriter::create(&path, header).map_err(|error| raise(&path, error));
        let (mut writer, mut asked) = (writer?, demands.try_iter()?);
        for block in 0..self.blocks {
            let of_block = asked.next().ok_or_else(|| {
                PyValueError::new_err(format!("there are no demands for block {block}"))
            })??;
            let batches = import(&of_block)?;
            let written = py.detach(|| {
                let (demands, lists) = Demand::read(batches)?;
                writer.write(&mut plan.ask(block, &demands)?, &lists)
            });
            written.map_err(refuse)?;
        }
        let units = py.detach(|| writer.finish());
        Ok(Self {
            units: units.map_err(|error| raise(&path, error))?,
            unit: self.unit,
            segment: self.segment,
            blocks: self.blocks,
            path,
        })
    }
}

const fn tell_unit(header: &Header) -> &'static str {
    match header.unit() {
        Unit::Probe => "probe",
        Unit::Destination => "destination",
    }
}

/// Returns the name that the file has for what TCP probes are.
fn tell_segment(header: &Header) -> Option<&'static str> {
    header.segment.map(|segment| match segment {
        Segment::Syn => "syn",
        Segment::Ack => "ack",
    })
}

/// Returns what probes by a protocol are, if they are TCP. A list has one kind of these at most.
const fn segment_of(protocol: Protocol) -> Option<Segment> {
    match protocol {
        Protocol::TcpSyn => Some(Segment::Syn),
        Protocol::TcpAck => Some(Segment::Ack),
        Protocol::Icmp | Protocol::Icmp6 | Protocol::Udp => None,
    }
}

/// Returns the row of the first round's probes to a target.
fn row(prefix_index: u32, target: &anabranch_targets::Target) -> Row {
    Row {
        prefix_index,
        prefix: target.prefix,
        protocol: target.protocol.number(),
        min_ttl: target.intent.min_ttl,
        max_ttl: target.intent.max_ttl,
        first_flow: 0,
        flow_count: target.intent.n_initial_flows.into(),
    }
}
