//! A simulated Internet: its topology, and its replies to probes.

pub mod aliastrial;
mod answer;
pub mod behaviour;
pub mod graph;
pub mod internet;
pub mod laboratory;
pub mod level;
pub mod links;
pub mod measured;
pub mod network;
pub mod packet;
pub mod quote;
pub mod rehearsal;
mod router;
pub mod segment;
mod stop;
pub mod topology;
pub mod trial;
pub mod truth;
pub mod weave;
