//! Sends the probes of a plan, and keeps the replies in parts.

pub mod control;
pub mod pace;
pub mod part;
pub mod prober;
mod receiving;
mod sending;
mod stamps;
