//! Tables that Python hands over, by the Arrow `PyCapsule` interface.

use std::ffi::CStr;

use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

/// The capsule's name as the interface defines it.
pub const STREAM_CAPSULE: &CStr = c"arrow_array_stream";

/// The batches of a table.
pub fn import(table: &Bound<'_, PyAny>) -> PyResult<RecordBatchStreamReader> {
    let capsule = table.call_method0("__arrow_c_stream__")?;
    let capsule = capsule.cast::<PyCapsule>()?;
    let stream = capsule.pointer_checked(Some(STREAM_CAPSULE))?;
    // SAFETY: a capsule of this name holds such a stream; what is taken from it is marked as
    // released, so that the capsule leaves it alone.
    let stream = unsafe { FFI_ArrowArrayStream::from_raw(stream.cast().as_ptr()) };
    RecordBatchStreamReader::try_new(stream)
        .map_err(|error| PyValueError::new_err(error.to_string()))
}
