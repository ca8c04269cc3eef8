//! JSON documents of a stream, and values that formats of JSON have in common.

use std::io::BufRead;
use std::net::IpAddr;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};

use crate::codec::ReadError;

/// Objects of a stream: one a line, one after another, or in an array.
///
/// It holds one document at a time, however the stream has it.
pub(crate) struct Documents {
    input: Box<dyn BufRead + Send>,
    /// The line that is read, from 1.
    line: u64,
    place: Place,
    text: Vec<u8>,
    /// The line in which `text` begins.
    begin: u64,
}

/// Where a stream is between two objects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Outside of arrays.
    Outside,
    /// Behind the bracket that opens an array.
    Opened,
    /// In an array, behind an object.
    Behind,
    /// In an array, behind a comma.
    Between,
}

/// Where the scanner is within an object.
#[derive(Clone, Copy)]
enum Scan {
    Outside,
    Text,
    Escape,
}

impl Documents {
    pub(crate) fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self {
            input,
            line: 1,
            place: Place::Outside,
            text: Vec::new(),
            begin: 1,
        }
    }

    /// Goes on to the next document, and returns whether there is one.
    pub(crate) fn advance(&mut self) -> Result<bool, ReadError> {
        if !self.find()? {
            return Ok(false);
        }
        self.begin = self.line;
        self.text.clear();
        self.scan()?;
        Ok(true)
    }

    /// The document as it is.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns the document as a value.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        self.parse_text(&self.text)
    }

    /// Returns a text in the document's place as a value.
    pub(crate) fn parse_text<'a, T: Deserialize<'a>>(
        &self,
        text: &'a [u8],
    ) -> Result<T, ReadError> {
        serde_json::from_slice(text).map_err(|error| {
            let line = self.begin + error.line().saturating_sub(1) as u64;
            let words = error.to_string();
            let what = words.rsplit_once(" at line ").map_or(&*words, |(it, _)| it);
            damaged(line, format!("{what}, at column {}", error.column()))
        })
    }

    /// Returns an error about the document.
    pub(crate) fn complain(&self, what: impl Into<String>) -> ReadError {
        damaged(self.begin, what)
    }

    /// Skips what is between objects, and returns whether an object follows.
    fn find(&mut self) -> Result<bool, ReadError> {
        loop {
            let bytes = self.input.fill_buf()?;
            let Some(&byte) = bytes.first() else {
                return match self.place {
                    Place::Outside => Ok(false),
                    _ => Err(damaged(self.line, "the file ends within an array")),
                };
            };
            self.place = match (self.place, byte) {
                (place, b' ' | b'\t' | b'\r') => place,
                (place, b'\n') => {
                    self.line += 1;
                    place
                }
                (Place::Outside, b'[') => Place::Opened,
                (Place::Opened | Place::Behind, b']') => Place::Outside,
                (Place::Behind, b',') => Place::Between,
                (Place::Outside | Place::Opened | Place::Between, b'{') => return Ok(true),
                _ => {
                    let shown = char::from(byte).escape_default();
                    return Err(damaged(
                        self.line,
                        format!("{shown} is where an object is expected"),
                    ));
                }
            };
            self.input.consume(1);
        }
    }

    /// Takes an object to its end.
    fn scan(&mut self) -> Result<(), ReadError> {
        let (mut depth, mut state) = (0_u64, Scan::Outside);
        loop {
            let bytes = self.input.fill_buf()?;
            if bytes.is_empty() {
                return Err(damaged(self.begin, "the file ends within this object"));
            }
            let mut length = bytes.len();
            for (at, byte) in bytes.iter().enumerate() {
                self.line += u64::from(*byte == b'\n');
                state = match (state, byte) {
                    (Scan::Text, b'\\') => Scan::Escape,
                    (Scan::Text, b'"') => Scan::Outside,
                    (Scan::Text | Scan::Escape, _) | (Scan::Outside, b'"') => Scan::Text,
                    (Scan::Outside, b'{' | b'[') => {
                        depth += 1;
                        Scan::Outside
                    }
                    (Scan::Outside, b'}' | b']') => {
                        depth -= 1;
                        Scan::Outside
                    }
                    (Scan::Outside, _) => Scan::Outside,
                };
                if depth == 0 {
                    length = at + 1;
                    break;
                }
            }
            self.text.extend_from_slice(&bytes[..length]);
            self.input.consume(length);
            if depth == 0 {
                if self.place != Place::Outside {
                    self.place = Place::Behind;
                }
                return Ok(());
            }
        }
    }
}

/// Returns an error about a line.
pub(crate) fn damaged(line: u64, what: impl Into<String>) -> ReadError {
    ReadError::Damaged {
        place: format!("line {line}"),
        what: what.into(),
    }
}

/// A time as scamper writes it.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Time {
    sec: u32,
    #[serde(default)]
    usec: u32,
}

impl Time {
    /// Returns it in microseconds since 1970; None for 1970, by which programs say that they do not know.
    pub(crate) fn micros(self) -> Option<u64> {
        let micros = u64::from(self.sec) * 1_000_000 + u64::from(self.usec);
        (self.sec != 0).then_some(micros)
    }
}

/// Reads an address. A star, nothing, and what Go prints for no address are none.
pub(crate) fn address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<IpAddr>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else {
        return Ok(None);
    };
    if matches!(&*text, "" | "*" | "<nil>") {
        return Ok(None);
    }
    let without_scope = text.split('%').next().unwrap_or_default();
    match without_scope.parse() {
        Ok(address) => Ok(Some(address)),
        Err(_) => Err(Error::custom(format!("{text:?} is no IP address"))),
    }
}

/// Reads milliseconds as microseconds. What no time can be is none.
pub(crate) fn millis<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.and_then(micros_of))
}

/// Returns milliseconds in microseconds, if they can be a time that something took.
pub(crate) fn micros_of(millis: f64) -> Option<u32> {
    let micros = (millis * 1000.0).round();
    // The range makes the conversion exact.
    #[allow(clippy::cast_sign_loss)]
    (0.0..=f64::from(u32::MAX))
        .contains(&micros)
        .then_some(micros as u32)
}

/// Reads a list, which may be missing or null.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Returns a text as JSON has it, with quotes.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns microseconds in milliseconds with three digits.
pub(crate) fn shown_millis(micros: u32) -> String {
    format!("{}.{:03}", micros / 1000, micros % 1000)
}
