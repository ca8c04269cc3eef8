//! The objects of a reply's ICMP extension.

use std::io;

use super::bytes::{Reader, narrow};
use crate::codec::ReadError;
use crate::record::Extension;

/// The length of an object's header: the length of its content, its class and its type.
const HEADER: usize = 4;

/// Reads the objects of a reply.
pub(super) fn read(reader: &mut Reader) -> Result<Vec<Extension>, ReadError> {
    let length = reader.short()?.into();
    let mut part = reader.part(length)?;
    let mut objects = Vec::new();
    while !part.is_empty() {
        let length = part.short()?.into();
        let (class, kind) = part.kind()?;
        let data = part.bytes(length)?.to_vec();
        objects.push(Extension { class, kind, data });
    }
    Ok(objects)
}

/// Writes the objects of a reply.
pub(super) fn write(objects: &[Extension], out: &mut Vec<u8>) -> io::Result<()> {
    let length: usize = objects
        .iter()
        .map(|object| HEADER + object.data.len())
        .sum();
    let length: u16 = narrow(length, "bytes of ICMP extensions")?;
    out.extend(length.to_be_bytes());
    for object in objects {
        out.extend((object.data.len() as u16).to_be_bytes());
        out.extend([object.class, object.kind]);
        out.extend(&object.data);
    }
    Ok(())
}
