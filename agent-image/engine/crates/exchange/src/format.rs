//! The formats that can be read or written, by their names.

use std::io::BufRead;

use anabranch_formats::codec::{Decode, Encode};
use anabranch_formats::warts;

/// A format of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// scamper's binary format.
    Warts,
}

/// What reads a format.
pub type Decoder = Box<dyn Decode<Item = <warts::Decoder as Iterator>::Item> + Send>;

impl Format {
    /// All formats.
    pub const ALL: [Self; 1] = [Self::Warts];

    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warts => "warts",
        }
    }

    /// Returns the format of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Returns the format of a file by its first bytes; None if it is none that is known.
    #[must_use]
    pub fn recognise(first: &[u8]) -> Option<Self> {
        first.starts_with(&[0x12, 0x05]).then_some(Self::Warts)
    }

    /// Returns what reads the format.
    #[must_use]
    pub fn decoder(self, input: Box<dyn BufRead + Send>) -> Decoder {
        match self {
            Self::Warts => Box::new(warts::Decoder::new(input)),
        }
    }

    /// Returns what writes the format; None if it is only read.
    #[must_use]
    pub fn encoder(self) -> Option<Box<dyn Encode + Send>> {
        match self {
            Self::Warts => Some(Box::new(warts::Encoder::new())),
        }
    }
}
