//! From lines to records.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::BufRead;
use std::sync::Arc;

use serde::Deserialize;

use super::{graph, ping, trace};
use crate::codec::ReadError;
use crate::json::Documents;
use crate::record::{Cycle, List, Origin, Record};

/// scamper's JSON being read.
pub struct Decoder {
    documents: Documents,
    reader: Reader,
    ended: bool,
}

impl Decoder {
    /// Reads from `input`, which is not compressed.
    #[must_use]
    pub fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self {
            documents: Documents::new(input),
            reader: Reader::default(),
            ended: false,
        }
    }

    fn read(&mut self) -> Result<Option<Record>, ReadError> {
        if !self.documents.advance()? {
            return Ok(None);
        }
        let record = self.reader.read(&self.documents, &Origin::default())?;
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

/// What has been read of cycles so far, and what becomes of lines.
#[derive(Default)]
pub(crate) struct Reader {
    lists: HashMap<String, Arc<List>>,
    /// Those that have begun and have not ended, by the list's name and their number for people.
    open: HashMap<(String, u32), Arc<Cycle>>,
    cycles: u32,
}

/// What all lines say.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

/// The begin or the end of a cycle.
#[derive(Deserialize)]
struct CycleLine {
    #[serde(default)]
    list_name: String,
    id: u32,
    hostname: Option<String>,
    start_time: Option<u32>,
    stop_time: Option<u32>,
}

impl Reader {
    /// Returns what a document says.
    pub(crate) fn read(
        &mut self,
        documents: &Documents,
        origin: &Origin,
    ) -> Result<Record, ReadError> {
        let text = documents.text();
        self.read_text(documents, text, origin).or_else(|error| {
            let repaired = without_stray_commas(text).ok_or(error)?;
            self.read_text(documents, &repaired, origin)
        })
    }

    /// Returns what a text in a document's place says.
    pub(crate) fn read_text(
        &mut self,
        documents: &Documents,
        text: &[u8],
        origin: &Origin,
    ) -> Result<Record, ReadError> {
        let head: Head<'_> = documents.parse_text(text)?;
        Ok(match &*head.kind {
            "cycle-start" => self.begin(documents.parse_text(text)?),
            "cycle-stop" => self.end(&documents.parse_text(text)?),
            "trace" => {
                let line: trace::Line = documents.parse_text(text)?;
                let (list, cycle) = self.context(line.monitor.as_deref());
                line.into_record(list, cycle, origin.clone())
                    .map_err(|what| documents.complain(what))?
            }
            "tracelb" => {
                let line: graph::Line = documents.parse_text(text)?;
                let (list, cycle) = self.context(line.monitor.as_deref());
                line.into_record(list, cycle, origin.clone())
                    .map_err(|what| documents.complain(what))?
            }
            "ping" => {
                let line: ping::Line = documents.parse_text(text)?;
                let (list, cycle) = self.context(None);
                line.into_record(list, cycle, origin.clone())
                    .map_err(|what| documents.complain(what))?
            }
            "dealias" => Record::Other("dealias"),
            "host" => Record::Other("host"),
            "http" => Record::Other("http"),
            "neighbourdisc" => Record::Other("neighbourdisc"),
            "owamp" => Record::Other("owamp"),
            "sniff" => Record::Other("sniff"),
            "sting" => Record::Other("sting"),
            "tbit" => Record::Other("tbit"),
            "udpprobe" => Record::Other("udpprobe"),
            _ => Record::Other("unknown"),
        })
    }

    /// Returns what a line of now is of.
    fn context(&self, monitor: Option<&str>) -> (Option<Arc<List>>, Option<Arc<Cycle>>) {
        let mut open = self.open.values();
        let cycle = match (open.next(), open.next()) {
            (Some(only), None) => Some(Arc::clone(only)),
            _ => None,
        };
        let mut list = cycle.as_ref().map(|cycle| Arc::clone(&cycle.list));
        if let Some(monitor) = monitor {
            let known = list.as_deref().cloned().unwrap_or_default();
            list = Some(Arc::new(List {
                monitor: Some(monitor.to_owned()),
                ..known
            }));
        }
        (list, cycle)
    }

    fn begin(&mut self, line: CycleLine) -> Record {
        let cycle = Arc::new(self.describe(&line));
        self.open
            .insert((line.list_name, line.id), Arc::clone(&cycle));
        Record::CycleStart(cycle)
    }

    fn end(&mut self, line: &CycleLine) -> Record {
        let at = line.stop_time.unwrap_or_default();
        let key = (line.list_name.clone(), line.id);
        let begun = self.open.remove(&key);
        let cycle = begun.unwrap_or_else(|| Arc::new(self.describe(line)));
        Record::CycleStop { cycle, at }
    }

    /// Returns the cycle that a line is about, which no line has been about before.
    fn describe(&mut self, line: &CycleLine) -> Cycle {
        let number = self.lists.len() as u32 + 1;
        let list = self.lists.entry(line.list_name.clone()).or_insert_with(|| {
            Arc::new(List {
                number,
                name: line.list_name.clone(),
                ..List::default()
            })
        });
        self.cycles += 1;
        Cycle {
            number: self.cycles,
            list: Arc::clone(list),
            id: line.id,
            start: line.start_time.unwrap_or_default(),
            stop: None,
            hostname: line.hostname.clone(),
        }
    }
}

/// Returns a text without commas before closing brackets; None if it has none.
///
/// scamper wrote them until 2019 behind silent hops that nothing follows, and M-Lab's archive has them.
fn without_stray_commas(text: &[u8]) -> Option<Vec<u8>> {
    let (mut kept, mut quoted, mut escaped) = (Vec::with_capacity(text.len()), false, false);
    for (at, byte) in text.iter().enumerate() {
        let next = text.get(at + 1);
        if !quoted && *byte == b',' && matches!(next, Some(b']')) {
            continue;
        }
        quoted ^= *byte == b'"' && !escaped;
        escaped = quoted && *byte == b'\\' && !escaped;
        kept.push(*byte);
    }
    (kept.len() < text.len()).then_some(kept)
}
