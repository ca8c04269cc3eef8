//! Between parts, which hold rows, and the field's formats, which hold records.
//!
//! Rows are probes with their replies, and in the first row of a trace what its tracer concluded, as
//! `docs/formats.md` has them.

pub mod alone;
mod codes;
pub mod columns;
pub mod context;
mod crossing;
pub mod format;
pub mod graph;
mod nested;
pub mod netblock;
pub mod path;
pub mod ping;
mod probes;
pub mod reader;
pub mod replies;
pub mod rows;
pub mod writer;
