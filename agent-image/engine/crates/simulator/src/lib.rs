//! The simulated Internet on real packets, in network namespaces of its own.

pub mod command;
pub mod neighbour;
pub mod reply;
pub mod simulation;
pub mod simulator;
pub mod truth;
pub mod wheel;
