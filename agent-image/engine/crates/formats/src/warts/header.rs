//! The header of a record: what it is, and how long.

use std::io;

use super::bytes::{Reader, damaged, narrow};
use crate::codec::ReadError;

/// The length of a header.
pub(super) const LENGTH: usize = 8;

const MAGIC: u16 = 0x1205;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    List,
    CycleStart,
    CycleDefinition,
    CycleStop,
    /// An address that later records refer to, in files of before 2011.
    Address,
    Trace,
    Ping,
    Tracelb,
    /// What is not about paths, by its name.
    Other(&'static str),
}

impl Type {
    /// Returns its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::CycleStart | Self::CycleDefinition | Self::CycleStop => "cycle",
            Self::Address => "address",
            Self::Trace => "trace",
            Self::Ping => "ping",
            Self::Tracelb => "tracelb",
            Self::Other(name) => name,
        }
    }

    fn of(number: u16) -> Self {
        match number {
            1 => Self::List,
            2 => Self::CycleStart,
            3 => Self::CycleDefinition,
            4 => Self::CycleStop,
            5 => Self::Address,
            6 => Self::Trace,
            7 => Self::Ping,
            8 => Self::Tracelb,
            9 => Self::Other("dealias"),
            10 => Self::Other("neighbourdisc"),
            11 => Self::Other("tbit"),
            12 => Self::Other("sting"),
            13 => Self::Other("sniff"),
            14 => Self::Other("host"),
            15 => Self::Other("http"),
            16 => Self::Other("udpprobe"),
            17 => Self::Other("owamp"),
            _ => Self::Other("unknown"),
        }
    }

    fn number(self) -> u16 {
        match self {
            Self::List => 1,
            Self::CycleStart => 2,
            Self::CycleDefinition => 3,
            Self::CycleStop => 4,
            Self::Address => 5,
            Self::Trace => 6,
            Self::Ping => 7,
            Self::Tracelb => 8,
            Self::Other(_) => unreachable!("others are not written"),
        }
    }
}

/// Reads the header at an offset: the type of the record, and the length of its content.
pub(super) fn read(bytes: [u8; LENGTH], offset: u64) -> Result<(Type, u32), ReadError> {
    let mut reader = Reader::new(&bytes, offset);
    let (magic, number) = (reader.short()?, reader.short()?);
    if magic != MAGIC || number == 0 {
        let what = format!("no record of warts begins here: {magic:04x} {number:04x}");
        return Err(damaged(offset, what));
    }
    Ok((Type::of(number), reader.word()?))
}

/// Writes a header before content of some length.
pub(super) fn write(kind: Type, length: usize) -> io::Result<[u8; LENGTH]> {
    let length: u32 = narrow(length, "bytes of a record")?;
    let mut bytes = [0; LENGTH];
    bytes[..2].copy_from_slice(&MAGIC.to_be_bytes());
    bytes[2..4].copy_from_slice(&kind.number().to_be_bytes());
    bytes[4..].copy_from_slice(&length.to_be_bytes());
    Ok(bytes)
}
