//! Packets on the wire: checksums, typed views of checked packets, probes, and replies.

pub mod checksum;
pub mod claim;
pub mod encoding;
pub mod fragment;
pub mod ip;
pub mod probe;
pub mod quote;
pub mod reply;
pub mod segment;
