//! Sets of addresses.

use anabranch_prefixes::{Prefix, PrefixError, PrefixSet as Set, reserved};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

#[pyclass(frozen, eq, module = "anabranch_engine")]
#[derive(PartialEq)]
pub struct PrefixSet(pub Set);

fn parse(text: &str) -> PyResult<Prefix> {
    text.parse()
        .map_err(|error: PrefixError| PyValueError::new_err(error.to_string()))
}

#[pymethods]
impl PrefixSet {
    #[new]
    #[pyo3(signature = (prefixes = None))]
    fn new(prefixes: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let Some(prefixes) = prefixes else {
            return Ok(Self(Set::default()));
        };
        let parsed = prefixes
            .try_iter()?
            .map(|item| parse(item?.extract::<&str>()?));
        Ok(Self(parsed.collect::<PyResult<Set>>()?))
    }

    #[staticmethod]
    fn reserved() -> Self {
        Self(reserved())
    }

    fn __or__(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0))
    }

    fn __invert__(&self) -> Self {
        Self(self.0.complement())
    }

    fn __contains__(&self, prefix: &str) -> PyResult<bool> {
        Ok(self.0.holds(&parse(prefix)?))
    }
}
