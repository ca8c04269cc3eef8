//! The rules of traces, from and in Python's words.

use anabranch_trace::lite::Switch;
use anabranch_trace::rule::{Algorithm, Rule};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

const ALGORITHMS: &str = "mda, mdaLite, mdaLocal or singlePath";

/// Reads a rule with the usual bounds; the failure probability is that of a vertex.
pub(crate) fn read_rule(algorithm: &str, failure_probability: f64, phi: usize) -> PyResult<Rule> {
    let refuse = |reason: String| Err(PyValueError::new_err(reason));
    let algorithm = match algorithm {
        "mda" => Algorithm::Mda,
        "mdaLite" | "mdaLocal" if phi < 2 => return refuse("phi must be 2 or more".to_owned()),
        "mdaLite" => Algorithm::MdaLite { phi },
        "mdaLocal" => Algorithm::MdaLocal { phi },
        "singlePath" => Algorithm::SinglePath,
        other => return refuse(format!("{other:?} is no algorithm; choose {ALGORITHMS}")),
    };
    if !(1e-9..1.0).contains(&failure_probability) {
        return refuse("the failure probability must be at least 1e-9, and below 1".to_owned());
    }
    Ok(Rule::new(algorithm, failure_probability))
}

pub(crate) const fn tell_switch(switch: Switch) -> &'static str {
    match switch {
        Switch::Meshed => "meshed",
        Switch::Asymmetric => "asymmetric",
        Switch::UnequalLengths => "unequal lengths",
    }
}
