//! Reads a target list from bytes.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use zstd::stream::read::Decoder;

use crate::{Entry, MAX_TARGETS, Protocol, TargetList};

/// The number of problems of a list that are reported one by one. The others are only counted.
pub const REPORTED_PROBLEMS: usize = 100;

/// The longest line that is read, comments included, in bytes.
const MAX_LINE: u64 = 4096;
/// The names of the fields in Iris's documentation. Some exports have them as their first line.
const HEADER: &str = "target,protocol,min_ttl,max_ttl,n_initial_flows";
/// The number of entries at which repetitions are dropped for the first time.
const FIRST_COMPACTION: usize = 1 << 23;
const READ_BUFFER: usize = 1 << 18;
/// How zstd's frames begin: those with data, and those that readers skip (RFC 8878, section 3.1).
const ZSTD_MAGIC: u32 = 0xfd2f_b528;
const ZSTD_SKIPPABLE: std::ops::RangeInclusive<u32> = 0x184d_2a50..=0x184d_2a5f;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: char = '\u{feff}';
/// Why a list can't ask for both kinds of TCP.
const MIXED: &str = "tcpSyn and tcpAck are in one list, and their answers can't be told apart; write \
                     two lists";

/// What is wrong with a line, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line's number, from 1.
    pub line: u64,
    /// What is wrong, and the remedy.
    pub reason: String,
}

/// Why a list can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The source failed.
    #[error(transparent)]
    Io(io::Error),
    /// The list has problems, so nothing of it is used.
    #[error(transparent)]
    Refused(Refused),
}

/// The problems of a list that can't be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// The first [`REPORTED_PROBLEMS`] problems, by line.
    pub problems: Vec<Problem>,
    /// How many problems there are.
    pub total: u64,
}

impl Refused {
    fn add(&mut self, line: u64, reason: impl Into<String>) {
        self.total += 1;
        if self.problems.len() < REPORTED_PROBLEMS {
            let reason = reason.into();
            self.problems.push(Problem { line, reason });
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}line {}: {}", problem.line, problem.reason)?;
        }
        match self.total - self.problems.len() as u64 {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Refused {}

/// Reads a list to its end. It is CSV, plain or compressed with zstd; its first bytes tell which.
///
/// Returns the list and the number of lines, skipped ones included. Blank lines, lines that begin
/// with `#`, a header line and a byte order mark are skipped.
///
/// # Errors
/// [`ReadError::Refused`] with the problems of all lines; [`ReadError::Io`] when the source fails.
pub fn read(source: impl Read) -> Result<(TargetList, u64), ReadError> {
    let mut source = Source {
        inner: source,
        failure: None,
    };
    let mut lines = Lines::default();
    let end = lines.read_source(&mut source);
    if let Some(failure) = source.failure {
        return Err(ReadError::Io(failure));
    }
    if let Err(error) = end {
        let reason = format!(
            "the compressed data can't be read ({error}): it is damaged, cut short, or made with \
             a dictionary or --long; compress the list again without"
        );
        lines.refused.add(lines.read + 1, reason);
    }
    lines.finish().map_err(ReadError::Refused)
}

/// A source that keeps its own failure apart from those of decompression.
struct Source<R> {
    inner: R,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            if error.kind() == io::ErrorKind::Interrupted {
                return error;
            }
            self.failure = Some(error);
            io::ErrorKind::Other.into()
        })
    }
}

/// The lines read so far.
struct Lines {
    read: u64,
    /// True once there was a line that is neither blank nor a comment.
    begun: bool,
    entries: Vec<Entry>,
    /// The protocols that occurred.
    protocols: BTreeSet<Protocol>,
    /// The number of entries at which repetitions are dropped next.
    compact_at: usize,
    refused: Refused,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            read: 0,
            begun: false,
            entries: Vec::new(),
            protocols: BTreeSet::new(),
            compact_at: FIRST_COMPACTION,
            refused: Refused::default(),
        }
    }
}

impl Lines {
    fn read_source(&mut self, source: impl Read) -> io::Result<()> {
        let mut plain = BufReader::with_capacity(READ_BUFFER, source);
        let mut head = Vec::new();
        plain.by_ref().take(4).read_to_end(&mut head)?;
        let magic = head.first_chunk().map(|four| u32::from_le_bytes(*four));
        if head.starts_with(&GZIP_MAGIC) {
            self.refused.add(
                1,
                "compressed with gzip; compress it with zstd, or not at all",
            );
            return Ok(());
        }
        let whole = head.chain(plain);
        if magic.is_some_and(|magic| magic == ZSTD_MAGIC || ZSTD_SKIPPABLE.contains(&magic)) {
            self.read_lines(BufReader::with_capacity(
                READ_BUFFER,
                Decoder::with_buffer(whole)?,
            ))
        } else {
            self.read_lines(whole)
        }
    }

    fn read_lines(&mut self, mut source: impl BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            source
                .by_ref()
                .take(MAX_LINE)
                .read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Ok(());
            }
            self.read += 1;
            if line.len() as u64 == MAX_LINE && line.last() != Some(&b'\n') {
                let reason = format!("longer than {MAX_LINE} bytes; is this a target list?");
                self.refused.add(self.read, reason);
                source.skip_until(b'\n')?;
            } else {
                self.take(&line);
            }
            if self.entries.len() >= self.compact_at {
                self.compact();
            }
        }
    }

    fn take(&mut self, line: &[u8]) {
        let Ok(text) = str::from_utf8(line) else {
            self.refused
                .add(self.read, "not text in UTF-8; save the list as UTF-8");
            return;
        };
        let text = text.trim_start_matches(BYTE_ORDER_MARK).trim();
        if text.is_empty() || text.starts_with('#') {
            return;
        }
        let is_first = !std::mem::replace(&mut self.begun, true);
        if is_first && text.split(',').map(str::trim).eq(HEADER.split(',')) {
            return;
        }
        match Entry::parse(text) {
            Ok(entry) if self.is_mixed_up(entry.protocol) => self.refused.add(self.read, MIXED),
            // Nothing of a refused list is used, so its entries are not kept.
            Ok(entry) if self.refused.total == 0 => self.entries.push(entry),
            Ok(_) => {}
            Err(error) => self.refused.add(self.read, shorten(error.to_string())),
        }
    }

    /// Returns whether probes by a protocol can't be told from those of an earlier line.
    fn is_mixed_up(&mut self, protocol: Protocol) -> bool {
        self.protocols.insert(protocol);
        let mut protocols = self.protocols.iter();
        protocols.any(|other| other.is_mistaken_for(protocol))
    }

    /// Drops repetitions, and refuses the list if too many entries are left.
    fn compact(&mut self) {
        let list = TargetList::new(std::mem::take(&mut self.entries));
        self.entries = list.into_entries();
        self.compact_at = (2 * self.entries.len()).max(FIRST_COMPACTION);
        if self.entries.len() as u64 > MAX_TARGETS {
            let reason = format!("more than {MAX_TARGETS} different entries; split the list");
            self.refused.add(self.read, reason);
        }
    }

    fn finish(mut self) -> Result<(TargetList, u64), Refused> {
        if self.entries.is_empty() && self.refused.total == 0 {
            let reason = "the list has no entry; write at least one";
            self.refused.add(self.read.max(1), reason);
        }
        if self.refused.total == 0 {
            self.compact();
        }
        if self.refused.total > 0 {
            return Err(self.refused);
        }
        Ok((TargetList::new(self.entries), self.read))
    }
}

/// Cuts the middle out of a long reason, which may repeat a line of garbage.
fn shorten(reason: String) -> String {
    const KEPT: usize = 150;
    let count = reason.chars().count();
    if count <= 2 * KEPT {
        return reason;
    }
    let head: String = reason.chars().take(KEPT).collect();
    let tail: String = reason.chars().skip(count - KEPT).collect();
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "10.0.0.0/24,udp,2,32,6\n";

    fn problems(source: &[u8]) -> Refused {
        match read(source) {
            Err(ReadError::Refused(refused)) => refused,
            other => panic!("{other:?}"),
        }
    }

    fn compressed(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, 3).unwrap()
    }

    #[test]
    fn what_is_no_entry_is_passed_over() {
        let dressed = format!("\u{feff}{HEADER}\r\n# note\n\n  10.0.0.0/24, udp ,2,32,6\r\n");
        let (list, lines) = read(dressed.as_bytes()).unwrap();
        assert_eq!((list, lines), (read(LINE.as_bytes()).unwrap().0, 4));
    }

    #[test]
    fn syns_and_acks_are_two_lists() {
        let with = |protocol| format!("{LINE}10.0.0.0/24,{protocol},2,32,6\n");
        assert!(read(with("tcpSyn").as_bytes()).is_ok());
        let both = with("tcpAck") + &with("tcpSyn");
        let refused = problems(both.as_bytes());
        assert_eq!(refused.total, 1);
        assert_eq!(refused.problems[0].line, 4);
        assert!(refused.problems[0].reason.contains("two lists"));
    }

    #[test]
    fn zstd_is_told_by_its_first_bytes_and_may_have_many_frames() {
        let twice = [
            compressed(LINE.as_bytes()),
            compressed(b"10.0.1.0/24,udp,2,32,6"),
        ]
        .concat();
        assert_eq!(read(&twice[..]).unwrap().0.entries().len(), 2);
    }

    #[test]
    fn a_header_may_have_spaces_and_follow_a_comment() {
        let text = format!("# mine\n{}\n{LINE}", HEADER.replace(',', ", "));
        assert_eq!(read(text.as_bytes()).unwrap().0.entries().len(), 1);
        let late = format!("{LINE}{HEADER}\n");
        assert_eq!(problems(late.as_bytes()).problems[0].line, 2);
    }

    #[test]
    fn a_skippable_frame_is_skipped_and_gzip_is_named() {
        let mut bytes = vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        bytes.extend(compressed(LINE.as_bytes()));
        assert_eq!(read(&bytes[..]).unwrap().0.entries().len(), 1);
        assert!(
            problems(&[0x1f, 0x8b, 8, 0]).problems[0]
                .reason
                .contains("gzip")
        );
    }

    #[test]
    fn a_line_of_garbage_is_not_repeated_whole() {
        let refused = problems("x".repeat(4_000).as_bytes());
        assert!(refused.problems[0].reason.len() < 320);
    }

    #[test]
    fn cut_or_damaged_zstd_is_refused_with_the_line_it_reached() {
        let text = LINE.repeat(50_000);
        let whole = compressed(text.as_bytes());
        let cut = problems(&whole[..whole.len() - 1]);
        assert!(
            cut.problems[0].reason.contains("damaged, cut short"),
            "{cut}"
        );
        let mut bytes = compressed(LINE.as_bytes());
        bytes.extend_from_slice(b"garbage behind the frame");
        assert_eq!(problems(&bytes).problems[0].line, 2);
    }

    #[test]
    fn each_bad_line_is_told_by_number() {
        let refused = problems(b"10.0.0.0/24,udp,2,32,6\nx\n\n10.0.0.1/24,udp,2,32,6\n");
        let lines: Vec<u64> = refused.problems.iter().map(|p| p.line).collect();
        assert_eq!((lines, refused.total), (vec![2, 4], 2));
    }

    #[test]
    fn the_first_hundred_problems_are_told_and_the_rest_counted() {
        let refused = problems("x\n".repeat(250).as_bytes());
        assert_eq!(
            (refused.problems.len(), refused.total),
            (REPORTED_PROBLEMS, 250)
        );
        assert!(refused.to_string().ends_with("and 150 more"));
    }

    #[test]
    fn a_list_without_entries_is_refused() {
        for nothing in ["", "\n", "# only a note\n"] {
            assert!(
                problems(nothing.as_bytes()).problems[0]
                    .reason
                    .contains("no entry")
            );
        }
    }

    #[test]
    fn binary_and_endless_lines_are_refused_where_they_are() {
        let mut bytes = vec![b'x'; 3 * MAX_LINE as usize];
        bytes.extend_from_slice(b"\n\xff\xfe\n");
        let refused = problems(&bytes);
        assert!(
            refused.problems[0]
                .reason
                .contains("longer than 4096 bytes")
        );
        assert_eq!((refused.problems[1].line, refused.total), (2, 2));
        assert!(refused.problems[1].reason.contains("UTF-8"));
    }

    #[test]
    fn a_failing_source_is_not_a_bad_list() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let frame = compressed(LINE.as_bytes());
        for source in [
            Box::new(Failing) as Box<dyn Read>,
            Box::new(frame[..6].chain(Failing)),
        ] {
            assert!(
                matches!(read(source), Err(ReadError::Io(e)) if e.to_string().contains("disk"))
            );
        }
    }
}
