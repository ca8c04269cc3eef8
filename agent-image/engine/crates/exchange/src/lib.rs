//! Between parts, which hold rows, and the field's formats, which hold records.
//!
//! Rows are probes with their replies, and in the first row of a trace what its tracer concluded, as
//! `docs/formats.md` has them.

pub mod alone;
pub mod columns;
pub mod context;
pub mod format;
pub mod graph;
pub mod netblock;
pub mod path;
pub mod ping;
mod probes;
pub mod reader;
pub mod replies;
pub mod rows;
pub mod writer;
