//! Files of topologies; errors name them.

use std::path::{Path, PathBuf};

use anabranch_fakeroute::topology::{Topologies, Topology};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

pub(crate) fn read_topologies(files: &[PathBuf]) -> PyResult<Vec<Topology>> {
    files.iter().map(|file| read_topology(file)).collect()
}

/// Reads a topology file.
pub(crate) fn read_topology(file: &Path) -> PyResult<Topology> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| PyOSError::new_err(format!("can't read {}: {error}", file.display())))?;
    Topology::read(&text)
        .map_err(|error| PyValueError::new_err(format!("{}: {error}", file.display())))
}

/// Joins the topologies of these files.
pub(crate) fn join_topologies(files: &[&Path], topologies: Vec<Topology>) -> PyResult<Topologies> {
    Topologies::new(topologies).map_err(|(one, other)| {
        PyValueError::new_err(format!(
            "{} and {}: the destination of one is an address of the other too; choose another one",
            files[one].display(),
            files[other].display()
        ))
    })
}
