//! The diamonds among the links of a survey, as tables.

use std::sync::Arc;

use anabranch_trace::diamond::Diamond;
use anabranch_trace::survey::{self, Change, Found, Link};
use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, Float64Array, RecordBatch, StringArray, UInt8Array,
    UInt32Array,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::stream::{Table, import};

#[pyfunction]
pub fn find_diamonds(py: Python<'_>, links: &Bound<'_, PyAny>) -> PyResult<Table> {
    let batches = import(links)?;
    py.detach(|| {
        let mut finder = Finder::default();
        for batch in batches {
            let batch = batch.map_err(|error| PyValueError::new_err(error.to_string()))?;
            finder.take(&batch).map_err(PyValueError::new_err)?;
        }
        finder.finish()
    })
}

/// What finds the diamonds of one prefix after another.
#[derive(Default)]
struct Finder {
    prefix_index: u32,
    /// The links of this prefix so far, and the same between routers if these are known.
    links: Vec<Link>,
    between_routers: Option<Vec<Link>>,
    found: Rows,
}

impl Finder {
    /// Takes the next links; the error says which can't be used.
    fn take(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let prefixes: &UInt32Array = read(batch, "prefix_index", "uint32")?;
        let ttls: &UInt8Array = read(batch, "near_ttl", "uint8")?;
        let [near, far] = ["near_addr", "far_addr"].map(|name| read_addresses(batch, name));
        let (near, far) = (near?, far?);
        let routers = if batch.column_by_name("near_router").is_some() {
            Some((
                read_addresses(batch, "near_router")?,
                read_addresses(batch, "far_router")?,
            ))
        } else {
            None
        };
        for row in 0..batch.num_rows() {
            let (prefix_index, near_ttl) = (prefixes.value(row), ttls.value(row));
            if near_ttl == u8::MAX {
                let limit = u8::MAX - 1;
                return Err(format!(
                    "near_ttl is {near_ttl}; it must be at most {limit}"
                ));
            }
            let last = (
                self.prefix_index,
                self.links.last().map_or(0, |link| link.near_ttl),
            );
            if (prefix_index, near_ttl) < last {
                return Err("sort links by prefix_index and near_ttl".to_owned());
            }
            if prefix_index != self.prefix_index {
                self.close_prefix();
                self.prefix_index = prefix_index;
            }
            self.links.push(Link {
                near_ttl,
                near: number(near.value(row)),
                far: number(far.value(row)),
            });
            if let Some((near, far)) = routers {
                let (near, far) = (number(near.value(row)), number(far.value(row)));
                let link = Link {
                    near_ttl,
                    near,
                    far,
                };
                self.between_routers.get_or_insert_default().push(link);
            }
        }
        Ok(())
    }

    fn close_prefix(&mut self) {
        let between = self.between_routers.as_mut();
        let between = between.map(|links| survey::find_diamonds(&std::mem::take(links)));
        for found in survey::find_diamonds(&self.links) {
            let resolved = between.as_ref().map(|between| found.resolve(between));
            self.found.push(self.prefix_index, &found, resolved);
        }
        self.links.clear();
    }

    fn finish(mut self) -> PyResult<Table> {
        self.close_prefix();
        self.found.into_table()
    }
}

/// Returns a column of a batch that has no nulls.
pub(crate) fn read<'a, A: Array + 'static>(
    batch: &'a RecordBatch,
    name: &str,
    kind: &str,
) -> Result<&'a A, String> {
    let column = batch.column_by_name(name);
    column
        .and_then(|column| column.as_any().downcast_ref::<A>())
        .filter(|column| column.null_count() == 0)
        .ok_or_else(|| format!("links must have a column {name} of {kind} without nulls"))
}

pub(crate) fn read_addresses<'a>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a FixedSizeBinaryArray, String> {
    let kind = "16-byte fixed-size binary";
    let column: &FixedSizeBinaryArray = read(batch, name, kind)?;
    if column.value_length() == 16 {
        Ok(column)
    } else {
        Err(format!("{name} must be {kind}"))
    }
}

pub(crate) fn number(address: &[u8]) -> u128 {
    u128::from_be_bytes(address.try_into().expect("16 bytes"))
}

/// The rows of diamonds, by column.
#[derive(Default)]
struct Rows {
    prefix_index: Vec<u32>,
    divergence_ttl: Vec<u8>,
    divergence_addr: Vec<u8>,
    convergence_ttl: Vec<u8>,
    convergence_addr: Vec<u8>,
    max_length: Vec<u8>,
    max_width: Vec<u32>,
    width_asymmetry: Vec<Option<u32>>,
    meshed_ratio: Vec<Option<f64>>,
    probability_difference: Vec<Option<f64>>,
    becomes: Vec<Option<&'static str>>,
    router_diamonds: Vec<Option<u32>>,
    router_max_length: Vec<Option<u8>>,
    router_max_width: Vec<Option<u32>>,
}

impl Rows {
    /// Adds a diamond, with what it becomes and the diamonds between routers in it, if that is known.
    fn push(&mut self, prefix_index: u32, found: &Found, resolved: Option<(Change, Vec<&Found>)>) {
        let diamond = &found.diamond;
        self.prefix_index.push(prefix_index);
        self.divergence_ttl.push(found.divergence_ttl);
        self.divergence_addr.extend(found.divergence.to_be_bytes());
        self.convergence_ttl.push(found.convergence_ttl());
        self.convergence_addr
            .extend(found.convergence.to_be_bytes());
        self.max_length.push(diamond.max_length() as u8);
        self.max_width.push(diamond.max_width() as u32);
        let whole = diamond.is_whole().then_some(diamond);
        self.width_asymmetry
            .push(whole.map(|diamond| diamond.width_asymmetry() as u32));
        self.meshed_ratio.push(whole.map(Diamond::meshed_ratio));
        self.probability_difference
            .push(whole.map(Diamond::probability_difference));
        let (change, inside) = resolved.unzip();
        let most = |of: fn(&Diamond) -> usize| {
            let inside = inside.as_ref()?;
            Some(
                inside
                    .iter()
                    .map(|each| of(&each.diamond))
                    .max()
                    .unwrap_or(0),
            )
        };
        self.becomes.push(change.map(Change::name));
        self.router_max_length
            .push(most(Diamond::max_length).map(|length| length as u8));
        self.router_max_width
            .push(most(Diamond::max_width).map(|width| width as u32));
        self.router_diamonds
            .push(inside.map(|inside| inside.len() as u32));
    }

    fn into_table(self) -> PyResult<Table> {
        let addresses = |bytes: Vec<u8>| -> ArrayRef {
            Arc::new(FixedSizeBinaryArray::new(16, bytes.into(), None))
        };
        Table::new([
            (
                "prefix_index",
                Arc::new(UInt32Array::from(self.prefix_index)) as ArrayRef,
            ),
            (
                "divergence_ttl",
                Arc::new(UInt8Array::from(self.divergence_ttl)),
            ),
            ("divergence_addr", addresses(self.divergence_addr)),
            (
                "convergence_ttl",
                Arc::new(UInt8Array::from(self.convergence_ttl)),
            ),
            ("convergence_addr", addresses(self.convergence_addr)),
            ("max_length", Arc::new(UInt8Array::from(self.max_length))),
            ("max_width", Arc::new(UInt32Array::from(self.max_width))),
            (
                "width_asymmetry",
                Arc::new(UInt32Array::from(self.width_asymmetry)),
            ),
            (
                "meshed_ratio",
                Arc::new(Float64Array::from(self.meshed_ratio)),
            ),
            (
                "probability_difference",
                Arc::new(Float64Array::from(self.probability_difference)),
            ),
            ("becomes", Arc::new(StringArray::from(self.becomes))),
            (
                "router_diamonds",
                Arc::new(UInt32Array::from(self.router_diamonds)),
            ),
            (
                "router_max_length",
                Arc::new(UInt8Array::from(self.router_max_length)),
            ),
            (
                "router_max_width",
                Arc::new(UInt32Array::from(self.router_max_width)),
            ),
        ])
    }
}
