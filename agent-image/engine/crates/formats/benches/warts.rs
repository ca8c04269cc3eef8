//! Measures how many traces a second one core writes and reads as warts and as scamper's JSON, beside
//! scamper's own programs.

use std::env;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufReader, Cursor};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anabranch_chance::scatter;
use anabranch_formats::codec::{Encode, ReadError};
use anabranch_formats::record::{
    Found, Graph, Kind, Link, Method, Node, Origin, Probe, Record, Reply, Settings, Stop, Trace,
};
use anabranch_formats::{scamper, warts};

const HOPS: u8 = 15;
/// At each third hop, a load balancer has so many next hops.
const WIDTH: u8 = 4;
const FLOWS: u32 = 2;
const BEGAN_US: u64 = 1_700_000_000_000_000;

fn main() {
    compare("single paths", 100_000, path);
    compare("multipath traces", 25_000, paths);
}

/// Writes and reads traces of a kind, as warts and as scamper's JSON.
fn compare(kind: &str, count: u32, draw: fn(u32) -> Trace) {
    let records: Vec<Record> = (0..count)
        .map(|number| Record::Trace(Box::new(draw(number))))
        .collect();
    let (mut bytes, mut lines) = (Vec::new(), Vec::new());
    let measure = |what: &str, run: &mut dyn FnMut()| measure(what, count, run);
    println!("{count} {kind} of {HOPS} hops");
    let write = measure("written", &mut || {
        write_all(&mut warts::Encoder::new(), &records, &mut bytes);
    });
    let tell = measure("written as JSON", &mut || {
        write_all(&mut scamper::Encoder::new(), &records, &mut lines);
    });
    drop(records);
    let path = env::temp_dir().join(format!("anabranch-bench-{}.warts", std::process::id()));
    fs::write(&path, &bytes).expect("a file in the temporary folder");
    println!("{} bytes of warts, {} of JSON", bytes.len(), lines.len());
    let read = measure("read", &mut || {
        let file = File::open(&path).expect("the file");
        let decoder = warts::Decoder::new(Box::new(BufReader::new(file)));
        count_all(decoder, count);
    });
    let parse = measure("read of JSON", &mut || {
        count_all(
            scamper::Decoder::new(Box::new(Cursor::new(lines.clone()))),
            count,
        );
    });
    let both = measure("read and written", &mut || {
        let mut copy = Vec::with_capacity(bytes.len());
        let mut encoder = warts::Encoder::new();
        for record in warts::Decoder::new(Box::new(Cursor::new(bytes.clone()))) {
            encoder
                .write(&record.expect("a record"), &mut copy)
                .expect("memory");
        }
        assert!(copy == bytes);
    });
    let cat = measure("sc_wartscat", &mut || {
        run("sc_wartscat", &["-o", "/dev/null"], &path);
    });
    let json = measure("sc_warts2json", &mut || run("sc_warts2json", &[], &path));
    for (what, ours) in [
        ("reading", read),
        ("writing JSON", tell),
        ("reading JSON", parse),
    ] {
        println!(
            "{what} is {:.1} times as fast as sc_warts2json",
            json / ours
        );
    }
    for (what, ours) in [
        ("reading and writing", both),
        ("reading", read),
        ("writing", write),
    ] {
        println!("{what} is {:.1} times as fast as sc_wartscat", cat / ours);
    }
    fs::remove_file(&path).expect("the file");
}

fn write_all(encoder: &mut dyn Encode, records: &[Record], out: &mut Vec<u8>) {
    out.clear();
    for record in records {
        encoder.write(record, out).expect("memory");
    }
}

fn count_all(records: impl Iterator<Item = Result<Record, ReadError>>, wanted: u32) {
    let records = records.map(|record| record.expect("a record"));
    assert_eq!(records.map(black_box).count(), wanted as usize);
}

/// Returns the shortest time of three.
fn measure(what: &str, count: u32, run: &mut dyn FnMut()) -> f64 {
    let times = [0; 3].map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    let shortest = times.into_iter().fold(f64::INFINITY, f64::min);
    println!("{what}: {:.0} traces a second", f64::from(count) / shortest);
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
fn path(number: u32) -> Trace {
    let probes = (1..=HOPS).map(|ttl| probe(number, ttl, 0, interface(number, ttl, 0)));
    let found = Found::Path {
        probes: probes.collect(),
        last_ttl: HOPS,
    };
    outline(number, Method::IcmpEchoParis, HOPS.into(), found)
}

/// Returns a trace as scamper's tracelb finds one.
fn paths(number: u32) -> Trace {
    let widths: Vec<u8> = (1..=HOPS)
        .map(|ttl| if ttl % 3 == 2 { WIDTH } else { 1 })
        .collect();
    let mut graph = Graph::default();
    let mut sent = 0;
    let mut nearer = 0;
    for (ttl, width) in (1..).zip(widths) {
        let first = graph.nodes.len();
        let nodes = (0..width).map(|place| Node {
            address: Some(interface(number, ttl, place)),
            quoted_ttl: Some(1),
            name: None,
        });
        graph.nodes.extend(nodes);
        for near in nearer..first {
            for far in first..graph.nodes.len() {
                let from = graph.nodes[far].address.expect("no hop is silent");
                let flows = sent..sent + FLOWS;
                sent += FLOWS;
                let probes = flows.map(|flow| probe(number, ttl, flow, from)).collect();
                graph.links.push(Link {
                    near,
                    far: Some(far),
                    hops: vec![probes],
                });
            }
        }
        nearer = first;
    }
    outline(number, Method::IcmpEcho, sent, Found::Graph(graph))
}

fn destination(number: u32) -> IpAddr {
    (0xf000_0000 | number << 8 | 7).to_be_bytes().into()
}

fn began(number: u32) -> u64 {
    BEGAN_US + u64::from(number) * 1_000
}

/// Returns an interface of a hop; the last hop is the destination.
fn interface(number: u32, ttl: u8, place: u8) -> IpAddr {
    if ttl == HOPS {
        return destination(number);
    }
    let chance = scatter(u64::from(number) << 16 | u64::from(place) << 8 | u64::from(ttl)) as u32;
    (0xf800_0000 | chance >> 8).to_be_bytes().into()
}

fn probe(number: u32, ttl: u8, flow: u32, from: IpAddr) -> Probe {
    let chance = scatter(u64::from(number) << 32 | u64::from(flow) << 8 | u64::from(ttl)) as u32;
    let last = ttl == HOPS;
    let reply = Reply {
        from,
        name: None,
        received_us: None,
        rtt_us: Some(chance % 200_000),
        kind: Kind::Icmp(if last { 0 } else { 11 }, 0),
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
        flow,
        attempt: 1,
        sent_us: Some(began(number) + u64::from(ttl) * 20_000),
        size: Some(44),
        replies: vec![reply],
        ..Probe::default()
    }
}

fn outline(number: u32, method: Method, probe_count: u32, found: Found) -> Trace {
    Trace {
        origin: Origin::default(),
        list: None,
        cycle: None,
        method,
        source: Some([198, 18, 0, 2].into()),
        router: None,
        destination: destination(number),
        destination_name: None,
        source_port: Some(24_000),
        destination_port: Some(0xbeef),
        began_us: Some(began(number)),
        ended_us: None,
        stop: Stop::Completed,
        probe_count: Some(probe_count),
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
    }
}
