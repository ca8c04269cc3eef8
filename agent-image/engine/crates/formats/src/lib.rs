//! The field's formats of traces.
//!
//! A format is a module: it turns bytes into [`record::Record`]s and records into bytes, and knows of
//! nothing else. What a format does not say is None in the records, never guessed.

pub mod codec;
pub mod record;
pub mod warts;
