//! Records of any kind, as warts keeps them.

use std::net::IpAddr;
use std::sync::Arc;

use anabranch_formats::record::{
    Answers, Aside, Cycle, Doubletree, Extension, Found, Graph, Kind, Link, List, Method, MtuNote,
    Node, PathMtu, Ping, PingSettings, Probe, Record, Reply, Settings, Stop, Trace,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

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

fn kind() -> impl Strategy<Value = Kind> {
    let icmp = select(vec![0, 1, 2, 3, 4, 11, 12, 129]);
    prop_oneof![
        (icmp, 0u8..5).prop_map(|(kind, code)| Kind::Icmp(kind, code)),
        any::<u8>().prop_map(Kind::Tcp),
        Just(Kind::Udp),
        Just(Kind::Unknown),
    ]
}

/// Returns a reply that says all there is to say.
fn reply(v4: bool) -> impl Strategy<Value = Reply> {
    let extension = (any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..9));
    let extension = extension.prop_map(|(class, kind, data)| Extension { class, kind, data });
    (
        (address(v4), option::of(text()), option::of(time())),
        (any::<Option<u32>>(), kind(), any::<Option<u8>>()),
        (
            any::<Option<u16>>(),
            any::<Option<u8>>(),
            any::<Option<u16>>(),
        ),
        (
            any::<Option<u8>>(),
            any::<Option<u16>>(),
            any::<Option<u8>>(),
        ),
        (any::<Option<u16>>(), vec(extension, 0..3), any::<u8>()),
        answers(v4),
    )
        .prop_map(|(a, b, c, d, e, answers)| Reply {
            from: a.0,
            name: a.1,
            received_us: a.2,
            rtt_us: b.0,
            kind: b.1,
            ttl: b.2,
            size: c.0,
            tos: c.1,
            id: c.2.map(u32::from),
            quoted_ttl: d.0,
            quoted_length: d.1,
            quoted_tos: d.2,
            next_mtu: e.0,
            extensions: e.1,
            flags: Some(e.2),
            answers: (answers != Answers::default()).then(|| Box::new(answers)),
        })
}

fn answers(v4: bool) -> impl Strategy<Value = Answers> {
    let bare = vec(any::<u32>().prop_map(|time| (None, time)), 0..3);
    let full = vec((address(v4).prop_map(Some), any::<u32>()), 0..3);
    (
        vec(address(v4), 0..3),
        prop_oneof![bare, full],
        any::<Option<[u32; 3]>>(),
    )
        .prop_map(|(route, times, clock)| Answers {
            route,
            times,
            clock,
        })
}

fn probe(v4: bool) -> impl Strategy<Value = Probe> {
    (
        (1u8.., 0u32..65_536, 0u16..257),
        (
            any::<Option<u16>>(),
            option::of(time()),
            any::<Option<u16>>(),
        ),
        vec(reply(v4), 1..3),
    )
        .prop_map(|(a, b, replies)| Probe {
            ttl: a.0,
            flow: a.1,
            attempt: a.2,
            id: b.0,
            sent_us: b.1,
            size: b.2,
            replies,
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

fn aside(v4: bool) -> impl Strategy<Value = Aside> {
    let note = (any::<u8>(), option::of(1u16..), any::<Option<Index>>());
    let mtus = (
        option::of(1u16..),
        option::of(1u16..),
        option::of(1u16..),
        any::<Option<u8>>(),
    );
    let path_mtu = (mtus, vec(probe(v4), 0..3), vec(note, 0..3));
    let path_mtu = path_mtu.prop_map(|(mtus, mut probes, notes)| {
        probes.iter_mut().for_each(keep_in_path);
        let replies = probes
            .iter()
            .map(|probe| probe.replies.len())
            .sum::<usize>();
        let notes = notes.into_iter().map(|(kind, next_mtu, reply)| MtuNote {
            kind,
            next_mtu,
            reply: reply
                .filter(|_| replies > 0)
                .map(|reply| reply.index(replies) as u16),
        });
        PathMtu {
            interface: mtus.0,
            path: mtus.1,
            first: mtus.2,
            version: mtus.3,
            notes: notes.collect(),
            probes,
        }
    });
    let doubletree = (
        any::<(u8, u8)>(),
        option::of(address(v4)),
        option::of(address(v4)),
        option::of(text()),
    );
    let doubletree =
        doubletree.prop_map(|(numbers, local_stop, global_stop, local_set)| Doubletree {
            first_ttl: numbers.0,
            local_stop,
            global_stop,
            local_set,
            flags: numbers.1,
        });
    (
        option::of(path_mtu),
        vec(probe(v4), 0..3),
        option::of(doubletree),
    )
        .prop_map(|(path_mtu, mut last_ditch, doubletree)| {
            last_ditch.iter_mut().for_each(keep_in_path);
            Aside {
                path_mtu,
                last_ditch,
                doubletree,
            }
        })
}

/// Puts a probe and its replies as a trace of one path says them.
fn keep_in_path(probe: &mut Probe) {
    (probe.flow, probe.id) = (0, None);
    let size = probe.size;
    for reply in &mut probe.replies {
        (reply.received_us, reply.answers) = (None, None);
        let v4 = reply.from.is_ipv4();
        if v4 {
            reply.id = reply.id.or(Some(0));
        }
        let quotes = match reply.kind {
            Kind::Icmp(kind, _) if v4 => [3, 11].contains(&kind),
            Kind::Icmp(kind, _) => [1, 2, 3].contains(&kind),
            _ => false,
        };
        if quotes {
            reply.quoted_ttl = reply.quoted_ttl.or(Some(1));
            reply.quoted_length = reply.quoted_length.or(size);
        }
        let mut flags = reply.flags.unwrap_or(0) & 0x8f;
        flags |= if reply.ttl.is_some() { 0x10 } else { 0 };
        flags |= match reply.kind {
            Kind::Tcp(_) => 0x20,
            Kind::Udp => 0x40,
            _ => 0,
        };
        reply.flags = Some(flags);
    }
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

/// Puts a probe and its replies as a multipath trace says them.
fn keep_in_graph(probe: &mut Probe) {
    (probe.id, probe.size) = (None, None);
    for reply in &mut probe.replies {
        let v4 = reply.from.is_ipv4();
        (reply.rtt_us, reply.name, reply.size) = (None, None, None);
        (reply.tos, reply.quoted_length, reply.next_mtu) = (None, None, None);
        (reply.flags, reply.answers) = (None, None);
        if v4 {
            reply.id = reply.id.or(Some(0));
        } else {
            reply.id = reply.id.filter(|id| *id != 0);
        }
        if reply.kind == Kind::Udp {
            reply.kind = Kind::Unknown;
        }
        if let Kind::Tcp(_) = reply.kind {
            reply.extensions.clear();
            (reply.quoted_ttl, reply.quoted_tos) = (None, None);
        }
        let quotes = match reply.kind {
            Kind::Icmp(kind, _) if v4 => [3, 11].contains(&kind),
            Kind::Icmp(kind, _) => [1, 2, 3].contains(&kind),
            _ => false,
        };
        for field in [&mut reply.quoted_ttl, &mut reply.quoted_tos] {
            *field = if quotes {
                field.or(Some(0))
            } else {
                field.filter(|value| *value != 0)
            };
        }
        if let Kind::Tcp(_) = reply.kind {
            (reply.quoted_ttl, reply.quoted_tos) = (None, None);
        }
    }
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

/// Puts a probe and its replies as a ping says them.
fn keep_in_ping(method: Method, place: u16, probe: &mut Probe) {
    *probe = Probe {
        attempt: 1 + 20_000 * place,
        id: probe.id,
        sent_us: probe.sent_us,
        replies: std::mem::take(&mut probe.replies),
        ..Probe::default()
    };
    for reply in &mut probe.replies {
        *reply = Reply {
            received_us: None,
            name: None,
            tos: None,
            quoted_ttl: None,
            quoted_length: None,
            quoted_tos: None,
            next_mtu: None,
            extensions: Vec::new(),
            flags: None,
            ..reply.clone()
        };
        // The protocol of replies is not in pings by ICMP.
        if let (Method::IcmpEcho | Method::IcmpTimestamp, Kind::Tcp(_) | Kind::Udp) =
            (method, reply.kind)
        {
            reply.kind = Kind::Icmp(0, 0);
        }
    }
}
