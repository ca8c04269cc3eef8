//! Python's binary files, as readers and writers of Rust.

use std::io::{self, Read, Write};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A Python object with `read(size)` or `write(bytes)`. Each call takes the GIL.
pub struct File(pub Py<PyAny>);

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Python::attach(|py| {
            let piece = self.0.bind(py).call_method1("read", (buffer.len(),))?;
            let bytes = piece.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes();
            let target = buffer.get_mut(..bytes.len()).ok_or_else(|| {
                io::Error::other("read(size) gave more bytes than it was asked for")
            })?;
            target.copy_from_slice(bytes);
            Ok(bytes.len())
        })
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Python::attach(|py| {
            let written = self
                .0
                .bind(py)
                .call_method1("write", (PyBytes::new(py, bytes),))?;
            let written: usize = written.extract()?;
            if written > bytes.len() {
                return Err(io::Error::other("write(bytes) took more than it was given"));
            }
            Ok(written)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
