//! IP prefixes, sets of them, and the space that nobody may probe.

mod prefix;
mod reserved;
mod set;

pub use prefix::{Family, Prefix, PrefixError, number_of};
pub use reserved::reserved;
pub use set::{PrefixSet, Ranges};
