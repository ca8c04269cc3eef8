//! A file: its bytes without compression, and its format.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;

use crate::error::Fault;

/// The most bytes of a file that has to be in memory as a whole.
const MOST_BYTES: u64 = 1 << 32;
const READ_BUFFER: usize = 1 << 18;
/// How many bytes tell a file's format.
const HEAD: usize = 512;
/// Compression that is not read, by the first bytes of a file.
const OTHER_COMPRESSION: [(&[u8], &str); 4] = [
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ", "xz"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf", "7z"),
];
const TAR: &[u8] = b"ustar";
const TAR_PLACE: usize = 257;
/// The type of an MRT record of a `TABLE_DUMP_V2` (RFC 6396, section 4.3), and that of its first
/// record, a table of peers.
const TABLE_DUMP_V2: [u8; 4] = [0, 13, 0, 1];
const MRT_TYPE: usize = 4;
const MRT_LENGTH: usize = 8;
/// The longest record that is read.
const MOST_OF_RECORD: u32 = 1 << 24;

/// What a file holds, as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// A RIB dump of the type `TABLE_DUMP_V2`.
    Mrt,
    /// Lines of text.
    Text,
    /// What only the last bytes tell.
    Other,
}

/// A file that is read from the start to the end, without its compression.
pub struct Source {
    inner: Box<dyn BufRead>,
    progress: Rc<RefCell<Progress>>,
    compression: Option<&'static str>,
    /// The format of the file.
    pub format: Format,
}

/// How far a file was read, and whether it failed.
#[derive(Default)]
struct Progress {
    bytes: u64,
    failure: Option<io::Error>,
}

/// A file that keeps its own failure apart from those of decompression.
struct Watched {
    file: Box<dyn Read>,
    progress: Rc<RefCell<Progress>>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(count) => {
                self.progress.borrow_mut().bytes += count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.progress.borrow_mut().failure = Some(error);
                Err(io::ErrorKind::Other.into())
            }
        }
    }
}

impl Source {
    /// Opens a file, and tells its format.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        Self::new(File::open(path).map_err(Fault::Io)?)
    }

    /// Begins to read a file, and tells its format.
    pub fn new(file: impl Read + 'static) -> Result<Self, Fault> {
        let progress = Rc::new(RefCell::new(Progress::default()));
        let watched = Watched {
            file: Box::new(file),
            progress: Rc::clone(&progress),
        };
        let mut source = Self {
            inner: Box::new(BufReader::with_capacity(READ_BUFFER, watched)),
            progress,
            compression: None,
            format: Format::Other,
        };
        let head = source.peek()?;
        if head.is_empty() {
            return Err("is empty; download it again".to_owned().into());
        }
        for (magic, name) in OTHER_COMPRESSION {
            if head.starts_with(magic) {
                return Err(format!("is compressed with {name}; unpack it first").into());
            }
        }
        if head.starts_with(&[0x1f, 0x8b]) {
            source.compression = Some("gzip");
            let inner = MultiGzDecoder::new(source.inner);
            source.inner = Box::new(BufReader::with_capacity(READ_BUFFER, inner));
        } else if head.starts_with(b"BZh") {
            source.compression = Some("bzip2");
            let inner = MultiBzDecoder::new(source.inner);
            source.inner = Box::new(BufReader::with_capacity(READ_BUFFER, inner));
        }
        let head = source.peek()?;
        if head.get(TAR_PLACE..TAR_PLACE + TAR.len()) == Some(TAR) {
            let reason = "is a tar archive; unpack it, and name the file in it";
            return Err(reason.to_owned().into());
        }
        source.format = tell(&head);
        Ok(source)
    }

    /// Returns the first bytes without taking them.
    pub fn peek(&mut self) -> Result<Vec<u8>, Fault> {
        let mut head = Vec::with_capacity(HEAD);
        match self.inner.by_ref().take(HEAD as u64).read_to_end(&mut head) {
            Ok(_) => {}
            Err(error) => return Err(self.explain(&error)),
        }
        let rest = std::mem::replace(&mut self.inner, Box::new(io::empty()));
        self.inner = Box::new(io::Cursor::new(head.clone()).chain(rest));
        Ok(head)
    }

    /// Returns what is wrong when a read has failed.
    pub fn explain(&self, error: &io::Error) -> Fault {
        let mut progress = self.progress.borrow_mut();
        if let Some(failure) = progress.failure.take() {
            return Fault::Io(failure);
        }
        let (name, place) = (self.compression.unwrap_or("plain"), progress.bytes);
        Fault::Content(format!(
            "the {name} data before byte {place} can't be read ({error}): the file is damaged or \
             cut short; download it again"
        ))
    }

    /// Returns the rest of the file.
    pub fn read_whole(mut self) -> Result<Vec<u8>, Fault> {
        let mut whole = Vec::new();
        let limit = MOST_BYTES + 1;
        if let Err(error) = self.by_ref().take(limit).read_to_end(&mut whole) {
            return Err(self.explain(&error));
        }
        if whole.len() as u64 > MOST_BYTES {
            let most = MOST_BYTES >> 30;
            return Err(format!("has more than {most} GiB; name a smaller one").into());
        }
        Ok(whole)
    }
}

/// Keeps readers from taking data that are cut short for the end of a file.
fn no_end(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        io::Error::new(io::ErrorKind::InvalidData, error)
    } else {
        error
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(no_end)
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf().map_err(no_end)
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
    }
}

fn tell(head: &[u8]) -> Format {
    let length = head
        .get(MRT_LENGTH..)
        .and_then(|rest| rest.first_chunk())
        .map(|four| u32::from_be_bytes(*four));
    if head.get(MRT_TYPE..MRT_LENGTH) == Some(&TABLE_DUMP_V2)
        && length.is_some_and(|length| length <= MOST_OF_RECORD)
    {
        return Format::Mrt;
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    if text.trim_ascii_start().starts_with(b"{") || text.trim_ascii_start().starts_with(b"[") {
        return Format::Json;
    }
    let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~' | 0x80..);
    if text.iter().all(is_text) {
        return Format::Text;
    }
    Format::Other
}

/// What can be read of addresses.
pub const OF_ADDRESSES: &str = "an MMDB, CAIDA's prefix2as, an MRT RIB dump, or PeeringDB's JSON";
/// What can be read of routes.
pub const OF_ROUTES: &str = "CAIDA's prefix2as or an MRT RIB dump";

/// Returns what to do about a file of no format that is read, of its first bytes and of what can be
/// read.
pub fn suggest(content: &[u8], readable: &str) -> Fault {
    let reason = match content.get(MRT_TYPE..MRT_TYPE + 2) {
        Some([0, 12]) => {
            "is an MRT file of the old type TABLE_DUMP; name a RIB dump of the type TABLE_DUMP_V2"
        }
        Some([0, 13 | 16 | 17]) => {
            "is an MRT file without a whole RIB; name a RIB dump: rib.*.bz2 of RouteViews, or \
             bview.*.gz of RIS"
        }
        _ => return format!("is of no format that is read; name {readable}").into(),
    };
    Fault::Content(reason.to_owned())
}
