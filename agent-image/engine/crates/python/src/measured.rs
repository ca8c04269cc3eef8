//! Measured paths, from the tables of a survey.

use std::iter::Fuse;
use std::net::{IpAddr, Ipv6Addr};

use anabranch_chance::Share;
use anabranch_fakeroute::measured::{Builder, Measured};
use anabranch_fakeroute::weave::{Crossing, Target};
use anabranch_prefixes::{Family, Prefix, number_of};
use arrow_array::ffi_stream::RecordBatchStreamReader;
use arrow_array::{
    Array, FixedSizeBinaryArray, Float64Array, RecordBatch, UInt8Array, UInt32Array, UInt64Array,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::diamonds::{read, read_addresses};
use crate::stream::import;

/// Reads measured paths: of vantage points, the targets and the links on the way to them.
///
/// `found` yields the number of a vantage point and two tables. `has_flows` keeps how many flows
/// crossed each link.
pub fn read_measured(
    py: Python<'_>,
    found: &Bound<'_, PyAny>,
    vantage_points: u32,
    has_flows: bool,
) -> PyResult<Measured> {
    let mut builder = Builder::new(has_flows);
    for each in found.try_iter()? {
        let (vantage_point, targets, links): (u32, Bound<'_, PyAny>, Bound<'_, PyAny>) =
            each?.extract()?;
        if vantage_point >= vantage_points {
            let reason = format!("there is no vantage point {vantage_point}; they count from 0");
            return Err(PyValueError::new_err(reason));
        }
        let (targets, links) = (import(&targets)?, import(&links)?);
        let added = py.detach(|| add(&mut builder, vantage_point, targets, links));
        added.map_err(PyValueError::new_err)?;
    }
    Ok(builder.finish())
}

/// Adds targets with their links; both are sorted by `prefix_index`.
fn add(
    builder: &mut Builder,
    vantage_point: u32,
    targets: RecordBatchStreamReader,
    links: RecordBatchStreamReader,
) -> Result<(), String> {
    let mut links = Links {
        batches: links.fuse(),
        batch: None,
        row: 0,
    };
    for batch in targets {
        let batch = batch.map_err(|error| error.to_string())?;
        let indexes: &UInt32Array = read(&batch, "prefix_index", "uint32")?;
        let prefixes = read_addresses(&batch, "prefix")?;
        let lens: &UInt8Array = read(&batch, "prefix_len", "uint8")?;
        let protocols: &UInt8Array = read(&batch, "protocol", "uint8")?;
        let host_ttls: &UInt8Array = read(&batch, "host_ttl", "uint8")?;
        let hosts: &Float64Array = read(&batch, "hosts", "float64")?;
        for row in 0..batch.num_rows() {
            let (family, first) = number_at(prefixes, row);
            let (len, share) = (lens.value(row), hosts.value(row));
            if len > family.bits() || !(0.0..=1.0).contains(&share) {
                return Err(format!(
                    "a target has the prefix_len {len} and hosts {share}; no prefix is longer than \
                     {}, and hosts are a share",
                    family.bits()
                ));
            }
            let target = Target {
                vantage_point,
                prefix: Prefix::containing(family, first, len),
                protocol: protocols.value(row),
                host_ttl: host_ttls.value(row),
                hosts: Share::new(share),
            };
            builder.add(target, &links.take(indexes.value(row))?);
        }
    }
    links.end()
}

/// The links of one target after another.
struct Links {
    batches: Fuse<RecordBatchStreamReader>,
    batch: Option<Columns>,
    /// The row of the batch that comes next.
    row: usize,
}

/// The columns of some links, and of routers without a link.
struct Columns {
    indexes: UInt32Array,
    ttls: UInt8Array,
    near: FixedSizeBinaryArray,
    far: FixedSizeBinaryArray,
    flows: UInt64Array,
}

impl Columns {
    fn of(batch: &RecordBatch) -> Result<Self, String> {
        Ok(Self {
            indexes: read::<UInt32Array>(batch, "prefix_index", "uint32")?.clone(),
            ttls: read::<UInt8Array>(batch, "near_ttl", "uint8")?.clone(),
            near: read_addresses(batch, "near_addr")?.clone(),
            far: read_far(batch)?.clone(),
            flows: read::<UInt64Array>(batch, "flows", "uint64")?.clone(),
        })
    }
}

impl Links {
    /// Returns the links on the way to a target.
    fn take(&mut self, prefix_index: u32) -> Result<Vec<Crossing>, String> {
        let mut taken = Vec::new();
        while let Some((columns, row)) = self.peek()? {
            let index = columns.indexes.value(row);
            if index > prefix_index {
                break;
            }
            let near_ttl = columns.ttls.value(row);
            if index < prefix_index || !(1..u8::MAX).contains(&near_ttl) {
                return Err(format!(
                    "a link has the prefix_index {index} and the near_ttl {near_ttl}; links must \
                     be of targets, sorted by prefix_index as these are, and have TTLs from 1 on"
                ));
            }
            taken.push(Crossing {
                near_ttl,
                near: number_at(&columns.near, row).1,
                far: (!columns.far.is_null(row)).then(|| number_at(&columns.far, row).1),
                flows: columns.flows.value(row),
            });
            self.row += 1;
        }
        Ok(taken)
    }

    /// Returns whether all links were taken, as an error if not.
    fn end(&mut self) -> Result<(), String> {
        match self.peek()? {
            None => Ok(()),
            Some((columns, row)) => Err(format!(
                "no target has the prefix_index {} of a link",
                columns.indexes.value(row)
            )),
        }
    }

    /// Returns where the next link is, or None behind the last one.
    fn peek(&mut self) -> Result<Option<(&Columns, usize)>, String> {
        while self
            .batch
            .as_ref()
            .is_none_or(|batch| self.row == batch.indexes.len())
        {
            let Some(batch) = self.batches.next() else {
                return Ok(None);
            };
            let batch = batch.map_err(|error| error.to_string())?;
            self.batch = Some(Columns::of(&batch)?);
            self.row = 0;
        }
        let row = self.row;
        Ok(self.batch.as_ref().map(|columns| (columns, row)))
    }
}

/// Returns the far ends of links, which routers without a link do not have.
fn read_far(batch: &RecordBatch) -> Result<&FixedSizeBinaryArray, String> {
    let column = batch.column_by_name("far_addr");
    column
        .and_then(|column| column.as_any().downcast_ref::<FixedSizeBinaryArray>())
        .filter(|column| column.value_length() == 16)
        .ok_or_else(|| "links must have a column far_addr of 16-byte fixed-size binary".to_owned())
}

/// Returns the family and number of an address of 16 bytes.
fn number_at(addresses: &FixedSizeBinaryArray, row: usize) -> (Family, u128) {
    let octets: [u8; 16] = addresses.value(row).try_into().expect("16 bytes");
    number_of(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical())
}
