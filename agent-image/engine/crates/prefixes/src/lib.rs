//! IP prefixes, sets of addresses, and the reserved address space.

mod prefix;
mod reserved;
mod set;

pub use prefix::{Family, Prefix, PrefixError, number_of};
pub use reserved::reserved;
pub use set::{PrefixSet, Ranges};
