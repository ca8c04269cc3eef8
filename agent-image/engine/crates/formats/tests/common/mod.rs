//! What the tests of all formats use.

// Each test file uses some of it.
#![allow(dead_code)]

use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anabranch_formats::codec::{Encode, ReadError};
use anabranch_formats::record::{
    Extension, Found, Graph, Kind, Label, Link, Method, Node, Origin, Probe, Record, Reply,
    Settings, Stop, Trace,
};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

/// What opens a decoder.
pub type Open =
    fn(Box<dyn std::io::BufRead + Send>) -> Box<dyn Iterator<Item = Result<Record, ReadError>>>;

/// Returns what a decoder says of a text: its records, and the error that ended it.
pub fn read(open: Open, text: &[u8]) -> (Vec<Record>, Option<ReadError>) {
    let mut records = Vec::new();
    for record in open(Box::new(Cursor::new(text.to_vec()))) {
        match record {
            Ok(record) => records.push(record),
            Err(error) => return (records, Some(error)),
        }
    }
    (records, None)
}

/// Returns the records of a text that is well.
pub fn records(open: Open, text: &str) -> Vec<Record> {
    let (records, error) = read(open, text.as_bytes());
    assert!(error.is_none(), "{error:?}");
    records
}

/// Returns the only trace of a text that is well.
pub fn trace(open: Open, text: &str) -> Trace {
    let mut traces = records(open, text)
        .into_iter()
        .filter_map(|record| match record {
            Record::Trace(trace) => Some(*trace),
            _ => None,
        });
    let trace = traces.next().expect("a trace");
    assert!(traces.next().is_none());
    trace
}

/// Returns the words of the error in a text.
pub fn complaint(open: Open, text: &str) -> String {
    let (_, error) = read(open, text.as_bytes());
    error.expect("an error").to_string()
}

/// Returns records as an encoder writes them.
pub fn written(mut encoder: impl Encode, records: &[Record]) -> String {
    let mut out = Vec::new();
    for record in records {
        encoder
            .write(record, &mut out)
            .expect("a record of the format");
    }
    encoder.end(&mut out).expect("an end");
    String::from_utf8(out).expect("text")
}

/// Changes some bytes of a text, and cuts it.
pub fn damaged_text(text: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let places = vec((any::<proptest::sample::Index>(), any::<u8>()), 0..8);
    (places, any::<proptest::sample::Index>()).prop_map(move |(places, end)| {
        let mut text = text.to_vec();
        for (place, byte) in places {
            let place = place.index(text.len());
            text[place] = byte;
        }
        text.truncate(end.index(text.len()) + 1);
        text
    })
}

/// Addresses of one family.
pub fn addresses(v4: bool) -> impl Strategy<Value = IpAddr> {
    any::<u16>().prop_map(move |number| {
        if v4 {
            let [high, low] = number.to_be_bytes();
            IpAddr::V4(Ipv4Addr::new(240, 1, high, low))
        } else {
            IpAddr::V6(Ipv6Addr::new(0x3fff, 1, 0, 0, 0, 0, 0, number))
        }
    })
}

/// Times of the first 136 years.
pub fn times() -> impl Strategy<Value = u64> {
    1_000_000_u64..4_294_967_295_000_000
}

fn extensions() -> impl Strategy<Value = Vec<Extension>> {
    let label = (0_u32..1 << 20, 0_u8..8, 0_u8..2, any::<u8>());
    let label = label.prop_map(|(label, exp, bottom, ttl)| Label {
        label,
        exp,
        bottom,
        ttl,
    });
    let stack = vec(label, 1..4).prop_map(|labels| Extension::from_labels(&labels));
    vec(stack, 0..2)
}

/// What a reply says besides its source and its time.
/// Numbers that scamper always writes.
fn some<T: proptest::arbitrary::Arbitrary>() -> impl Strategy<Value = Option<T>> {
    any::<T>().prop_map(Some)
}

fn replies(from: IpAddr) -> impl Strategy<Value = Reply> {
    let kind = prop_oneof![
        (any::<u8>(), any::<u8>()).prop_map(|(kind, code)| Kind::Icmp(kind, code)),
        any::<u8>().prop_map(Kind::Tcp),
    ];
    let numbers = (some(), some(), some(), some());
    let quoted = (some(), some(), some(), some());
    (kind, numbers, quoted, extensions(), of(any::<u32>())).prop_map(
        move |(kind, (ttl, size, tos, id), quoted, extensions, rtt_us)| {
            let icmp = matches!(kind, Kind::Icmp(..));
            Reply {
                from,
                name: None,
                received_us: None,
                rtt_us,
                kind,
                ttl,
                size,
                tos,
                id: id.map(|id: u16| id.into()),
                quoted_ttl: quoted.0.filter(|_| icmp),
                quoted_length: quoted.1.filter(|_| icmp),
                quoted_tos: quoted.2.filter(|_| icmp),
                next_mtu: quoted.3.filter(|_| icmp),
                extensions,
                flags: None,
                answers: None,
            }
        },
    )
}

fn settings() -> impl Strategy<Value = Settings> {
    let counts = (some(), some(), some(), some());
    let waits = (0_u64..1 << 32, 15_u64..200);
    (counts, waits, (some(), some(), some())).prop_map(
        |((user_id, first_ttl, attempts, gap_limit), waits, (tos, probe_size, max_ttl))| Settings {
            user_id,
            first_ttl,
            max_ttl,
            gap_limit,
            attempts,
            wait_us: Some(waits.0 * 1_000_000),
            wait_probe_us: Some(waits.1 * 10_000),
            tos,
            probe_size,
            ..Settings::default()
        },
    )
}

fn stops() -> impl Strategy<Value = Stop> {
    prop_oneof![
        Just(Stop::None),
        Just(Stop::Completed),
        Just(Stop::HopLimit),
        Just(Stop::StopSet),
        Just(Stop::Halted),
        Just(Stop::InProgress),
        any::<u8>().prop_map(Stop::Unreachable),
        any::<u8>().prop_map(Stop::Icmp),
        any::<u8>().prop_map(Stop::Loop),
        any::<u8>().prop_map(Stop::GapLimit),
        any::<u8>().prop_map(Stop::Error),
    ]
}

/// Traces that say what scamper says of all traces, with what `found` gives for their family.
fn traces<S: Strategy<Value = (Method, Found)>>(
    found: impl Fn(bool) -> S + 'static,
) -> impl Strategy<Value = Trace> {
    any::<bool>().prop_flat_map(move |v4| {
        let ends = (of(addresses(v4)), of(addresses(v4)), addresses(v4));
        let ports = (some(), some());
        let rest = (of(times()), stops(), some(), of("[ -~é]{1,8}"));
        (found(v4), ends, ports, rest, settings()).prop_map(
            |((method, found), ends, ports, (began_us, stop, probe_count, error), settings)| {
                let icmp = matches!(method, Method::IcmpEcho | Method::IcmpEchoParis);
                Trace {
                    aside: None,
                    list: None,
                    cycle: None,
                    method,
                    source: ends.0,
                    router: ends.1,
                    destination: ends.2,
                    destination_name: None,
                    source_port: ports.0.filter(|_| !icmp),
                    destination_port: ports.1.filter(|_| method != Method::IcmpEcho),
                    began_us,
                    ended_us: None,
                    stop,
                    probe_count,
                    settings,
                    error,
                    origin: Origin::default(),
                    found,
                }
            },
        )
    })
}

/// Probes of one hop or more, by their TTLs and attempts.
fn probes(v4: bool) -> impl Strategy<Value = Vec<Probe>> {
    let reply = addresses(v4).prop_flat_map(replies);
    let probe = (of(times()), some(), vec(reply, 0..3));
    let hops = btree_map((1_u8..9, 1_u16..4), probe, 0..12);
    hops.prop_map(|hops| {
        let probe = |((ttl, attempt), (sent_us, size, mut replies)): (_, (_, _, Vec<Reply>))| {
            for reply in &mut replies {
                let sent: Option<u64> = sent_us;
                reply.received_us = sent
                    .zip(reply.rtt_us)
                    .map(|(sent, rtt)| sent + u64::from(rtt));
            }
            Probe {
                ttl,
                attempt,
                sent_us,
                size,
                replies,
                ..Probe::default()
            }
        };
        hops.into_iter().map(probe).collect()
    })
}

/// Traces of one path, as scamper's JSON can have them.
pub fn paths() -> impl Strategy<Value = Trace> {
    traces(|v4| {
        let method = prop_oneof![
            Just(Method::IcmpEcho),
            Just(Method::IcmpEchoParis),
            Just(Method::Udp),
            Just(Method::UdpParis),
            Just(Method::Tcp),
            Just(Method::TcpAck),
        ];
        (method, probes(v4), any::<u8>())
            .prop_map(|(method, probes, last_ttl)| (method, Found::Path { probes, last_ttl }))
    })
    .prop_map(|mut trace| {
        trace.settings.gap_limit = None;
        trace
    })
}

/// Traces of several paths.
pub fn graphs() -> impl Strategy<Value = Trace> {
    traces(|v4| {
        let method = prop_oneof![
            Just(Method::IcmpEchoParis),
            Just(Method::UdpDestinationPort),
            Just(Method::UdpSourcePort),
            Just(Method::TcpSourcePort),
            Just(Method::TcpAckSourcePort),
        ];
        let node = (of("[a-z]{1,5}"), of(any::<u8>()));
        let nodes = btree_map(addresses(v4), node, 2..8);
        let ends = vec(
            (
                any::<proptest::sample::Index>(),
                any::<proptest::sample::Index>(),
            ),
            0..8,
        );
        (method, nodes, ends, probes(v4)).prop_map(|(method, nodes, ends, probes)| {
            let node = |(address, (name, quoted_ttl))| Node {
                address: Some(address),
                quoted_ttl,
                name,
            };
            let nodes: Vec<Node> = nodes.into_iter().map(node).collect();
            let link = |(near, far): &(proptest::sample::Index, proptest::sample::Index)| {
                let (near, far) = (near.index(nodes.len() - 1), far.index(nodes.len()));
                let far = near + 1 + far % (nodes.len() - near - 1);
                let mut last = probes.clone();
                for (flow, probe) in last.iter_mut().enumerate() {
                    probe.flow = flow as u32;
                    for reply in &mut probe.replies {
                        reply.from = nodes[far].address.expect("an address");
                    }
                }
                Link {
                    near,
                    far: Some(far),
                    hops: vec![Vec::new(), last],
                }
            };
            let mut links: Vec<Link> = ends.iter().map(link).collect();
            links.sort_by_key(|link| link.near);
            links.dedup_by_key(|link| (link.near, link.far));
            (method, Found::Graph(Graph { nodes, links }))
        })
    })
}
