//! warts reads back as it was written: scamper's own files byte by byte, and records of any kind.
//!
//! The files in `tests/warts` are what scamper 20211212 found in the simulated Internet.

mod sample;

use std::fs;
use std::io::Cursor;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anabranch_formats::codec::{Encode, ReadError};
use anabranch_formats::record::{Found, Record};
use anabranch_formats::warts::{Decoder, Encoder};
use proptest::prelude::*;

fn files() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/warts");
    let entries = fs::read_dir(folder).expect("the folder is part of the crate");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = paths
        .map(|path| (path.clone(), fs::read(path).expect("a file")))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn pings() -> Vec<u8> {
    let mut files = files().into_iter();
    let file = files.find(|(path, _)| path.ends_with("pings.warts"));
    file.expect("a file of pings").1
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
        let (mut file, records) = split(&bytes);
        let begin = file.len();
        for record in records {
            for length in 1..record.len() {
                file.truncate(begin);
                file.extend(&record[..length]);
                let records: Vec<_> = decode(&file).collect();
                assert_eq!(records.len(), 3, "{}", path.display());
                let (place, what) = damage(&records[2]);
                assert_eq!(place, format!("byte {}", file.len()));
                assert!(what.contains("the file ends within"), "{what}");
                assert!(what.contains(&format!("byte {begin}")), "{what}");
            }
        }
    }
}

#[test]
fn a_record_that_is_too_short_says_where() {
    for (_, bytes) in files() {
        let (mut file, records) = split(&bytes);
        let begin = file.len();
        for record in records {
            for length in 8..record.len() {
                file.truncate(begin);
                file.extend(&record[..length]);
                let content = length as u32 - 8;
                file[begin + 4..begin + 8].copy_from_slice(&content.to_be_bytes());
                let records: Vec<_> = decode(&file).collect();
                let (place, _) = damage(&records[2]);
                let place: usize = place["byte ".len()..].parse().expect("a number");
                assert!((begin + 8..=begin + length).contains(&place));
            }
        }
    }
}

/// Returns the records of a file that define its list and cycle, and the others one by one.
fn split(bytes: &[u8]) -> (Vec<u8>, Vec<&[u8]>) {
    let mut records = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[4..8].try_into().expect("four bytes"));
        let (record, others) = rest.split_at(8 + length as usize);
        records.push(record);
        rest = others;
    }
    (records[..2].concat(), records.split_off(2))
}

fn damage(record: &Result<Record, ReadError>) -> (&str, &str) {
    match record {
        Err(ReadError::Damaged { place, what }) => (place, what),
        other => panic!("no damage: {other:?}"),
    }
}

#[test]
fn what_a_trace_is_of_comes_before_it() {
    for (_, bytes) in files() {
        let records = read(&bytes);
        let start = |record: &&Record| matches!(record, Record::List(_) | Record::CycleStart(_));
        let rest: Vec<Record> = records.iter().skip_while(start).cloned().collect();
        assert_eq!(rest.len() + 2, records.len());
        let again = read(&write(&rest));
        assert_eq!(again[0], records[0]);
        assert!(matches!(&again[1], Record::CycleDefinition(cycle) if cycle.number == 1));
        assert_eq!(again[2..], rest);
    }
}

#[test]
fn a_cycle_that_ended_is_defined_again() {
    let bytes = pings();
    let mut records = read(&bytes);
    let mut late = records[2].clone();
    records.push(late.clone());
    let again = read(&write(&records));
    let [.., Record::CycleDefinition(cycle), last] = &again[..] else {
        panic!("no definition: {again:?}");
    };
    assert_eq!(cycle.number, 2);
    let (Record::Ping(late), Record::Ping(last)) = (&mut late, last) else {
        panic!("no pings: {last:?}");
    };
    late.cycle = Some(Arc::clone(cycle));
    assert_eq!(late, last);
}

#[test]
fn records_of_other_types_are_passed_over() {
    let bytes = pings();
    let (mut file, records) = split(&bytes);
    file.extend([0x12, 0x05, 0, 9, 0, 0, 0, 3, 1, 2, 3]);
    file.extend(records.concat());
    let all = read(&file);
    assert_eq!(all[2], Record::Other("dealias"));
    assert!(write(&all) == bytes);
}

/// Files of before 2011 have addresses in records of their own, numbered from 1.
#[test]
fn old_files_refer_to_addresses_that_have_records() {
    let record = |kind: u8, content: &[u8]| {
        let mut record = vec![0x12, 0x05, 0, kind, 0, 0, 0, content.len() as u8];
        record.extend(content);
        record
    };
    let mut file = record(5, &[1, 1, 198, 18, 0, 2]);
    file.extend(record(5, &[2, 1, 240, 0, 3, 7]));
    let mut trace = vec![0x8c, 0x08, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, 2, 0, 1];
    trace.extend([0x03, 0, 5, 0, 0, 0, 2, 1, 0, 0]);
    file.extend(record(6, &trace));
    let [Record::Trace(trace)] = &read(&file)[..] else {
        panic!("no trace");
    };
    assert_eq!(trace.source, Some([198, 18, 0, 2].into()));
    assert_eq!(trace.destination, IpAddr::from([240, 0, 3, 7]));
    let Found::Path { probes, last_ttl } = &trace.found else {
        panic!("no path");
    };
    assert_eq!(
        (probes[0].replies[0].from, *last_ttl),
        (trace.destination, 1)
    );
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
        // What could be read can be written, if there is a place for it, and is the same from then on.
        let (mut encoder, mut once) = (Encoder::new(), Vec::new());
        for record in records.into_iter().flatten() {
            let _ = encoder.write(&record, &mut once);
        }
        prop_assert!(write(&read(&once)) == once);
    }

    #[test]
    fn random_bytes_end_too(mut bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 1u8..10) {
        let mut record = vec![0x12, 0x05, 0, kind, 0, 0, 0, bytes.len() as u8];
        record.append(&mut bytes);
        prop_assert!(decode(&record).count() <= 60);
    }
}
