//! Plans in Parquet files.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;

use anabranch_prefixes::{Family, Prefix};
use arrow_array::builder::{FixedSizeBinaryBuilder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{UInt8Type, UInt32Type};
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, RecordBatch, UInt8Array, UInt32Array};
use arrow_schema::ArrowError;
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
use crate::footer;
use crate::mapper::FlowMapper;
use crate::row::{Header, Row, RowError, sort_and_check};

/// The key of the header in the file's metadata; its value is JSON.
const HEADER: &str = "anabranch.plan";
/// The key of the number of probes; of destinations, if they are traced.
const UNITS: &str = "anabranch.plan.probes";
/// The column with the addresses for which a target stands. Only plans of traces have it.
const ADDRESSES: &str = "addresses";
/// The most rows of a row group. A group is read as a whole, even for a part of its rows.
const GROUP: usize = 1 << 17;

/// A plan in a file.
pub struct Plan {
    file: File,
    metadata: ArrowReaderMetadata,
    header: Header,
    units: u64,
}

/// The probes that a round asks for of a prefix: all combinations of some TTLs and some flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The number of the prefix in the list of targets.
    pub prefix_index: u32,
    /// The lowest TTL.
    pub min_ttl: u8,
    /// The highest TTL.
    pub max_ttl: u8,
    /// The first flow.
    pub first_flow: u32,
    /// The number of flows.
    pub flow_count: u32,
}

impl Demand {
    /// Reads the demands of a table that has these fields as columns, and the addresses for which targets
    /// stand, if it has those.
    ///
    /// # Errors
    /// If the table can't be read, or a column is missing or has another type.
    pub fn read(
        table: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
    ) -> Result<(Vec<Self>, Lists), PlanError> {
        let (mut demands, mut lists) = (Vec::new(), Lists::new());
        for batch in table {
            let batch = batch.map_err(ParquetError::from)?;
            read_lists(&batch, &mut lists)?;
            let columns = Columns(&batch);
            let prefix_index = columns.large("prefix_index")?;
            let (min_ttl, max_ttl) = (columns.small("min_ttl")?, columns.small("max_ttl")?);
            let first_flow = columns.large("first_flow")?;
            let flow_count = columns.large("flow_count")?;
            demands.extend((0..batch.num_rows()).map(|i| Self {
                prefix_index: prefix_index.value(i),
                min_ttl: min_ttl.value(i),
                max_ttl: max_ttl.value(i),
                first_flow: first_flow.value(i),
                flow_count: flow_count.value(i),
            }));
        }
        Ok((demands, lists))
    }
}

/// The addresses among which aliases are looked for, by the number of the target that stands for them. They
/// have 16 bytes, those of IPv4 as IPv4-mapped.
pub type Lists = HashMap<u32, Vec<[u8; 16]>>;

/// Adds the lists of a batch; there are none without their column.
fn read_lists(batch: &RecordBatch, lists: &mut Lists) -> Result<(), PlanError> {
    let Some(column) = batch.column_by_name(ADDRESSES) else {
        return Ok(());
    };
    let refuse = || wrong(ADDRESSES, "List(FixedSizeBinary(16))");
    let numbers = Columns(batch).large("prefix_index")?;
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

/// A plan that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file can't be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not Parquet.
    #[error("it is no plan: {0}")]
    Parquet(#[from] ParquetError),
    /// Its metadata lacks the header or the number of probes, or one of them is invalid.
    #[error("it is no plan; its metadata is invalid: {0}")]
    Header(String),
    /// A column is missing or has another type, or one of its values is invalid.
    #[error("it is no plan: {0}")]
    Column(String),
    /// A row can't be probed.
    #[error(transparent)]
    Row(#[from] RowError),
    /// There is no such block.
    #[error("the plan has no block {block}; it has {blocks}, from 0 on")]
    Block {
        /// The number of the block that was asked for.
        block: u32,
        /// The number of blocks.
        blocks: u32,
    },
}

impl Plan {
    /// Opens a plan, and reads only its metadata.
    ///
    /// # Errors
    /// When the file can't be read, or is no plan.
    pub fn open(path: &Path) -> Result<Self, PlanError> {
        let file = File::open(path)?;
        footer::check(&file)?;
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default())?;
        footer::check_columns(metadata.metadata(), file.metadata()?.len())?;
        let pairs = metadata.metadata().file_metadata().key_value_metadata();
        let value_of = |key: &'static str| {
            pairs
                .and_then(|pairs| pairs.iter().find(|pair| pair.key == key))
                .and_then(|pair| pair.value.as_deref())
                .ok_or_else(|| PlanError::Header(format!("{key} is missing")))
        };
        let broken = |error: &dyn std::fmt::Display| PlanError::Header(error.to_string());
        let header: Header =
            serde_json::from_str(value_of(HEADER)?).map_err(|error| broken(&error))?;
        let units = value_of(UNITS)?.parse().map_err(|error| broken(&error))?;
        if let Some(tracing) = &header.tracing {
            tracing.rule(1, 1).map_err(|reason| broken(&reason))?;
        }
        if header.blocks == 0 {
            return Err(PlanError::Header("blocks must be at least 1".to_owned()));
        }
        Ok(Self {
            file,
            metadata,
            header,
            units,
        })
    }

    /// The number of probes that it asks for; of destinations, if they are traced.
    #[must_use]
    pub const fn units(&self) -> u64 {
        self.units
    }

    /// Its header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Reads a block. With the plan, `order` determines the order of its probes.
    ///
    /// # Errors
    /// When it can't be read, or a row can't be probed.
    pub fn block(&self, block: u32, order: &str) -> Result<Block, PlanError> {
        let key = self.header.order_key(block, order);
        Ok(Block::new(self.rows(block)?, &self.header, key)?)
    }

    /// Checks that a block can be probed, and returns the highest source port of its probes; 0
    /// without any.
    ///
    /// # Errors
    /// When it can't be read, or a row can't be probed.
    pub fn check(&self, block: u32) -> Result<u16, PlanError> {
        let mut rows = self.rows(block)?;
        Ok(sort_and_check(
            &mut rows,
            &self.header,
            &mut FlowMapper::new(self.header.mapping),
        )?)
    }

    /// Returns the rows that ask for other probes of a block's prefixes.
    ///
    /// Flows for which no source port is left are omitted.
    ///
    /// # Errors
    /// If a prefix is not in this block of the plan, or the block can't be read.
    pub fn ask(&self, block: u32, demands: &[Demand]) -> Result<Vec<Row>, PlanError> {
        let rows = self.rows(block)?;
        let by_index: HashMap<u32, &Row> = rows.iter().map(|row| (row.prefix_index, row)).collect();
        let mut mapper = FlowMapper::new(self.header.mapping);
        let mut asked = Vec::with_capacity(demands.len());
        for demand in demands {
            let known = by_index.get(&demand.prefix_index).ok_or_else(|| {
                let index = demand.prefix_index;
                PlanError::Column(format!("prefix_index {index} is not in block {block}"))
            })?;
            let ports = u32::from(u16::MAX - self.header.initial_source_port);
            let flows = mapper.space(&known.prefix).flows(ports);
            let end = demand.first_flow.saturating_add(demand.flow_count);
            if let Some(flow_count @ 1..) = end.min(flows).checked_sub(demand.first_flow) {
                asked.push(Row {
                    min_ttl: demand.min_ttl,
                    max_ttl: demand.max_ttl,
                    first_flow: demand.first_flow,
                    flow_count,
                    ..**known
                });
            }
        }
        Ok(asked)
    }

    /// Reads the rows of a block.
    ///
    /// # Errors
    /// If there is no such block, its rows can't be read, or a column is invalid.
    pub fn rows(&self, block: u32) -> Result<Vec<Row>, PlanError> {
        let mut rows = Vec::new();
        self.read(block, |batch| read_rows(batch, block, &mut rows))?;
        Ok(rows)
    }

    /// Reads the addresses among which aliases are looked for, as numbers of their family, by the number of
    /// the target that stands for them.
    ///
    /// # Errors
    /// If there is no such block, or it can't be read.
    pub fn lists(&self, block: u32) -> Result<HashMap<u32, Vec<u128>>, PlanError> {
        let mut lists = Lists::new();
        self.read(block, |batch| read_lists(batch, &mut lists))?;
        let address = |bytes: [u8; 16]| match u128::from_be_bytes(bytes) {
            number if number >> 32 == 0xffff => number & 0xffff_ffff,
            number => number,
        };
        let number =
            |(index, list): (u32, Vec<[u8; 16]>)| (index, list.into_iter().map(address).collect());
        Ok(lists.into_iter().map(number).collect())
    }

    /// Hands over the row groups that have rows of a block, and may have others.
    fn read(
        &self,
        block: u32,
        mut take: impl FnMut(&RecordBatch) -> Result<(), PlanError>,
    ) -> Result<(), PlanError> {
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
        // Pages that are damaged make the reader panic in more than one place.
        panic::catch_unwind(AssertUnwindSafe(|| self.read_groups(wanted, &mut take)))
            .unwrap_or_else(|_| Err(PlanError::Column("its pages are damaged".to_owned())))
    }

    fn read_groups(
        &self,
        groups: Vec<usize>,
        take: &mut impl FnMut(&RecordBatch) -> Result<(), PlanError>,
    ) -> Result<(), PlanError> {
        let file = self.file.try_clone()?;
        let reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                .with_row_groups(groups)
                .build()?;
        for batch in reader {
            take(&batch.map_err(ParquetError::from)?)?;
        }
        Ok(())
    }
}

/// Returns the statistics of a column in a row group, which have its bounds.
fn column_of<'a>(group: &'a RowGroupMetaData, name: &str) -> Option<&'a Statistics> {
    let mut columns = group.columns().iter();
    columns
        .find(|column| column.column_path().string() == name)?
        .statistics()
}

/// The columns of a batch, by name and type.
struct Columns<'a>(&'a RecordBatch);

impl<'a> Columns<'a> {
    fn column(&self, name: &str) -> Result<&'a ArrayRef, PlanError> {
        let column = self.0.column_by_name(name);
        column.ok_or_else(|| PlanError::Column(format!("the column {name} is missing")))
    }

    fn small(&self, name: &str) -> Result<&'a UInt8Array, PlanError> {
        let column = self.column(name)?.as_primitive_opt::<UInt8Type>();
        column.ok_or_else(|| wrong(name, "UInt8"))
    }

    fn large(&self, name: &str) -> Result<&'a UInt32Array, PlanError> {
        let column = self.column(name)?.as_primitive_opt::<UInt32Type>();
        column.ok_or_else(|| wrong(name, "UInt32"))
    }
}

fn wrong(name: &str, kind: &str) -> PlanError {
    PlanError::Column(format!("{name} must be {kind}"))
}

/// Adds the rows of a block from a batch. `docs/formats.md` has the names and types of the columns.
fn read_rows(batch: &RecordBatch, block: u32, rows: &mut Vec<Row>) -> Result<(), PlanError> {
    let columns = Columns(batch);
    let blocks = columns.large("block")?;
    let prefix_index = columns.large("prefix_index")?;
    let prefixes = columns.column("prefix")?.as_fixed_size_binary_opt();
    let prefixes = prefixes
        .filter(|prefixes| prefixes.value_length() == 16)
        .ok_or_else(|| wrong("prefix", "FixedSizeBinary(16)"))?;
    let prefix_len = columns.small("prefix_len")?;
    let protocol = columns.small("protocol")?;
    let (min_ttl, max_ttl) = (columns.small("min_ttl")?, columns.small("max_ttl")?);
    let (first_flow, flow_count) = (columns.large("first_flow")?, columns.large("flow_count")?);
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
            .set_column_dictionary_enabled("prefix".into(), false)
            .set_column_dictionary_enabled("prefix_index".into(), false)
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
            ("block", large(&|row| header.block_of(&row.prefix))),
            ("prefix_index", large(&|row| row.prefix_index)),
            ("prefix", Arc::new(prefixes) as ArrayRef),
            ("prefix_len", small(&|row| row.prefix.len())),
            ("protocol", small(&|row| row.protocol)),
            ("min_ttl", small(&|row| row.min_ttl)),
            ("max_ttl", small(&|row| row.max_ttl)),
            ("first_flow", large(&|row| row.first_flow)),
            ("flow_count", large(&|row| row.flow_count)),
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
