//! A simulated Internet: what it looks like, and what it answers.

pub mod behaviour;
pub mod chance;
pub mod graph;
pub mod internet;
pub mod network;
pub mod segment;
pub mod truth;
