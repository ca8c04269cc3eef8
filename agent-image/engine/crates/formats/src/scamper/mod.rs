//! scamper's JSON: a line for each trace, ping and cycle.
//!
//! Lines are as the scamper of Debian 12 (20211212) writes them, key by key. What later versions add is
//! read, and written behind what they add it to if there is something to say: errors, monitors, and
//! probes that nothing answered. As scamper does, a line has 0 for numbers that a record does not say.
//!
//! A line does not name the list and cycle that it is of. It is of the cycle that has begun and has not
//! ended, if there is one such cycle.

mod assembly;
mod decoder;
mod encoder;
mod graph;
mod graphline;
mod ping;
mod text;
mod trace;

pub use decoder::Decoder;
pub use encoder::Encoder;
pub use graphline::hop;

pub(crate) use decoder::Reader;
