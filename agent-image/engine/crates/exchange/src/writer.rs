//! Rows of parts, as a file of another format.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use anabranch_formats::codec::Encode;
use anabranch_formats::record::Record;
use arrow_array::RecordBatch;

use crate::path::{Frame, write_traces};
use crate::ping::write_ping;
use crate::rows::{Gatherer, RowsError, Target};

/// Why rows can't be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The rows can't be used.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The file can't be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// Returns the compression of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// A file that is written, whether it is compressed or not.
enum Out {
    Plain(BufWriter<File>),
    Gzip(flate2::write::GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl Out {
    /// Writes what ends the file.
    fn finish(self) -> io::Result<()> {
        let mut file = match self {
            Self::Plain(file) => file,
            Self::Gzip(content) => content.finish()?,
            Self::Zstd(content) => content.finish()?,
        };
        file.flush()
    }

    fn content(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(file) => file,
            Self::Gzip(content) => content,
            Self::Zstd(content) => content,
        }
    }
}

/// A file being written.
pub struct Writer {
    encoder: Box<dyn Encode + Send>,
    out: Out,
    frame: Frame,
    gatherer: Gatherer,
    traces: u64,
}

impl Writer {
    /// Makes a new file, and begins it with the list and the cycle of its traces.
    ///
    /// # Errors
    ///
    /// If the file can't be written, or is there already.
    pub fn create(
        path: &Path,
        compression: Option<Compression>,
        mut encoder: Box<dyn Encode + Send>,
        frame: Frame,
    ) -> io::Result<Self> {
        let file = BufWriter::new(File::create_new(path)?);
        let mut out = match compression {
            None => Out::Plain(file),
            Some(Compression::Gzip) => Out::Gzip(flate2::write::GzEncoder::new(
                file,
                flate2::Compression::default(),
            )),
            Some(Compression::Zstd) => {
                Out::Zstd(zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL)?)
            }
        };
        let content = out.content();
        encoder.write(&Record::List(Arc::clone(&frame.list)), content)?;
        encoder.write(&Record::CycleStart(Arc::clone(&frame.cycle)), content)?;
        Ok(Self {
            encoder,
            out,
            frame,
            gatherer: Gatherer::default(),
            traces: 0,
        })
    }

    /// Writes rows, sorted by target, flow, TTL and attempt; a target may go on in the next ones.
    ///
    /// # Errors
    ///
    /// If the rows can't be used, or the file can't be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        let Self {
            encoder,
            out,
            frame,
            gatherer,
            traces,
        } = self;
        gatherer.take(batch, |target| {
            *traces += write_target(&target, frame, encoder.as_mut(), out.content())?;
            Ok(())
        })
    }

    /// Writes the last target, and what ends the file; returns the number of all traces.
    ///
    /// # Errors
    ///
    /// If the file can't be written.
    pub fn finish(mut self) -> io::Result<u64> {
        let (encoder, content) = (self.encoder.as_mut(), self.out.content());
        if let Some(target) = self.gatherer.finish() {
            self.traces += write_target(&target, &self.frame, encoder, content)?;
        }
        let cycle = Arc::clone(&self.frame.cycle);
        if let Some(at) = cycle.stop {
            encoder.write(&Record::CycleStop { cycle, at }, content)?;
        }
        encoder.end(content)?;
        self.out.finish()?;
        Ok(self.traces)
    }
}

pub(crate) fn write_target(
    target: &Target,
    frame: &Frame,
    encoder: &mut dyn Encode,
    out: &mut dyn Write,
) -> io::Result<u64> {
    let records = if frame.is_ping {
        write_ping(target, frame).into_iter().collect()
    } else {
        write_traces(target, frame)
    };
    for record in &records {
        encoder.write(record, out)?;
    }
    Ok(records.len() as u64)
}
