//! What a round asks of the prefixes of a plan.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use parquet::errors::ParquetError;

use crate::columns::{Columns, read_lists};
use crate::format::{FIRST_FLOW, FLOW_COUNT, Lists, MAX_TTL, MIN_TTL, PREFIX_INDEX, PlanError};

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
            let prefix_index = columns.large(PREFIX_INDEX)?;
            let (min_ttl, max_ttl) = (columns.small(MIN_TTL)?, columns.small(MAX_TTL)?);
            let first_flow = columns.large(FIRST_FLOW)?;
            let flow_count = columns.large(FLOW_COUNT)?;
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
