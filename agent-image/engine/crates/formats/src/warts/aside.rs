//! Attributes of a trace: what it found besides the path.

use std::io;

use super::addresses::{Addresses, Table};
use super::bytes::{Reader, narrow, unsupported};
use super::definitions::Known;
use super::hop;
use super::parameters::{Block, Parameters};
use crate::codec::ReadError;
use crate::record::{Aside, Doubletree, MtuNote, PathMtu, Probe};

const PATH_MTU: u16 = 1;
const LAST_DITCH: u16 = 2;
const DOUBLETREE: u16 = 3;

/// The bits of an attribute's header that are its length; its type is above them.
const LENGTH_BITS: u16 = 12;

/// Reads the attributes that follow a trace. Those that are unknown are passed over.
pub(super) fn read(
    reader: &mut Reader,
    known: &Known,
    addresses: &mut Addresses,
) -> Result<Option<Box<Aside>>, ReadError> {
    let mut aside = Aside::default();
    loop {
        let header = reader.short()?;
        if header == 0 {
            break;
        }
        let mut part = reader.part((header & ((1 << LENGTH_BITS) - 1)).into())?;
        match header >> LENGTH_BITS {
            PATH_MTU => aside.path_mtu = Some(read_path_mtu(&mut part, known, addresses)?),
            LAST_DITCH => {
                Parameters::read(&mut part)?;
                aside.last_ditch = hop::read_all(&mut part, known, addresses)?;
            }
            DOUBLETREE => aside.doubletree = Some(read_doubletree(&mut part, known, addresses)?),
            _ => {}
        }
    }
    Ok((aside != Aside::default()).then(|| Box::new(aside)))
}

fn read_path_mtu(
    reader: &mut Reader,
    known: &Known,
    addresses: &mut Addresses,
) -> Result<PathMtu, ReadError> {
    let mut has = Parameters::read(reader)?;
    let interface = has.get(1, Reader::short)?;
    let path = has.get(2, Reader::short)?;
    let first = has.get(3, Reader::short)?;
    let version = has.get(4, Reader::byte)?;
    let note_count = has.get(5, Reader::byte)?.unwrap_or(0);
    let probes = hop::read_all(reader, known, addresses)?;
    let notes = (0..note_count).map(|_| {
        let mut has = Parameters::read(reader)?;
        Ok(MtuNote {
            kind: has.get(1, Reader::byte)?.unwrap_or(0),
            next_mtu: has.get(2, Reader::short)?,
            reply: has.get(3, Reader::short)?,
        })
    });
    Ok(PathMtu {
        interface,
        path,
        first,
        version,
        notes: notes.collect::<Result<_, ReadError>>()?,
        probes,
    })
}

fn read_doubletree(
    reader: &mut Reader,
    known: &Known,
    addresses: &mut Addresses,
) -> Result<Doubletree, ReadError> {
    let mut has = Parameters::read(reader)?;
    let old_local = has.get(1, |reader| known.read_address_reference(reader))?;
    let old_global = has.get(2, |reader| known.read_address_reference(reader))?;
    Ok(Doubletree {
        first_ttl: has.get(3, Reader::byte)?.unwrap_or(0),
        local_stop: has.get(4, |reader| addresses.read(reader))?.or(old_local),
        global_stop: has.get(5, |reader| addresses.read(reader))?.or(old_global),
        local_set: has.get(6, Reader::text)?,
        flags: has.get(7, Reader::byte)?.unwrap_or(0),
    })
}

/// Writes the attributes of a trace, whose probes are of some size, and that no more follow.
pub(super) fn write(
    aside: Option<&Aside>,
    size: Option<u16>,
    out: &mut Vec<u8>,
    block: &mut Block,
    table: &mut Table,
) -> io::Result<()> {
    if let Some(aside) = aside {
        if let Some(path_mtu) = &aside.path_mtu {
            let begin = begin(out);
            write_path_mtu(path_mtu, size, out, block, table)?;
            end(PATH_MTU, begin, out)?;
        }
        if !aside.last_ditch.is_empty() {
            let begin = begin(out);
            block.end(out)?;
            hop::write_all(&aside.last_ditch, size, out, block, table)?;
            end(LAST_DITCH, begin, out)?;
        }
        if let Some(doubletree) = &aside.doubletree {
            let begin = begin(out);
            write_doubletree(doubletree, out, block, table)?;
            end(DOUBLETREE, begin, out)?;
        }
    }
    out.extend([0, 0]);
    Ok(())
}

/// Leaves room for the header of an attribute, and returns where that is.
fn begin(out: &mut Vec<u8>) -> usize {
    out.extend([0, 0]);
    out.len()
}

fn end(kind: u16, begin: usize, out: &mut [u8]) -> io::Result<()> {
    let length: u16 = narrow(out.len() - begin, "bytes of an attribute")?;
    if length >> LENGTH_BITS != 0 {
        return Err(unsupported(format!(
            "warts has no place for {length} bytes of an attribute"
        )));
    }
    out[begin - 2..begin].copy_from_slice(&(kind << LENGTH_BITS | length).to_be_bytes());
    Ok(())
}

fn write_path_mtu(
    path_mtu: &PathMtu,
    size: Option<u16>,
    out: &mut Vec<u8>,
    block: &mut Block,
    table: &mut Table,
) -> io::Result<()> {
    let replies = path_mtu
        .probes
        .iter()
        .map(|probe: &Probe| probe.replies.len())
        .sum::<usize>();
    let beyond = path_mtu.notes.iter().filter_map(|note| note.reply);
    if let Some(reply) = beyond.max().filter(|reply| usize::from(*reply) >= replies) {
        return Err(unsupported(format!(
            "a note is on reply {reply} of {replies}"
        )));
    }
    block.short(1, path_mtu.interface.filter(|mtu| *mtu != 0));
    block.short(2, path_mtu.path.filter(|mtu| *mtu != 0));
    block.short(3, path_mtu.first.filter(|mtu| *mtu != 0));
    block.byte(4, path_mtu.version);
    let note_count = narrow(path_mtu.notes.len(), "notes on a path's MTU")?;
    block.byte(5, Some(note_count).filter(|count| *count != 0));
    block.end(out)?;
    hop::write_all(&path_mtu.probes, size, out, block, table)?;
    for note in &path_mtu.notes {
        block.byte(1, Some(note.kind).filter(|kind| *kind != 0));
        block.short(2, note.next_mtu.filter(|mtu| *mtu != 0));
        block.short(3, note.reply);
        block.end(out)?;
    }
    Ok(())
}

fn write_doubletree(
    doubletree: &Doubletree,
    out: &mut Vec<u8>,
    block: &mut Block,
    table: &mut Table,
) -> io::Result<()> {
    block.byte(3, Some(doubletree.first_ttl));
    if let Some(stop) = doubletree.local_stop {
        table.put(block.add(4), stop);
    }
    if let Some(stop) = doubletree.global_stop {
        table.put(block.add(5), stop);
    }
    block.text(6, doubletree.local_set.as_deref())?;
    block.byte(7, Some(doubletree.flags).filter(|flags| *flags != 0));
    block.end(out)
}
