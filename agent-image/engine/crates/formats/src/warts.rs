//! warts: what scamper writes, and most archives of the field are kept in.
//!
//! Lists, cycles, traces, multipath traces (tracelb) and pings are read and written; other records are
//! passed over. A file of scamper's that is read and written again is the same, byte by byte.
//!
//! scamper leaves out what is usual, and records have it: in quotes the TTL 1 and the length of the probe,
//! the IPv4 identification 0, the wait after the last probe of a ping. The unspecified address stands for
//! a source that nobody knows, since scamper's programs need one.
//!
//! Of other records, some of what they say has no place here: when a trace ended, its error and the
//! destination's name; of a path, probes without replies; of several paths, why the trace ended, and the
//! lengths of probes and replies. Waits are of whole seconds, or of hundredths between probes: others count
//! as the next longer one.

mod addresses;
mod aside;
mod bytes;
mod decoder;
mod definitions;
mod encoder;
mod extensions;
mod header;
mod hop;
mod parameters;
mod ping;
mod pingreply;
mod trace;
mod tracelb;

pub use decoder::Decoder;
pub use encoder::Encoder;
