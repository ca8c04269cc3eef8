//! Traces become rows of parts, and those the same traces again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use anabranch_exchange::columns::Columns;
use anabranch_exchange::path::{Frame, write_traces};
use anabranch_exchange::rows::{Gatherer, RowsError, Target};
use anabranch_formats::record::{
    Extension, Found, Kind, Label, Method, Probe, Record, Reply, Settings, Stop, Trace,
};
use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use proptest::prelude::*;

fn addresses(is_v4: bool) -> BoxedStrategy<IpAddr> {
    if is_v4 {
        any::<u32>()
            .prop_map(|bits| Ipv4Addr::from(bits | 1).into())
            .boxed()
    } else {
        let low = any::<u64>();
        low.prop_map(|low| Ipv6Addr::from(0x3fff_u128 << 112 | u128::from(low)).into())
            .boxed()
    }
}

fn replies(is_v4: bool) -> impl Strategy<Value = Reply> {
    let label = (0..1_u32 << 20, 0..8_u8, 0..2_u8, any::<u8>());
    let label = label.prop_map(|(label, exp, bottom, ttl)| Label {
        label,
        exp,
        bottom,
        ttl,
    });
    let exceeded = if is_v4 { 11 } else { 3 };
    let quoted = (any::<u8>(), any::<u16>(), any::<u8>());
    (
        addresses(is_v4),
        proptest::option::of(0..2_000_000_u32),
        proptest::option::of(any::<u8>()),
        any::<u16>(),
        quoted,
        proptest::collection::vec(label, 0..3),
    )
        .prop_map(move |(from, rtt_us, ttl, id, quoted, labels)| Reply {
            from,
            name: None,
            received_us: None,
            rtt_us,
            kind: Kind::Icmp(exceeded, 0),
            ttl,
            size: Some(56),
            tos: Some(0),
            id: is_v4.then_some(id.into()),
            quoted_ttl: Some(quoted.0),
            quoted_length: Some(quoted.1),
            quoted_tos: Some(quoted.2),
            next_mtu: None,
            extensions: (!labels.is_empty())
                .then(|| Extension::from_labels(&labels))
                .into_iter()
                .collect(),
            flags: None,
            answers: None,
        })
}

fn paths() -> impl Strategy<Value = Trace> {
    any::<bool>().prop_flat_map(|is_v4| {
        let hops = proptest::collection::vec(proptest::option::of(replies(is_v4)), 1..12);
        (addresses(is_v4), addresses(is_v4), hops, any::<u16>()).prop_map(
            move |(source, destination, hops, port)| {
                let probes = hops.into_iter().enumerate().map(|(hop, reply)| Probe {
                    ttl: hop as u8 + 1,
                    flow: 0,
                    attempt: 1,
                    size: reply.as_ref().and_then(|reply| reply.quoted_length),
                    replies: reply.into_iter().collect(),
                    ..Probe::default()
                });
                let probes: Vec<Probe> = probes.collect();
                Trace {
                    source: Some(source),
                    source_port: Some(port.max(1)),
                    destination_port: Some(33_434),
                    began_us: Some(5),
                    ended_us: Some(9),
                    stop: Stop::GapLimit(5),
                    probe_count: Some(probes.len() as u32),
                    settings: Settings {
                        attempts: Some(2),
                        ..Settings::default()
                    },
                    ..Trace::new(
                        Method::UdpParis,
                        destination,
                        Found::Path {
                            last_ttl: probes.len() as u8,
                            probes,
                        },
                    )
                }
            },
        )
    })
}

fn gather(traces: &[Trace]) -> Vec<Target> {
    let mut columns = Columns::default();
    for trace in traces {
        columns.push(trace).expect("columns take any trace");
    }
    let batch = columns.finish().expect("columns make a table");
    // Each trace is of a target of its own.
    let numbers = batch.column_by_name("trace").expect("it is there");
    let numbers: &arrow_array::UInt64Array =
        numbers.as_any().downcast_ref().expect("numbers are uint64");
    let index: UInt32Array = numbers
        .iter()
        .map(|number| number.map(|each| each as u32))
        .collect();
    let mut all: Vec<(String, ArrayRef)> = vec![("prefix_index".to_owned(), Arc::new(index))];
    let schema = batch.schema();
    let names = schema.fields().iter().map(|field| field.name().clone());
    all.extend(names.zip(batch.columns().iter().cloned()));
    let batch = RecordBatch::try_from_iter(all).expect("columns have one length");
    let mut targets = Vec::new();
    let mut gatherer = Gatherer::default();
    gatherer
        .take(&batch, |target| {
            targets.push(target);
            Ok::<(), RowsError>(())
        })
        .expect("rows have all columns");
    targets.extend(gatherer.finish());
    targets
}

proptest! {
    #[test]
    fn a_path_comes_out_of_rows_as_it_went_in(traces in proptest::collection::vec(paths(), 1..5)) {
        let frame = Frame { is_multipath: true, ..Frame::default() };
        let targets = gather(&traces);
        let again: Vec<Record> =
            targets.iter().flat_map(|target| write_traces(target, &frame)).collect();
        let expected: Vec<Record> = traces
            .into_iter()
            .map(|trace| {
                let list = Some(Arc::clone(&frame.list));
                let cycle = Some(Arc::clone(&frame.cycle));
                Record::Trace(Box::new(Trace { list, cycle, ..trace }))
            })
            .collect();
        prop_assert_eq!(again, expected);
    }
}
