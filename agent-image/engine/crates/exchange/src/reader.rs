//! Files of other tools, as rows of parts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anabranch_formats::codec::ReadError;
use anabranch_formats::record::Record;
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

use crate::columns::Columns;
use crate::format::{Decoder, Format};

/// The rows of a batch, but for the rest of its last trace.
const BATCH_ROWS: usize = 1 << 16;
const BUFFER: usize = 1 << 18;

/// Why a file can't be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file can't be read at all, or what it holds is damaged.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// The file holds no format that is known.
    #[error("{}: its content is of no format that can be read: {known}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The formats that can be read.
        known: String,
    },
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
    path: PathBuf,
    decoder: Decoder,
    columns: Columns,
    schema: SchemaRef,
    tally: Arc<Mutex<Tally>>,
    has_ended: bool,
}

impl Reader {
    /// Opens a file. Its traces are numbered from `first_trace` on.
    ///
    /// # Errors
    ///
    /// If it can't be read, or its format is not known.
    pub fn open(path: &Path, format: Option<Format>, first_trace: u64) -> Result<Self, FileError> {
        let failed = |error: io::Error| FileError::Read {
            path: path.to_owned(),
            source: error.into(),
        };
        let file = File::open(path).map_err(failed)?;
        let mut input = decompress(Box::new(file)).map_err(failed)?;
        let first = input.fill_buf().map_err(failed)?;
        let format = format.or_else(|| Format::recognise(first));
        let format = format.ok_or_else(|| FileError::Unknown {
            path: path.to_owned(),
            known: Format::ALL.map(Format::name).join(", "),
        })?;
        let mut columns = Columns::starting_at(first_trace);
        let schema = columns
            .finish()
            .map_err(|error| failed(io::Error::other(error)))?
            .schema();
        Ok(Self {
            path: path.to_owned(),
            decoder: format.decoder(input),
            columns,
            schema,
            tally: Arc::default(),
            has_ended: false,
        })
    }

    /// Returns what counts what is read.
    #[must_use]
    pub fn tally(&self) -> Arc<Mutex<Tally>> {
        Arc::clone(&self.tally)
    }

    fn fill(&mut self) -> Result<(), ArrowError> {
        while self.columns.rows() < BATCH_ROWS {
            let Some(record) = self.decoder.next() else {
                self.has_ended = true;
                return Ok(());
            };
            let record = record.map_err(|source| {
                let path = self.path.clone();
                ArrowError::ExternalError(Box::new(FileError::Read { path, source }))
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
