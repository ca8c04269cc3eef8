//! Sends the probes of a plan, and writes the replies to parts.

pub mod control;
mod event;
pub mod options;
pub mod pace;
pub mod part;
pub mod prober;
mod receiving;
mod sending;
mod stamps;
