//! Tracers: algorithms that look at replies before they decide what to probe next.
//!
//! A tracer traces the paths to one destination. It has no clock, no socket and no randomness: its
//! body sends the probes that it asks for, and hands it the replies with their times. The same input
//! gives the same output.
//!
//! [`mda`] and [`lite`] are pure functions from what was seen to what is probed next. Both are
//! described by Vermeulen, Strowes, Fourmaux and Friedman, "Multilevel MDA-Lite Paris Traceroute"
//! (IMC 2018), section 2, to which their comments refer.
//!
//! [`diamond`] says what a diamond is, and measures it, for topologies and surveys alike.

pub mod diamond;
pub mod lite;
pub mod mda;
pub mod parameters;
pub mod rule;
pub mod sightings;
pub mod star;
pub mod steadiness;
pub mod stopping;
pub mod survey;
pub mod timeout;
pub mod tracer;
