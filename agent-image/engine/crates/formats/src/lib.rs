//! The field's formats of traces.
//!
//! A format is a module: it turns bytes into [`record::Record`]s and records into bytes, and knows of
//! nothing else. What a format does not say is None in the records, never guessed. Replies of batch
//! tools are no traces: [`caracal`] reads them as rows.

pub mod archive;
pub mod atlas;
pub mod caracal;
pub mod codec;
pub mod mlab;
pub mod paris;
pub mod record;
pub mod scamper;
pub mod sniff;
pub mod warts;

mod implied;
mod json;
