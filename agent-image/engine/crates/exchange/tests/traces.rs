//! Rows of targets become the traces that the field's tools would have written.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use anabranch_exchange::path::{Frame, write_traces};
use anabranch_exchange::ping::write_ping;
use anabranch_exchange::rows::{Conclusion, Row, Target};
use anabranch_formats::record::{Cycle, Found, Graph, Kind, Ping, Record, Reply, Stop, Trace};

const DESTINATION: u8 = 200;

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(240, 0, 0, last).into()
}

fn reply(from: u8) -> Reply {
    let kind = if from == DESTINATION {
        Kind::Icmp(3, 3)
    } else {
        Kind::Icmp(11, 0)
    };
    Reply {
        from: address(from),
        name: None,
        received_us: Some(2_000),
        rtt_us: Some(1_000),
        kind,
        ttl: Some(60),
        size: Some(56),
        tos: Some(0),
        id: Some(7),
        quoted_ttl: Some(1),
        quoted_length: Some(40),
        quoted_tos: Some(0),
        next_mtu: None,
        extensions: Vec::new(),
        flags: None,
        answers: None,
    }
}

/// Returns the probe of a flow at a TTL, and the reply from an address if it is not 0.
fn row(flow: u32, ttl: u8, from: u8) -> Row {
    Row {
        destination: address(DESTINATION),
        source: Some(address(1)),
        ports: (24_000 + flow as u16, 33_434),
        flow,
        ttl,
        attempt: 1,
        sent_us: Some(1_000),
        reply: (from > 0).then(|| reply(from)),
        is_from_target: from == DESTINATION,
    }
}

/// Returns a target whose flows met these addresses from TTL 1 on.
fn target(flows: &[&[u8]], conclusion: Option<Conclusion>) -> Target {
    let rows = flows.iter().enumerate().flat_map(|(flow, hops)| {
        let hops = hops.iter().enumerate();
        hops.map(move |(hop, from)| row(flow as u32, hop as u8 + 1, *from))
    });
    Target {
        prefix_index: 0,
        protocol: 17,
        conclusion,
        requests: None,
        rows: rows.collect(),
    }
}

fn traces(target: &Target, is_multipath: bool) -> Vec<Trace> {
    let frame = Frame {
        is_multipath,
        ..Frame::default()
    };
    let records = write_traces(target, &frame);
    records
        .into_iter()
        .map(|record| match record {
            Record::Trace(trace) => *trace,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn graph(target: &Target) -> Graph {
    let traces = traces(target, true);
    match &traces[..] {
        [
            Trace {
                found: Found::Graph(graph),
                ..
            },
        ] => graph.clone(),
        other => panic!("{other:?}"),
    }
}

/// Returns links as the last bytes of their ends, 0 for none, with their hops and last probes.
fn links(graph: &Graph) -> Vec<(u8, u8, usize, usize)> {
    let last = |node: usize| match graph.nodes[node].address {
        Some(IpAddr::V4(address)) => address.octets()[3],
        _ => 0,
    };
    let each = graph.links.iter();
    each.map(|link| {
        let probes = link.hops.last().map_or(0, Vec::len);
        (
            last(link.near),
            link.far.map_or(0, last),
            link.hops.len(),
            probes,
        )
    })
    .collect()
}

#[test]
fn a_flow_becomes_a_path_that_ends_where_the_destination_replies() {
    let found = traces(&target(&[&[2, 0, DESTINATION, DESTINATION]], None), false);
    let [trace] = &found[..] else {
        panic!("{found:?}")
    };
    let Found::Path { probes, last_ttl } = &trace.found else {
        panic!("{trace:?}")
    };
    assert_eq!((probes.len(), *last_ttl), (3, 3));
    assert_eq!(trace.stop, Stop::Completed);
    assert_eq!(
        (trace.source_port, trace.destination_port),
        (Some(24_000), Some(33_434))
    );
}

#[test]
fn a_prohibited_path_says_by_which_code() {
    let mut prohibited = target(&[&[2, 3]], None);
    let last = prohibited
        .rows
        .last_mut()
        .and_then(|row| row.reply.as_mut());
    last.expect("it replied").kind = Kind::Icmp(3, 13);
    assert_eq!(traces(&prohibited, false)[0].stop, Stop::Unreachable(13));
}

#[test]
fn flows_that_part_and_meet_again_become_a_diamond() {
    let found = graph(&target(
        &[
            &[2, 3, 5, DESTINATION],
            &[2, 4, 5, DESTINATION],
            &[2, 4, 5, DESTINATION],
        ],
        None,
    ));
    assert_eq!(
        links(&found),
        [
            (2, 3, 1, 1),
            (2, 4, 1, 2),
            (3, 5, 1, 1),
            (4, 5, 1, 2),
            (5, DESTINATION, 1, 3)
        ]
    );
}

#[test]
fn a_link_leads_across_silent_hops() {
    let found = graph(&target(&[&[2, 0, 0, 3]], None));
    assert_eq!(links(&found), [(2, 3, 3, 1)]);
    let silent = found.links[0].hops[..2].iter().flatten();
    assert!(silent.clone().count() == 2 && silent.clone().all(|probe| probe.replies.is_empty()));
}

#[test]
fn a_path_that_falls_silent_ends_in_a_link_to_nothing() {
    assert_eq!(
        links(&graph(&target(&[&[2, 3, 0, 0]], None))),
        [(2, 3, 1, 1), (3, 0, 2, 1)]
    );
}

#[test]
fn some_ways_of_a_node_may_be_silent_for_a_while() {
    let found = graph(&target(&[&[2, 3, 4], &[2, 0, 5], &[2, 0, 0, 6]], None));
    assert_eq!(
        links(&found),
        [(2, 3, 1, 1), (2, 5, 2, 1), (2, 6, 3, 1), (3, 4, 1, 1)]
    );
}

#[test]
fn paths_that_fall_silent_behind_a_node_are_one_link() {
    assert_eq!(
        links(&graph(&target(&[&[2, 0], &[2, 0, 0]], None))),
        [(2, 0, 2, 1)]
    );
}

#[test]
fn a_ttl_that_was_not_probed_makes_no_link() {
    let mut gap = target(&[&[2, 3, 4]], None);
    gap.rows.remove(1);
    assert_eq!(links(&graph(&gap)), []);
}

#[test]
fn the_tracer_decides_which_links_between_routers_there_are() {
    let conclusion = Conclusion {
        // It knows that flow 1, which it did not probe at TTL 1, passes 2, and does not believe 3 to 4.
        links: vec![(1, address(2), address(3)), (1, address(2), address(6))],
        ..Conclusion::default()
    };
    let mut traced = target(&[&[2, 3, 4], &[9, 6]], Some(conclusion));
    traced.rows.retain(|row| (row.flow, row.ttl) != (1, 1));
    assert_eq!(links(&graph(&traced)), [(2, 3, 1, 1), (2, 6, 1, 1)]);
}

#[test]
fn hops_that_balance_by_packet_make_no_link_across_silence_or_to_the_destination() {
    let mut unsteady = target(&[&[2, 3, DESTINATION]], Some(Conclusion::default()));
    unsteady.rows.push(Row {
        attempt: 2,
        ..row(0, 2, 4)
    });
    assert_eq!(links(&graph(&unsteady)), []);
}

#[test]
fn a_target_to_which_nothing_was_sent_has_no_trace() {
    let mut nothing = target(&[&[0]], Some(Conclusion::default()));
    nothing.rows[0].attempt = 0;
    assert_eq!(traces(&nothing, true), []);
    assert_eq!(traces(&nothing, false), []);
}

fn ping(rows: Vec<Row>, requests: Option<u32>) -> Ping {
    let target = Target {
        protocol: 1,
        requests,
        rows,
        ..target(&[], None)
    };
    let cycle = Cycle {
        start: 7,
        ..Cycle::default()
    };
    let frame = Frame {
        cycle: Arc::new(cycle),
        ..Frame::default()
    };
    match write_ping(&target, &frame) {
        Some(Record::Ping(ping)) => *ping,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_ping_has_the_requests_that_were_answered_by_their_number() {
    let found = ping(vec![row(0, 64, DESTINATION), row(2, 64, 9)], Some(4));
    let answered: Vec<_> = found
        .probes
        .iter()
        .map(|probe| (probe.attempt, probe.replies[0].from))
        .collect();
    assert_eq!(answered, [(1, address(DESTINATION)), (3, address(9))]);
    assert_eq!((found.asked, found.probe_count), (Some(4), Some(4)));
    assert_eq!(found.stop, (1, 0));
    assert_eq!(found.settings.max_ttl, Some(64));
    assert_eq!(found.began_us, Some(1_000));
}

#[test]
fn a_ping_that_nothing_answered_has_its_requests_alone() {
    let silent = Row {
        attempt: 0,
        source: None,
        sent_us: None,
        ..row(0, 0, 0)
    };
    let found = ping(vec![silent], Some(4));
    assert_eq!((found.probe_count, found.probes.len()), (Some(4), 0));
    assert_eq!(found.destination, address(DESTINATION));
    assert_eq!((found.source, found.settings.max_ttl), (None, None));
    assert_eq!(found.began_us, Some(7_000_000));
}

#[test]
fn a_ping_that_may_go_on_does_not_say_how_much_was_sent() {
    let found = ping(vec![row(0, 64, DESTINATION)], None);
    assert_eq!((found.asked, found.probe_count), (None, None));
    assert_eq!(found.stop, (0, 0));
}
