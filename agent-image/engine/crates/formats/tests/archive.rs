//! Archives: their files come out whole, or what is wrong is said.

use std::io::{Cursor, Write};
use std::process::{Command, Stdio};

use anabranch_formats::archive::{Member, Members};
use proptest::prelude::{ProptestConfig, any, proptest};
use proptest::sample::Index;

const LONG: &str = "a folder whose name is so long that no header of an archive has enough space for it \
                    and for the name of the file that is in it, so that it comes before the header";

fn member(name: &str, length: usize) -> Member {
    let content = (0..length).map(|place| place as u8).collect();
    let name = name.to_owned();
    Member { name, content }
}

fn members() -> Vec<Member> {
    let lengths = [0, 1, 511, 512, 513, 3000];
    let short = lengths
        .iter()
        .map(|length| member(&format!("2022/02/{length}.jsonl"), *length));
    short
        .chain([member(&format!("{LONG}/a.jsonl"), 5)])
        .collect()
}

fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for member in members() {
        let mut header = tar::Header::new_gnu();
        header.set_size(member.content.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, &member.name, &*member.content)
            .expect("a member");
    }
    builder.into_inner().expect("an archive")
}

fn read(archive: Vec<u8>) -> (Vec<Member>, Option<String>) {
    let mut found = Vec::new();
    for member in Members::new(Box::new(Cursor::new(archive))) {
        match member {
            Ok(member) => found.push(member),
            Err(error) => return (found, Some(error.to_string())),
        }
    }
    (found, None)
}

#[test]
fn files_come_out_whole() {
    assert_eq!(read(archive()), (members(), None));
    assert_eq!(read(Vec::new()), (Vec::new(), None));
}

#[test]
fn what_the_system_archives_is_read_in_its_formats() {
    let folder = std::env::temp_dir().join(format!("anabranch-archive-{}", std::process::id()));
    for member in members() {
        let path = folder.join(&member.name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::File::create(path)
            .and_then(|mut file| file.write_all(&member.content))
            .expect("a file");
    }
    let mut wanted = members();
    wanted.sort_by(|one, other| one.name.cmp(&other.name));
    for format in ["gnu", "pax", "oldgnu"] {
        let mut command = Command::new("tar");
        command.args(["--create", "--sort=name", "--format", format, "--directory"]);
        let done = command
            .arg(&folder)
            .args(["2022", LONG])
            .stderr(Stdio::inherit())
            .output();
        let done = done.expect("tar runs");
        assert!(done.status.success());
        let (mut found, error) = read(done.stdout);
        found.sort_by(|one, other| one.name.cmp(&other.name));
        assert_eq!((found, error), (wanted.clone(), None), "{format}");
    }
    std::fs::remove_dir_all(folder).expect("a folder");
}

#[test]
fn errors_say_where_and_what() {
    let archive = archive();
    let cut = |length: usize| read(archive[..length].to_vec()).1;
    assert_eq!(
        cut(100).as_deref(),
        Some("byte 100: the archive ends within a header")
    );
    // The first file is empty, and the second has a byte.
    assert_eq!(
        cut(1024).as_deref(),
        Some("byte 1024: the archive ends within 2022/02/1.jsonl")
    );
    let text = vec![b'a'; 600];
    assert_eq!(
        read(text).1.as_deref(),
        Some("byte 0: here is no header of a tar archive")
    );
}

#[test]
fn a_size_beyond_all_bounds_is_refused() {
    let mut header = tar::Header::new_gnu();
    header.set_path("a").expect("a path");
    header.set_size(1 << 60);
    header.set_cksum();
    let (found, error) = read(header.as_bytes().to_vec());
    assert!(found.is_empty());
    assert!(
        error
            .expect("an error")
            .starts_with("byte 0: a has 1152921504606846976 bytes")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damage_is_told_and_no_more(places in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..8), end: Index) {
        let mut archive = archive();
        for (place, byte) in places {
            let place = place.index(archive.len());
            archive[place] = byte;
        }
        archive.truncate(end.index(archive.len()));
        read(archive);
    }
}
