//! What files of the field say, whatever their format.
//!
//! The words are ours, the meaning is scamper's where both have the same thing: its warts and JSON are
//! what most archives of the field are written in. Times are in microseconds since 1970.

mod asked;
mod list;
mod ping;
mod probe;
mod trace;

use std::sync::Arc;

pub use asked::{Method, Origin, Settings};
pub use list::{Cycle, List};
pub use ping::{Ping, PingSettings};
pub use probe::{Answers, Extension, Kind, Label, Probe, Reply};
pub use trace::{Aside, Doubletree, Found, Graph, Link, MtuNote, Node, PathMtu, Stop, Trace};

/// One thing that a file says.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A list of targets is begun.
    List(Arc<List>),
    /// A cycle over a list begins.
    CycleStart(Arc<Cycle>),
    /// What follows is of a cycle whose beginning is elsewhere.
    CycleDefinition(Arc<Cycle>),
    /// A cycle has ended.
    CycleStop {
        /// The cycle.
        cycle: Arc<Cycle>,
        /// When, in seconds since 1970.
        at: u32,
    },
    /// A destination was traced.
    Trace(Box<Trace>),
    /// A destination was pinged.
    Ping(Box<Ping>),
    /// Something that is not about paths, by its name in the format. Readers count it and go on.
    Other(&'static str),
}
