//! The links of this machine: network namespaces, addresses, routes, and packets in batches.

pub mod filter;
pub mod namespace;
pub mod netlink;
pub mod receiver;
pub mod sender;
mod socket;
pub mod way;

pub use socket::{check_rights, index_of, mtu_of, turn_off_offloads};
