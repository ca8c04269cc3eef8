//! warts reads back as it was written: scamper's own files byte by byte, and records of any kind.
//!
//! The files in `tests/warts` are what scamper 20211212 found in the simulated Internet.

mod sample;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anabranch_formats::codec::{Encode, ReadError};
use anabranch_formats::record::Record;
use anabranch_formats::warts::{Decoder, Encoder};
use proptest::prelude::*;

fn files() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/warts");
    let entries = fs::read_dir(folder).expect("the folder is part of the crate");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let files: Vec<_> = paths
        .map(|path| (path.clone(), fs::read(path).expect("a file")))
        .collect();
    assert!(!files.is_empty());
    files
}

fn decode(bytes: &[u8]) -> Decoder {
    Decoder::new(Box::new(Cursor::new(bytes.to_vec())))
}

fn read(bytes: &[u8]) -> Vec<Record> {
    decode(bytes)
        .collect::<Result<_, _>>()
        .expect("valid bytes")
}

fn write(records: &[Record]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(), Vec::new());
    for record in records {
        encoder
            .write(record, &mut out)
            .expect("a record that warts has a place for");
    }
    encoder.end(&mut out).expect("memory");
    out
}

#[test]
fn files_of_scamper_are_written_as_they_were() {
    for (path, bytes) in files() {
        assert!(write(&read(&bytes)) == bytes, "{}", path.display());
    }
}

#[test]
fn a_file_that_is_cut_says_where() {
    for (path, bytes) in files() {
        let ends: Vec<usize> = record_ends(&bytes);
        for length in 0..bytes.len() {
            let records: Vec<_> = decode(&bytes[..length]).collect();
            let whole = ends.iter().filter(|end| **end <= length).count();
            if length == 0 || ends.contains(&length) {
                assert!(records.iter().all(Result::is_ok) && records.len() == whole);
                continue;
            }
            assert_eq!(records.len(), whole + 1, "{} to {length}", path.display());
            let Some(Err(ReadError::Damaged { place, what })) = records.last() else {
                panic!("{} to {length} is complete", path.display());
            };
            assert_eq!(*place, format!("byte {length}"));
            assert!(what.contains("the file ends within"), "{what}");
        }
    }
}

fn record_ends(bytes: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut end = 0;
    while let Some(length) = bytes.get(end + 4..end + 8) {
        let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
        end += 8 + length as usize;
        ends.push(end);
    }
    ends
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn records_read_back_as_they_were_written(records in sample::records()) {
        let bytes = write(&records);
        prop_assert_eq!(read(&bytes), records);
    }

    #[test]
    fn what_was_read_of_a_damaged_file_ends(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let files = files();
        let mut bytes = which.get(&files).1.clone();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let records: Vec<_> = decode(&bytes).collect();
        let errors = records.iter().filter(|record| record.is_err()).count();
        prop_assert!(errors <= 1);
        prop_assert!(records.iter().rev().skip(1).all(Result::is_ok));
        // What could be read can be written.
        let records: Vec<_> = records.into_iter().flatten().collect();
        let mut encoder = Encoder::new();
        for record in &records {
            let _ = encoder.write(record, &mut Vec::new());
        }
    }

    #[test]
    fn random_bytes_end_too(mut bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 1u8..10) {
        let mut record = vec![0x12, 0x05, 0, kind, 0, 0, 0, bytes.len() as u8];
        record.append(&mut bytes);
        prop_assert!(decode(&record).count() <= 60);
    }
}
