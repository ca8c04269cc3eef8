//! What each format can do: read records, write records.

use std::io::{self, Write};

use crate::record::Record;

/// Why a file can't be read any further.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file can't be read at all.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its content is not of the format, or cut off.
    #[error("{place}: {what}")]
    Damaged {
        /// Where: `byte 1234` or `line 12`.
        place: String,
        /// What is wrong there.
        what: String,
    },
}

/// A format being read: records in the order of the file.
///
/// It ends at the end of the file, or after its first error. It takes memory for one record at a time,
/// and never more than a small multiple of what the file itself holds of it.
pub trait Decode: Iterator<Item = Result<Record, ReadError>> {}

impl<T: Iterator<Item = Result<Record, ReadError>>> Decode for T {}

/// A format being written.
pub trait Encode {
    /// Writes a record.
    ///
    /// # Errors
    ///
    /// If `out` fails, or the format can't say what the record says at all, as a ping in a format of
    /// traces: [`io::ErrorKind::Unsupported`].
    fn write(&mut self, record: &Record, out: &mut dyn Write) -> io::Result<()>;

    /// Writes what ends the file, if anything does.
    ///
    /// # Errors
    ///
    /// If `out` fails.
    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let _ = out;
        Ok(())
    }
}
