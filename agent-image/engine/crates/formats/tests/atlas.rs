//! RIPE Atlas's results: what they say, and what becomes of traces that others made.

mod common;

use std::net::IpAddr;

use anabranch_formats::atlas::{Decoder, Encoder};
use anabranch_formats::record::{
    Found, Graph, Kind, Link, Method, Node, Origin, Ping, Probe, Record, Trace,
};
use common::{Open, complaint, damaged_text, graphs, paths, read, records, trace, written};
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};

const OPEN: Open = |input| Box::new(Decoder::new(input));
const TEXT: &str = r#"[
 {"fw":5080,"mver":"2.6.2","lts":28,"endtime":1665720293,"dst_name":"a.example","ttr":126.8,
  "dst_addr":"240.0.0.7","src_addr":"198.18.0.2","proto":"UDP","af":4,"size":40,"paris_id":9,
  "result":[
   {"hop":1,"result":[{"from":"198.18.0.1","ttl":255,"size":28,"rtt":0.175},{"x":"*"},
    {"from":"198.18.0.1","ttl":255,"size":28,"rtt":20.39,"dup":true}]},
   {"hop":2,"result":[{"x":"*"},{"late":1,"from":"198.18.0.1","ttl":255,"size":28},
    {"from":"198.18.0.5","ttl":254,"size":96,"rtt":2,"ittl":2,"itos":8,
     "icmpext":{"version":2,"rfc4884":0,"obj":[{"class":1,"type":1,"mpls":[{"exp":1,"label":24005,"s":1,"ttl":3}]}]}}]},
   {"hop":3,"result":[{"from":"198.18.0.9","ttl":253,"size":28,"rtt":3.5,"err":"A"},
    {"from":"198.18.0.9","ttl":253,"size":28,"rtt":3.5,"err":10},{"error":"sendto failed"}]},
   {"hop":255,"result":[{"from":"240.0.0.7","ttl":60,"size":28,"rtt":4.001}]}],
  "msm_id":5006,"prb_id":1000318,"timestamp":1665720290,"msm_name":"Traceroute","from":"240.1.0.1",
  "type":"traceroute"},
 {"type":"dns","fw":5080},
 {"fw":1,"result":"traceroute to"},
 {"type":"traceroute","fw":4790,"result":[{"error":"name resolution failed"}]}
]"#;
const PING: &str = r#"{"fw":4790,"lts":-1,"af":6,"dst_name":"3fff::7","dst_addr":"3fff::7","src_addr":"3fff::2","from":"3fff::2","msm_id":1,"prb_id":2,"timestamp":1665720290,"proto":"ICMP","size":20,"ttl":52,"step":1,"sent":4,"rcvd":2,"dup":1,"min":1.5,"avg":2.0,"max":2.5,"result":[{"rtt":1.5,"ttl":52},{"x":"*"},{"rtt":2.5,"ttl":52,"src_addr":"3fff::8"},{"rtt":3.25,"ttl":52,"dup":1},{"x":"*"}],"msm_name":"Ping","type":"ping"}
"#;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn first() -> Trace {
    match records(OPEN, TEXT).swap_remove(0) {
        Record::Trace(trace) => *trace,
        other => panic!("{other:?}"),
    }
}

fn probes(trace: &Trace) -> &[Probe] {
    match &trace.found {
        Found::Path { probes, .. } => probes,
        Found::Graph(_) => panic!("a graph"),
    }
}

/// Returns the results that a trace is written as.
fn results(trace: Trace) -> Vec<Value> {
    let text = written(Encoder::new(), &[Record::Trace(Box::new(trace))]);
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn a_result_says_what_was_asked_and_by_whom() {
    let trace = first();
    assert_eq!(trace.method, Method::UdpParis);
    assert_eq!(trace.destination_name.as_deref(), Some("a.example"));
    assert_eq!(trace.began_us, Some(1_665_720_290_000_000));
    assert_eq!(trace.ended_us, Some(1_665_720_293_000_000));
    assert_eq!(trace.settings.probe_size, Some(40));
    assert_eq!(trace.error.as_deref(), Some("sendto failed"));
    let origin = Origin {
        measurement: Some(5006),
        host: Some(1_000_318),
        public_source: Some(address("240.1.0.1")),
        ..Origin::default()
    };
    assert_eq!(trace.origin, origin);
}

#[test]
fn replies_are_of_the_probes_before_them() {
    let trace = first();
    let shown: Vec<_> = probes(&trace)
        .iter()
        .map(|it| (it.ttl, it.attempt, it.flow, it.replies.len()))
        .collect();
    assert_eq!(
        shown,
        [
            (1, 1, 9, 1),
            (1, 2, 9, 1),
            (2, 1, 9, 0),
            (2, 2, 9, 1),
            (3, 1, 9, 1),
            (3, 2, 9, 1),
            (255, 1, 9, 1)
        ]
    );
    let replies: Vec<_> = probes(&trace).iter().flat_map(|it| &it.replies).collect();
    let kinds: Vec<_> = replies.iter().map(|it| it.kind).collect();
    let unreachable = [Kind::Icmp(3, 13), Kind::Icmp(3, 10), Kind::Icmp(3, 3)];
    assert_eq!(kinds[..3], [Kind::Icmp(11, 0); 3]);
    assert_eq!(kinds[3..], unreachable);
    let times: Vec<_> = replies.iter().map(|it| it.rtt_us).collect();
    assert_eq!(times, [175, 20_390, 2000, 3500, 3500, 4001].map(Some));
    assert_eq!(
        (replies[0].quoted_ttl, replies[0].quoted_tos),
        (Some(1), Some(0))
    );
    assert_eq!(
        (replies[2].quoted_ttl, replies[2].quoted_tos),
        (Some(2), Some(8))
    );
    let labels = replies[2].extensions[0].labels();
    assert_eq!(
        (labels[0].label, labels[0].exp, labels[0].ttl),
        (24005, 1, 3)
    );
}

#[test]
fn what_is_no_trace_is_named() {
    let names = [
        "dns",
        "result of firmware 1",
        "traceroute without a destination",
    ];
    assert_eq!(records(OPEN, TEXT)[1..], names.map(Record::Other));
}

#[test]
fn a_result_that_is_written_says_the_same() {
    let trace = first();
    let text = written(Encoder::new(), &[Record::Trace(Box::new(trace.clone()))]);
    assert_eq!(records(OPEN, &text), [Record::Trace(Box::new(trace))]);
}

#[test]
fn a_ping_comes_back_as_it_was() {
    assert_eq!(written(Encoder::new(), &records(OPEN, PING)), PING);
    let Record::Ping(ping) = &records(OPEN, PING)[0] else {
        panic!("no ping");
    };
    assert_eq!(ping.probe_count, Some(4));
    assert_eq!(ping.probes[2].replies.len(), 2);
    let other = Ping {
        method: Method::Tcp,
        ..(**ping).clone()
    };
    let refused = anabranch_formats::codec::Encode::write(
        &mut Encoder::new(),
        &Record::Ping(Box::new(other)),
        &mut Vec::new(),
    );
    assert_eq!(
        refused.expect_err("refused").kind(),
        std::io::ErrorKind::Unsupported
    );
}

#[test]
fn hops_that_a_format_leaves_out_are_silent() {
    let line = "{\"type\":\"trace\",\"method\":\"icmp-echo\",\"dst\":\"3fff::7\",\"hop_count\":3,\"attempts\":2,\
        \"hops\":[{\"addr\":\"3fff::1\",\"probe_ttl\":2,\"probe_id\":2,\"rtt\":1.5,\"icmp_type\":3,\"icmp_code\":0}]}";
    let open: Open = |input| Box::new(anabranch_formats::scamper::Decoder::new(input));
    let found = results(trace(open, line));
    let silence = json!({"x": "*"});
    let hops = json!([
        {"hop": 1, "result": [silence, silence]},
        {"hop": 2, "result": [silence, {"from": "3fff::1", "rtt": 1.5}]},
        {"hop": 3, "result": [silence, silence]},
    ]);
    assert_eq!(found[0]["result"], hops);
    assert_eq!(found[0]["paris_id"], 0);
    assert_eq!(found[0]["proto"], "ICMP");
}

#[test]
fn a_trace_of_several_paths_is_a_result_for_each_flow() {
    let mut trace = first();
    trace.method = Method::UdpDestinationPort;
    let [near, one, two] = ["198.18.0.1", "198.18.0.5", "198.18.0.9"].map(address);
    let link = |far: usize, from: IpAddr, flow: u32| {
        let mut probe = probes(&first())[0].clone();
        (probe.ttl, probe.flow) = (2, flow);
        probe.replies[0].from = from;
        Link {
            near: 0,
            far: Some(far),
            hops: vec![vec![probe]],
        }
    };
    let node = |address| Node {
        address: Some(address),
        ..Node::default()
    };
    trace.error = None;
    trace.found = Found::Graph(Graph {
        nodes: [near, one, two].map(node).to_vec(),
        links: vec![link(1, one, 0), link(2, two, 3)],
    });
    let found = results(trace);
    let said = |it: &Value| {
        (
            it["paris_id"].clone(),
            it["result"][0]["result"][0]["from"].clone(),
        )
    };
    let said: Vec<_> = found.iter().map(said).collect();
    // 0 would stand for no flow at all.
    assert_eq!(
        said,
        [
            (json!(1), json!("198.18.0.5")),
            (json!(4), json!("198.18.0.9"))
        ]
    );
}

#[test]
fn errors_say_where_and_what() {
    for (text, what) in [
        ("{\"fw\":4790}", "line 1: this result has no type"),
        (
            "[\n{\"fw\":4790,\"type\":\"ping\",\"sent\":\"a\"}]",
            "line 2: invalid type: string \"a\", expected u16, at column 35",
        ),
        (
            "[{\"fw\":4790,\"type\":\"dns\"}\n",
            "line 2: the file ends within an array",
        ),
    ] {
        assert_eq!(complaint(OPEN, text), what, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_says_the_same_when_it_is_read(mut trace in paths()) {
        // Hops are probed from the first to the last one.
        trace.settings.first_ttl = Some(1);
        if let Found::Path { probes, last_ttl } = &mut trace.found {
            *last_ttl = probes.last().map_or(0, |probe| probe.ttl);
        }
        let text = written(Encoder::new(), &[Record::Trace(Box::new(trace))]);
        let again = records(OPEN, &text);
        prop_assert_eq!(written(Encoder::new(), &again), text);
    }

    #[test]
    fn each_probe_of_a_graph_is_in_the_result_of_its_flow(trace in graphs()) {
        let Found::Graph(graph) = &trace.found else { unreachable!() };
        let sent = graph.links.iter().flat_map(|link| link.hops.iter().flatten());
        let expected = sent.map(|probe| probe.replies.len()).sum::<usize>();
        let text = written(Encoder::new(), &[Record::Trace(Box::new(trace.clone()))]);
        let mut found = 0;
        for record in records(OPEN, &text) {
            let Record::Trace(trace) = record else { panic!("no trace") };
            let flow = probes(&trace).first().map(|probe| probe.flow);
            prop_assert!(probes(&trace).iter().all(|probe| Some(probe.flow) == flow));
            found += probes(&trace).iter().map(|probe| probe.replies.len()).sum::<usize>();
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn damage_is_told_and_no_more(text in damaged_text(TEXT.as_bytes())) {
        read(OPEN, &text);
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        read(OPEN, &text);
    }
}
