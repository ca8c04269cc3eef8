//! Reply parts: each is a Parquet file with the replies to one range of a block's slots.
//!
//! The parts of a block follow one another without a gap, and each is named by its first slot. So
//! the files tell how far the block is, and which slot comes next.

use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anabranch_link::way::Way;
use anabranch_prefixes::{Family, Prefix};
use anabranch_wire::reply::Reply;
use arrow_array::builder::{ListBuilder, StructBuilder, UInt8Builder, UInt32Builder};
use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Fields};
use bytes::Bytes;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::ChunkReader;
use serde::{Deserialize, Serialize};

use crate::control::Counts;

/// The key of the head in the file's metadata; its value is JSON.
const HEAD: &str = "anabranch.part";

/// The description of a part, kept in its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The fingerprint of the plan's block and of the order of its probes.
    pub plan: u64,
    /// The number of the block.
    pub block: u32,
    /// The first slot.
    pub start: u64,
    /// The slot after the last one.
    pub end: u64,
    /// The number of probes sent in this range.
    pub probes: u64,
    /// The number of the block's prefixes without a route when its sending began.
    #[serde(default)] // parts of version 0.2 do not say
    pub unroutable: u64,
    /// The prober's counts from its start up to this part.
    pub counts: Counts,
}

/// A part to write.
#[derive(Clone, Debug)]
pub struct Part {
    /// The description of the part.
    pub head: Head,
    /// The ways that probes leave by.
    pub ways: Vec<Way>,
    /// The replies.
    pub rows: Vec<Row>,
}

/// A valid reply.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The content of the reply.
    pub reply: Reply,
    /// When the kernel received it, in microseconds since 1970.
    pub at_us: u64,
    /// The round trip time, in microseconds.
    pub rtt_us: u32,
    /// True if the reply comes from the probed prefix.
    pub is_from_prefix: bool,
    /// The number of the probed prefix in the list of targets.
    pub prefix_index: u32,
    /// The flow of the probe.
    pub flow: u32,
    /// The number of the way that the probe left by.
    pub way: u16,
}

/// Returns the path of the part of a block that begins at slot `start`.
#[must_use]
pub fn path_of(folder: &Path, block: u32, start: u64) -> PathBuf {
    folder.join(format!("{block:05}/{start:016}.parquet"))
}

/// Returns the slot after a block's parts in a folder. The first part begins at slot `begin`.
///
/// # Errors
/// If a part can't be read, belongs to another plan or order, or is missing between others.
pub fn find_cursor(folder: &Path, block: u32, plan: u64, begin: u64) -> io::Result<u64> {
    let refuse = |reason: String| Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    let (mut slot, mut parts) = (begin, 0);
    loop {
        let path = path_of(folder, block, slot);
        let head = match File::open(&path) {
            Ok(file) => read_head(&file, &path)?.0,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(named(&error, &path)),
        };
        if (head.plan, head.block, head.start) != (plan, block, slot) {
            return refuse(format!(
                "{} is a part of another plan, or in another order; keep the parts of each in a \
                 folder of its own",
                path.display()
            ));
        }
        (slot, parts) = (head.end, parts + 1);
    }
    let path = path_of(folder, block, slot);
    let there = path.parent().map_or(0, count_parts);
    if there > parts {
        return refuse(format!(
            "{} is missing, and parts behind it are there; put it back, or move those away",
            path.display()
        ));
    }
    Ok(slot)
}

fn count_parts(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_part = |name: PathBuf| name.extension().is_some_and(|end| end == "parquet");
    entries.filter(|entry| is_part(entry.path())).count()
}

/// Locks a folder of parts for this process. The lock lasts as long as the returned value.
///
/// # Errors
/// If another process holds the lock, or the folder can't be made.
pub fn lock(folder: &Path) -> io::Result<Flock<File>> {
    let open = fs::create_dir_all(folder).and_then(|()| File::open(folder));
    let file = open.map_err(|error| {
        let reason = format!("{}: {error}; name a folder for parts", folder.display());
        io::Error::new(error.kind(), reason)
    })?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
        let reason = format!(
            "{}: another prober writes there ({error}); stop it first",
            folder.display()
        );
        io::Error::new(io::ErrorKind::ResourceBusy, reason)
    })
}

/// Returns the head of a part and its number of replies, from the last bytes of its file.
///
/// # Errors
/// If the file is no part, or if `tail` is too short to hold the end of the file.
pub fn read_tail(tail: Vec<u8>) -> Result<(Head, u64), String> {
    read_end(&Bytes::from(tail))
}

fn read_head(file: &File, path: &Path) -> io::Result<(Head, u64)> {
    read_end(file).map_err(|reason| {
        let reason = format!(
            "{} is no reply part; move it away: {reason}",
            path.display()
        );
        io::Error::new(io::ErrorKind::InvalidData, reason)
    })
}

fn read_end(reader: &impl ChunkReader) -> Result<(Head, u64), String> {
    let metadata: ParquetMetaData = ParquetMetaDataReader::new()
        .parse_and_finish(reader)
        .map_err(|error| error.to_string())?;
    let metadata = metadata.file_metadata();
    let head = metadata
        .key_value_metadata()
        .and_then(|pairs| pairs.iter().find(|pair| pair.key == HEAD))
        .and_then(|pair| pair.value.as_deref())
        .ok_or("it has no head")?;
    let head: Head = serde_json::from_str(head).map_err(|error| error.to_string())?;
    if head.end <= head.start {
        return Err("it ends before it begins".to_owned());
    }
    Ok((head, metadata.num_rows().unsigned_abs()))
}

/// Writes a part, whole or not at all.
///
/// # Errors
/// If it can't be written.
pub fn write(folder: &Path, round: u8, part: &mut Part) -> io::Result<()> {
    part.rows.sort_unstable_by_key(|row| {
        let probe = &row.reply.probe;
        let prefix = (probe.family, probe.destination, probe.protocol);
        (prefix, probe.source_port, probe.ttl, row.at_us)
    });
    let path = path_of(folder, part.head.block, part.head.start);
    let unfinished = path.with_extension("unfinished");
    let folder = path.parent().unwrap_or(folder);
    let outcome = fs::create_dir_all(folder)
        .and_then(|()| write_file(&unfinished, round, part))
        // This never replaces another part.
        .and_then(|()| {
            let flags = RenameFlags::RENAME_NOREPLACE;
            Ok(renameat2(AT_FDCWD, &unfinished, AT_FDCWD, &path, flags)?)
        })
        .and_then(|()| File::open(folder)?.sync_all());
    outcome.map_err(|error| named(&error, &path))
}

fn named(error: &io::Error, path: &Path) -> io::Error {
    let reason = match error.kind() {
        io::ErrorKind::StorageFull => "; free some space and go on",
        io::ErrorKind::AlreadyExists => "; another prober writes there: stop one of them",
        _ => "",
    };
    io::Error::new(error.kind(), format!("{}: {error}{reason}", path.display()))
}

fn write_file(path: &Path, round: u8, part: &Part) -> io::Result<()> {
    let json = serde_json::to_string(&part.head)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(vec![KeyValue::new(HEAD.to_owned(), json)]))
        .build();
    let batch = columns(&part.rows, &part.ways, round).map_err(io::Error::other)?;
    let file = File::create(path)?;
    let kept = file.try_clone()?;
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    writer.close().map_err(|error| match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    })?;
    kept.sync_all()
}

/// Returns the columns of caracal's replies (<https://github.com/dioptra-io/caracal>) by name and
/// unit, then our own; `docs/formats.md` describes each.
fn columns(rows: &[Row], ways: &[Way], round: u8) -> Result<RecordBatch, ArrowError> {
    let small = |of: &dyn Fn(&Row) -> u8| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<UInt8Array>())
    };
    let medium = |of: &dyn Fn(&Row) -> u16| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<UInt16Array>())
    };
    let large = |of: &dyn Fn(&Row) -> u32| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<UInt32Array>())
    };
    let address = |of: &dyn Fn(&Reply) -> u128| -> Result<ArrayRef, ArrowError> {
        addresses(
            rows.iter()
                .map(|row| mapped(row.reply.probe.family, of(&row.reply))),
        )
    };
    let time = |row: &Row| row.at_us;
    RecordBatch::try_from_iter([
        (
            "capture_timestamp",
            large(&|row| (row.at_us / 1_000_000) as u32),
        ),
        ("probe_protocol", small(&|row| row.reply.probe.protocol)),
        ("probe_src_addr", address(&|reply| reply.to)?),
        ("probe_dst_addr", address(&|reply| reply.probe.destination)?),
        ("probe_src_port", medium(&|row| row.reply.probe.source_port)),
        (
            "probe_dst_port",
            medium(&|row| row.reply.probe.destination_port),
        ),
        ("probe_ttl", small(&|row| row.reply.probe.ttl)),
        ("quoted_ttl", small(&|row| row.reply.quoted.ttl)),
        ("reply_src_addr", address(&|reply| reply.from)?),
        ("reply_protocol", small(&|row| row.reply.protocol)),
        ("reply_icmp_type", small(&|row| row.reply.kind)),
        ("reply_icmp_code", small(&|row| row.reply.code)),
        ("reply_ttl", small(&|row| row.reply.ttl)),
        ("reply_size", medium(&|row| row.reply.size)),
        ("reply_mpls_labels", labels(rows)),
        ("rtt", medium(&|row| (row.rtt_us / 100) as u16)),
        ("round", small(&|_| round)),
        (
            "capture_time_us",
            Arc::new(rows.iter().map(time).collect::<UInt64Array>()),
        ),
        ("rtt_us", large(&|row| row.rtt_us)),
        ("reply_id", medium(&|row| row.reply.identification)),
        ("reply_tos", small(&|row| row.reply.tos)),
        ("quoted_tos", small(&|row| row.reply.quoted.tos)),
        ("quoted_length", medium(&|row| row.reply.quoted.length)),
        (
            "destination_prefix_reply",
            small(&|row| row.is_from_prefix.into()),
        ),
        ("prefix_index", large(&|row| row.prefix_index)),
        ("flow", large(&|row| row.flow)),
        ("rewritten", small(&|row| row.reply.quoted.rewritten.bits())),
        (
            "interface",
            Arc::new(StringArray::from_iter_values(
                rows.iter().map(|row| &ways[usize::from(row.way)].link),
            )),
        ),
        ("gateway", gateways(rows, ways)?),
    ])
}

/// Returns the neighbour that each reply's probe went to first; `::` where there is none.
fn gateways(rows: &[Row], ways: &[Way]) -> Result<ArrayRef, ArrowError> {
    let gateways: Vec<[u8; 16]> = ways
        .iter()
        .map(|way| match way.gateway {
            Some(IpAddr::V4(v4)) => v4.to_ipv6_mapped().octets(),
            Some(IpAddr::V6(v6)) => v6.octets(),
            None => [0; 16],
        })
        .collect();
    addresses(rows.iter().map(|row| gateways[usize::from(row.way)]))
}

fn addresses(bytes: impl Iterator<Item = [u8; 16]>) -> Result<ArrayRef, ArrowError> {
    let bytes: Vec<u8> = bytes.flatten().collect();
    let array = FixedSizeBinaryArray::try_new(16, bytes.into(), None)?;
    Ok(Arc::new(array))
}

fn mapped(family: Family, address: u128) -> [u8; 16] {
    Prefix::containing(family, address, family.bits()).mapped()
}

fn labels(rows: &[Row]) -> ArrayRef {
    let small = |name: &str| Field::new(name, DataType::UInt8, false);
    let fields = Fields::from(vec![
        Field::new("label", DataType::UInt32, false),
        small("exp"),
        small("bos"),
        small("ttl"),
    ]);
    let item = Field::new("item", DataType::Struct(fields.clone()), false);
    let entries = StructBuilder::from_fields(fields, 0);
    let mut lists = ListBuilder::new(entries).with_field(item);
    for row in rows {
        for (label, class, bottom, ttl) in row.reply.labels.iter() {
            let entry = lists.values();
            if let Some(builder) = entry.field_builder::<UInt32Builder>(0) {
                builder.append_value(label);
            }
            for (place, value) in [(1, class), (2, bottom), (3, ttl)] {
                if let Some(builder) = entry.field_builder::<UInt8Builder>(place) {
                    builder.append_value(value);
                }
            }
            entry.append(true);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: u64 = 7;

    /// Makes a folder with empty parts of block 3 that have these ranges.
    fn folder(name: &str, ranges: &[(u64, u64)]) -> PathBuf {
        let name = format!("anabranch-part-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        for (start, end) in ranges {
            let mut part = Part {
                head: head(*start, *end),
                ways: Vec::new(),
                rows: Vec::new(),
            };
            write(&folder, 1, &mut part).unwrap();
        }
        folder
    }

    fn head(start: u64, end: u64) -> Head {
        Head {
            plan: PLAN,
            block: 3,
            start,
            end,
            unroutable: 0,
            probes: end - start,
            counts: Counts::default(),
        }
    }

    #[test]
    fn parts_lead_on_from_where_they_begin() {
        let folder = folder("begin", &[(100, 120), (120, 150)]);
        let find = |begin| find_cursor(&folder, 3, PLAN, begin);
        assert_eq!(find(100).unwrap(), 150);
        // Only the first parts may have been taken away.
        let told = find(0).unwrap_err().to_string();
        assert!(
            told.contains("0000000000000000.parquet is missing"),
            "{told}"
        );
        let told = find(120).unwrap_err().to_string();
        assert!(
            told.contains("0000000000000150.parquet is missing"),
            "{told}"
        );
        assert_eq!(find_cursor(&folder, 4, PLAN, 33).unwrap(), 33);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_end_of_a_file_says_what_a_part_is() {
        let folder = folder("tail", &[(5, 9)]);
        let file = fs::read(path_of(&folder, 3, 5)).unwrap();
        assert_eq!(read_tail(file.clone()).unwrap(), (head(5, 9), 0));
        // The columns are not needed.
        let columns = file.len() - 4 - columns_end(&file);
        assert_eq!(
            read_tail(file[file.len() - columns..].to_vec())
                .unwrap()
                .0
                .end,
            9
        );
        assert!(read_tail(file[file.len() - 20..].to_vec()).is_err());
        assert!(read_tail(b"PAR1".to_vec()).is_err());
        fs::remove_dir_all(folder).unwrap();
    }

    /// Returns where the columns of a file end and its metadata begins.
    fn columns_end(file: &[u8]) -> usize {
        let length = file[file.len() - 8..].first_chunk().copied().unwrap();
        file.len() - 12 - u32::from_le_bytes(length) as usize
    }
}
