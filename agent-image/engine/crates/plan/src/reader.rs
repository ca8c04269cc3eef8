//! Reads plans from their files.

use std::collections::HashMap;
use std::fs::File;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use arrow_array::RecordBatch;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::block::Block;
use crate::columns::{read_lists, read_rows};
use crate::demand::Demand;
use crate::footer;
use crate::format::{BLOCK, HEADER, Lists, PlanError, UNITS};
use crate::mapper::FlowMapper;
use crate::row::{Header, Row, sort_and_check};

/// A plan in a file.
pub struct Plan {
    file: File,
    metadata: ArrowReaderMetadata,
    header: Header,
    units: u64,
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
            .filter(|group| match column_of(&groups[*group], BLOCK) {
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
