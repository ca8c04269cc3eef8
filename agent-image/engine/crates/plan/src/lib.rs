//! Probe plans: rows, blocks, flow mappers, and the order in which probes are sent.

pub mod block;
mod columns;
mod demand;
mod destination;
mod finder;
pub mod footer;
mod format;
mod mapper;
mod permutation;
mod reader;
mod row;
mod twister;
mod writer;

pub use block::{Block, Destination, Draw, Walk};
pub use demand::Demand;
pub use destination::draw_address;
pub use format::{Lists, PlanError};
pub use mapper::{FlowMapper, Mapping};
pub use reader::Plan;
pub use row::{Header, Row, RowError, Unit, count_blocks};
pub use writer::PlanWriter;
