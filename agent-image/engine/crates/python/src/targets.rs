//! Target lists, and the targets that they are split into.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use anabranch_annotation::{Fault, read_routes};
use anabranch_prefixes::PrefixSet as Set;
use anabranch_targets as core;
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{FixedSizeBinaryArray, RecordBatch, RecordBatchReader, UInt8Array, UInt16Array};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::file::File;
use crate::prefixes::PrefixSet;
use crate::stream::STREAM_CAPSULE;

pyo3::create_exception!(
    anabranch_engine,
    TargetListError,
    PyValueError,
    "An error about a target list that can't be used, with its `problems` and their `total`."
);

/// The most rows of a batch, which are about 1.4 MB: so a consumer's memory does not depend on the
/// list.
const BATCH: usize = 1 << 16;

#[pyclass(frozen, eq, module = "anabranch_engine")]
#[derive(PartialEq)]
pub struct TargetList {
    list: core::TargetList,
    #[pyo3(get)]
    lines: u64,
}

fn refuse(py: Python<'_>, refused: &core::Refused) -> PyErr {
    let error = TargetListError::new_err(refused.to_string());
    let problems: Vec<(u64, &str)> = refused
        .problems
        .iter()
        .map(|problem| (problem.line, problem.reason.as_str()))
        .collect();
    let told = error.value(py);
    match told
        .setattr("problems", problems)
        .and_then(|()| told.setattr("total", refused.total))
    {
        Ok(()) => error,
        Err(failure) => failure,
    }
}

#[pymethods]
impl TargetList {
    #[staticmethod]
    fn read(py: Python<'_>, file: Py<PyAny>) -> PyResult<Self> {
        match py.detach(|| core::read(File(file))) {
            Ok((list, lines)) => Ok(Self { list, lines }),
            Err(core::ReadError::Io(error)) => Err(error.into()),
            Err(core::ReadError::Refused(refused)) => Err(refuse(py, &refused)),
        }
    }

    #[staticmethod]
    #[pyo3(signature = (
        file, *, lengths_v4, lengths_v6, samples_v6, min_peers, allow_reserved, protocol, min_ttl,
        max_ttl, n_initial_flows
    ))]
    #[allow(clippy::too_many_arguments)] // each is a choice of its own
    fn read_routes(
        py: Python<'_>,
        file: Py<PyAny>,
        lengths_v4: Option<(u8, u8)>,
        lengths_v6: Option<(u8, u8)>,
        samples_v6: u32,
        min_peers: u16,
        allow_reserved: bool,
        protocol: &str,
        min_ttl: u8,
        max_ttl: u8,
        n_initial_flows: u16,
    ) -> PyResult<Self> {
        let lengths = |(shortest, longest)| shortest..=longest;
        let protocol = core::Protocol::named(protocol).ok_or_else(|| {
            PyValueError::new_err(format!("{protocol:?} is no protocol of target lists"))
        })?;
        let choice = core::Choice {
            lengths_v4: lengths_v4.map(lengths),
            lengths_v6: lengths_v6.map(lengths),
            samples_v6,
            min_peers,
            reserved: if allow_reserved {
                Set::default()
            } else {
                anabranch_prefixes::reserved()
            },
            protocol,
            intent: core::Intent {
                min_ttl,
                max_ttl,
                n_initial_flows,
            },
        };
        let read = py.detach(|| {
            let mut routes = core::Routes::new(choice);
            read_routes(File(file), |prefix, peers| routes.add(prefix, peers))?;
            Ok(routes.finish()?)
        });
        match read {
            Ok((list, lines)) => Ok(Self { list, lines }),
            Err(Fault::Io(error)) => Err(error.into()),
            Err(Fault::Content(reason)) => Err(PyValueError::new_err(reason)),
        }
    }

    fn __len__(&self) -> usize {
        self.list.entries().len()
    }

    fn protocols(&self, py: Python<'_>) -> Vec<&'static str> {
        let names = py.detach(|| {
            let entries = self.list.entries().iter();
            entries
                .map(|entry| entry.protocol.name())
                .collect::<BTreeSet<_>>()
        });
        names.into_iter().collect()
    }

    fn digest(&self, py: Python<'_>) -> String {
        py.detach(|| self.list.digest())
    }

    fn write_csv(&self, py: Python<'_>, file: Py<PyAny>) -> PyResult<()> {
        let write = || -> io::Result<()> {
            let mut out = BufWriter::with_capacity(BATCH, File(file));
            self.list.write_csv(&mut out)?;
            out.flush()
        };
        Ok(py.detach(write)?)
    }

    #[pyo3(signature = (prefix_len_v4, prefix_len_v6, *, forbidden = Vec::new(), limit = core::MAX_TARGETS))]
    fn split(
        &self,
        py: Python<'_>,
        prefix_len_v4: u8,
        prefix_len_v6: u8,
        forbidden: Vec<PyRef<'_, PrefixSet>>,
        limit: u64,
    ) -> PyResult<Targets> {
        if prefix_len_v4 > 32 || prefix_len_v6 > 128 {
            let reason = "prefix lengths must be at most 32 (IPv4) and 128 (IPv6)";
            return Err(PyValueError::new_err(reason));
        }
        let split = core::Split {
            v4: prefix_len_v4,
            v6: prefix_len_v6,
        };
        let forbidden: Vec<Set> = forbidden.into_iter().map(|set| set.0.clone()).collect();
        match py.detach(|| self.list.split(split, &forbidden, limit)) {
            Ok(targets) => Ok(Targets(Arc::new(targets))),
            Err(error) => Err(PyValueError::new_err(error.to_string())),
        }
    }
}

#[pyclass(frozen, module = "anabranch_engine")]
pub struct Targets(Arc<core::Targets>);

impl Targets {
    pub fn core(&self) -> &core::Targets {
        &self.0
    }
}

#[pymethods]
impl Targets {
    fn __len__(&self) -> usize {
        self.0.count() as usize
    }

    #[getter]
    fn excluded(&self) -> Vec<u128> {
        self.0.excluded().to_vec()
    }

    #[getter]
    fn partly_excluded(&self) -> u128 {
        self.0.partly_excluded()
    }

    fn beyond(&self, py: Python<'_>, min_ttl: u8, max_ttl: u8) -> (u128, u128) {
        py.detach(|| self.0.beyond(min_ttl, max_ttl))
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // A producer may ignore the requested schema; the consumer casts.
        drop(requested_schema);
        let batches = Batches {
            targets: Arc::clone(&self.0),
            cursor: core::Cursor::default(),
            schema: schema(),
        };
        let stream = FFI_ArrowArrayStream::new(Box::new(batches));
        PyCapsule::new_with_value(py, stream, STREAM_CAPSULE)
    }
}

fn schema() -> SchemaRef {
    let field = |name, kind| Field::new(name, kind, false);
    Arc::new(Schema::new(vec![
        field("prefix", DataType::FixedSizeBinary(16)),
        field("prefix_len", DataType::UInt8),
        field("protocol", DataType::UInt8),
        field("min_ttl", DataType::UInt8),
        field("max_ttl", DataType::UInt8),
        field("n_initial_flows", DataType::UInt16),
    ]))
}

/// The targets, a batch at a time.
struct Batches {
    targets: Arc<core::Targets>,
    cursor: core::Cursor,
    schema: SchemaRef,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut prefixes: Vec<u8> = Vec::with_capacity(16 * BATCH);
        let (mut lens, mut protocols) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        let (mut mins, mut maxs) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        let mut flows = Vec::with_capacity(BATCH);
        while lens.len() < BATCH {
            let Some(target) = self.targets.advance(&mut self.cursor) else {
                break;
            };
            prefixes.extend_from_slice(&target.prefix.mapped());
            lens.push(target.prefix.len());
            protocols.push(target.protocol.number());
            mins.push(target.intent.min_ttl);
            maxs.push(target.intent.max_ttl);
            flows.push(target.intent.n_initial_flows);
        }
        if lens.is_empty() {
            return None;
        }
        let batch = FixedSizeBinaryArray::try_new(16, prefixes.into(), None).and_then(|prefixes| {
            RecordBatch::try_new(
                Arc::clone(&self.schema),
                vec![
                    Arc::new(prefixes),
                    Arc::new(UInt8Array::from(lens)),
                    Arc::new(UInt8Array::from(protocols)),
                    Arc::new(UInt8Array::from(mins)),
                    Arc::new(UInt8Array::from(maxs)),
                    Arc::new(UInt16Array::from(flows)),
                ],
            )
        });
        Some(batch)
    }
}

impl RecordBatchReader for Batches {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
