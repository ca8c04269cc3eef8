//! M-Lab's files of paris-traceroute.

mod common;

use anabranch_formats::paris::Decoder;
use anabranch_formats::record::{Found, Graph, Kind, Method, Probe, Record};
use common::{Open, complaint, damaged_text, read, records, trace};
use proptest::prelude::{ProptestConfig, any, proptest};

const OPEN: Open = |input| Box::new(Decoder::new(input));
const TEXT: &str = "\
# Bandwidth, sent = 2 pkt/s, recv = 2 pkt/s
traceroute [(198.18.0.2:33456) -> (240.0.0.7:33457)], protocol icmp, algo exhaustive, duration 6 s
 1  P(6, 6) gateway.example (198.18.0.1)  0.194/1.031/5.031/1.789 ms \n\
 2  P(7, 7) 198.18.0.5 (198.18.0.5):0,2,3  0.2/0.3/0.4/0.1 ms  b.example (198.18.0.9):1  0.556 ms !T2 \n\
 3  P(0, 6)
 4  P(5, 6) 198.18.0.13 (198.18.0.13)  28.728/28.784/28.914/0.064 ms !H \n   \
   MPLS Label 1309 TTL=1 | 24950
 5  P(0, 6)
 6  P(0, 6)

";

fn graph(text: &str) -> Graph {
    match trace(OPEN, text).found {
        Found::Graph(graph) => graph,
        Found::Path { .. } => panic!("a path"),
    }
}

fn flows(probes: &[Probe]) -> Vec<u32> {
    probes.iter().map(|probe| probe.flow).collect()
}

#[test]
fn interfaces_are_linked_by_the_flows_that_met_them() {
    let graph = graph(TEXT);
    let ends: Vec<_> = graph
        .links
        .iter()
        .map(|it| (it.near, it.far, it.hops.len()))
        .collect();
    assert_eq!(
        ends,
        [
            (0, Some(1), 1),
            (0, Some(2), 1),
            (1, Some(3), 2),
            (2, Some(3), 2),
            (3, None, 2)
        ]
    );
    let names: Vec<_> = graph
        .nodes
        .iter()
        .map(|node| node.name.as_deref())
        .collect();
    assert_eq!(
        names,
        [Some("gateway.example"), None, Some("b.example"), None]
    );
    assert_eq!(flows(&graph.links[0].hops[0]), [0, 2, 3]);
    assert_eq!(flows(&graph.links[1].hops[0]), [1]);
    assert_eq!(
        (
            flows(&graph.links[2].hops[0]),
            flows(&graph.links[2].hops[1])
        ),
        (vec![], vec![0, 2, 3])
    );
    assert_eq!(flows(&graph.links[3].hops[1]), [1]);
}

#[test]
fn replies_say_what_their_line_says_of_each() {
    let graph = graph(TEXT);
    let [one, many] = [1, 0].map(|link: usize| &graph.links[link].hops[0][0].replies[0]);
    assert_eq!(
        (one.rtt_us, one.quoted_ttl, one.kind),
        (Some(556), Some(2), Kind::Icmp(11, 0))
    );
    assert_eq!((many.rtt_us, many.quoted_ttl), (None, None));
    let last = &graph.links[3].hops[1][0].replies[0];
    assert_eq!(last.kind, Kind::Icmp(3, 1));
    let labels: Vec<_> = last.extensions[0].labels();
    let labels: Vec<_> = labels
        .iter()
        .map(|it| (it.label, it.ttl, it.bottom))
        .collect();
    assert_eq!(labels, [(1309, 1, 0), (24950, 0, 1)]);
}

#[test]
fn a_trace_says_what_its_first_line_says() {
    let trace = trace(OPEN, TEXT);
    assert_eq!(trace.method, Method::IcmpEchoParis);
    assert_eq!(
        (trace.source_port, trace.probe_count, trace.began_us),
        (None, Some(37), None)
    );
    let udp = TEXT.replace("icmp", "udp");
    let Record::Trace(trace) = &records(OPEN, &udp)[0] else {
        panic!("no trace");
    };
    assert_eq!(
        (trace.source_port, trace.destination_port),
        (Some(33456), Some(33457))
    );
}

#[test]
fn a_destination_that_replies_ends_a_trace() {
    let text = TEXT.replace("198.18.0.13", "240.0.0.7").replace(" !H", "");
    let graph = graph(&text);
    assert_eq!(graph.links.len(), 4);
    assert_eq!(graph.links[3].hops[1][0].replies[0].kind, Kind::Icmp(0, 0));
}

#[test]
fn traces_in_a_row_are_told_apart() {
    assert_eq!(records(OPEN, &format!("{TEXT}{TEXT}")).len(), 2);
    assert!(records(OPEN, "\n# nothing\n").is_empty());
}

#[test]
fn errors_say_where_and_what() {
    let begin = "traceroute [(198.18.0.2:1) -> (240.0.0.7:2)], protocol icmp, algo exhaustive";
    for (text, what) in [
        (
            " 1  P(0, 6)".to_owned(),
            "line 1: no trace has begun: 1  P(0, 6)",
        ),
        (
            "traceroute [(a)".to_owned(),
            "line 1: this is no begin of a trace: traceroute [(a)",
        ),
        (
            format!("{begin}\n 1  P(6, 6) a (198."),
            "line 2: this is no hop: 1  P(6, 6) a (198.",
        ),
        (
            format!("{begin}\n 2  P(0, 6)\n 2  P(0, 6)"),
            "line 3: this is no hop: 2  P(0, 6)",
        ),
        (
            format!("{begin}\n   MPLS Label 1"),
            "line 2: this is no hop: MPLS Label 1",
        ),
    ] {
        assert_eq!(complaint(OPEN, &text), what, "{text}");
    }
}

#[test]
fn hops_without_a_line_are_silent() {
    let text = TEXT
        .replace(" 3  P(0, 6)\n", "")
        .replace(" 5  P(0, 6)\n", "");
    assert_eq!(graph(&text).links, graph(TEXT).links);
}

#[test]
fn a_count_of_probes_takes_no_memory() {
    let begin = "traceroute [(198.18.0.2:1) -> (240.0.0.7:2)], protocol icmp, algo exhaustive";
    let hop = "P(4294967295, 4294967295) a (198.18.0.1)  1.0 ms";
    let graph = graph(&format!("{begin}\n1  {hop}\n2  {hop}\n"));
    assert!(graph.links[0].hops[0].len() < 1000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn damage_is_told_and_no_more(text in damaged_text(TEXT.as_bytes())) {
        read(OPEN, &text);
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        read(OPEN, &text);
    }
}
