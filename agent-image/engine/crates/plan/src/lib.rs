//! Probe plans: rows, blocks, flow mappers, and the order in which probes are sent.

pub mod block;
mod destination;
mod file;
mod finder;
pub mod footer;
mod mapper;
mod permutation;
mod row;
mod twister;

pub use block::{Block, Destination, Draw, Walk};
pub use destination::draw_address;
pub use file::{Demand, Lists, Plan, PlanError, PlanWriter};
pub use mapper::{FlowMapper, Mapping};
pub use row::{Header, Row, RowError, Unit, count_blocks};
