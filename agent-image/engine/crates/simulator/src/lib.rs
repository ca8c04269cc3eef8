//! The simulated Internet on real packets, in network namespaces of its own.

pub mod command;
pub mod namespace;
pub mod neighbour;
pub mod netlink;
pub mod port;
pub mod reply;
pub mod simulation;
pub mod simulator;
pub mod truth;
pub mod wheel;
