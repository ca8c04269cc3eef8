//! The columns of a plan, and of a table of demands: from batches to rows and lists.

use anabranch_prefixes::{Family, Prefix};
use arrow_array::cast::AsArray;
use arrow_array::types::{UInt8Type, UInt32Type};
use arrow_array::{Array, ArrayRef, RecordBatch, UInt8Array, UInt32Array};

use crate::format::{
    ADDRESSES, BLOCK, FIRST_FLOW, FLOW_COUNT, Lists, MAX_TTL, MIN_TTL, PREFIX, PREFIX_INDEX,
    PREFIX_LEN, PROTOCOL, PlanError,
};
use crate::row::Row;

/// The columns of a batch, by name and type.
pub struct Columns<'a>(pub &'a RecordBatch);

impl<'a> Columns<'a> {
    fn column(&self, name: &str) -> Result<&'a ArrayRef, PlanError> {
        let column = self.0.column_by_name(name);
        column.ok_or_else(|| PlanError::Column(format!("the column {name} is missing")))
    }

    pub fn small(&self, name: &str) -> Result<&'a UInt8Array, PlanError> {
        let column = self.column(name)?.as_primitive_opt::<UInt8Type>();
        column.ok_or_else(|| wrong(name, "UInt8"))
    }

    pub fn large(&self, name: &str) -> Result<&'a UInt32Array, PlanError> {
        let column = self.column(name)?.as_primitive_opt::<UInt32Type>();
        column.ok_or_else(|| wrong(name, "UInt32"))
    }
}

fn wrong(name: &str, kind: &str) -> PlanError {
    PlanError::Column(format!("{name} must be {kind}"))
}

/// Adds the rows of a block from a batch.
pub fn read_rows(batch: &RecordBatch, block: u32, rows: &mut Vec<Row>) -> Result<(), PlanError> {
    let columns = Columns(batch);
    let blocks = columns.large(BLOCK)?;
    let prefix_index = columns.large(PREFIX_INDEX)?;
    let prefixes = columns.column(PREFIX)?.as_fixed_size_binary_opt();
    let prefixes = prefixes
        .filter(|prefixes| prefixes.value_length() == 16)
        .ok_or_else(|| wrong(PREFIX, "FixedSizeBinary(16)"))?;
    let prefix_len = columns.small(PREFIX_LEN)?;
    let protocol = columns.small(PROTOCOL)?;
    let (min_ttl, max_ttl) = (columns.small(MIN_TTL)?, columns.small(MAX_TTL)?);
    let (first_flow, flow_count) = (columns.large(FIRST_FLOW)?, columns.large(FLOW_COUNT)?);
    for i in (0..batch.num_rows()).filter(|i| blocks.value(*i) == block) {
        let prefix = read_prefix(prefixes.value(i), prefix_len.value(i)).ok_or_else(|| {
            PlanError::Column(
                "a prefix has host bits set, or a length that its family does not have".to_owned(),
            )
        })?;
        rows.push(Row {
            prefix_index: prefix_index.value(i),
            prefix,
            protocol: protocol.value(i),
            min_ttl: min_ttl.value(i),
            max_ttl: max_ttl.value(i),
            first_flow: first_flow.value(i),
            flow_count: flow_count.value(i),
        });
    }
    Ok(())
}

fn read_prefix(bytes: &[u8], len: u8) -> Option<Prefix> {
    let number = u128::from_be_bytes(bytes.try_into().ok()?);
    let (family, first) = if number >> 32 == 0xffff {
        (Family::V4, number & 0xffff_ffff)
    } else {
        (Family::V6, number)
    };
    let fits = len <= family.bits();
    fits.then(|| Prefix::containing(family, first, len))
        .filter(|prefix| prefix.first() == first)
}

/// Adds the lists of a batch; there are none without their column.
pub fn read_lists(batch: &RecordBatch, lists: &mut Lists) -> Result<(), PlanError> {
    let Some(column) = batch.column_by_name(ADDRESSES) else {
        return Ok(());
    };
    let refuse = || wrong(ADDRESSES, "List(FixedSizeBinary(16))");
    let numbers = Columns(batch).large(PREFIX_INDEX)?;
    let column = column.as_list_opt::<i32>().ok_or_else(refuse)?;
    for row in (0..batch.num_rows()).filter(|row| column.is_valid(*row)) {
        let items = column.value(row);
        let items = items.as_fixed_size_binary_opt().ok_or_else(refuse)?;
        let addresses = items.iter().flatten().map(TryInto::try_into);
        let addresses = addresses.collect::<Result<_, _>>().map_err(|_| refuse())?;
        lists.insert(numbers.value(row), addresses);
    }
    Ok(())
}
