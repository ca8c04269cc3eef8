//! Tables that are exchanged with Python through the Arrow `PyCapsule` interface.

use std::ffi::CStr;

use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchIterator};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

/// The capsule's name as the interface defines it.
pub const STREAM_CAPSULE: &CStr = c"arrow_array_stream";

/// Returns the batches of a Python table.
pub fn import(table: &Bound<'_, PyAny>) -> PyResult<RecordBatchStreamReader> {
    let capsule = table.call_method0("__arrow_c_stream__")?;
    let capsule = capsule.cast::<PyCapsule>()?;
    let stream = capsule.pointer_checked(Some(STREAM_CAPSULE))?;
    // SAFETY: a capsule of this name holds such a stream. `from_raw` takes the stream and marks the
    // one in the capsule as released, so the capsule does not release it again.
    let stream = unsafe { FFI_ArrowArrayStream::from_raw(stream.cast().as_ptr()) };
    RecordBatchStreamReader::try_new(stream)
        .map_err(|error| PyValueError::new_err(error.to_string()))
}

/// A table that readers of Arrow streams, such as `pyarrow.table`, can read.
#[pyclass(frozen, module = "anabranch_engine")]
pub struct Table(RecordBatch);

impl Table {
    /// Makes a table of columns that all have the same length.
    pub fn new<const N: usize>(columns: [(&str, ArrayRef); N]) -> PyResult<Self> {
        // So the schema is the same for tables with nulls and for those without.
        let nullable = columns.map(|(name, column)| (name, column, true));
        let batch = RecordBatch::try_from_iter_with_nullable(nullable);
        batch
            .map(Self)
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }
}

#[pymethods]
impl Table {
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // A producer may ignore the requested schema; the consumer casts.
        drop(requested_schema);
        let batches = RecordBatchIterator::new([Ok(self.0.clone())], self.0.schema());
        let stream = FFI_ArrowArrayStream::new(Box::new(batches));
        PyCapsule::new_with_value(py, stream, STREAM_CAPSULE)
    }
}
