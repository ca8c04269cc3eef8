//! Other readers of warts take what is written of records that never were warts.
//!
//! `.ci/prerequisites tests` installs scamper, whose programs are among them.

use std::fs;
use std::io::Cursor;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anabranch_formats::codec::Encode;
use anabranch_formats::record::{
    Aside, Doubletree, Extension, Found, Graph, Kind, Label, Link, Method, MtuNote, Node, Origin,
    PathMtu, Ping, PingSettings, Probe, Record, Reply, Settings, Stop, Trace,
};
use anabranch_formats::warts::{Decoder, Encoder};
use serde_json::Value;

const SENT_US: u64 = 1_700_000_000_123_456;

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("anabranch-warts-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a temporary folder");
        Self(folder)
    }

    fn write(&self, records: &[Record]) -> PathBuf {
        let (mut encoder, mut out) = (Encoder::new(), Vec::new());
        for record in records {
            encoder
                .write(record, &mut out)
                .expect("a record that warts has a place for");
        }
        let path = self.0.join("records.warts");
        fs::write(&path, out).expect("a file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Returns what a program of scamper's prints, all of it without a complaint.
fn run(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is missing: {error}"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{program}: {complaints}"
    );
    String::from_utf8(output.stdout).expect("text")
}

/// Returns the objects of some type that `sc_warts2json` prints.
fn json(file: &Path, kind: &str) -> Vec<Value> {
    let text = run("sc_warts2json", &[], file);
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["type"] == kind).collect()
}

fn reply(from: IpAddr, kind: Kind, rtt_us: u32) -> Reply {
    Reply {
        from,
        name: None,
        received_us: Some(SENT_US + u64::from(rtt_us)),
        rtt_us: None,
        kind,
        ttl: Some(250),
        size: Some(56),
        tos: None,
        id: None,
        quoted_ttl: Some(1),
        quoted_length: None,
        quoted_tos: None,
        next_mtu: None,
        extensions: Vec::new(),
        flags: None,
        answers: None,
    }
}

fn probe(ttl: u8, flow: u32, attempt: u16, replies: Vec<Reply>) -> Probe {
    Probe {
        ttl,
        flow,
        attempt,
        id: None,
        sent_us: Some(SENT_US),
        size: Some(44),
        replies,
    }
}

fn trace(method: Method, destination: IpAddr, found: Found) -> Trace {
    Trace {
        origin: Origin::default(),
        list: None,
        cycle: None,
        method,
        source: None,
        router: None,
        destination,
        destination_name: None,
        source_port: Some(24_000),
        destination_port: Some(33_434),
        began_us: Some(SENT_US),
        ended_us: Some(SENT_US + 5_000_000),
        stop: Stop::Completed,
        probe_count: Some(7),
        settings: Settings::default(),
        error: None,
        found,
        aside: None,
    }
}

fn address(v4: bool, number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    if v4 {
        [240, 0, high, low].into()
    } else {
        [0x3fff, 0, 0, 0, 0, 0, 0, number].into()
    }
}

/// A path with a star, labels, a router that answers twice, and a name.
fn path(v4: bool, method: Method) -> Record {
    let exceeded = if v4 {
        Kind::Icmp(11, 0)
    } else {
        Kind::Icmp(3, 0)
    };
    let hop = |number, rtt_us| reply(address(v4, number), exceeded, rtt_us);
    let label = |label, bottom| Label {
        label,
        exp: 3,
        bottom,
        ttl: 1,
    };
    let mut labelled = hop(2, 2_500);
    labelled.extensions = vec![Extension::from_labels(&[label(16, 0), label(1_048_575, 1)])];
    labelled.name = Some("two.example.org".to_owned());
    let mut last = hop(9, 9_000);
    last.kind = if v4 {
        Kind::Icmp(3, 3)
    } else {
        Kind::Icmp(1, 4)
    };
    let probes = vec![
        probe(1, 0, 1, vec![hop(1, 1_000)]),
        probe(2, 0, 1, vec![labelled, hop(3, 2_600)]),
        probe(3, 0, 1, vec![]),
        probe(3, 0, 2, vec![]),
        probe(4, 0, 2, vec![last]),
    ];
    let found = Found::Path {
        probes,
        last_ttl: 4,
    };
    let mut trace = trace(method, address(v4, 9), found);
    trace.aside = Some(Box::new(Aside {
        path_mtu: Some(PathMtu {
            interface: Some(1_500),
            path: Some(1_400),
            first: None,
            version: Some(2),
            probes: vec![probe(3, 0, 1, vec![hop(4, 3_000)])],
            notes: vec![MtuNote {
                kind: 3,
                next_mtu: Some(1_400),
                reply: Some(0),
            }],
        }),
        last_ditch: vec![probe(255, 0, 1, vec![hop(9, 9_000)])],
        doubletree: Some(Doubletree {
            first_ttl: 3,
            local_stop: Some(address(v4, 2)),
            ..Doubletree::default()
        }),
    }));
    Record::Trace(Box::new(trace))
}

const WIDTH: u16 = 64;

/// A diamond of 64 routers, behind it a hop that is silent, and the destination.
fn graph(v4: bool, method: Method) -> Record {
    let exceeded = if v4 {
        Kind::Icmp(11, 0)
    } else {
        Kind::Icmp(3, 0)
    };
    let numbers = (1..=WIDTH + 3).filter(|number| *number != WIDTH + 2);
    let nodes = numbers.map(|number| Node {
        address: Some(address(v4, number)),
        quoted_ttl: Some(1),
        name: None,
    });
    let answered = |ttl, flow, number| {
        let reply = reply(address(v4, number), exceeded, 3_000);
        probe(ttl, flow, 1, vec![reply])
    };
    let wide = (1..=WIDTH).map(|middle| Link {
        near: 0,
        far: Some(middle.into()),
        hops: vec![vec![answered(2, middle.into(), middle + 1)]],
    });
    let silent = (1..=WIDTH).map(|middle| Link {
        near: middle.into(),
        far: Some(usize::from(WIDTH) + 1),
        hops: vec![
            vec![probe(3, middle.into(), 1, vec![])],
            vec![answered(4, middle.into(), WIDTH + 3)],
        ],
    });
    let graph = Graph {
        links: wide.chain(silent).collect(),
        nodes: nodes.collect(),
    };
    Record::Trace(Box::new(trace(
        method,
        address(v4, WIDTH + 3),
        Found::Graph(graph),
    )))
}

fn ping(v4: bool) -> Record {
    let kind = if v4 {
        Kind::Icmp(0, 0)
    } else {
        Kind::Icmp(129, 0)
    };
    let mut answer = reply(address(v4, 9), kind, 0);
    answer.rtt_us = Some(7_250);
    Record::Ping(Box::new(Ping {
        origin: Origin::default(),
        list: None,
        cycle: None,
        method: Method::IcmpEcho,
        source: Some(address(v4, 200)),
        destination: address(v4, 9),
        source_port: None,
        destination_port: None,
        began_us: Some(SENT_US),
        stop: (1, 0),
        asked: Some(400),
        probe_count: Some(400),
        settings: Settings::default(),
        specific: PingSettings::default(),
        probes: vec![
            probe(0, 0, 1, vec![answer.clone()]),
            probe(0, 0, 400, vec![answer]),
        ],
    }))
}

fn all() -> Vec<Record> {
    let mut records = Vec::new();
    for v4 in [true, false] {
        let paths = [Method::UdpParis, Method::IcmpEchoParis, Method::Tcp];
        records.extend(paths.map(|method| path(v4, method)));
        let graphs = [
            Method::UdpDestinationPort,
            Method::UdpSourcePort,
            Method::IcmpEchoParis,
            Method::TcpSourcePort,
        ];
        records.extend(graphs.map(|method| graph(v4, method)));
        records.push(ping(v4));
    }
    records
}

#[test]
fn scamper_converts_traces_to_json() {
    let folder = Folder::new("json");
    let file = folder.write(&all());
    let traces = json(&file, "trace");
    assert_eq!(traces.len(), 6);
    for (trace, method) in traces
        .iter()
        .zip(["udp-paris", "icmp-echo-paris", "tcp"].iter().cycle())
    {
        assert_eq!(trace["method"], *method);
        assert_eq!(trace["stop_reason"], "COMPLETED");
        assert_eq!(trace["hop_count"], 4);
        assert_eq!(trace["start"]["usec"], 123_456);
        let hops = trace["hops"].as_array().expect("hops");
        let ttls: Vec<_> = hops
            .iter()
            .map(|hop| hop["probe_ttl"].as_u64().expect("a TTL"))
            .collect();
        assert_eq!(ttls, [1, 2, 2, 4]);
        assert_eq!(hops[0]["rtt"], 1.0);
        assert_eq!(hops[0]["icmp_q_ttl"], 1);
        assert_eq!(hops[1]["name"], "two.example.org");
        let labels = &hops[1]["icmpext"][0]["mpls_labels"];
        assert_eq!(labels[1]["mpls_label"], 1_048_575);
        assert_eq!(labels[1]["mpls_s"], 1);
        assert_eq!(hops[3]["probe_id"], 2);
        assert_eq!(hops[3]["addr"], trace["dst"]);
    }
    assert_eq!(traces[1]["icmp_sum"], 33_434);
    assert_eq!(traces[0]["sport"], 24_000);
}

#[test]
fn scamper_converts_multipath_traces_to_json() {
    let folder = Folder::new("graphs");
    let file = folder.write(&all());
    let graphs = json(&file, "tracelb");
    assert_eq!(graphs.len(), 8);
    for graph in graphs {
        assert_eq!(graph["nodec"], 66);
        assert_eq!(graph["linkc"], 128);
        let nodes = graph["nodes"].as_array().expect("nodes");
        let wide = nodes[0]["links"][0].as_array().expect("a hop");
        assert_eq!(wide.len(), 64);
        assert_eq!(wide[63]["probes"][0]["replies"][0]["rtt"], 3.0);
        assert_eq!(wide[63]["probes"][0]["flowid"], 64);
        let silent = nodes[1]["links"].as_array().expect("hops");
        assert_eq!(silent[0][0]["addr"], "*");
        assert_eq!(silent[1][0]["addr"], graph["dst"]);
    }
}

#[test]
fn scamper_converts_pings_to_json() {
    let folder = Folder::new("pings");
    let file = folder.write(&all());
    let pings = json(&file, "ping");
    assert_eq!(pings.len(), 2);
    for ping in pings {
        let responses = ping["responses"].as_array().expect("responses");
        assert_eq!(responses.len(), 2);
        assert_eq!(responses[1]["seq"], 399);
        assert_eq!(responses[1]["rtt"], 7.25);
        assert_eq!(ping["ping_sent"], 400);
    }
}

#[test]
fn scamper_dumps_and_copies_all_of_it() {
    let folder = Folder::new("dumps");
    let file = folder.write(&all());
    let dump = run("sc_wartsdump", &[], &file);
    let count = |text: &str, word: &str| text.matches(word).count();
    assert_eq!(count(&dump, "traceroute from"), 6);
    assert_eq!(count(&dump, "tracelb from"), 8);
    assert_eq!(count(&dump, "ping from"), 2);
    let lines = run("sc_analysis_dump", &[], &file);
    let traces = lines.lines().filter(|line| line.starts_with("T\t"));
    assert_eq!(traces.count(), 6);
    let copy = folder.0.join("copy.warts");
    let copied = ["-o", copy.to_str().expect("a path of text")];
    run("sc_wartscat", &copied, &file);
    let texts = [&copy, &file].map(|file| run("sc_warts2json", &[], file));
    assert_eq!(texts[0], texts[1]);
    // scamper says 0 of what is not known, and that is written as scamper has it.
    let copy = fs::read(&copy).expect("a file");
    let records = Decoder::new(Box::new(Cursor::new(copy.clone())));
    let records = records.collect::<Result<Vec<_>, _>>().expect("valid bytes");
    assert!(fs::read(folder.write(&records)).expect("a file") == copy);
}

#[test]
fn another_library_reads_the_same_traces() {
    let folder = Folder::new("library");
    let mut records = all();
    records.retain(|record| matches!(record, Record::Trace(trace) if trace.method != Method::Tcp));
    for record in &mut records {
        // It knows neither names nor what is besides a path.
        if let Record::Trace(trace) = record
            && let Found::Path { probes, .. } = &mut trace.found
        {
            let replies = probes.iter_mut().flat_map(|probe| &mut probe.replies);
            replies.for_each(|reply| reply.name = None);
            trace.aside = None;
        }
    }
    let bytes = fs::read(folder.write(&records)).expect("a file");
    let (mut traces, mut graphs) = (Vec::new(), 0);
    for mut object in warts::Object::all_from_bytes(&bytes) {
        graphs += usize::from(matches!(object, warts::Object::MultipathTraceroute(_)));
        // It finds addresses again in traces alone.
        if let warts::Object::Traceroute(_) = object {
            object.dereference();
        }
        if let warts::Object::Traceroute(trace) = object {
            traces.push(trace);
        }
    }
    assert_eq!(graphs, 8);
    assert_eq!(traces.len(), 4);
    let hops = traces.swap_remove(2).hops.into_iter();
    let found: Vec<_> = hops
        .map(|hop| (hop.probe_ttl, hop.addr.map(IpAddr::from), hop.rtt_usec))
        .collect();
    let expected = [(1, 1, 1_000), (2, 2, 2_500), (2, 3, 2_600), (4, 9, 9_000)];
    let expected = expected
        .map(|(ttl, number, rtt_us)| (Some(ttl), Some(address(false, number)), Some(rtt_us)));
    assert_eq!(found, expected);
}
