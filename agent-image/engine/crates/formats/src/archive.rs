//! Archives of files: tar, as M-Lab keeps the files of many traces.

use std::io::{self, BufRead, Read};

use tar::{EntryType, Header, PaxExtensions};

use crate::codec::ReadError;

/// The longest file of an archive that is read, in bytes. M-Lab's have a trace each.
const MOST_BYTES: u64 = 1 << 28;
const BLOCK: usize = 512;

/// A file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path in the archive.
    pub name: String,
    /// Its content, as `Cursor::new(member.content)` gives it to a decoder.
    pub content: Vec<u8>,
}

/// The files of an archive, in its order. Folders and links are passed over.
pub struct Members {
    input: Box<dyn BufRead + Send>,
    /// How far it is read.
    offset: u64,
    ended: bool,
}

impl Members {
    /// Reads from `input`, which is not compressed.
    #[must_use]
    pub fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self {
            input,
            offset: 0,
            ended: false,
        }
    }

    fn read(&mut self) -> Result<Option<Member>, ReadError> {
        // A name that does not fit into a header comes before it.
        let mut long_name = None;
        loop {
            let begin = self.offset;
            let block = self.take(BLOCK as u64)?;
            // The archive ends with blocks of zeros, which some programs leave out.
            if block.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            let Ok(block) = <[u8; BLOCK]>::try_from(block) else {
                return Err(damaged(self.offset, "the archive ends within a header"));
            };
            let header = Header::from_byte_slice(&block);
            if header.cksum().ok() != Some(checksum(&block)) {
                return Err(damaged(begin, "here is no header of a tar archive"));
            }
            let size = header
                .entry_size()
                .map_err(|error| damaged(begin, error.to_string()))?;
            let name = String::from_utf8_lossy(&header.path_bytes()).into_owned();
            if size > MOST_BYTES {
                let what = format!(
                    "{name} has {size} bytes, more than {MOST_BYTES}: take it out of the archive"
                );
                return Err(damaged(begin, what));
            }
            let content = self.take(size)?;
            if (content.len() as u64) < size {
                return Err(damaged(
                    self.offset,
                    format!("the archive ends within {name}"),
                ));
            }
            self.take(size.next_multiple_of(BLOCK as u64) - size)?;
            match header.entry_type() {
                EntryType::XHeader => long_name = pax_name(&content)?.or(long_name),
                EntryType::GNULongName => {
                    let name = String::from_utf8_lossy(&content);
                    long_name = Some(name.trim_end_matches('\0').to_owned());
                }
                EntryType::Regular | EntryType::Continuous => {
                    let name = long_name.unwrap_or(name);
                    return Ok(Some(Member { name, content }));
                }
                _ => long_name = None,
            }
        }
    }

    /// Takes bytes, or fewer if the archive ends.
    fn take(&mut self, count: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&mut self.input).take(count).read_to_end(&mut bytes)?;
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }
}

impl Iterator for Members {
    type Item = Result<Member, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let member = self.read();
        self.ended = !matches!(member, Ok(Some(_)));
        member.transpose()
    }
}

/// Returns the path that an extended header says, if it says one.
fn pax_name(content: &[u8]) -> io::Result<Option<String>> {
    let mut name = None;
    for extension in PaxExtensions::new(content) {
        let extension = extension?;
        if extension.key_bytes() == b"path" {
            name = Some(String::from_utf8_lossy(extension.value_bytes()).into_owned());
        }
    }
    Ok(name)
}

/// Returns the sum of a header's bytes, of which the eight that hold it count as spaces.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let at = 148..156;
    let value =
        |(place, byte): (usize, &u8)| u32::from(if at.contains(&place) { b' ' } else { *byte });
    block.iter().enumerate().map(value).sum()
}

fn damaged(offset: u64, what: impl Into<String>) -> ReadError {
    ReadError::Damaged {
        place: format!("byte {offset}"),
        what: what.into(),
    }
}
