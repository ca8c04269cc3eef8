//! What a plan's file is made of: `docs/formats.md` has the types of its columns.

use std::collections::HashMap;
use std::io;

use parquet::errors::ParquetError;

use crate::row::RowError;

/// The key of the header in the file's metadata; its value is JSON.
pub const HEADER: &str = "anabranch.plan";
/// The key of the number of probes; of destinations, if they are traced.
pub const UNITS: &str = "anabranch.plan.probes";

pub const BLOCK: &str = "block";
pub const PREFIX_INDEX: &str = "prefix_index";
pub const PREFIX: &str = "prefix";
pub const PREFIX_LEN: &str = "prefix_len";
pub const PROTOCOL: &str = "protocol";
pub const MIN_TTL: &str = "min_ttl";
pub const MAX_TTL: &str = "max_ttl";
pub const FIRST_FLOW: &str = "first_flow";
pub const FLOW_COUNT: &str = "flow_count";
/// The addresses for which a target stands. Only plans of traces have this column.
pub const ADDRESSES: &str = "addresses";

/// The addresses among which aliases are looked for, by the number of the target that stands for them. They
/// have 16 bytes, those of IPv4 as IPv4-mapped.
pub type Lists = HashMap<u32, Vec<[u8; 16]>>;

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
