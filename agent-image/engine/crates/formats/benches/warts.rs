//! Measures how many traces a second one core writes as warts and reads, beside scamper's own programs.

use std::env;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufReader, Cursor};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anabranch_chance::scatter;
use anabranch_formats::codec::Encode;
use anabranch_formats::record::{
    Found, Kind, Method, Origin, Probe, Record, Reply, Settings, Stop, Trace,
};
use anabranch_formats::warts::{Decoder, Encoder};

const TRACES: u32 = 100_000;
const HOPS: u8 = 15;
const BEGAN_US: u64 = 1_700_000_000_000_000;

fn main() {
    let records: Vec<Record> = (0..TRACES).map(trace).collect();
    let mut bytes = Vec::new();
    let write = measure("written", || {
        bytes.clear();
        let mut encoder = Encoder::new();
        for record in &records {
            encoder.write(record, &mut bytes).expect("memory");
        }
    });
    drop(records);
    let path = env::temp_dir().join(format!("anabranch-bench-{}.warts", std::process::id()));
    fs::write(&path, &bytes).expect("a file in the temporary folder");
    println!("{TRACES} traces of {HOPS} hops: {} bytes", bytes.len());
    let read = measure("read", || {
        let file = File::open(&path).expect("the file");
        let decoder = Decoder::new(Box::new(BufReader::new(file)));
        let records = decoder.map(|record| record.expect("a record"));
        assert_eq!(records.map(black_box).count(), TRACES as usize);
    });
    let both = measure("read and written", || {
        let mut copy = Vec::with_capacity(bytes.len());
        let mut encoder = Encoder::new();
        for record in Decoder::new(Box::new(Cursor::new(bytes.clone()))) {
            encoder
                .write(&record.expect("a record"), &mut copy)
                .expect("memory");
        }
        assert!(copy == bytes);
    });
    let cat = measure("sc_wartscat", || {
        run("sc_wartscat", &["-o", "/dev/null"], &path);
    });
    let json = measure("sc_warts2json", || run("sc_warts2json", &[], &path));
    let ratio = |peer: f64, ours: f64| format!("{:.1} times", peer / ours);
    println!("reading is {} as fast as sc_warts2json", ratio(json, read));
    println!(
        "reading and writing are {} as fast as sc_wartscat",
        ratio(cat, both)
    );
    println!(
        "reading is {}, writing {}",
        ratio(cat, read),
        ratio(cat, write)
    );
    fs::remove_file(&path).expect("the file");
}

/// Returns the shortest time of three.
fn measure(what: &str, mut run: impl FnMut()) -> f64 {
    let times = [0; 3].map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    let shortest = times.into_iter().fold(f64::INFINITY, f64::min);
    println!(
        "{what}: {:.0} traces a second",
        f64::from(TRACES) / shortest
    );
    shortest
}

fn run(program: &str, arguments: &[&str], path: &Path) {
    let mut command = Command::new(program);
    let status = command
        .args(arguments)
        .arg(path)
        .stdout(Stdio::null())
        .status();
    assert!(
        status.expect("a program of scamper's").success(),
        "{program} fails"
    );
}

/// Returns a trace as scamper's icmp-paris finds one.
fn trace(number: u32) -> Record {
    let began_us = BEGAN_US + u64::from(number) * 1_000;
    let destination = IpAddr::from((0xf000_0000 | number << 8 | 7).to_be_bytes());
    let probes = (1..=HOPS).map(|ttl| {
        let chance = scatter(u64::from(number) << 8 | u64::from(ttl)) as u32;
        let last = ttl == HOPS;
        let from = IpAddr::from((0xf800_0000 | chance >> 8).to_be_bytes());
        let reply = Reply {
            from: if last { destination } else { from },
            name: None,
            received_us: None,
            rtt_us: Some(chance % 200_000),
            kind: if last {
                Kind::Icmp(0, 0)
            } else {
                Kind::Icmp(11, 0)
            },
            ttl: Some(255 - ttl),
            size: Some(56),
            tos: Some(0),
            id: Some(chance & 0xffff | 1),
            quoted_ttl: (!last).then_some(1),
            quoted_length: (!last).then_some(44),
            quoted_tos: (!last).then_some(0),
            next_mtu: None,
            extensions: Vec::new(),
            flags: Some(0x11),
            answers: None,
        };
        Probe {
            ttl,
            attempt: 1,
            sent_us: Some(began_us + u64::from(ttl) * 20_000),
            size: Some(44),
            replies: vec![reply],
            ..Probe::default()
        }
    });
    let found = Found::Path {
        probes: probes.collect(),
        last_ttl: HOPS,
    };
    Record::Trace(Box::new(Trace {
        origin: Origin::default(),
        list: None,
        cycle: None,
        method: Method::IcmpEchoParis,
        source: Some([198, 18, 0, 2].into()),
        router: None,
        destination,
        destination_name: None,
        source_port: Some(24_000),
        destination_port: Some(0xbeef),
        began_us: Some(began_us),
        ended_us: None,
        stop: Stop::Completed,
        probe_count: Some(HOPS.into()),
        settings: Settings {
            first_ttl: Some(1),
            max_ttl: Some(0),
            gap_limit: Some(5),
            gap_action: Some(1),
            loops: Some(1),
            loop_action: Some(0),
            attempts: Some(2),
            confidence: Some(0),
            wait_us: Some(5_000_000),
            wait_probe_us: Some(0),
            tos: Some(0),
            probe_size: Some(44),
            flags: Some(0x20),
            ..Settings::default()
        },
        error: None,
        found,
        aside: None,
    }))
}
