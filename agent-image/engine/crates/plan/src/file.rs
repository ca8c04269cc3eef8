//! Plans in Parquet files.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use anabranch_prefixes::{Family, Prefix};
use arrow_array::cast::AsArray;
use arrow_array::types::{UInt8Type, UInt32Type};
use arrow_array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, UInt8Array, UInt32Array};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, RowGroupMetaData};
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;

use crate::block::Block;
use crate::mapper::FlowMapper;
use crate::row::{Header, Row, RowError, sort_and_check};

/// The key of the header in the file's metadata; its value is JSON.
const HEADER: &str = "anabranch.plan";
/// Rows of a row group: the least that is read for a block.
const GROUP: usize = 1 << 17;

/// A plan in a file.
pub struct Plan {
    file: File,
    metadata: ArrowReaderMetadata,
    header: Header,
}

/// A plan that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file can't be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not Parquet.
    #[error("it is no plan: {0}")]
    Parquet(#[from] ParquetError),
    /// It has no header, or another one.
    #[error("it is no plan: its metadata must have {HEADER}: {0}")]
    Header(String),
    /// A column is not what it is to be.
    #[error("it is no plan: {0}")]
    Column(String),
    /// A row can't be probed.
    #[error(transparent)]
    Row(#[from] RowError),
    /// There is no such block.
    #[error("the plan has no block {block}; it has {blocks}, from 0 on")]
    Block {
        /// What was asked for.
        block: u32,
        /// How many there are.
        blocks: u32,
    },
}

impl Plan {
    /// Opens a plan; nothing but its metadata is read.
    ///
    /// # Errors
    /// When the file can't be read, or is no plan.
    pub fn open(path: &Path) -> Result<Self, PlanError> {
        let file = File::open(path)?;
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default())?;
        let pairs = metadata.metadata().file_metadata().key_value_metadata();
        let header = pairs
            .and_then(|pairs| pairs.iter().find(|pair| pair.key == HEADER))
            .and_then(|pair| pair.value.as_deref())
            .ok_or_else(|| PlanError::Header("there is none".to_owned()))?;
        let header: Header =
            serde_json::from_str(header).map_err(|error| PlanError::Header(error.to_string()))?;
        if header.blocks == 0 {
            return Err(PlanError::Header("there must be a block".to_owned()));
        }
        Ok(Self {
            file,
            metadata,
            header,
        })
    }

    /// Its header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// A block, in the order that someone sends it in.
    ///
    /// # Errors
    /// When it can't be read, or a row can't be probed.
    pub fn block(&self, block: u32, order: &str) -> Result<Block, PlanError> {
        let key = self.header.order_key(block, order);
        Ok(Block::new(self.rows(block)?, &self.header, key)?)
    }

    /// Checks that a block can be probed.
    ///
    /// # Errors
    /// When it can't be read, or a row can't be probed.
    pub fn check(&self, block: u32) -> Result<(), PlanError> {
        let mut rows = self.rows(block)?;
        Ok(sort_and_check(
            &mut rows,
            &self.header,
            &mut FlowMapper::new(self.header.mapping),
        )?)
    }

    /// The rows of a block.
    ///
    /// # Errors
    /// When there is no such block, they can't be read, or a column is not what it is to be.
    pub fn rows(&self, block: u32) -> Result<Vec<Row>, PlanError> {
        let blocks = self.header.blocks;
        if block >= blocks {
            return Err(PlanError::Block { block, blocks });
        }
        let groups = self.metadata.metadata().row_groups();
        let wanted: Vec<usize> = (0..groups.len())
            .filter(|group| match column_of(&groups[*group], "block") {
                Some(Statistics::Int32(bounds)) => {
                    let least = bounds
                        .min_opt()
                        .is_none_or(|min| min.cast_unsigned() <= block);
                    least
                        && bounds
                            .max_opt()
                            .is_none_or(|max| block <= max.cast_unsigned())
                }
                _ => true,
            })
            .collect();
        let file = self.file.try_clone()?;
        let reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                .with_row_groups(wanted)
                .build()?;
        let mut rows = Vec::new();
        for batch in reader {
            let batch = batch.map_err(ParquetError::from)?;
            read_rows(&batch, block, &mut rows)?;
        }
        Ok(rows)
    }
}

/// The bounds of a column in a row group.
fn column_of<'a>(group: &'a RowGroupMetaData, name: &str) -> Option<&'a Statistics> {
    let mut columns = group.columns().iter();
    columns
        .find(|column| column.column_path().string() == name)?
        .statistics()
}

/// Columns: names and types are those of `docs/formats.md`.
fn read_rows(batch: &RecordBatch, block: u32, rows: &mut Vec<Row>) -> Result<(), PlanError> {
    let column = |name: &str| {
        let column = batch.column_by_name(name);
        column.ok_or_else(|| PlanError::Column(format!("the column {name} is missing")))
    };
    let wrong = |name: &str, kind: &str| PlanError::Column(format!("{name} must be {kind}"));
    let small = |name: &str| {
        let column = column(name)?.as_primitive_opt::<UInt8Type>();
        column.ok_or_else(|| wrong(name, "UInt8"))
    };
    let large = |name: &str| {
        let column = column(name)?.as_primitive_opt::<UInt32Type>();
        column.ok_or_else(|| wrong(name, "UInt32"))
    };
    let blocks = large("block")?;
    let prefix_index = large("prefix_index")?;
    let prefixes = column("prefix")?.as_fixed_size_binary_opt();
    let prefixes = prefixes
        .filter(|prefixes| prefixes.value_length() == 16)
        .ok_or_else(|| wrong("prefix", "FixedSizeBinary(16)"))?;
    let prefix_len = small("prefix_len")?;
    let protocol = small("protocol")?;
    let (min_ttl, max_ttl) = (small("min_ttl")?, small("max_ttl")?);
    let (first_flow, flow_count) = (large("first_flow")?, large("flow_count")?);
    for i in (0..batch.num_rows()).filter(|i| blocks.value(*i) == block) {
        let prefix = read_prefix(prefixes.value(i), prefix_len.value(i))
            .ok_or_else(|| PlanError::Column("a prefix has no such length".to_owned()))?;
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

/// Writes a plan, its rows in the order of their blocks.
///
/// # Errors
/// When it can't be written.
pub fn write_plan(path: &Path, header: &Header, rows: &mut [Row]) -> Result<(), PlanError> {
    rows.sort_unstable_by_key(|row| (header.block_of(&row.prefix), *row));
    let json = serde_json::to_string(header).map_err(|e| PlanError::Header(e.to_string()))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP))
        .set_key_value_metadata(Some(vec![KeyValue::new(HEADER.to_owned(), json)]))
        .build();
    let file = File::create(path)?;
    let schema = batch(header, &[])?.schema();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties))?;
    for rows in rows.chunks(GROUP) {
        writer.write(&batch(header, rows)?)?;
    }
    writer.close()?;
    Ok(())
}

fn batch(header: &Header, rows: &[Row]) -> Result<RecordBatch, PlanError> {
    let large = |of: &dyn Fn(&Row) -> u32| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<UInt32Array>())
    };
    let small = |of: &dyn Fn(&Row) -> u8| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<UInt8Array>())
    };
    let bytes: Vec<u8> = rows.iter().flat_map(|row| row.prefix.mapped()).collect();
    let prefixes = FixedSizeBinaryArray::try_new(16, bytes.into(), None);
    let batch = prefixes.and_then(|prefixes| {
        RecordBatch::try_from_iter([
            ("block", large(&|row| header.block_of(&row.prefix))),
            ("prefix_index", large(&|row| row.prefix_index)),
            ("prefix", Arc::new(prefixes) as ArrayRef),
            ("prefix_len", small(&|row| row.prefix.len())),
            ("protocol", small(&|row| row.protocol)),
            ("min_ttl", small(&|row| row.min_ttl)),
            ("max_ttl", small(&|row| row.max_ttl)),
            ("first_flow", large(&|row| row.first_flow)),
            ("flow_count", large(&|row| row.flow_count)),
        ])
    });
    Ok(batch.map_err(ParquetError::from)?)
}
