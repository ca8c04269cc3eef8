//! Traces in the field's formats: read as rows of parts, and written of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anabranch_exchange::format::{self, encoder, names};
use anabranch_exchange::path::Frame;
use anabranch_exchange::reader::{Reader, Tally};
use anabranch_exchange::writer::{Compression, WriteError, Writer};
use anabranch_formats::record::{Cycle, List, Settings};
use anabranch_formats::sniff::Format;
use arrow_array::RecordBatchReader;
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::stream::{STREAM_CAPSULE, import};

#[pyclass(frozen, module = "anabranch_engine")]
pub struct TraceReader {
    reader: Mutex<Option<Reader>>,
    tally: Arc<Mutex<Tally>>,
    /// Whether it holds replies of a batch tool, and no traces.
    #[pyo3(get)]
    has_replies: bool,
}

#[pymethods]
impl TraceReader {
    #[new]
    #[pyo3(signature = (file, file_format = None, *, first_trace = 0))]
    #[allow(clippy::needless_pass_by_value)] // what a path becomes
    fn new(file: PathBuf, file_format: Option<&str>, first_trace: u64) -> PyResult<Self> {
        let format = file_format.map(find_format).transpose()?;
        let reader = Reader::open(&file, format, first_trace)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self {
            tally: reader.tally(),
            has_replies: reader.has_replies(),
            reader: Mutex::new(Some(reader)),
        })
    }

    #[getter]
    fn traces(&self) -> u64 {
        lock(&self.tally).traces
    }

    #[getter]
    fn skipped(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.tally).skipped.clone()
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // A producer may ignore the requested schema; the consumer casts.
        drop(requested_schema);
        let reader = lock(&self.reader).take();
        let reader = reader.ok_or_else(|| PyValueError::new_err("it can be read once"))?;
        let reader: Box<dyn RecordBatchReader + Send> = Box::new(reader);
        PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(reader), STREAM_CAPSULE)
    }
}

#[pyclass(frozen, module = "anabranch_engine")]
pub struct TraceWriter {
    writer: Mutex<Option<Writer>>,
}

#[pymethods]
impl TraceWriter {
    #[new]
    #[pyo3(signature = (
        file, file_format, *, compression, is_multipath, name, monitor, start, stop,
        list_id = 1, cycle_id = 1, first_ttl = None, max_ttl = None, gap_limit = None,
        attempts = None, confidence = None, max_probes = None, wait_us = None,
        is_ping = false,
    ))]
    // Python names each argument; a path becomes a value.
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)]
    fn new(
        file: PathBuf,
        file_format: &str,
        compression: Option<&str>,
        is_multipath: bool,
        name: String,
        monitor: String,
        start: u32,
        stop: Option<u32>,
        list_id: u32,
        cycle_id: u32,
        first_ttl: Option<u8>,
        max_ttl: Option<u8>,
        gap_limit: Option<u8>,
        attempts: Option<u8>,
        confidence: Option<u8>,
        max_probes: Option<u32>,
        wait_us: Option<u64>,
        is_ping: bool,
    ) -> PyResult<Self> {
        let encoder = encoder(find_format(file_format)?)
            .ok_or_else(|| PyValueError::new_err(format!("{file_format} can only be read")))?;
        let compression = compression.map(|name| {
            let message = || format!("{name} is no compression; choose gzip or zstd");
            Compression::named(name).ok_or_else(|| PyValueError::new_err(message()))
        });
        let list = Arc::new(List {
            number: 1,
            id: list_id,
            name,
            description: None,
            monitor: Some(monitor.clone()),
        });
        let cycle = Cycle {
            number: 1,
            list: Arc::clone(&list),
            id: cycle_id,
            start,
            stop,
            hostname: Some(monitor),
        };
        let frame = Frame {
            list,
            cycle: Arc::new(cycle),
            settings: Settings {
                first_ttl,
                max_ttl,
                gap_limit,
                attempts,
                confidence,
                max_probes,
                wait_us,
                ..Settings::default()
            },
            is_multipath,
            is_ping,
        };
        let compression = compression.transpose()?;
        let writer = Writer::create(&file, compression, encoder, frame)?;
        Ok(Self {
            writer: Mutex::new(Some(writer)),
        })
    }

    fn write(&self, py: Python<'_>, rows: &Bound<'_, PyAny>) -> PyResult<()> {
        let batches = import(rows)?;
        py.detach(|| {
            let mut writer = lock(&self.writer);
            let writer = writer.as_mut().ok_or_else(has_ended)?;
            for batch in batches {
                let batch = batch.map_err(|error| PyValueError::new_err(error.to_string()))?;
                writer.write(&batch).map_err(|error| match error {
                    WriteError::Io(error) => error.into(),
                    WriteError::Rows(error) => PyValueError::new_err(error.to_string()),
                })?;
            }
            Ok(())
        })
    }

    fn close(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| {
            let writer = lock(&self.writer).take();
            let writer = writer.ok_or_else(has_ended)?;
            writer
                .finish()
                .map_err(|error| PyOSError::new_err(error.to_string()))
        })
    }
}

fn has_ended() -> PyErr {
    PyValueError::new_err("it is closed")
}

fn find_format(name: &str) -> PyResult<Format> {
    let message = || format!("{name} is no format; choose one of {}", names());
    format::find_format(name).ok_or_else(|| PyValueError::new_err(message()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
