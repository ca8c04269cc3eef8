//! scamper's JSON: what scamper wrote comes back as it was, and what it can't say is told.

mod common;

use std::net::IpAddr;

use anabranch_formats::record::{Found, Graph, Kind, Link, Method, Node, Probe, Record, Stop};
use anabranch_formats::scamper::{Decoder, Encoder};
use common::{Open, complaint, damaged_text, graphs, paths, read, records, trace, written};
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

/// What `sc_warts2json` of Debian 12 made of traces in a simulated Internet.
const FIXTURE: &str = include_str!("fixtures/scamper.json");
const OPEN: Open = |input| Box::new(Decoder::new(input));

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn path(record: &Record) -> &[Probe] {
    match record {
        Record::Trace(trace) => match &trace.found {
            Found::Path { probes, .. } => probes,
            Found::Graph(_) => panic!("a graph"),
        },
        _ => panic!("no trace"),
    }
}

#[test]
fn lines_of_scampers_come_back_as_they_were() {
    let text = written(Encoder::new(), &records(OPEN, FIXTURE));
    for (line, expected) in text.lines().zip(FIXTURE.lines()) {
        assert_eq!(line, expected);
    }
    assert_eq!(text.len(), FIXTURE.len());
}

#[test]
fn lines_are_of_the_cycle_that_is_open() {
    let records = records(OPEN, FIXTURE);
    let Record::CycleStart(begun) = &records[0] else {
        panic!("no begin");
    };
    assert_eq!((&*begun.list.name, begun.id), ("list", 17));
    for record in &records[1..records.len() - 1] {
        let cycle = match record {
            Record::Trace(trace) => trace.cycle.as_ref(),
            Record::Ping(ping) => ping.cycle.as_ref(),
            _ => panic!("{record:?}"),
        };
        assert_eq!(cycle, Some(begun));
    }
    let Some(Record::CycleStop { cycle, at }) = records.last() else {
        panic!("no end");
    };
    assert_eq!(cycle, begun);
    assert!(*at > begun.start);
}

#[test]
fn a_line_outside_of_cycles_or_in_two_of_them_is_of_none() {
    let begin = "{\"type\":\"cycle-start\", \"list_name\":\"a\", \"id\":1, \"start_time\":1}";
    let line = "{\"type\":\"trace\", \"method\":\"udp\", \"dst\":\"240.0.0.1\"}";
    let two = begin.replace("\"id\":1", "\"id\":2");
    for text in [line.to_owned(), format!("{begin}{two}{line}")] {
        assert_eq!(trace(OPEN, &text).cycle, None);
    }
    assert!(trace(OPEN, &format!("{begin}{line}")).cycle.is_some());
}

#[test]
fn a_silent_hop_and_labels_are_where_they_were() {
    let records = records(OPEN, FIXTURE);
    let labelled = records.iter().find(|record| match record {
        Record::Trace(trace) => match &trace.found {
            Found::Path { probes, .. } => probes.iter().any(|probe| {
                probe
                    .replies
                    .iter()
                    .any(|reply| !reply.extensions.is_empty())
            }),
            Found::Graph(_) => false,
        },
        _ => false,
    });
    let labels = path(labelled.expect("labels")).iter();
    let labels = labels
        .flat_map(|probe| &probe.replies)
        .flat_map(|reply| &reply.extensions);
    assert!(
        labels
            .flat_map(anabranch_formats::record::Extension::labels)
            .all(|it| it.bottom == 1)
    );
}

#[test]
fn what_later_versions_add_is_kept() {
    let text = "{\"type\":\"trace\",\"version\":\"0.1\", \"userid\":0, \"method\":\"tcp-ack\", \
        \"src\":\"198.18.0.2\", \"dst\":\"240.0.0.7\", \"rtr\":\"198.18.0.1\", \"sport\":1, \
        \"dport\":80, \"stop_reason\":\"ERROR\", \"stop_data\":3, \"errmsg\":\"a \\\"b\\\"\", \
        \"start\":{\"sec\":1645576055, \"usec\":7, \"ftime\":\"2022-02-23 00:27:35\"}, \
        \"hop_count\":2, \"attempts\":2, \"hoplimit\":0, \"firsthop\":1, \"wait\":5, \
        \"wait_probe\":3, \"tos\":0, \"probe_size\":40, \"probe_count\":6, \"monitor\":\"m\", \
        \"hops\":[{\"addr\":\"198.18.0.1\", \"name\":\"r\", \"probe_ttl\":1, \"probe_id\":2, \
        \"probe_size\":40, \"rtt\":0.010, \"reply_ttl\":255, \"reply_tos\":0, \"reply_ipid\":1, \
        \"reply_size\":1500, \"icmp_type\":3, \"icmp_code\":4, \"icmp_q_ttl\":1, \
        \"icmp_q_ipl\":40, \"icmp_q_tos\":0, \"icmp_nhmtu:\":1400}], \
        \"extra_hops\":[{\"addr\":\"240.0.0.7\", \"probe_ttl\":4, \"probe_id\":1, \
        \"probe_size\":40, \"rtt\":1000.999, \"reply_ttl\":60, \"reply_tos\":0, \
        \"reply_ipid\":0, \"reply_size\":40, \"tcp_flags\":4}], \
        \"no_hops\":[{\"probe_ttl\":1, \"probe_id\":1, \"probe_size\":40, \
        \"tx\":{\"sec\":1645576055, \"usec\":8}},{\"probe_ttl\":2, \"probe_id\":1, \
        \"probe_size\":40}], \
        \"extra_no_hops\":[{\"probe_ttl\":3, \"probe_id\":1, \"probe_size\":40}]}\n";
    let records = records(OPEN, text);
    assert_eq!(written(Encoder::new(), &records), text);
    let probes = path(&records[0]);
    let places: Vec<(u8, u16)> = probes.iter().map(|it| (it.ttl, it.attempt)).collect();
    assert_eq!(places, [(1, 1), (1, 2), (2, 1), (3, 1), (4, 1)]);
    assert_eq!(probes[1].replies[0].next_mtu, Some(1400));
    assert_eq!(probes[4].replies[0].kind, Kind::Tcp(4));
    assert_eq!(probes[4].replies[0].rtt_us, Some(1_000_999));
    assert_eq!(probes[0].sent_us, Some(1_645_576_055_000_008));
}

#[test]
fn commas_of_old_versions_that_nothing_follows_are_passed_over() {
    let text = "{\"type\":\"tracelb\", \"method\":\"icmp-echo\", \"dst\":\"3fff::7\", \"nodec\":1, \
        \"linkc\":1, \"nodes\":[{\"addr\":\"3fff::1\", \"name\":\",]\", \"linkc\":1, \
        \"links\":[[{\"addr\":\"*\"}],[{\"addr\":\"*\"}],]}]}";
    let trace = trace(OPEN, text);
    assert_eq!(trace.method, Method::IcmpEchoParis);
    let Found::Graph(graph) = trace.found else {
        panic!("a path");
    };
    assert_eq!(graph.nodes[0].name.as_deref(), Some(",]"));
    assert_eq!(graph.links[0].far, None);
    assert_eq!(graph.links[0].hops, [Vec::new(), Vec::new()]);
}

#[test]
fn a_star_beside_others_is_a_probe_without_a_reply() {
    let probe = |flow: u8| {
        format!(
            "{{\"tx\":{{\"sec\":1, \"usec\":{flow}}}, \"replyc\":1, \"ttl\":3, \
        \"attempt\":0, \"flowid\":{flow}, \"replies\":[{{\"ttl\":9}}]}}"
        )
    };
    let text = format!(
        "{{\"type\":\"tracelb\", \"version\":\"0.1\", \"method\":\"udp-sport\", \
        \"dst\":\"240.0.0.7\", \"nodec\":2, \"linkc\":1, \"nodes\":[{{\"addr\":\"240.0.0.1\", \"linkc\":1, \
        \"links\":[[{{\"addr\":\"240.0.0.2\", \"probes\":[{}]}}, {{\"addr\":\"240.0.0.3\", \
        \"probes\":[{}]}}, {{\"addr\":\"*\"}}],[{{\"addr\":\"240.0.0.7\", \"probes\":[]}}]]}}]}}\n",
        probe(1),
        probe(2)
    );
    let again = written(Encoder::new(), &records(OPEN, &text));
    let nodes =
        |text: &str| text[text.find("\"nodes\"").expect("nodes")..].replace(", \"ipid\":0", "");
    assert_eq!(nodes(&again), nodes(&text));
    let Found::Graph(graph) = trace(OPEN, &text).found else {
        panic!("a path");
    };
    let probes: Vec<_> = graph.links[0].hops[0]
        .iter()
        .map(|it| (it.ttl, it.attempt, it.replies.len()))
        .collect();
    assert_eq!(probes, [(3, 1, 1), (3, 1, 1), (3, 0, 0)]);
}

#[test]
fn silent_hops_before_one_of_several_far_ends_are_told_by_ttls() {
    let mut shown = trace(
        OPEN,
        "{\"type\":\"tracelb\",\"method\":\"udp-sport\",\"dst\":\"240.0.0.7\"}",
    );
    let node = |text: &str| Node {
        address: Some(address(text)),
        ..Node::default()
    };
    let nodes = ["240.0.0.1", "240.0.0.2", "240.0.0.3", "240.0.0.4"]
        .map(node)
        .to_vec();
    let link = |near: usize, far: usize, ttl: u8, flow: u32, silent: usize| {
        let line = format!(
            "{{\"type\":\"trace\",\"method\":\"udp\",\"dst\":\"240.0.0.7\",\"hops\":[{{\"addr\":\"240.0.0.{}\",\
             \"probe_ttl\":{ttl},\"probe_id\":1}}]}}",
            far + 1
        );
        let mut probe = path(&records(OPEN, &line)[0])[0].clone();
        probe.flow = flow;
        let mut hops = vec![Vec::new(); silent];
        hops.push(vec![probe]);
        Link {
            near,
            far: Some(far),
            hops,
        }
    };
    let links = vec![
        link(0, 1, 2, 1, 0),
        link(0, 2, 3, 2, 1),
        link(1, 2, 3, 1, 0),
        link(1, 3, 5, 1, 2),
    ];
    shown.found = Found::Graph(Graph { nodes, links });
    let text = written(Encoder::new(), &[Record::Trace(Box::new(shown))]);
    let Found::Graph(graph) = trace(OPEN, &text).found else {
        panic!("a path");
    };
    let lengths: Vec<_> = graph
        .links
        .iter()
        .map(|it| (it.near, it.far, it.hops.len()))
        .collect();
    assert_eq!(
        lengths,
        [
            (0, Some(1), 1),
            (0, Some(2), 2),
            (1, Some(2), 1),
            (1, Some(3), 3)
        ]
    );
}

#[test]
fn the_unit_of_waits_between_probes_is_told_by_their_size() {
    for (shown, micros) in [(15, 150_000), (25, 250_000), (150, 150_000), (250, 250_000)] {
        let text = format!(
            "{{\"type\":\"tracelb\", \"method\":\"udp-sport\", \"dst\":\"240.0.0.1\", \
             \"wait_probe\":{shown}}}"
        );
        assert_eq!(trace(OPEN, &text).settings.wait_probe_us, Some(micros));
    }
}

#[test]
fn an_address_of_two_nodes_is_the_next_one() {
    // The second node of an address quotes another TTL. The third has no links, and is not listed.
    let node = |address: &str, far: &str| {
        format!(
            "{{\"addr\":\"{address}\",\"linkc\":1,\"links\":[[{{\"addr\":\"{far}\",\"probes\":[]}}]]}}"
        )
    };
    let nodes = [
        ("240.0.0.1", "240.0.0.1"),
        ("240.0.0.1", "240.0.0.2"),
        ("240.0.0.2", "240.0.0.2"),
    ];
    let nodes = nodes.map(|(near, far)| node(near, far)).join(",");
    let text = format!(
        "{{\"type\":\"tracelb\",\"method\":\"udp-sport\",\"dst\":\"240.0.0.2\",\"nodec\":5,\"nodes\":[{nodes}]}}"
    );
    let Found::Graph(graph) = trace(OPEN, &text).found else {
        panic!("a path");
    };
    let links: Vec<_> = graph
        .links
        .iter()
        .map(|link| (link.near, link.far))
        .collect();
    assert_eq!(links, [(0, Some(1)), (1, Some(2)), (2, Some(3))]);
    let found: Vec<_> = graph.nodes.iter().map(|node| node.address).collect();
    let [one, two] = ["240.0.0.1", "240.0.0.2"].map(|it| Some(address(it)));
    assert_eq!(found, [one, one, two, two, None]);
}

#[test]
fn unknown_reasons_and_types_stop_nothing() {
    let text =
        "{\"type\":\"trace\",\"method\":\"udp\",\"dst\":\"240.0.0.1\",\"stop_reason\":\"NEW\"}";
    assert_eq!(trace(OPEN, text).stop, Stop::None);
    for (text, name) in [
        ("{\"type\":\"dealias\"}", "dealias"),
        ("{\"type\":\"new\"}", "unknown"),
        (
            "{\"type\":\"trace\",\"method\":\"udp\"}",
            "trace without a destination",
        ),
    ] {
        assert_eq!(records(OPEN, text), [Record::Other(name)]);
    }
}

#[test]
fn errors_say_where_and_what() {
    for (text, what) in [
        ("{}", "line 1: missing field `type`, at column 2"),
        (
            "\n\n{\"type\":1}",
            "line 3: invalid type: integer `1`, expected a string, at column 9",
        ),
        (
            "{\"type\":\n\"trace\",\n\"method\":3}",
            "line 3: invalid type: integer `3`, expected a string, at column 10",
        ),
        (
            "{\"type\":\"trace\",\"method\":\"x\",\"dst\":\"240.0.0.1\"}",
            "line 1: \"x\" is no method of a trace",
        ),
        (
            "{\"type\":\"trace\",\"method\":\"udp\",\"dst\":\"a\"}",
            "line 1: \"a\" is no IP address, at column 41",
        ),
        (
            "{\"type\":\"ping\",\"method\":\"udp\",\"dst\":\"240.0.0.1\",\"payload\":\"abc\"}",
            "line 1: payload and pattern are hexadecimal digits",
        ),
        (
            "{\"type\":\"dealias\"}\n{\"a\":]}",
            "line 2: expected value, at column 6",
        ),
        (
            "{\"type\":\"dealias\"}\n{\"a\":",
            "line 2: the file ends within this object",
        ),
        (
            "[{\"type\":\"dealias\"}\n",
            "line 2: the file ends within an array",
        ),
        (
            "[{\"type\":\"dealias\"} {",
            "line 1: { is where an object is expected",
        ),
        ("\nx", "line 2: x is where an object is expected"),
    ] {
        assert_eq!(complaint(OPEN, text), what, "{text}");
    }
}

#[test]
fn what_it_has_no_line_for_is_refused() {
    let mut pinged = trace(
        OPEN,
        "{\"type\":\"trace\",\"method\":\"udp\",\"dst\":\"240.0.0.1\"}",
    );
    pinged.method = Method::IcmpTimestamp;
    for record in [Record::Other("dealias"), Record::Trace(Box::new(pinged))] {
        let written =
            anabranch_formats::codec::Encode::write(&mut Encoder::new(), &record, &mut Vec::new());
        assert_eq!(
            written.expect_err("refused").kind(),
            std::io::ErrorKind::Unsupported
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn paths_come_back_as_they_were(trace in paths()) {
        let record = Record::Trace(Box::new(trace));
        let text = written(Encoder::new(), std::slice::from_ref(&record));
        prop_assert_eq!(records(OPEN, &text), [record]);
    }

    #[test]
    fn graphs_come_back_as_they_were_written(trace in graphs()) {
        let text = written(Encoder::new(), &[Record::Trace(Box::new(trace))]);
        let again = records(OPEN, &text);
        prop_assert_eq!(written(Encoder::new(), &again), text);
    }

    #[test]
    fn damage_is_told_and_no_more(text in damaged_text(FIXTURE.as_bytes())) {
        let (_, error) = read(OPEN, &text);
        if let Some(error) = error {
            proptest::prop_assert!(error.to_string().starts_with("line "));
        }
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        read(OPEN, &text);
    }
}
