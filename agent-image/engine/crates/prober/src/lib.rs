//! Sends probes, of plans or of tracers, and keeps the replies.

mod agenda;
pub mod clock;
mod columns;
pub mod control;
mod departure;
pub mod error;
mod event;
mod further;
mod going;
mod inlet;
mod network;
pub mod options;
mod outlet;
pub mod pace;
pub mod part;
mod planfile;
pub mod prober;
mod receiving;
mod schedule;
mod sending;
mod sounding;
mod stamps;
pub mod tracecolumns;
pub mod traced;
pub mod traceoptions;
pub mod tracing;
pub mod work;
