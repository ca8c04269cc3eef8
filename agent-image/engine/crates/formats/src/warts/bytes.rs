//! The content of a record, field by field, in network order.

use std::io;

use crate::codec::ReadError;

/// The content of a record that is being read, or a part of it.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    left: &'a [u8],
    /// Where what is left begins in the file.
    offset: u64,
}

impl<'a> Reader<'a> {
    /// Returns a reader of bytes that begin at an offset in the file.
    pub(super) fn new(bytes: &'a [u8], offset: u64) -> Self {
        Self {
            left: bytes,
            offset,
        }
    }

    /// Returns the error that something is wrong where the next field is.
    #[cold]
    pub(super) fn damaged(&self, what: impl Into<String>) -> ReadError {
        damaged(self.offset, what)
    }

    /// Reads some bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], ReadError> {
        let Some((bytes, left)) = self.left.split_at_checked(count) else {
            return Err(self.damaged(format!(
                "a field of {count} bytes has {} in its record",
                self.left.len()
            )));
        };
        self.left = left;
        self.offset += count as u64;
        Ok(bytes)
    }

    /// Reads a number of 8 bits.
    pub(super) fn byte(&mut self) -> Result<u8, ReadError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// Reads a number of 16 bits.
    pub(super) fn short(&mut self) -> Result<u16, ReadError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Reads a number of 32 bits.
    pub(super) fn word(&mut self) -> Result<u32, ReadError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a time, in microseconds since 1970.
    pub(super) fn time(&mut self) -> Result<u64, ReadError> {
        let seconds = u64::from(self.word()?);
        Ok(seconds * 1_000_000 + u64::from(self.word()?))
    }

    /// Reads a text, which a zero ends.
    pub(super) fn text(&mut self) -> Result<String, ReadError> {
        let Some(length) = self.left.iter().position(|byte| *byte == 0) else {
            return Err(self.damaged("a text does not end in its record"));
        };
        let text = self.bytes(length + 1)?;
        Ok(String::from_utf8_lossy(&text[..length]).into_owned())
    }

    /// Reads an ICMP type and code.
    pub(super) fn kind(&mut self) -> Result<(u8, u8), ReadError> {
        self.array().map(|[kind, code]| (kind, code))
    }

    /// Takes the next bytes for a reader of their own.
    pub(super) fn part(&mut self, count: usize) -> Result<Self, ReadError> {
        let offset = self.offset;
        Ok(Self::new(self.bytes(count)?, offset))
    }

    /// Returns how many bytes are left.
    pub(super) fn len(&self) -> usize {
        self.left.len()
    }

    /// Returns whether all is read.
    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let Some((bytes, left)) = self.left.split_first_chunk() else {
            return Err(self.bytes(N).expect_err("fewer bytes than these"));
        };
        self.left = left;
        self.offset += N as u64;
        Ok(*bytes)
    }
}

/// Returns the error that something is wrong at an offset in the file.
#[cold]
pub(super) fn damaged(offset: u64, what: impl Into<String>) -> ReadError {
    ReadError::Damaged {
        place: format!("byte {offset}"),
        what: what.into(),
    }
}

/// Returns the error that warts can't say what a record says.
#[cold]
pub(super) fn unsupported(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what.into())
}

/// Returns a number as a field has it, which is narrower.
pub(super) fn narrow<T: TryFrom<U>, U: Copy + std::fmt::Display>(
    value: U,
    what: &str,
) -> io::Result<T> {
    T::try_from(value).map_err(|_| unsupported(format!("warts has no place for {value} {what}")))
}

/// Writes a time as seconds and microseconds.
pub(super) fn put_time(out: &mut Vec<u8>, time_us: u64) -> io::Result<()> {
    let seconds: u32 = narrow(time_us / 1_000_000, "seconds since 1970")?;
    out.extend(seconds.to_be_bytes());
    out.extend(((time_us % 1_000_000) as u32).to_be_bytes());
    Ok(())
}

/// Writes a text and the zero that ends it.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) -> io::Result<()> {
    if text.contains('\0') {
        return Err(unsupported(format!("a zero ends texts in warts: {text:?}")));
    }
    out.extend(text.as_bytes());
    out.push(0);
    Ok(())
}
