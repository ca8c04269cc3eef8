//! What files say about addresses: the AS, its name, the country and the exchange point.
//!
//! [`Annotations::read`] reads files of several formats into one table, and
//! [`Annotations::find`] finds what the table says about an address. The content of a file tells its
//! format, not its name. [`read_routes`] reads only which prefixes are routed.

mod annotations;
mod error;
mod facts;
mod mmdb;
mod mrt;
mod origins;
mod peeringdb;
mod prefix2as;
mod ranges;
mod routes;
mod source;
mod space;
mod words;

pub use annotations::Annotations;
pub use error::{Fault, ReadError};
pub use facts::Facts;
pub use routes::read_routes;
pub use words::{Word, Words};
