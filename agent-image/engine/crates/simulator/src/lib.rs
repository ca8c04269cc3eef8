//! Serves the simulated Internet with real packets, in network namespaces of its own.

pub mod command;
mod fragment;
mod gateway;
pub mod neighbour;
mod quote;
pub mod reply;
pub mod simulation;
pub mod simulator;
pub mod truth;
pub mod wheel;
