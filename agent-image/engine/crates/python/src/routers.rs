//! The routers that alias resolution finds in a survey, as a table; and its trials.

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_aliases::evidence::{Test, Verdict};
use anabranch_aliases::routers;
use anabranch_fakeroute::aliastrial::AliasTrial as Inner;
use anabranch_fakeroute::behaviour::Behaviour;
use anabranch_prefixes::Family;
use anabranch_trace::rule::Rule;
use arrow_array::{BooleanArray, FixedSizeBinaryArray, RecordBatch, StringArray};
use arrow_schema::ArrowError;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::diamonds::{number, read, read_addresses};
use crate::rule::read_rule;
use crate::simulation::read_behaviour;
use crate::stream::{Table, import};

#[pyfunction]
pub fn find_routers(py: Python<'_>, aliases: &Bound<'_, PyAny>) -> PyResult<Table> {
    let batches = import(aliases)?;
    py.detach(|| {
        let mut pairs = Vec::new();
        for batch in batches {
            let batch = batch.map_err(|error| PyValueError::new_err(error.to_string()))?;
            read_pairs(&batch, &mut pairs).map_err(PyValueError::new_err)?;
        }
        tell_routers(&routers::find_routers(&pairs))
    })
}

/// Adds the pairs of a batch; the error says what can't be used.
fn read_pairs(batch: &RecordBatch, pairs: &mut Vec<(u128, u128, Verdict)>) -> Result<(), String> {
    let first = read_addresses(batch, "first_addr")?;
    let second = read_addresses(batch, "second_addr")?;
    let verdicts: &StringArray = read(batch, "verdict", "text")?;
    for row in 0..batch.num_rows() {
        let name = verdicts.value(row);
        let verdict = Verdict::read(name)
            .ok_or_else(|| format!("{name:?} is no verdict; use accept, reject or undetermined"))?;
        pairs.push((number(first.value(row)), number(second.value(row)), verdict));
    }
    Ok(())
}

/// Returns a row for each address of a router.
fn tell_routers(found: &[routers::Router]) -> PyResult<Table> {
    let rows = || {
        found
            .iter()
            .flat_map(|router| router.addresses.iter().map(move |each| (router, each)))
    };
    let first = rows()
        .flat_map(|(router, _)| router.addresses[0].to_be_bytes())
        .collect::<Vec<u8>>();
    let addresses = rows()
        .flat_map(|(_, address)| address.to_be_bytes())
        .collect::<Vec<u8>>();
    let conflicts: BooleanArray = rows()
        .map(|(router, _)| Some(!router.conflicts.is_empty()))
        .collect();
    let binary = |bytes: Vec<u8>| FixedSizeBinaryArray::try_new(16, bytes.into(), None);
    let wrong = |error: ArrowError| PyValueError::new_err(error.to_string());
    Table::new([
        ("router_addr", Arc::new(binary(first).map_err(wrong)?)),
        ("addr", Arc::new(binary(addresses).map_err(wrong)?)),
        ("is_in_conflict", Arc::new(conflicts)),
    ])
}

fn read_family(name: &str) -> PyResult<Family> {
    match name {
        "ipv4" => Ok(Family::V4),
        "ipv6" => Ok(Family::V6),
        _ => Err(PyValueError::new_err(format!(
            "{name:?} is no family; use ipv4 or ipv6"
        ))),
    }
}

/// Sums over some destinations of a trial.
#[pyclass(frozen, get_all, module = "anabranch_engine")]
pub struct AliasCounts {
    trace_probes: u64,
    alias_probes: u64,
    /// The number of pairs by round, verdict and test, and whether they are aliases.
    pairs: BTreeMap<(u8, &'static str, Option<&'static str>, bool), usize>,
}

#[pyclass(module = "anabranch_engine")]
pub struct AliasTrial {
    trial: Inner,
    rule: Arc<Rule>,
    rounds: u8,
}

#[pymethods]
impl AliasTrial {
    #[new]
    #[pyo3(signature = (
        *, prefixes, switches, seed, algorithm, failure_probability, phi, rounds, family="ipv4"
    ))]
    #[allow(clippy::too_many_arguments)] // each is an option
    fn new(
        prefixes: u32,
        switches: BTreeMap<String, f64>,
        seed: u64,
        algorithm: &str,
        failure_probability: f64,
        phi: usize,
        rounds: u8,
        family: &str,
    ) -> PyResult<Self> {
        let behaviour = read_behaviour(Behaviour::default(), switches)?;
        Ok(Self {
            trial: Inner::new(read_family(family)?, prefixes, &behaviour, seed),
            rule: Arc::new(read_rule(algorithm, failure_probability, phi)?),
            rounds,
        })
    }

    fn run(&mut self, py: Python<'_>, prefixes: Vec<u32>) -> AliasCounts {
        py.detach(|| {
            let mut counts = AliasCounts {
                trace_probes: 0,
                alias_probes: 0,
                pairs: BTreeMap::new(),
            };
            for prefix in prefixes {
                let outcome = self.trial.run(prefix, &self.rule, self.rounds);
                counts.trace_probes += u64::from(outcome.trace_probes);
                counts.alias_probes += u64::from(outcome.alias_probes);
                for (evidence, are_aliases) in outcome.pairs {
                    let finding = evidence.finding;
                    let test = finding.test.map(Test::name);
                    let key = (evidence.round, finding.verdict.name(), test, are_aliases);
                    *counts.pairs.entry(key).or_default() += 1;
                }
            }
            counts
        })
    }
}
