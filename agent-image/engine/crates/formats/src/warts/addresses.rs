//! The addresses of a record: each is written once, and then referred to.

use std::collections::HashMap;
use std::net::IpAddr;

use super::bytes::Reader;
use crate::codec::ReadError;

const V4: u8 = 1;
const V6: u8 = 2;

/// The addresses of a record that is being read.
#[derive(Default)]
pub(super) struct Addresses(Vec<IpAddr>);

impl Addresses {
    /// Forgets the addresses of the record before.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Reads an address, or a reference to one.
    pub(super) fn read(&mut self, reader: &mut Reader) -> Result<IpAddr, ReadError> {
        let length = reader.byte()?;
        if length == 0 {
            let number = reader.word()?;
            return self.0.get(number as usize).copied().ok_or_else(|| {
                let known = self.0.len();
                reader.damaged(format!("there is no address {number} yet among {known}"))
            });
        }
        let kind = reader.byte()?;
        let address = read_bytes(reader, kind, length.into())?;
        self.0.push(address);
        Ok(address)
    }
}

/// Reads an address that takes no part in references, as a router's that probes are sent to.
pub(super) fn read_alone(reader: &mut Reader) -> Result<IpAddr, ReadError> {
    let length = reader.byte()?.into();
    let kind = reader.byte()?;
    read_bytes(reader, kind, length)
}

/// Reads an address of a type and length.
pub(super) fn read_bytes(
    reader: &mut Reader,
    kind: u8,
    length: usize,
) -> Result<IpAddr, ReadError> {
    let bytes = reader.bytes(length)?;
    if let (V4, Ok(bytes)) = (kind, <[u8; 4]>::try_from(bytes)) {
        return Ok(bytes.into());
    }
    if let (V6, Ok(bytes)) = (kind, <[u8; 16]>::try_from(bytes)) {
        return Ok(bytes.into());
    }
    Err(reader.damaged(format!(
        "no IP address is of type {kind} and {length} bytes"
    )))
}

/// The addresses of a record that is being written.
#[derive(Default)]
pub(super) struct Table(HashMap<IpAddr, u32>);

impl Table {
    /// Forgets the addresses of the record before.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Writes an address, or a reference to it.
    pub(super) fn put(&mut self, out: &mut Vec<u8>, address: IpAddr) {
        let next = self.0.len() as u32;
        let number = *self.0.entry(address).or_insert(next);
        if number != next {
            out.push(0);
            out.extend(number.to_be_bytes());
            return;
        }
        put_alone(out, address);
    }
}

/// Writes an address that takes no part in references.
pub(super) fn put_alone(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            out.extend([4, V4]);
            out.extend(address.octets());
        }
        IpAddr::V6(address) => {
            out.extend([16, V6]);
            out.extend(address.octets());
        }
    }
}
