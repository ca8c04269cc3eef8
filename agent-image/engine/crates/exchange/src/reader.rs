//! Files of other tools, as rows of parts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anabranch_formats::archive::Members;
use anabranch_formats::codec::ReadError;
use anabranch_formats::record::Record;
use anabranch_formats::sniff::{Format, recognise};
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

use crate::columns::Columns;
use crate::format::{Decoder, decoder, names};
use crate::replies::Replies;

/// The rows of a batch, but for the rest of its last trace.
const BATCH_ROWS: usize = 1 << 16;
const BUFFER: usize = 1 << 18;

/// Why a file can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {source}")]
pub struct FileError {
    /// The file, with the member of an archive.
    name: String,
    source: ReadError,
}

/// What was read of a file so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// The traces.
    pub traces: u64,
    /// What was left out, by its name.
    pub skipped: BTreeMap<&'static str, u64>,
}

/// The rows that wait for a batch.
enum Rows {
    /// Of traces.
    Traces(Box<Columns>),
    /// Of replies of a batch tool.
    Replies(Box<Replies>),
}

impl Rows {
    fn count(&self) -> usize {
        match self {
            Self::Traces(columns) => columns.rows(),
            Self::Replies(replies) => replies.rows(),
        }
    }

    fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        match self {
            Self::Traces(columns) => columns.finish(),
            Self::Replies(replies) => replies.finish(),
        }
    }
}

/// A file being read: batches of rows, with whole traces or with replies.
pub struct Reader {
    name: String,
    format: Option<Format>,
    /// The members that follow, of an archive.
    members: Option<Members>,
    /// What is read now, and its name.
    decoder: Option<(String, Decoder)>,
    rows: Rows,
    schema: SchemaRef,
    tally: Arc<Mutex<Tally>>,
    has_ended: bool,
}

impl Reader {
    /// Opens a file, or an archive of files; all may be compressed. Traces are numbered from
    /// `first_trace` on.
    ///
    /// # Errors
    ///
    /// If it can't be read, or its format is not known.
    pub fn open(path: &Path, format: Option<Format>, first_trace: u64) -> Result<Self, FileError> {
        let name = path.display().to_string();
        let failed = |error: io::Error| FileError {
            name: name.clone(),
            source: error.into(),
        };
        let file = File::open(path).map_err(failed)?;
        let mut input = decompress(Box::new(file)).map_err(failed)?;
        let first = input.fill_buf().map_err(failed)?;
        let is_archive = recognise(first) == Some(Format::Archive);
        let mut rows = Rows::Traces(Box::new(Columns::starting_at(first_trace)));
        let schema = |rows: &mut Rows| rows.finish().map_err(io::Error::other);
        let mut reader = Self {
            schema: schema(&mut rows).map_err(failed)?.schema(),
            name: name.clone(),
            format,
            members: None,
            decoder: None,
            rows,
            tally: Arc::default(),
            has_ended: false,
        };
        if is_archive {
            reader.members = Some(Members::new(input));
            reader.begin_member()?;
        } else {
            reader.begin(name.clone(), input)?;
        }
        if let Some((_, Decoder::Replies(_))) = reader.decoder {
            reader.rows = Rows::Replies(Box::default());
            reader.schema = schema(&mut reader.rows).map_err(failed)?.schema();
        }
        Ok(reader)
    }

    /// Begins to read a file, whose content is not compressed any more.
    fn begin(&mut self, name: String, mut input: Box<dyn BufRead + Send>) -> Result<(), FileError> {
        let failed = |source: ReadError| FileError {
            name: name.clone(),
            source,
        };
        let first = input.fill_buf().map_err(|error| failed(error.into()))?;
        let is_empty = first.is_empty();
        let format = self.format.or_else(|| recognise(first));
        let decoder = format.and_then(|format| decoder(format, input));
        let decoder = decoder.ok_or_else(|| {
            failed(ReadError::Damaged {
                place: "byte 0".to_owned(),
                what: refuse(format, is_empty),
            })
        })?;
        self.decoder = Some((name, decoder));
        Ok(())
    }

    /// Begins to read the next member of an archive; returns whether there is one.
    fn begin_member(&mut self) -> Result<bool, FileError> {
        self.decoder = None;
        let Some(member) = self.members.as_mut().and_then(Iterator::next) else {
            return Ok(false);
        };
        let failed = |name: String| move |source| FileError { name, source };
        let member = member.map_err(failed(self.name.clone()))?;
        let name = format!("{}: {}", self.name, member.name);
        let input = decompress(Box::new(Cursor::new(member.content)))
            .map_err(|error| failed(name.clone())(error.into()))?;
        self.begin(name, input)?;
        Ok(true)
    }

    /// Returns whether it holds replies of a batch tool, and no traces.
    #[must_use]
    pub fn has_replies(&self) -> bool {
        matches!(self.rows, Rows::Replies(_))
    }

    /// Returns what counts what is read.
    #[must_use]
    pub fn tally(&self) -> Arc<Mutex<Tally>> {
        Arc::clone(&self.tally)
    }

    fn fill(&mut self) -> Result<(), ArrowError> {
        let failed = |error: FileError| ArrowError::ExternalError(Box::new(error));
        while self.rows.count() < BATCH_ROWS {
            let Some((name, decoder)) = &mut self.decoder else {
                if self.begin_member().map_err(failed)? {
                    continue;
                }
                self.has_ended = true;
                return Ok(());
            };
            let wrong = |source| {
                let name = name.clone();
                failed(FileError { name, source })
            };
            match (decoder, &mut self.rows) {
                (Decoder::Records(records), Rows::Traces(columns)) => {
                    let Some(record) = records.next() else {
                        self.decoder = None;
                        continue;
                    };
                    let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
                    take(&record.map_err(wrong)?, columns, &mut tally)?;
                }
                (Decoder::Replies(rows), Rows::Replies(replies)) => {
                    let Some(row) = rows.next() else {
                        self.decoder = None;
                        continue;
                    };
                    replies.push(&row.map_err(wrong)?)?;
                }
                _ => {
                    return Err(wrong(ReadError::Damaged {
                        place: "byte 0".to_owned(),
                        what: "traces and replies of caracal's are two surveys; import each \
                               alone"
                            .to_owned(),
                    }));
                }
            }
        }
        Ok(())
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        if let Err(error) = self.fill() {
            self.has_ended = true;
            return Some(Err(error));
        }
        (self.rows.count() > 0).then(|| self.rows.finish())
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// Adds what a record says to the columns, and counts what it has no place for.
fn take(record: &Record, columns: &mut Columns, tally: &mut Tally) -> Result<(), ArrowError> {
    match record {
        Record::Trace(trace) => {
            columns.push(trace)?;
            tally.traces += 1;
        }
        Record::Ping(_) => *tally.skipped.entry("ping").or_default() += 1,
        Record::Other(name) => *tally.skipped.entry(name).or_default() += 1,
        Record::List(_)
        | Record::CycleStart(_)
        | Record::CycleDefinition(_)
        | Record::CycleStop { .. } => {}
    }
    let dropped = columns.take_dropped();
    if dropped > 0 {
        *tally.skipped.entry("further reply to a probe").or_default() += dropped;
    }
    Ok(())
}

/// Returns why content can't be read, with the remedy.
fn refuse(format: Option<Format>, is_empty: bool) -> String {
    match format {
        _ if is_empty => "it is empty".to_owned(),
        Some(Format::Yarrp) => {
            "it is Yarrp's output; make warts of it with Yarrp's own yrp2warts".to_owned()
        }
        _ => {
            let known = names();
            format!("its content is of no format that can be read: {known}")
        }
    }
}

/// Returns the content of a file, whether it is compressed or not.
fn decompress(file: Box<dyn Read + Send>) -> io::Result<Box<dyn BufRead + Send>> {
    let mut input = BufReader::with_capacity(BUFFER, file);
    let first = input.fill_buf()?;
    let content: Box<dyn Read + Send> = match first {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(input)?),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        _ => return Ok(Box::new(input)),
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER, content)))
}
