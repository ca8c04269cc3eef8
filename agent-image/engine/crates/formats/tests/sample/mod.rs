//! Records of any kind, as warts keeps them.

mod probes;

use std::net::IpAddr;
use std::sync::Arc;

use anabranch_formats::record::{
    Aside, Cycle, Found, Graph, Link, List, Method, Node, Origin, Ping, PingSettings, Record,
    Settings, Stop, Trace,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use probes::{aside, keep_in_graph, keep_in_path, keep_in_ping, probe};

/// Returns a file: lists, cycles, and what is of them.
pub fn records() -> impl Strategy<Value = Vec<Record>> {
    let cycles = vec((any::<Index>(), any::<bool>(), cycle()), 0..4);
    let things = vec((thing(), any::<Index>(), any::<Index>()), 0..6);
    (vec(list(), 1..4), cycles, things).prop_map(|(lists, cycles, things)| {
        let mut records = Vec::new();
        let mut known_lists = Vec::new();
        for (place, list) in lists.into_iter().enumerate() {
            let number = place as u32 + 1;
            known_lists.push(Arc::new(List { number, ..list }));
        }
        records.extend(known_lists.iter().cloned().map(Record::List));
        let mut known_cycles = Vec::new();
        for (place, (list, starts, cycle)) in cycles.into_iter().enumerate() {
            let number = place as u32 + 1;
            let list = Arc::clone(list.get(&known_lists));
            let cycle = Arc::new(Cycle {
                number,
                list,
                ..cycle
            });
            known_cycles.push(Arc::clone(&cycle));
            let begun = if starts {
                Record::CycleStart
            } else {
                Record::CycleDefinition
            };
            records.push(begun(cycle));
        }
        for (mut thing, list, cycle) in things {
            let list = option_of(&known_lists, list);
            let cycle = option_of(&known_cycles, cycle);
            match &mut thing {
                Record::Trace(trace) => (trace.list, trace.cycle) = (list, cycle),
                Record::Ping(ping) => (ping.list, ping.cycle) = (list, cycle),
                _ => unreachable!("things are traces and pings"),
            }
            records.push(thing);
        }
        let ends = known_cycles.into_iter().enumerate();
        records.extend(ends.map(|(at, cycle)| Record::CycleStop {
            cycle,
            at: at as u32,
        }));
        records
    })
}

/// Returns one of them, or none.
fn option_of<T: Clone>(all: &[T], index: Index) -> Option<T> {
    all.get(index.index(all.len() + 1)).cloned()
}

fn text() -> impl Strategy<Value = String> {
    "[ -~é]{0,12}"
}

fn list() -> impl Strategy<Value = List> {
    (any::<u32>(), text(), option::of(text()), option::of(text())).prop_map(
        |(id, name, description, monitor)| List {
            number: 0,
            id,
            name,
            description,
            monitor,
        },
    )
}

fn cycle() -> impl Strategy<Value = Cycle> {
    (
        any::<u32>(),
        any::<u32>(),
        any::<Option<u32>>(),
        option::of(text()),
    )
        .prop_map(|(id, start, stop, hostname)| Cycle {
            id,
            start,
            stop,
            hostname,
            ..Cycle::default()
        })
}

fn thing() -> impl Strategy<Value = Record> {
    any::<bool>().prop_flat_map(|v4| prop_oneof![path(v4), multipath(v4), ping(v4)])
}

/// Returns an address, one of few, so that records have some of them more than once.
fn address(v4: bool) -> impl Strategy<Value = IpAddr> {
    (1u16..20).prop_map(move |number| {
        let [high, low] = number.to_be_bytes();
        if v4 {
            [240, 0, high, low].into()
        } else {
            [0x3fff, 0, 0, 0, 0, 0, 0, number].into()
        }
    })
}

fn time() -> impl Strategy<Value = u64> {
    0..(u64::from(u32::MAX) * 1_000_000)
}

fn settings() -> impl Strategy<Value = Settings> {
    (
        (
            any::<Option<u8>>(),
            any::<Option<u8>>(),
            any::<Option<u8>>(),
        ),
        (
            any::<Option<u8>>(),
            any::<Option<u8>>(),
            any::<Option<u8>>(),
        ),
        (
            any::<Option<u8>>(),
            any::<Option<u8>>(),
            any::<Option<u8>>(),
        ),
        (
            any::<Option<u8>>(),
            any::<Option<u8>>(),
            any::<Option<u8>>(),
        ),
        (any::<Option<u16>>(), any::<Option<u32>>()),
        (option::of(1u32..), option::of(1u16..), any::<u32>()),
    )
        .prop_map(|(a, b, c, d, (probe_size, max_probes), e)| Settings {
            user_id: e.0,
            first_ttl: a.0,
            max_ttl: a.1,
            gap_limit: a.2,
            gap_action: b.0,
            loops: b.1,
            loop_action: b.2,
            attempts: c.0,
            window: c.1,
            confidence: c.2,
            wait_us: d.0.map(|wait| u64::from(wait) * 1_000_000),
            wait_probe_us: d.1.map(|wait| u64::from(wait) * 10_000),
            tos: d.2,
            probe_size,
            max_probes,
            offset: e.1,
            flags: Some(e.2),
        })
}

/// What traces of both kinds have, without what they found.
fn trace(v4: bool, method: impl Strategy<Value = Method>) -> impl Strategy<Value = Trace> {
    let router = option::of(address(v4));
    let ports = (any::<Option<u16>>(), any::<Option<u16>>());
    (
        method,
        (option::of(address(v4)), router, address(v4)),
        ports,
        option::of(time()),
        any::<Option<u16>>(),
        settings(),
    )
        .prop_map(
            |(method, addresses, ports, began_us, count, settings)| Trace {
                origin: Origin::default(),
                list: None,
                cycle: None,
                method,
                source: addresses.0,
                router: addresses.1,
                destination: addresses.2,
                destination_name: None,
                source_port: ports.0,
                destination_port: ports.1,
                began_us,
                ended_us: None,
                stop: Stop::None,
                probe_count: count.map(u32::from),
                settings,
                error: None,
                found: Found::Graph(Graph::default()),
                aside: None,
            },
        )
}

fn path(v4: bool) -> BoxedStrategy<Record> {
    let method = select(vec![
        Method::IcmpEcho,
        Method::Udp,
        Method::Tcp,
        Method::IcmpEchoParis,
        Method::UdpParis,
        Method::TcpAck,
    ]);
    let stop = (0usize..11, any::<u8>()).prop_map(|(which, data)| {
        [
            Stop::None,
            Stop::Completed,
            Stop::Unreachable(data),
            Stop::Icmp(data),
            Stop::Loop(data),
            Stop::GapLimit(data),
            Stop::Error(data),
            Stop::HopLimit,
            Stop::StopSet,
            Stop::Halted,
            Stop::InProgress,
        ][which]
    });
    (
        trace(v4, method),
        stop,
        vec(probe(v4), 0..5),
        any::<u8>(),
        aside(v4),
    )
        .prop_map(|(mut trace, stop, mut probes, last_ttl, aside)| {
            probes.sort_by_key(|probe| probe.ttl);
            probes.iter_mut().for_each(keep_in_path);
            let farthest = probes.last().map_or(0, |probe| probe.ttl);
            trace.stop = stop;
            trace.settings.max_probes = None;
            trace.aside = (aside != Aside::default()).then(|| Box::new(aside));
            trace.found = Found::Path {
                probes,
                last_ttl: last_ttl.max(farthest),
            };
            Record::Trace(Box::new(trace))
        })
        .boxed()
}

fn multipath(v4: bool) -> BoxedStrategy<Record> {
    let method = select(vec![
        Method::UdpDestinationPort,
        Method::IcmpEchoParis,
        Method::UdpSourcePort,
        Method::TcpSourcePort,
        Method::TcpAckSourcePort,
    ]);
    let node = (
        option::of(address(v4)),
        any::<Option<u8>>(),
        option::of(text()),
    );
    let node = node.prop_map(|(address, quoted_ttl, name)| Node {
        address,
        quoted_ttl,
        name,
    });
    let link = (
        any::<Index>(),
        option::of(any::<Index>()),
        vec(vec(probe(v4), 0..3), 0..3),
    );
    (trace(v4, method), vec(node, 1..5), vec(link, 0..5))
        .prop_map(|(mut trace, nodes, links)| {
            let links = links.into_iter().map(|(near, far, mut hops)| {
                hops.iter_mut().flatten().for_each(keep_in_graph);
                Link {
                    near: near.index(nodes.len()),
                    far: far.map(|far| far.index(nodes.len())),
                    hops,
                }
            });
            let links = links.collect();
            let settings = &mut trace.settings;
            settings.flags = settings
                .flags
                .map(|flags| flags & 0xff)
                .filter(|flags| *flags != 0);
            (settings.max_ttl, settings.loops, settings.loop_action) = (None, None, None);
            (settings.gap_action, settings.window, settings.offset) = (None, None, None);
            trace.found = Found::Graph(Graph { nodes, links });
            Record::Trace(Box::new(trace))
        })
        .boxed()
}

fn ping(v4: bool) -> BoxedStrategy<Record> {
    let method = select(vec![
        Method::IcmpEcho,
        Method::TcpAck,
        Method::TcpAckSourcePort,
        Method::UdpParis,
        Method::UdpDestinationPort,
        Method::IcmpTimestamp,
        Method::Tcp,
        Method::TcpSynAck,
        Method::TcpReset,
        Method::TcpSourcePort,
    ]);
    let specific = (
        (any::<Option<u16>>(), vec(any::<u8>(), 0..5)),
        (
            vec(address(v4), 0..3),
            option::of(1u16..),
            option::of(1u16..),
        ),
        (any::<Option<u32>>(), any::<Option<u32>>()),
        option::of(address(v4)),
    );
    let specific = specific.prop_map(|(a, b, c, router)| PingSettings {
        replies: a.0,
        payload: a.1,
        routers: b.0,
        checksum: b.1,
        reply_mtu: b.2,
        acknowledgement: c.0,
        sequence: c.1,
        router,
    });
    (
        method,
        (option::of(address(v4)), address(v4)),
        (option::of(1u16..), option::of(1u16..)),
        (option::of(time()), any::<(u8, u8)>()),
        (any::<Option<u16>>(), any::<Option<u16>>()),
        settings(),
        (0u8.., 0u64..256_000_000),
        specific,
        vec(probe(v4), 0..4),
    )
        .prop_map(
            |(method, addresses, ports, when, counts, all, waits, specific, mut probes)| {
                probes.iter_mut().enumerate().for_each(|(place, probe)| {
                    keep_in_ping(method, place as u16, probe);
                });
                Record::Ping(Box::new(Ping {
                    origin: Origin::default(),
                    list: None,
                    cycle: None,
                    method,
                    source: addresses.0,
                    destination: addresses.1,
                    source_port: ports.0,
                    destination_port: ports.1,
                    began_us: when.0,
                    stop: when.1,
                    asked: counts.0,
                    probe_count: counts.1,
                    settings: Settings {
                        user_id: all.user_id,
                        max_ttl: all.max_ttl,
                        wait_us: Some(u64::from(waits.0) * 1_000_000),
                        wait_probe_us: Some(waits.1),
                        tos: all.tos.filter(|tos| *tos != 0),
                        probe_size: all.probe_size,
                        flags: all.flags.filter(|flags| *flags != 0),
                        ..Settings::default()
                    },
                    specific,
                    probes,
                }))
            },
        )
        .boxed()
}
