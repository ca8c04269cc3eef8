//! Optional fields: flags say which of them are there, and they follow in the order of their numbers.

use std::io;

use super::bytes::{Reader, narrow, put_text, put_time};
use crate::codec::ReadError;

/// A byte has seven flags, and the highest bit if another byte follows.
const FLAGS: u32 = 7;
const MORE: u8 = 1 << FLAGS;

/// The fields of a block that is being read. Fields behind those that are known are passed over.
pub(super) struct Parameters<'a> {
    /// A bit for each field, from the lowest.
    present: u64,
    reader: Reader<'a>,
}

impl<'a> Parameters<'a> {
    /// Reads which fields there are.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, ReadError> {
        let mut byte = reader.byte()?;
        if byte == 0 {
            let reader = reader.part(0)?;
            return Ok(Self { present: 0, reader });
        }
        let mut present = u64::from(byte & !MORE);
        let mut shift = FLAGS;
        while byte & MORE != 0 {
            byte = reader.byte()?;
            // Nobody has so many fields yet.
            if shift + FLAGS < u64::BITS {
                present |= u64::from(byte & !MORE) << shift;
                shift += FLAGS;
            }
        }
        let length = reader.short()?.into();
        let reader = reader.part(length)?;
        Ok(Self { present, reader })
    }

    /// Reads a field if it is there. Numbers must rise from call to call.
    pub(super) fn get<T>(
        &mut self,
        number: u32,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, ReadError>,
    ) -> Result<Option<T>, ReadError> {
        if self.present >> (number - 1) & 1 == 0 {
            return Ok(None);
        }
        read(&mut self.reader).map(Some)
    }

    /// Returns the error that something is wrong with the field that was read.
    pub(super) fn damaged(&self, what: impl Into<String>) -> ReadError {
        self.reader.damaged(what)
    }
}

/// The fields of a block that is being written. Numbers must rise from call to call.
#[derive(Default)]
pub(super) struct Block {
    present: u64,
    bytes: Vec<u8>,
}

impl Block {
    /// Adds a field, and returns where its bytes go.
    pub(super) fn add(&mut self, number: u32) -> &mut Vec<u8> {
        debug_assert!(self.present >> (number - 1) == 0, "{number} comes late");
        self.present |= 1 << (number - 1);
        &mut self.bytes
    }

    /// Adds a number of 8 bits if it is known.
    pub(super) fn byte(&mut self, number: u32, value: Option<u8>) {
        if let Some(value) = value {
            self.add(number).push(value);
        }
    }

    /// Adds a number of 16 bits if it is known.
    pub(super) fn short(&mut self, number: u32, value: Option<u16>) {
        if let Some(value) = value {
            self.add(number).extend(value.to_be_bytes());
        }
    }

    /// Adds a number of 32 bits if it is known.
    pub(super) fn word(&mut self, number: u32, value: Option<u32>) {
        if let Some(value) = value {
            self.add(number).extend(value.to_be_bytes());
        }
    }

    /// Adds a time if it is known.
    pub(super) fn time(&mut self, number: u32, time_us: Option<u64>) -> io::Result<()> {
        time_us.map_or(Ok(()), |time| put_time(self.add(number), time))
    }

    /// Adds a text if it is known.
    pub(super) fn text(&mut self, number: u32, text: Option<&str>) -> io::Result<()> {
        text.map_or(Ok(()), |text| put_text(self.add(number), text))
    }

    /// Writes the block, and begins another one.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut flags = self.present;
        loop {
            let byte = flags as u8 & !MORE;
            flags >>= FLAGS;
            if flags == 0 {
                out.push(byte);
                break;
            }
            out.push(byte | MORE);
        }
        if self.present != 0 {
            let length: u16 = narrow(self.bytes.len(), "bytes of parameters")?;
            out.extend(length.to_be_bytes());
            out.extend(&self.bytes);
        }
        self.clear();
        Ok(())
    }

    /// Forgets the fields of a block that was not written.
    pub(super) fn clear(&mut self) {
        self.present = 0;
        self.bytes.clear();
    }
}
