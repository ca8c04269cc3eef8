//! What files say about addresses, for one address or for a column of them.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anabranch_annotation as core;
use arrow_array::builder::UInt32Builder;
use arrow_array::types::UInt32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, FixedSizeBinaryArray, RecordBatch, StringArray,
};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::stream::{Table, import};

/// What is known about an address.
#[pyclass(frozen, get_all, module = "anabranch_engine")]
pub struct Annotation {
    asn: Option<u32>,
    origins: Option<String>,
    as_name: Option<String>,
    country: Option<String>,
    ixp: Option<String>,
}

#[pyclass(frozen, module = "anabranch_engine")]
pub struct Annotations {
    table: core::Annotations,
    origins: ArrayRef,
    as_names: ArrayRef,
    countries: ArrayRef,
    ixps: ArrayRef,
}

fn refuse(error: &core::ReadError) -> PyErr {
    if let core::ReadError::Io { file, error } = error
        && let Some(number) = error.raw_os_error()
    {
        // So Python makes it FileNotFoundError and the like.
        let reason = io::Error::from_raw_os_error(number).to_string();
        let reason = reason
            .split(" (os error")
            .next()
            .unwrap_or_default()
            .to_owned();
        return PyOSError::new_err((number, reason, file.clone()));
    }
    PyValueError::new_err(error.to_string())
}

#[pymethods]
impl Annotations {
    #[new]
    fn new(py: Python<'_>, files: &Bound<'_, PyAny>) -> PyResult<Self> {
        let files = files.try_iter()?.map(|file| file?.extract());
        let files = files.collect::<PyResult<Vec<PathBuf>>>()?;
        let table = py
            .detach(|| core::Annotations::read(&files))
            .map_err(|error| refuse(&error))?;
        let texts = |words: &core::Words| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(words.texts()))
        };
        Ok(Self {
            origins: texts(table.origins()),
            as_names: texts(table.as_names()),
            countries: texts(table.countries()),
            ixps: texts(table.ixps()),
            table,
        })
    }

    fn find(&self, address: IpAddr) -> Annotation {
        let table = &self.table;
        let facts = table.find(address);
        let text = |words: &core::Words, word: Option<core::Word>| {
            word.map(|word| words.text(word).to_owned())
        };
        Annotation {
            asn: facts.asn,
            origins: text(table.origins(), facts.origins),
            as_name: text(table.as_names(), facts.as_name),
            country: text(table.countries(), facts.country),
            ixp: text(table.ixps(), facts.ixp),
        }
    }

    fn annotate(&self, py: Python<'_>, table: &Bound<'_, PyAny>, column: &str) -> PyResult<Table> {
        let batches = import(table)?;
        py.detach(|| {
            let mut rows = Rows::default();
            for batch in batches {
                let batch = batch.map_err(|error| PyValueError::new_err(error.to_string()))?;
                self.take(&batch, column, &mut rows)
                    .map_err(PyValueError::new_err)?;
            }
            self.make_table(rows)
        })
    }
}

impl Annotations {
    fn take(&self, batch: &RecordBatch, column: &str, rows: &mut Rows) -> Result<(), String> {
        let addresses = batch
            .column_by_name(column)
            .and_then(|column| column.as_any().downcast_ref::<FixedSizeBinaryArray>())
            .filter(|column| column.value_length() == 16)
            .ok_or_else(|| {
                format!("the table must have a column {column} of 16-byte fixed-size binary")
            })?;
        let nothing = core::Facts::default();
        for address in addresses {
            let facts = address.map_or(&nothing, |address| {
                let address = address.try_into().expect("16 bytes");
                self.table.find_mapped(u128::from_be_bytes(address))
            });
            rows.asn.append_option(facts.asn);
            rows.origins.append_option(facts.origins);
            rows.as_name.append_option(facts.as_name);
            rows.country.append_option(facts.country);
            rows.ixp.append_option(facts.ixp);
        }
        Ok(())
    }

    fn make_table(&self, mut rows: Rows) -> PyResult<Table> {
        let texts = |keys: &mut UInt32Builder, words: &ArrayRef| -> ArrayRef {
            let words = Arc::clone(words);
            Arc::new(DictionaryArray::<UInt32Type>::new(keys.finish(), words))
        };
        Table::new([
            ("asn", Arc::new(rows.asn.finish()) as ArrayRef),
            ("origins", texts(&mut rows.origins, &self.origins)),
            ("as_name", texts(&mut rows.as_name, &self.as_names)),
            ("country", texts(&mut rows.country, &self.countries)),
            ("ixp", texts(&mut rows.ixp, &self.ixps)),
        ])
    }
}

/// The rows of a table, by column; texts are places in dictionaries.
#[derive(Default)]
struct Rows {
    asn: UInt32Builder,
    origins: UInt32Builder,
    as_name: UInt32Builder,
    country: UInt32Builder,
    ixp: UInt32Builder,
}
