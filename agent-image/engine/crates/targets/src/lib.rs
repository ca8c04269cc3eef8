//! Target lists: reading, merging, splitting, excluding.
//!
//! A list is read in one pass into its distinct entries ([`read`]), and split into the
//! targets of a tool ([`TargetList::split`]). Memory grows with the entries of the list, never with
//! the prefixes that they stand for.

mod entry;
mod list;
mod reader;
mod routed;
mod split;

pub use entry::{Entry, EntryError, Intent, Protocol};
pub use list::TargetList;
pub use reader::{Problem, REPORTED_PROBLEMS, ReadError, Refused, read};
pub use routed::{Choice, Routes};
pub use split::{Cursor, MAX_TARGETS, Run, Split, SplitError, Target, Targets};
