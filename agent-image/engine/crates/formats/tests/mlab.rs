//! M-Lab's files: traces know the connection that they are about.

mod common;

use anabranch_formats::mlab::Decoder;
use anabranch_formats::record::{Found, Origin, Record, Trace};
use common::{Open, complaint, damaged_text, read, records, trace};
use proptest::prelude::{ProptestConfig, any, proptest};

const OPEN: Open = |input| Box::new(Decoder::new(input));
const CACHED: &str = r#"{"UUID":"host_1_2","TracerouteCallerVersion":"d84ea3d","CachedResult":true,"CachedUUID":"host_1_1"}
{"type":"cycle-start", "list_name":"default", "id":0, "hostname":"host", "start_time":1645576055}
{"type":"trace","version":"0.1", "userid":0, "method":"udp-paris", "src":"198.18.0.2", "dst":"240.0.0.7", "sport":1, "dport":33435, "stop_reason":"GAPLIMIT", "stop_data":0, "start":{"sec":1645576055, "usec":1, "ftime":"2022-02-23 00:27:35"}, "hop_count":1, "wait_probe":25, "hops":[{"addr":"198.18.0.1", "probe_ttl":1, "probe_id":1, "probe_size":44, "rtt":0.030, "icmp_type":11, "icmp_code":0}]}
{"type":"cycle-stop", "list_name":"default", "id":0, "hostname":"host", "stop_time":1645576060}
"#;
/// As M-Lab's own program writes what scamper wrote.
const REWRITTEN: &str = r#"{"UUID":"host_1_3","TracerouteCallerVersion":"e3b1c5d","CachedResult":false,"CachedUUID":""}
{"type":"cycle-start","list_name":"default","id":0,"hostname":"host","start_time":1728351295}
{"type":"tracelb","version":"0.1","userid":0,"method":"icmp-echo","src":"198.18.0.2","dst":"240.0.0.0","start":{"sec":1728351295,"usec":822330},"probe_size":44,"firsthop":1,"attempts":3,"confidence":95,"tos":0,"gaplint":0,"wait_timeout":5,"wait_probe":250,"probec":9,"probec_max":3000,"nodec":2,"linkc":2,"nodes":[{"addr":"198.18.0.1","name":"","q_ttl":1,"linkc":1,"links":[[{"addr":"*","probes":null}],[{"addr":"198.18.0.9","probes":[{"tx":{"sec":1728351296,"usec":1},"replyc":1,"ttl":3,"attempt":0,"flowid":1,"replies":[{"rx":{"sec":1728351296,"usec":311},"ttl":254,"rtt":0.31,"icmp_type":11,"icmp_code":0,"icmp_q_tos":0,"icmp_q_ttl":1}]},{"tx":{"sec":1728351297,"usec":1},"replyc":0,"ttl":3,"attempt":1,"flowid":2,"replies":null}]}]]},{"addr":"198.18.0.9","name":"","q_ttl":1,"linkc":1,"links":[[{"addr":"*","probes":null}]]}]}
{"type":"cycle-stop","list_name":"default","id":0,"hostname":"host","stop_time":1728351400}
"#;

fn origin(uuid: &str, cached: Option<&str>) -> Origin {
    Origin {
        uuid: Some(uuid.to_owned()),
        cached_uuid: cached.map(str::to_owned),
        ..Origin::default()
    }
}

fn traces(records: &[Record]) -> Vec<&Trace> {
    let mut traces = Vec::new();
    for record in records {
        if let Record::Trace(trace) = record {
            traces.push(&**trace);
        }
    }
    traces
}

#[test]
fn files_in_a_row_have_a_connection_each() {
    let text = format!("{CACHED}{REWRITTEN}");
    let records = records(OPEN, &text);
    assert_eq!(records.len(), 6);
    let [path, graph] = traces(&records)[..] else {
        panic!("not two traces");
    };
    assert_eq!(path.origin, origin("host_1_2", Some("host_1_1")));
    assert_eq!(graph.origin, origin("host_1_3", None));
    let hosts = [path, graph].map(|trace| trace.cycle.as_ref().expect("a cycle").hostname.clone());
    assert_eq!(hosts, [Some("host".to_owned()), Some("host".to_owned())]);
}

#[test]
fn a_connection_ends_with_its_cycle() {
    let (head, line) = CACHED.split_at(CACHED.find("{\"type\":\"trace\"").expect("a trace"));
    let again = line.lines().next().expect("a line");
    let text = format!("{head}{line}{again}");
    let records = records(OPEN, &text);
    assert_eq!(traces(&records)[1].origin, Origin::default());
}

#[test]
fn keys_that_its_program_drops_or_empties_are_none() {
    let trace = trace(OPEN, REWRITTEN);
    assert_eq!(trace.settings.gap_limit, None);
    assert_eq!(trace.settings.wait_probe_us, Some(250_000));
    let Found::Graph(graph) = trace.found else {
        panic!("a path");
    };
    assert!(graph.nodes.iter().all(|node| node.name.is_none()));
    assert_eq!(graph.nodes.len(), 2);
    assert_eq!(graph.links[0].hops[0], []);
    let probes = &graph.links[0].hops[1];
    assert_eq!(probes[0].replies[0].rtt_us, Some(310));
    assert_eq!((probes[1].attempt, probes[1].replies.len()), (2, 0));
    assert_eq!(graph.links[1].far, None);
}

#[test]
fn an_object_may_hold_all_lines() {
    let lines: Vec<&str> = CACHED.lines().collect();
    let text = format!(
        "{{\"Metadata\":{},\"CycleStart\":{},\"Trace\":{},\"CycleStop\":{}}}",
        lines[0], lines[1], lines[2], lines[3]
    );
    assert_eq!(records(OPEN, &text), records(OPEN, CACHED));
}

#[test]
fn errors_say_where_and_what() {
    for (text, what) in [
        (
            "{\"UUID\":3}",
            "line 1: invalid type: integer `3`, expected a string, at column 9",
        ),
        (
            "{\"UUID\":\"a\"}\n{\"type\":\"trace\"}",
            "line 2: missing field `method`, at column 16",
        ),
        (
            "{\"Metadata\":{\"UUID\":\"a\"},\"Trace\":{}}",
            "line 1: missing field `type`, at column 2",
        ),
    ] {
        assert_eq!(complaint(OPEN, text), what, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damage_is_told_and_no_more(text in damaged_text(REWRITTEN.as_bytes())) {
        read(OPEN, &text);
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        read(OPEN, &text);
    }
}
