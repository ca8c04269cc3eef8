//! Probes with their replies, and what each kind of trace keeps of them.

use anabranch_formats::record::{
    Answers, Aside, Doubletree, Extension, Kind, Method, MtuNote, PathMtu, Probe, Reply,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{address, text, time};

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

/// Returns a probe that was answered.
pub fn probe(v4: bool) -> impl Strategy<Value = Probe> {
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

/// Returns what a trace found besides its path.
pub fn aside(v4: bool) -> impl Strategy<Value = Aside> {
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
pub fn keep_in_path(probe: &mut Probe) {
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

/// Puts a probe and its replies as a multipath trace says them.
pub fn keep_in_graph(probe: &mut Probe) {
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

/// Puts a probe and its replies as a ping says them.
pub fn keep_in_ping(method: Method, place: u16, probe: &mut Probe) {
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
