//! RIB dumps of route collectors: MRT of the type `TABLE_DUMP_V2`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anabranch_prefixes::{Family, Prefix, number_of};
use bgpkit_parser::models::{AsPath, AsPathSegment, MrtMessage, RibAfiEntries, TableDumpV2Message};
use bgpkit_parser::{ParserError, RawMrtRecord, chunk_mrt_record};

use crate::error::Fault;
use crate::facts::Register;
use crate::origins::read_origins;
use crate::source::Source;
use crate::space::{MOST, Space};

/// The shortest prefixes that networks announce for themselves. What is shorter stands for routes
/// that lead anywhere: default routes and their halves.
const SHORTEST: [(Family, u8); 2] = [(Family::V4, 8), (Family::V6, 16)];

/// Reads a dump. An origin counts as often as peers announce it.
pub fn read(source: Source, register: &mut Register) -> Result<Space, Fault> {
    let mut prefixes = Vec::new();
    read_records(source, |place, record| {
        let entry = read_record(record, register).map_err(|reason| damaged(place, &reason))?;
        prefixes.extend(entry);
        check_count(prefixes.len(), place)
    })?;
    if prefixes.is_empty() {
        let reason = "the RIB dump has no prefix with an origin; download it again";
        return Err(reason.to_owned().into());
    }
    Ok(Space::of_prefixes(prefixes))
}

/// Reads the prefixes of a dump that routes for unicast lead to, and how many peers know one.
pub fn read_routes(
    source: Source,
    mut take: impl FnMut(Prefix, u16) -> Result<(), String>,
) -> Result<(), Fault> {
    let mut count = 0;
    let mut peers = Vec::new();
    read_records(source, |place, record| {
        let header = &record.common_header;
        let Some(layout) = Layout::of(header.entry_subtype) else {
            return Ok(());
        };
        let prefix = read_peers(&record.message_bytes, layout, &mut peers)
            .map_err(|reason| damaged(place, &reason))?;
        take(prefix, peers.len() as u16)?;
        count += 1;
        check_count(count, place)
    })?;
    if count == 0 {
        let reason = "the RIB dump has no prefix; download it again";
        return Err(reason.to_owned().into());
    }
    Ok(())
}

/// Reads the records of a dump; `take` gets each with its place in the unpacked data.
fn read_records(
    mut source: Source,
    mut take: impl FnMut(u64, RawMrtRecord) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut place = 0;
    loop {
        let record = match chunk_mrt_record(&mut source) {
            Ok(record) => record,
            Err(error) => match error.error {
                ParserError::EofExpected => return Ok(()),
                ParserError::IoError(error) | ParserError::EofError(error)
                    if error.kind() != std::io::ErrorKind::UnexpectedEof =>
                {
                    return Err(source.explain(&error));
                }
                error => return Err(damaged(place, &error.to_string())),
            },
        };
        let length = record.total_bytes_len() as u64;
        take(place, record)?;
        place += length;
    }
}

fn check_count(count: usize, place: u64) -> Result<(), Fault> {
    if count > MOST {
        return Err(format!("has more than {MOST} prefixes before byte {place}").into());
    }
    Ok(())
}

/// How the record of a prefix is laid out.
#[derive(Clone, Copy)]
struct Layout {
    family: Family,
    /// The bytes of an entry before its attributes: the number of a peer, a time, with additional
    /// paths the number of a path, and the length of the attributes.
    entry: usize,
}

impl Layout {
    /// Returns the layout of a subtype of routes for unicast (RFC 6396, section 4.3.2; RFC 8050,
    /// section 4); None for others.
    const fn of(subtype: u16) -> Option<Self> {
        let (family, entry) = match subtype {
            2 => (Family::V4, 8),
            4 => (Family::V6, 8),
            8 => (Family::V4, 12),
            10 => (Family::V6, 12),
            _ => return None,
        };
        Some(Self { family, entry })
    }
}

/// Reads the prefix of a record, and which peers have a route to it, each once. It passes over the
/// routes' attributes: to read them takes ten times as long.
fn read_peers(body: &[u8], layout: Layout, peers: &mut Vec<u16>) -> Result<Prefix, String> {
    let cut = || "it ends before its entries do".to_owned();
    let family = layout.family;
    let len = *body.get(4).ok_or_else(cut)?;
    if len > family.bits() {
        return Err(format!("its prefix has {len} bits"));
    }
    let bytes = usize::from(len.div_ceil(8));
    let mut number = 0;
    for place in 0..usize::from(family.bits() / 8) {
        let byte = if place < bytes {
            *body.get(5 + place).ok_or_else(cut)?
        } else {
            0
        };
        number = number << 8 | u128::from(byte);
    }
    let told = count_entries(body).ok_or_else(cut)?;
    let mut rest = &body[7 + bytes..];
    peers.clear();
    for _ in 0..told {
        let (head, behind) = rest.split_at_checked(layout.entry).ok_or_else(cut)?;
        peers.push(u16::from_be_bytes([head[0], head[1]]));
        let end = [head[layout.entry - 2], head[layout.entry - 1]];
        let attributes = usize::from(u16::from_be_bytes(end));
        rest = behind.get(attributes..).ok_or_else(cut)?;
    }
    peers.sort_unstable();
    peers.dedup();
    Ok(Prefix::containing(family, number, len))
}

fn damaged(place: u64, reason: &str) -> Fault {
    Fault::Content(format!(
        "the MRT record at byte {place} of the unpacked data can't be read ({reason}): the file is \
         damaged or cut short; download it again"
    ))
}

/// Reads a record; None if it is about no prefix, or if nobody says who originates the prefix.
fn read_record(
    record: RawMrtRecord,
    register: &mut Register,
) -> Result<Option<(Prefix, u32)>, String> {
    let body = record.message_bytes.clone();
    let message = record.parse().map_err(|error| error.to_string())?.message;
    let MrtMessage::TableDumpV2Message(TableDumpV2Message::RibAfi(entries)) = message else {
        return Ok(None);
    };
    // The parser stops at a bad entry, and does not say so.
    let (told, found) = (count_entries(&body), entries.rib_entries.len());
    if told != Some(found) {
        return Err(format!("only {found} of its entries are whole"));
    }
    let (family, number) = number_of(entries.prefix.prefix.addr());
    let len = entries.prefix.prefix.prefix_len();
    if SHORTEST
        .iter()
        .any(|(of, least)| *of == family && len < *least)
    {
        return Ok(None);
    }
    let Some(origins) = join_origins(&entries) else {
        return Ok(None);
    };
    let facts = read_origins(&origins, &mut register.vocabulary.origins);
    let facts = facts.expect("origins are written as they are read");
    let prefix = Prefix::containing(family, number, len);
    Ok(Some((prefix, register.keep(facts))))
}

/// Returns the number of entries that a record of a prefix says it has: behind four bytes of
/// sequence number and the prefix (RFC 6396, section 4.3.2).
fn count_entries(body: &[u8]) -> Option<usize> {
    let len = usize::from(*body.get(4)?);
    let count = body.get(5 + len.div_ceil(8)..)?.first_chunk()?;
    Some(usize::from(u16::from_be_bytes(*count)))
}

/// Returns the origins as CAIDA writes them: the most frequent first, ties by number.
fn join_origins(entries: &RibAfiEntries) -> Option<String> {
    let mut counts: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
    for entry in &entries.rib_entries {
        let path = entry.attributes.as_path();
        if let Some(origin) = path.and_then(find_origin) {
            *counts.entry(origin).or_default() += 1;
        }
    }
    let mut origins: Vec<_> = counts.into_iter().collect();
    // Stable, so that ties stay sorted by number.
    origins.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut text = String::new();
    for (members, _) in origins {
        for (place, asn) in members.iter().enumerate() {
            let between = match (text.is_empty(), place) {
                (true, _) => "",
                (false, 0) => "_",
                (false, _) => ",",
            };
            write!(text, "{between}{asn}").expect("a text takes all");
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Returns the last AS of a path, or its last set; confederations are inside of an AS.
fn find_origin(path: &AsPath) -> Option<Vec<u32>> {
    let segments = path.segments.iter().rev();
    let mut outside = segments.filter(|segment| !segment.is_confed());
    let mut members: Vec<u32> = match outside.next()? {
        AsPathSegment::AsSequence(ases) => {
            ases.last().map(|asn| (*asn).into()).into_iter().collect()
        }
        segment => segment.iter().map(|asn| (*asn).into()).collect(),
    };
    members.sort_unstable();
    members.dedup();
    (!members.is_empty()).then_some(members)
}
