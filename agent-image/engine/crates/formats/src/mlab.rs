//! M-Lab's files of traceroute-caller: a line about the connection, then scamper's JSON of its trace.
//!
//! Since 2023 the lines have been through M-Lab's own program, which drops some keys, writes others for
//! nothing, and may put all lines of a trace into one object. Its files can be read one after another.

use std::collections::VecDeque;
use std::io::BufRead;

use serde::Deserialize;
use serde_json::Value;

use crate::codec::ReadError;
use crate::json::Documents;
use crate::record::{Origin, Record};
use crate::scamper::Reader;

/// M-Lab's files being read.
pub struct Decoder {
    documents: Documents,
    reader: Reader,
    origin: Origin,
    /// What an object has beyond the record that was given last.
    ready: VecDeque<Record>,
    ended: bool,
}

/// A line about a connection.
#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "UUID")]
    uuid: String,
    #[serde(rename = "CachedResult", default)]
    cached: bool,
    #[serde(rename = "CachedUUID", default)]
    cached_uuid: String,
}

/// An object that has all lines of a trace.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Whole {
    metadata: Metadata,
    cycle_start: Option<Value>,
    trace: Option<Value>,
    tracelb: Option<Value>,
    cycle_stop: Option<Value>,
}

/// What tells objects apart.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "UUID")]
    uuid: Option<serde::de::IgnoredAny>,
    #[serde(rename = "Metadata")]
    metadata: Option<serde::de::IgnoredAny>,
}

impl Metadata {
    fn into_origin(self) -> Origin {
        let said = |text: String| Some(text).filter(|text| !text.is_empty());
        Origin {
            uuid: said(self.uuid),
            cached_uuid: said(self.cached_uuid).filter(|_| self.cached),
            ..Origin::default()
        }
    }
}

impl Decoder {
    /// Reads from `input`, which is neither compressed nor an archive.
    #[must_use]
    pub fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self {
            documents: Documents::new(input),
            reader: Reader::default(),
            origin: Origin::default(),
            ready: VecDeque::new(),
            ended: false,
        }
    }

    fn read(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Ok(Some(record));
            }
            if !self.documents.advance()? {
                return Ok(None);
            }
            // What is wrong with a line of scamper's is up to its reader.
            let head = self.documents.parse::<Head>();
            match head.map(|head| (head.uuid.is_some(), head.metadata.is_some())) {
                Ok((true, _)) => {
                    self.origin = self.documents.parse::<Metadata>()?.into_origin();
                }
                Ok((_, true)) => self.take_apart()?,
                _ => {
                    let record = self.reader.read(&self.documents, &self.origin)?;
                    if matches!(record, Record::CycleStop { .. }) {
                        self.origin = Origin::default();
                    }
                    return Ok(Some(record));
                }
            }
        }
    }

    fn take_apart(&mut self) -> Result<(), ReadError> {
        let whole: Whole = self.documents.parse()?;
        let origin = whole.metadata.into_origin();
        let lines = [
            whole.cycle_start,
            whole.trace,
            whole.tracelb,
            whole.cycle_stop,
        ];
        for line in lines.into_iter().flatten() {
            let text = line.to_string();
            let record = self
                .reader
                .read_text(&self.documents, text.as_bytes(), &origin)?;
            self.ready.push_back(record);
        }
        Ok(())
    }
}

impl Iterator for Decoder {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let record = self.read();
        self.ended = !matches!(record, Ok(Some(_)));
        record.transpose()
    }
}
