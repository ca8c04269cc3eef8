//! Sends the probes of a plan, and keeps the replies in parts.

pub mod control;
mod event;
pub mod options;
pub mod pace;
pub mod part;
pub mod prober;
mod receiving;
mod sending;
mod stamps;
