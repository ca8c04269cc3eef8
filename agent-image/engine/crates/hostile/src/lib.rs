//! The parsers that read what others wrote, each as a function of bytes.
//!
//! A parser may refuse any bytes. It must neither panic, nor hang, nor take memory that the bytes
//! do not justify. `make fuzz` looks for bytes that make one do so; `tests/corpus.rs` tries again
//! what was found.

use std::fs::File;
use std::io::{self, Cursor, Seek, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use anabranch_annotation::Annotations;
use anabranch_exchange::reader::Reader;
use anabranch_fakeroute::topology::Topology;
use anabranch_formats::sniff::Format;
use anabranch_plan::Plan;
use anabranch_prefixes::PrefixSet;
use anabranch_prober::part;
use anabranch_targets::{Choice, Intent, Protocol, Routes};
use anabranch_wire::ip::Packet;
use anabranch_wire::probe::Segment;
use anabranch_wire::probe::Stamp;
use nix::sys::memfd::{MFdFlags, memfd_create};

/// A parser: it reads all that some bytes say, or refuses them.
pub type Parser = fn(&[u8]);

/// The parsers by name. Each has a folder of that name below `corpus`.
pub const PARSERS: [(&str, Parser); 13] = [
    ("packet", packet),
    ("list", list),
    ("routes", routes),
    ("annotation", annotation),
    ("plan", plan),
    ("part", reply_part),
    ("topology", topology),
    ("warts", |bytes| records(bytes, Some(Format::Warts))),
    ("scamper", |bytes| records(bytes, Some(Format::Scamper))),
    ("atlas", |bytes| records(bytes, Some(Format::Atlas))),
    ("paris", |bytes| records(bytes, Some(Format::Paris))),
    ("caracal", |bytes| records(bytes, Some(Format::Caracal))),
    ("survey", |bytes| records(bytes, None)),
];

/// The most rows of a plan that are read: its bytes may stand for many more.
const MOST_ROWS: usize = 1 << 20;

/// Reads a packet that came from the network, as replies are read.
fn packet(bytes: &[u8]) {
    let plain = Stamp::new([1, 2], "https://example.org");
    let stamps = [
        plain.clone().with_segment(Some(Segment::Syn)),
        plain.clone().with_segment(Some(Segment::Ack)),
        plain,
    ];
    for packet in [Packet::parse(bytes), Packet::parse_head(bytes)] {
        // Whoever fuzzes can't guess checksums.
        let Some(packet) = packet.map(|packet| packet.unsummed(true)) else {
            continue;
        };
        for stamp in &stamps {
            if let Some(reply) = stamp.read(&packet) {
                let _ = reply.is_time_exceeded();
                let _ = reply.labels.iter().count();
                assert!(
                    !stamp.vouches_for(&reply.probe, reply.seen) || bytes.len() >= 28,
                    "a packet too short for a probe"
                );
            }
        }
    }
}

/// Reads a target list.
fn list(bytes: &[u8]) {
    if let Ok((list, _)) = anabranch_targets::read(bytes) {
        let mut canonical = Vec::new();
        list.write_csv(&mut canonical).expect("memory takes it");
        let (again, _) = anabranch_targets::read(&canonical[..]).expect("it was written");
        assert_eq!(again.digest(), list.digest());
    }
}

/// Reads the prefixes that a table of routes leads to.
fn routes(bytes: &[u8]) {
    let mut routes = Routes::new(Choice {
        lengths_v4: Some(1..=32),
        lengths_v6: Some(1..=128),
        samples_v6: 4,
        min_peers: 1,
        reserved: PrefixSet::default(),
        protocol: Protocol::Udp,
        intent: Intent {
            min_ttl: 1,
            max_ttl: 32,
            n_initial_flows: 6,
        },
    });
    let read = anabranch_annotation::read_routes(Cursor::new(bytes.to_vec()), |prefix, peers| {
        routes.add(prefix, peers)
    });
    if read.is_ok() {
        let _ = routes.finish();
    }
}

/// Reads what is known about addresses.
fn annotation(bytes: &[u8]) {
    let file = Scratch::new(bytes);
    if let Ok(known) = Annotations::read(&[file.path()]) {
        for address in [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V4(Ipv4Addr::BROADCAST),
            IpAddr::V6(Ipv6Addr::from(u128::MAX)),
        ] {
            let _ = known.find(address);
        }
    }
}

/// Reads a plan, and draws the first probes of its first blocks.
fn plan(bytes: &[u8]) {
    let file = Scratch::new(bytes);
    let Ok(plan) = Plan::open(&file.path()) else {
        return;
    };
    for number in 0..plan.header().blocks.min(4) {
        if let Ok(block) = plan.block(number, "") {
            let _ = block.walk(0).take(1000).count();
        }
        if let Ok(rows) = plan.rows(number) {
            assert!(
                rows.len() <= MOST_ROWS,
                "so many rows are not in so few bytes"
            );
        }
    }
}

/// Reads what the last bytes of a reply part say.
fn reply_part(bytes: &[u8]) {
    let _ = part::read_tail(bytes.to_vec());
}

/// Reads the links of a topology.
fn topology(bytes: &[u8]) {
    if let Ok(topology) = Topology::read(&String::from_utf8_lossy(bytes)) {
        let _ = topology.measure_diamonds();
        for vertex in topology.interfaces().take(100) {
            let _ = topology.way_to(vertex);
        }
    }
}

/// Reads a file of another tool; without a format, one that its content tells.
fn records(bytes: &[u8], format: Option<Format>) {
    let file = Scratch::new(bytes);
    let Ok(reader) = Reader::open(&file.path(), format, 1) else {
        return;
    };
    for batch in reader {
        if batch.is_err() {
            break;
        }
    }
}

/// A file in memory, for parsers that open one.
struct Scratch(File);

impl Scratch {
    fn new(bytes: &[u8]) -> Self {
        let fill = || -> io::Result<File> {
            let mut file = File::from(memfd_create(c"hostile", MFdFlags::MFD_CLOEXEC)?);
            file.write_all(bytes)?;
            file.rewind()?;
            Ok(file)
        };
        Self(fill().expect("memory takes it"))
    }

    fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}
