//! A file that is being read, record by record.

use std::io::{self, BufRead};

use super::addresses::Addresses;
use super::bytes::{Reader, damaged};
use super::definitions::Known;
use super::header::{self, Type};
use super::{ping, trace, tracelb};
use crate::codec::ReadError;
use crate::record::Record;

/// Records of a file, in their order.
pub struct Decoder {
    input: Box<dyn BufRead + Send>,
    /// Where the next record begins.
    offset: u64,
    content: Vec<u8>,
    known: Known,
    addresses: Addresses,
    failed: bool,
}

impl Decoder {
    /// Returns a decoder of what an input gives.
    #[must_use]
    pub fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self {
            input,
            offset: 0,
            content: Vec::new(),
            known: Known::default(),
            addresses: Addresses::default(),
            failed: false,
        }
    }

    /// Reads the next record that says something; None at the end of the file.
    fn read(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            let begin = self.offset;
            self.fill(header::LENGTH)?;
            let Ok(header) = <[u8; header::LENGTH]>::try_from(&*self.content) else {
                if self.content.is_empty() {
                    return Ok(None);
                }
                return Err(self.cut("the header of a record", begin));
            };
            let (kind, length) = header::read(header, begin)?;
            self.fill(length as usize)?;
            if self.content.len() < length as usize {
                return Err(self.cut(kind.name(), begin));
            }
            self.addresses.clear();
            let mut reader = Reader::new(&self.content, begin + header::LENGTH as u64);
            let (known, addresses) = (&mut self.known, &mut self.addresses);
            return Ok(Some(match kind {
                Type::List => Record::List(known.read_list(&mut reader)?),
                Type::CycleStart => Record::CycleStart(known.read_cycle(&mut reader)?),
                Type::CycleDefinition => Record::CycleDefinition(known.read_cycle(&mut reader)?),
                Type::CycleStop => {
                    let (cycle, at) = known.read_stop(&mut reader)?;
                    Record::CycleStop { cycle, at }
                }
                Type::Address => {
                    known.read_address(&mut reader)?;
                    continue;
                }
                Type::Trace => trace::read(&mut reader, known, addresses)?,
                Type::Tracelb => tracelb::read(&mut reader, known, addresses)?,
                Type::Ping => ping::read(&mut reader, known, addresses)?,
                Type::Other(name) => Record::Other(name),
            }));
        }
    }

    /// Reads as many bytes as are wanted; fewer if the file ends before.
    fn fill(&mut self, count: usize) -> io::Result<()> {
        self.content.clear();
        while self.content.len() < count {
            let bytes = match self.input.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if bytes.is_empty() {
                break;
            }
            let some = bytes.len().min(count - self.content.len());
            self.content.extend_from_slice(&bytes[..some]);
            self.input.consume(some);
        }
        self.offset += self.content.len() as u64;
        Ok(())
    }

    /// Returns the error that the file ends within what begins at an offset.
    fn cut(&self, what: &str, begin: u64) -> ReadError {
        let what = format!("the file ends within {what}, which begins at byte {begin}");
        damaged(self.offset, what)
    }
}

impl Iterator for Decoder {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let record = self.read();
        self.failed = record.is_err();
        record.transpose()
    }
}
