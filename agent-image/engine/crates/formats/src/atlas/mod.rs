//! RIPE Atlas's results of traceroute and ping: JSON, one a line or in arrays.
//!
//! A result is of one flow, which `paris_id` names, so a trace of several paths becomes one result for
//! each flow. A reply says what it is only if that surprises: else it is what its sender would send.

mod decoder;
mod encoder;
mod flows;
mod message;
mod ping;
mod traceroute;

pub use decoder::Decoder;
pub use encoder::Encoder;
