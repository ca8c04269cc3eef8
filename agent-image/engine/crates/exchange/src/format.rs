//! The formats that can be read or written, by their names.

use std::io::BufRead;

use anabranch_formats::codec::{Encode, ReadError};
use anabranch_formats::record::Record;
use anabranch_formats::sniff::Format;
use anabranch_formats::{atlas, caracal, mlab, paris, scamper, warts};

/// What reads a format.
pub enum Decoder {
    /// Of records, traces among them.
    Records(Box<dyn Iterator<Item = Result<Record, ReadError>> + Send>),
    /// Of replies of a batch tool.
    Replies(caracal::Decoder),
}

/// The formats that can be read or written, by their names.
const NAMES: [(&str, Format); 6] = [
    ("warts", Format::Warts),
    ("scamper-json", Format::Scamper),
    ("atlas-json", Format::Atlas),
    ("mlab", Format::Mlab),
    ("paris", Format::Paris),
    ("caracal-csv", Format::Caracal),
];

/// Returns the names of the formats.
#[must_use]
pub fn names() -> String {
    NAMES.map(|(name, _)| name).join(", ")
}

/// Returns the format of a name.
#[must_use]
pub fn find_format(name: &str) -> Option<Format> {
    let found = NAMES.iter().find(|(known, _)| *known == name);
    found.map(|(_, format)| *format)
}

/// Returns what reads a format; None if nothing does.
#[must_use]
pub fn decoder(format: Format, input: Box<dyn BufRead + Send>) -> Option<Decoder> {
    Some(Decoder::Records(match format {
        Format::Warts => Box::new(warts::Decoder::new(input)),
        Format::Scamper => Box::new(scamper::Decoder::new(input)),
        Format::Atlas => Box::new(atlas::Decoder::new(input)),
        Format::Mlab => Box::new(mlab::Decoder::new(input)),
        Format::Paris => Box::new(paris::Decoder::new(input)),
        Format::Caracal => return Some(Decoder::Replies(caracal::Decoder::new(input))),
        Format::Yarrp | Format::Archive => return None,
    }))
}

/// Returns what writes a format; None if it can't be written.
#[must_use]
pub fn encoder(format: Format) -> Option<Box<dyn Encode + Send>> {
    match format {
        Format::Warts => Some(Box::new(warts::Encoder::new())),
        Format::Scamper => Some(Box::new(scamper::Encoder::new())),
        Format::Atlas => Some(Box::new(atlas::Encoder::new())),
        _ => None,
    }
}
