//! warts: what scamper writes, and most archives of the field are kept in.
//!
//! Lists, cycles, traces, multipath traces (tracelb) and pings are read and written; other records are
//! passed over. A file of scamper's that is read and written again is the same, byte by byte.
//!
//! What scamper leaves out because it is usual is there in records: the TTL 1 and the length of the probe
//! in a quote, the IPv4 identification 0, the wait after a ping's last probe. Of TTLs and lengths of
//! replies, of quotes and of times, nothing is guessed.

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
