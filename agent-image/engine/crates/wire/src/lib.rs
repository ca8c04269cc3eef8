//! Packets on the wire: typed views that have checked what they show, and checksums.

pub mod checksum;
pub mod ip;
pub mod probe;
pub mod quote;
pub mod reply;
