//! Reply parts: each is a Parquet file with the replies to one range of a block's slots.
//!
//! The parts of a block follow one another without a gap, and each is named by its first slot. So
//! the files tell how far the block is, and which slot comes next.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anabranch_link::way::Way;
use anabranch_plan::footer;
use anabranch_wire::reply::Reply;
use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use bytes::Bytes;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::ChunkReader;
use serde::{Deserialize, Serialize};

use crate::columns::{Got, Sent, arrange, gateway_of, mapped, probe_columns, reply_columns};
use crate::control::Counts;
use crate::tracecolumns::trace_columns;
use crate::traced::Traced;

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
    /// The number of replies in it; None if each of its rows is a reply.
    #[serde(default)]
    pub replies: Option<u64>,
    /// The number of destinations that were traced in this range.
    #[serde(default)] // parts of version 0.2 do not say
    pub traced: u64,
    /// The number of the block's prefixes without a route when its sending began. In a range of
    /// traces, the number of its destinations without a route.
    #[serde(default)] // parts of version 0.2 do not say
    pub unroutable: u64,
    /// The name of whoever probed; empty where one agent has the whole plan.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sender: String,
    /// The number of the hand-out that the block was part of; 0 without.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hand_out: u32,
    /// The prober's counts from its start up to this part.
    pub counts: Counts,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for it
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A part to write.
#[derive(Clone, Debug)]
pub struct Part {
    /// The description of the part.
    pub head: Head,
    /// Its rows.
    pub content: Content,
}

/// The rows of a part.
#[derive(Clone, Debug)]
pub enum Content {
    /// Replies, and the ways that probes leave by.
    Replies(Vec<Row>, Vec<Way>),
    /// Traces.
    Traces(Vec<Traced>),
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

/// Locks a folder of parts, or only some blocks in it, for one prober. The locks last as long as the
/// returned values.
///
/// # Errors
/// If another prober holds a lock, or a folder can't be made.
pub fn lock(folder: &Path, blocks: &[u32]) -> io::Result<Vec<Flock<File>>> {
    if blocks.is_empty() {
        return Ok(vec![lock_folder(folder, FlockArg::LockExclusiveNonblock)?]);
    }
    let of_block = |block: &u32| {
        let folder = folder.join(format!("{block:05}"));
        lock_folder(&folder, FlockArg::LockExclusiveNonblock)
    };
    std::iter::once(lock_folder(folder, FlockArg::LockSharedNonblock))
        .chain(blocks.iter().map(of_block))
        .collect()
}

fn lock_folder(folder: &Path, kind: FlockArg) -> io::Result<Flock<File>> {
    let open = fs::create_dir_all(folder).and_then(|()| File::open(folder));
    let file = open.map_err(|error| {
        let reason = format!("{}: {error}; name a folder for parts", folder.display());
        io::Error::new(error.kind(), reason)
    })?;
    Flock::lock(file, kind).map_err(|(_, error)| {
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
    footer::check(reader).map_err(|error| error.to_string())?;
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
    let replies = head.replies.unwrap_or(metadata.num_rows().unsigned_abs());
    Ok((head, replies))
}

/// Writes a part, whole or not at all.
///
/// # Errors
/// If it can't be written.
pub fn write(folder: &Path, round: u8, part: &mut Part) -> io::Result<()> {
    match &mut part.content {
        Content::Replies(rows, _) => rows.sort_unstable_by_key(|row| {
            let probe = &row.reply.probe;
            let prefix = (probe.family, probe.destination, probe.protocol);
            (prefix, probe.source_port, probe.ttl, row.at_us)
        }),
        Content::Traces(traces) => traces.sort_unstable_by_key(|traced| {
            let destination = &traced.destination;
            (destination.prefix, destination.protocol)
        }),
    }
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
    let batch = match &part.content {
        Content::Replies(rows, ways) => reply_rows(rows, ways, round),
        Content::Traces(traces) => trace_columns(traces, round),
    };
    let batch = batch.map_err(io::Error::other)?;
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

fn reply_rows(rows: &[Row], ways: &[Way], round: u8) -> Result<RecordBatch, ArrowError> {
    let gateways: Vec<[u8; 16]> = ways.iter().map(gateway_of).collect();
    let mut columns = probe_columns(rows.len(), round, |i| {
        let Row { reply, .. } = &rows[i];
        let way = usize::from(rows[i].way);
        Sent {
            probe: reply.probe,
            source: mapped(reply.probe.family, reply.to),
            prefix_index: rows[i].prefix_index,
            flow: rows[i].flow,
            link: &ways[way].link,
            gateway: gateways[way],
        }
    })?;
    columns.extend(reply_columns(rows.len(), |i| Got {
        reply: &rows[i].reply,
        at_us: rows[i].at_us,
        rtt_us: rows[i].rtt_us,
        is_from_prefix: rows[i].is_from_prefix,
    })?);
    arrange(columns)
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
                content: Content::Replies(Vec::new(), Vec::new()),
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
            replies: None,
            traced: 0,
            unroutable: 0,
            probes: end - start,
            sender: String::new(),
            hand_out: 0,
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
