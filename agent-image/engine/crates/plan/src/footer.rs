//! Footers of Parquet files, looked at before they are read.
//!
//! A footer is a struct in Thrift's compact protocol. The reader passes over what it does not know,
//! and takes a list of Booleans there for nothing: forty bytes that say that two billion follow keep
//! it busy for seconds. Here each element takes a byte, so a walk takes no longer than its bytes.

use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::ChunkReader;

/// The length of a footer and the magic bytes, at the end of a file.
const END: u64 = 8;
/// How deep structs and lists may lie in one another. Those of Parquet reach 8.
const DEPTH: u8 = 32;

/// Checks that the footer of a file, or of its last bytes, holds all that it announces.
///
/// # Errors
/// If it does not, or can't be read. A file that is too short for a footer is left to the reader.
pub fn check(file: &impl ChunkReader) -> Result<(), ParquetError> {
    let Some(end) = file.len().checked_sub(END) else {
        return Ok(());
    };
    let last = file.get_bytes(end, END as usize)?;
    let length = u32::from_le_bytes([last[0], last[1], last[2], last[3]]);
    let Some(start) = end.checked_sub(length.into()) else {
        return Ok(());
    };
    let footer = file.get_bytes(start, length as usize)?;
    Walk(&footer)
        .pass_struct(DEPTH)
        .ok_or_else(|| ParquetError::General("its footer is damaged".to_owned()))
}

/// Checks that the columns of a file lie in it: the reader of rows takes that for granted, and
/// panics.
///
/// # Errors
/// If one does not.
pub fn check_columns(metadata: &ParquetMetaData, length: u64) -> Result<(), ParquetError> {
    let lies_in = |start: i64, size: i64| {
        let end = u64::try_from(start)
            .ok()
            .zip(u64::try_from(size).ok())
            .and_then(|(start, size)| start.checked_add(size));
        end.is_some_and(|end| end <= length)
    };
    let all_do = metadata.row_groups().iter().all(|group| {
        group.num_rows() >= 0
            && group.columns().iter().all(|column| {
                let start = column.data_page_offset();
                let first = column.dictionary_page_offset().unwrap_or(start);
                column.num_values() >= 0
                    && lies_in(start, 0)
                    && lies_in(first, column.compressed_size())
            })
    });
    if all_do {
        return Ok(());
    }
    Err(ParquetError::General(
        "its footer says that a column lies outside of the file".to_owned(),
    ))
}

/// The bytes that are left to look at.
struct Walk<'a>(&'a [u8]);

impl Walk<'_> {
    /// Passes over the fields of a struct up to its end.
    fn pass_struct(&mut self, depth: u8) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        loop {
            let head = self.take(1)?[0];
            let (kind, step) = (head & 15, head >> 4);
            if kind == 0 {
                return Some(());
            }
            if step == 0 {
                self.number()?; // the field's own, which does not follow the last one
            }
            if kind > 2 {
                self.pass(kind, depth)?; // a Boolean is its head
            }
        }
    }

    /// Passes over a value of a type that takes bytes of its own.
    fn pass(&mut self, kind: u8, depth: u8) -> Option<()> {
        match kind {
            3 => self.take(1).map(drop),
            4..=6 => self.number().map(drop),
            7 => self.take(8).map(drop),
            8 => {
                let length = self.number()?;
                self.take(length).map(drop)
            }
            9 | 10 => {
                let head = self.take(1)?[0];
                let count = match head >> 4 {
                    15 => self.number()?,
                    few => few.into(),
                };
                self.pass_all(&[head & 15], count, depth)
            }
            11 => match self.number()? {
                0 => Some(()),
                count => {
                    let kinds = self.take(1)?[0];
                    self.pass_all(&[kinds >> 4, kinds & 15], count, depth)
                }
            },
            12 => self.pass_struct(depth),
            13 => self.take(16).map(drop),
            _ => None,
        }
    }

    /// Passes over so many elements of some types each.
    fn pass_all(&mut self, kinds: &[u8], count: usize, depth: u8) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        for _ in 0..count {
            for kind in kinds {
                self.pass(*kind, depth)?;
            }
        }
        Some(())
    }

    fn number(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= usize::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, left) = self.0.split_at_checked(count)?;
        self.0 = left;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn file(footer: &[u8]) -> Bytes {
        let length = u32::try_from(footer.len()).expect("a short one");
        [footer, &length.to_le_bytes(), b"PAR1"].concat().into()
    }

    #[test]
    fn a_footer_that_announces_more_than_it_holds_is_refused() {
        // A list as field 15, of two billion elements: Booleans, bytes, and empty structs.
        for kind in [1, 2, 3, 12] {
            let list = [0xf9, 0xf0 | kind, 0xff, 0xff, 0xff, 0xff, 7, 0];
            assert!(check(&file(&list)).is_err(), "{kind}");
        }
        // A map, a text, and structs without an end.
        for footer in [
            &[0xfb, 0xff, 0xff, 0x7f, 0x11][..],
            &[0xf8, 0x7f],
            &[0xfc; 64],
        ] {
            assert!(check(&file(footer)).is_err(), "{footer:?}");
        }
    }

    #[test]
    fn what_a_footer_holds_is_passed_over() {
        // A Boolean, a number, a list of two texts, a map and an empty struct.
        let footer = [
            0x11, 0x15, 4, 0x19, 0x28, 1, 9, 0, 0x1b, 1, 0x35, 1, 2, 0x1c, 0, 0,
        ];
        check(&file(&footer)).expect("all is there");
        check(&file(&[0])).expect("nothing is, and nothing was announced");
        check(&Bytes::from_static(b"PAR1")).expect("the reader refuses it");
    }
}
