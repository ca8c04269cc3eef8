//! Sends probes, of plans or of tracers, and keeps the replies.

pub mod control;
mod event;
mod inlet;
pub mod options;
mod outlet;
pub mod pace;
pub mod part;
pub mod prober;
mod receiving;
mod schedule;
mod sending;
mod stamps;
pub mod tracing;
