//! From results to records.

use std::borrow::Cow;
use std::io::BufRead;

use serde::Deserialize;

use super::{ping, traceroute};
use crate::codec::ReadError;
use crate::json::Documents;
use crate::record::Record;

/// RIPE Atlas's results being read.
pub struct Decoder {
    documents: Documents,
    ended: bool,
}

/// What all results say.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    /// The version of what probed.
    fw: Option<u32>,
}

impl Decoder {
    /// Reads from `input`, which is not compressed.
    #[must_use]
    pub fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self {
            documents: Documents::new(input),
            ended: false,
        }
    }

    fn read(&mut self) -> Result<Option<Record>, ReadError> {
        if !self.documents.advance()? {
            return Ok(None);
        }
        let head: Head<'_> = self.documents.parse_text(self.documents.text())?;
        let record = match (head.fw, head.kind.as_deref()) {
            // Its results are text.
            (Some(1), _) => Record::Other("result of firmware 1"),
            (_, Some("traceroute")) => self.documents.parse::<traceroute::Line>()?.into_record(),
            (_, Some("ping")) => self.documents.parse::<ping::Line>()?.into_record(),
            (_, Some("dns")) => Record::Other("dns"),
            (_, Some("http")) => Record::Other("http"),
            (_, Some("ntp")) => Record::Other("ntp"),
            (_, Some("sslcert")) => Record::Other("sslcert"),
            (_, Some("wifi")) => Record::Other("wifi"),
            (_, Some(_)) => Record::Other("unknown"),
            (_, None) => return Err(self.documents.complain("this result has no type")),
        };
        Ok(Some(record))
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
