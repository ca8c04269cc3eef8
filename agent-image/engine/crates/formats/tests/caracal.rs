//! Replies of caracal's: each line is one, and a bad one is told with its place.

use std::io::Cursor;

use anabranch_formats::caracal::{Decoder, Row};
use proptest::prelude::{ProptestConfig, any, proptest};

const HEAD: &str = "capture_timestamp,probe_protocol,probe_src_addr,probe_dst_addr,probe_src_port,\
                    probe_dst_port,probe_ttl,quoted_ttl,reply_src_addr,reply_protocol,\
                    reply_icmp_type,reply_icmp_code,reply_ttl,reply_size,reply_mpls_labels,rtt,\
                    round";
const LINE: &str = "1638522471,1,::ffff:198.18.0.2,::ffff:240.0.0.9,24000,33434,3,1,\
                    ::ffff:198.18.0.9,1,11,0,250,56,\"[(3, 0, 1, 1)]\",12,1";

fn read(text: &str) -> Result<Vec<Row>, String> {
    let rows = Decoder::new(Box::new(Cursor::new(text.as_bytes().to_vec())));
    rows.map(|row| row.map_err(|error| error.to_string()))
        .collect()
}

fn row(text: &str) -> Row {
    read(text).expect("a reply").remove(0)
}

#[test]
fn a_line_says_all_columns() {
    let row = row(&format!("{HEAD}\n{LINE}\n"));
    assert_eq!(
        (row.at, row.protocol, row.ttl, row.round),
        (1_638_522_471, 1, 3, 1)
    );
    assert_eq!(row.source.to_string(), "::ffff:198.18.0.2");
    assert_eq!(row.destination.to_string(), "::ffff:240.0.0.9");
    assert_eq!(row.from.to_string(), "::ffff:198.18.0.9");
    assert_eq!((row.ports, row.quoted_ttl), ((24_000, 33_434), 1));
    assert_eq!((row.reply_protocol, row.kind), (1, (11, 0)));
    assert_eq!((row.reply_ttl, row.size, row.rtt), (250, 56, 12));
    assert_eq!(row.labels.len(), 1);
}

#[test]
fn what_clickhouse_writes_is_the_same() {
    let quoted = LINE
        .replace("1638522471", "\"2021-12-03 09:07:51\"")
        .replace("::ffff:240.0.0.9", "\"240.0.0.9\"")
        .replace("[(3, 0, 1, 1)]", "[(3,0,1,1)]");
    assert_eq!(row(&quoted), row(LINE));
    // Columns may have any order, and there may be more.
    let reverse = |line: &str, more: &str| {
        let (front, labels) = line.split_once('"').unwrap_or((line, ""));
        let (labels, back) = labels.split_once('"').unwrap_or((labels, ""));
        let mut fields: Vec<&str> = front.trim_end_matches(',').split(',').collect();
        let quoted = format!("\"{labels}\"");
        if !labels.is_empty() {
            fields.push(&quoted);
            fields.extend(back.trim_start_matches(',').split(','));
        }
        fields.reverse();
        format!("{more},{}", fields.join(","))
    };
    let text = format!("{}\n{}\n", reverse(HEAD, "extra"), reverse(LINE, "7"));
    assert_eq!(row(&text), row(LINE));
}

#[test]
fn a_file_without_names_has_caracals_order() {
    assert_eq!(
        read(&format!("{LINE}\n\n{LINE}")).expect("replies").len(),
        2
    );
    assert_eq!(read(HEAD), Ok(vec![]));
}

#[test]
fn errors_say_where_and_what() {
    for (text, what) in [
        (
            String::new(),
            "line 1: it is empty; caracal's replies begin with the names of their columns",
        ),
        (
            HEAD.replace(",rtt,", ",time,"),
            "line 1: it lacks the columns rtt",
        ),
        (
            format!("{HEAD}\n{LINE}\n{}", LINE.replace("24000", "x")),
            "line 3: probe_src_port is \"x\", and must be a number up to 65535",
        ),
        (
            LINE.replace(",250,", ",256,"),
            "line 1: reply_ttl is \"256\", and must be a number up to 255",
        ),
        (
            LINE.replace("::ffff:240.0.0.9", "here"),
            "line 1: probe_dst_addr is \"here\", and no address",
        ),
        (
            LINE.replace("1638522471", "today"),
            "line 1: capture_timestamp is \"today\", and no time",
        ),
        (
            LINE.replace("(3, 0", "(3"),
            "line 1: reply_mpls_labels is \"[(3, 1, 1)]\", and no list of labels",
        ),
        (
            "1,2,3".to_owned(),
            "line 1: it has 3 fields, and must have 17",
        ),
        (LINE.replace("]\"", "]"), "line 1: a quote has no end"),
        ("a".repeat(1 << 17), "line 1: it is too long for a reply"),
    ] {
        assert_eq!(read(&text), Err(what.to_owned()), "{text:.80}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut text = format!("{HEAD}\n{LINE}\n").into_bytes();
        let rows = |text: Vec<u8>| Decoder::new(Box::new(Cursor::new(text))).count();
        rows(bytes.clone());
        text.extend(bytes);
        assert!(rows(text) >= 1);
    }
}
