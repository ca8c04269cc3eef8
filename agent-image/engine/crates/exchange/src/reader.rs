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

/// A file being read: batches of rows, with whole traces.
pub struct Reader {
    name: String,
    format: Option<Format>,
    /// The members that follow, of an archive.
    members: Option<Members>,
    /// What is read now, and its name.
    decoder: Option<(String, Decoder)>,
    columns: Columns,
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
        let mut columns = Columns::starting_at(first_trace);
        let schema = columns.finish().map_err(io::Error::other);
        let name = path.display().to_string();
        let failed = |error: io::Error| FileError {
            name: name.clone(),
            source: error.into(),
        };
        let schema = schema.map_err(failed)?.schema();
        let file = File::open(path).map_err(failed)?;
        let mut input = decompress(Box::new(file)).map_err(failed)?;
        let first = input.fill_buf().map_err(failed)?;
        let is_archive = recognise(first) == Some(Format::Archive);
        let mut reader = Self {
            name: name.clone(),
            format,
            members: None,
            decoder: None,
            columns,
            schema,
            tally: Arc::default(),
            has_ended: false,
        };
        if is_archive {
            reader.members = Some(Members::new(input));
        } else {
            reader.begin(name, input)?;
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
        let format = self.format.or_else(|| recognise(first));
        let decoder = format.and_then(|format| decoder(format, input));
        let decoder = decoder.ok_or_else(|| {
            let known = names();
            failed(ReadError::Damaged {
                place: "byte 0".to_owned(),
                what: format!("its content is of no format that can be read: {known}"),
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

    /// Returns what counts what is read.
    #[must_use]
    pub fn tally(&self) -> Arc<Mutex<Tally>> {
        Arc::clone(&self.tally)
    }

    fn fill(&mut self) -> Result<(), ArrowError> {
        let failed = |error: FileError| ArrowError::ExternalError(Box::new(error));
        while self.columns.rows() < BATCH_ROWS {
            let Some((name, decoder)) = &mut self.decoder else {
                if self.begin_member().map_err(failed)? {
                    continue;
                }
                self.has_ended = true;
                return Ok(());
            };
            let Some(record) = decoder.next() else {
                self.decoder = None;
                continue;
            };
            let record = record.map_err(|source| {
                let name = name.clone();
                failed(FileError { name, source })
            })?;
            let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            match record {
                Record::Trace(trace) => {
                    self.columns.push(&trace)?;
                    tally.traces += 1;
                }
                Record::Ping(_) => *tally.skipped.entry("ping").or_default() += 1,
                Record::Other(name) => *tally.skipped.entry(name).or_default() += 1,
                Record::List(_)
                | Record::CycleStart(_)
                | Record::CycleDefinition(_)
                | Record::CycleStop { .. } => {}
            }
            let dropped = self.columns.take_dropped();
            if dropped > 0 {
                *tally.skipped.entry("further reply to a probe").or_default() += dropped;
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
        (self.columns.rows() > 0).then(|| self.columns.finish())
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
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
