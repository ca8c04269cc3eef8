//! Writes plans into files.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{FixedSizeBinaryBuilder, ListBuilder};
use arrow_array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, UInt8Array, UInt32Array};
use arrow_schema::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::format::{
    ADDRESSES, BLOCK, FIRST_FLOW, FLOW_COUNT, HEADER, Lists, MAX_TTL, MIN_TTL, PREFIX,
    PREFIX_INDEX, PREFIX_LEN, PROTOCOL, PlanError, UNITS,
};
use crate::row::{Header, Row};

/// The most rows of a row group. A group is read as a whole, even for a part of its rows.
const GROUP: usize = 1 << 17;

/// Writes a plan, block after block.
pub struct PlanWriter {
    header: Header,
    writer: ArrowWriter<File>,
    units: u64,
}

impl PlanWriter {
    /// Begins a plan in a file. What the file held before is lost.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn create(path: &Path, header: Header) -> Result<Self, PlanError> {
        let json = serde_json::to_string(&header).map_err(|e| PlanError::Header(e.to_string()))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP))
            // Each prefix is there once, or a few times.
            .set_column_dictionary_enabled(PREFIX.into(), false)
            .set_column_dictionary_enabled(PREFIX_INDEX.into(), false)
            .set_key_value_metadata(Some(vec![KeyValue::new(HEADER.to_owned(), json)]))
            .build();
        let file = File::create(path)?;
        let schema = batch(&header, &[], &Lists::new())?.schema();
        Ok(Self {
            writer: ArrowWriter::try_new(file, schema, Some(properties))?,
            header,
            units: 0,
        })
    }

    /// Sorts rows by block, and writes them, with the addresses that targets stand for. No block may be
    /// lower than one that was written before.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn write(&mut self, rows: &mut [Row], lists: &Lists) -> Result<(), PlanError> {
        rows.sort_unstable();
        // The block of each row is a hash, and so worked out once.
        let place = |(row, at): (&Row, u32)| (self.header.block_of(&row.prefix), at);
        let mut places: Vec<(u32, u32)> = rows.iter().zip(0..).map(place).collect();
        places.sort_unstable();
        let mut group = Vec::with_capacity(GROUP.min(rows.len()));
        for places in places.chunks(GROUP) {
            group.clear();
            group.extend(places.iter().map(|(_, at)| rows[*at as usize]));
            let unit = self.header.unit();
            self.units += group.iter().map(|row| row.slots(unit)).sum::<u64>();
            self.writer.write(&batch(&self.header, &group, lists)?)?;
        }
        Ok(())
    }

    /// Ends the plan, and returns the number of its probes, or of its destinations.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn finish(mut self) -> Result<u64, PlanError> {
        let units = self.units.to_string();
        self.writer
            .append_key_value_metadata(KeyValue::new(UNITS.to_owned(), units));
        self.writer.close()?;
        Ok(self.units)
    }
}

fn batch(header: &Header, rows: &[Row], lists: &Lists) -> Result<RecordBatch, PlanError> {
    let large = |of: &dyn Fn(&Row) -> u32| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<UInt32Array>())
    };
    let small = |of: &dyn Fn(&Row) -> u8| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<UInt8Array>())
    };
    let bytes: Vec<u8> = rows.iter().flat_map(|row| row.prefix.mapped()).collect();
    let prefixes = FixedSizeBinaryArray::try_new(16, bytes.into(), None);
    let batch = prefixes.and_then(|prefixes| {
        let mut columns = vec![
            (BLOCK, large(&|row| header.block_of(&row.prefix))),
            (PREFIX_INDEX, large(&|row| row.prefix_index)),
            (PREFIX, Arc::new(prefixes) as ArrayRef),
            (PREFIX_LEN, small(&|row| row.prefix.len())),
            (PROTOCOL, small(&|row| row.protocol)),
            (MIN_TTL, small(&|row| row.min_ttl)),
            (MAX_TTL, small(&|row| row.max_ttl)),
            (FIRST_FLOW, large(&|row| row.first_flow)),
            (FLOW_COUNT, large(&|row| row.flow_count)),
        ];
        if header.tracing.is_some() {
            columns.push((ADDRESSES, list_addresses(rows, lists)?));
        }
        RecordBatch::try_from_iter_with_nullable(
            columns
                .into_iter()
                .map(|(name, column)| (name, column, name == ADDRESSES)),
        )
    });
    Ok(batch.map_err(ParquetError::from)?)
}

/// Returns the addresses for which targets stand; null for those that are traced.
fn list_addresses(rows: &[Row], lists: &Lists) -> Result<ArrayRef, ArrowError> {
    let mut column = ListBuilder::new(FixedSizeBinaryBuilder::new(16));
    for row in rows {
        let list = lists.get(&row.prefix_index);
        for address in list.into_iter().flatten() {
            column.values().append_value(address)?;
        }
        column.append(list.is_some());
    }
    Ok(Arc::new(column.finish()))
}
