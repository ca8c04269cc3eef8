//! The columns of parts that hold traces.
//!
//! Each row is a probe, answered or not. What a reply would say is null where none came. What the
//! tracer concluded stands in the first row of each destination, and is null in the others. A
//! destination to which nothing was sent has one row, of attempt 0.

use std::sync::Arc;

use anabranch_aliases::evidence::{Finding, Test};
use anabranch_plan::Destination;
use anabranch_prefixes::{Prefix, number_of};
use anabranch_wire::probe::Probe;
use arrow_array::builder::{
    FixedSizeBinaryBuilder, ListBuilder, StringBuilder, StructBuilder, UInt8Builder, UInt32Builder,
    UInt64Builder,
};
use arrow_array::{
    ArrayRef, Float64Array, RecordBatch, StringArray, UInt8Array, UInt32Array, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Fields};
use arrow_select::take::take;

use crate::columns::{
    Got, Named, Sent, arrange, gateway_of, huge, mapped, probe_columns, reply_columns, small,
};
use crate::traced::{Crossed, Sending, Traced};
use crate::traceoptions::TraceOptions;
use crate::work::Trace;

/// A row: the place of the trace, and of its probe; None if nothing was sent.
type Place = (usize, Option<usize>);

/// Returns the columns of traces.
pub(crate) fn trace_columns(traces: &[Traced], round: u8) -> Result<RecordBatch, ArrowError> {
    let places: Vec<Place> = traces.iter().enumerate().flat_map(list_places).collect();
    let sending = |(trace, probe): Place| probe.map(|probe| &traces[trace].probes[probe]);
    let mut columns = probe_columns(places.len(), round, |row| {
        sent(&traces[places[row].0], sending(places[row]))
    })?;
    columns.extend(answer_columns(traces, &places)?);
    let attempt = |place: &Place| sending(*place).map_or(0, |probe| probe.attempt);
    let sent_us = |place: &Place| match sending(*place) {
        Some(probe) => probe.sent_us,
        None => traces[place.0].span_us.0,
    };
    columns.push(("attempt", small(places.iter().map(attempt))));
    columns.push(("sent_us", huge(places.iter().map(sent_us))));
    columns.extend(conclusion_columns(traces, &places)?);
    arrange(columns)
}

/// Returns a trace of an address that no plan has, as rows of a part. `number` is its target's.
///
/// # Errors
/// If it has more rows than Arrow takes.
pub fn tabulate(
    trace: Trace,
    number: u32,
    options: &TraceOptions,
) -> Result<RecordBatch, ArrowError> {
    let target = trace.target;
    let (family, address) = number_of(target.destination);
    let destination = Destination {
        slot: 0,
        prefix: Prefix::containing(family, address, family.bits()),
        prefix_index: number,
        address,
        protocol: target.protocol.number(family),
        ttls: target.ttls,
    };
    trace_columns(&[Traced::new(destination, trace, options)], 1)
}

fn list_places((trace, traced): (usize, &Traced)) -> Vec<Place> {
    let probes = (0..traced.probes.len()).map(|probe| (trace, Some(probe)));
    match traced.probes.len() {
        0 => vec![(trace, None)],
        _ => probes.collect(),
    }
}

fn sent<'a>(traced: &'a Traced, sending: Option<&Sending>) -> Sent<'a> {
    let destination = &traced.destination;
    let family = destination.prefix.family();
    let nothing = Probe {
        family,
        destination: destination.address,
        protocol: destination.protocol,
        source_port: 0,
        destination_port: 0,
        ttl: 0,
        sent: 0,
    };
    let way = traced.way.as_ref();
    let source = way.map(|way| number_of(way.source));
    Sent {
        probe: sending.map_or(nothing, |sending| sending.probe),
        source: source.map_or([0; 16], |(family, number)| mapped(family, number)),
        prefix_index: destination.prefix_index,
        flow: sending.map_or(0, |sending| sending.flow.into()),
        link: way.map_or("", |way| &way.link),
        gateway: way.map_or([0; 16], gateway_of),
    }
}

/// Returns the columns about replies, with null where none came.
fn answer_columns(traces: &[Traced], places: &[Place]) -> Result<Vec<Named>, ArrowError> {
    let heard = |place: &Place| {
        let (trace, probe) = *place;
        traces[trace].probes[probe?].reply.as_ref()
    };
    let answered: Vec<&Place> = places
        .iter()
        .filter(|place| heard(place).is_some())
        .collect();
    let mut next = 0_u32;
    let from: UInt32Array = places
        .iter()
        .map(|place| {
            heard(place)?;
            next += 1;
            Some(next - 1)
        })
        .collect();
    let columns = reply_columns(answered.len(), |row| {
        let (place, prefix) = (answered[row], &traces[answered[row].0].destination.prefix);
        let heard = heard(place).expect("only answered places are listed");
        Got {
            reply: &heard.reply,
            at_us: heard.at_us,
            rtt_us: heard.rtt_us.try_into().unwrap_or(u32::MAX),
            is_from_prefix: (prefix.first()..=prefix.last()).contains(&heard.reply.from),
        }
    })?;
    let spread = |(name, column): Named| Ok((name, take(&column, &from, None)?));
    columns.into_iter().map(spread).collect()
}

/// Returns the columns about conclusions, which are null but in the first row of each trace.
fn conclusion_columns(traces: &[Traced], places: &[Place]) -> Result<Vec<Named>, ArrowError> {
    let from: UInt32Array = places
        .iter()
        .map(|(trace, probe)| (probe.unwrap_or(0) == 0).then_some(*trace as u32))
        .collect();
    let each = || traces.iter();
    let ends: StringArray = each().map(|trace| Some(trace.end.name())).collect();
    let reasons: StringArray = each()
        .map(|trace| trace.switch.map(|(_, switch)| switch.name()))
        .collect();
    let ttls: UInt8Array = each().map(|trace| Some(trace.switch?.0)).collect();
    let bounds: Float64Array = each().map(|trace| trace.failure_probability).collect();
    let time = |of: fn(&Traced) -> u64| each().map(of).collect::<UInt64Array>();
    let counts = each().map(|trace| Some(trace.probes.len() as u32));
    let soundings = each().map(|trace| Some(trace.soundings.0));
    let counters: StringArray = each()
        .map(|trace| Some(trace.counter.as_ref()?.series.name()))
        .collect();
    let rates: Float64Array = each()
        .map(|trace| trace.counter.as_ref()?.series.rate())
        .collect();
    let columns: [(&'static str, ArrayRef); 15] = [
        ("trace_end", Arc::new(ends)),
        ("trace_switch", Arc::new(reasons)),
        ("trace_switch_ttl", Arc::new(ttls)),
        ("trace_failure_probability", Arc::new(bounds)),
        ("trace_probes", Arc::new(counts.collect::<UInt32Array>())),
        ("trace_began_us", Arc::new(time(|trace| trace.span_us.0))),
        ("trace_ended_us", Arc::new(time(|trace| trace.span_us.1))),
        ("trace_unsteady", ttls_of(traces, |trace| &trace.unsteady)),
        ("trace_gone", ttls_of(traces, |trace| &trace.gone)),
        ("trace_links", links(traces)?),
        (
            "trace_alias_probes",
            Arc::new(soundings.collect::<UInt32Array>()),
        ),
        ("trace_aliases", aliases(traces)?),
        ("trace_counter", Arc::new(counters)),
        ("trace_counter_rate", Arc::new(rates)),
        ("trace_source", sources(traces)?),
    ];
    let spread = |(name, column): Named| Ok((name, take(&column, &from, None)?));
    columns.into_iter().map(spread).collect()
}

fn ttls_of(traces: &[Traced], list: fn(&Traced) -> &[u8]) -> ArrayRef {
    let item = Field::new("item", DataType::UInt8, false);
    let mut lists = ListBuilder::new(UInt8Builder::new()).with_field(item);
    for trace in traces {
        lists.append_value(list(trace).iter().map(|ttl| Some(*ttl)));
    }
    Arc::new(lists.finish())
}

fn links(traces: &[Traced]) -> Result<ArrayRef, ArrowError> {
    let field = |name: &str, kind| Field::new(name, kind, false);
    let fields = Fields::from(vec![
        field("near_ttl", DataType::UInt8),
        field("near_addr", DataType::FixedSizeBinary(16)),
        field("far_addr", DataType::FixedSizeBinary(16)),
        field("flows", DataType::UInt32),
        field("first_end", DataType::UInt64),
        field("last_start", DataType::UInt64),
        field("is_unlikely", DataType::UInt8),
    ]);
    let item = Field::new("item", DataType::Struct(fields.clone()), false);
    let mut lists = ListBuilder::new(StructBuilder::from_fields(fields, 0)).with_field(item);
    for trace in traces {
        let family = trace.destination.prefix.family();
        for link in &trace.links {
            let Crossed {
                near_ttl,
                near,
                far,
                flows,
                first_end_us,
                last_start_us,
                is_unlikely,
            } = *link;
            let entry = lists.values();
            builder::<UInt8Builder>(entry, 0).append_value(near_ttl);
            for (place, address) in [(1, near), (2, far)] {
                let address = mapped(family, address);
                builder::<FixedSizeBinaryBuilder>(entry, place).append_value(address)?;
            }
            builder::<UInt32Builder>(entry, 3).append_value(flows);
            builder::<UInt64Builder>(entry, 4).append_value(first_end_us);
            builder::<UInt64Builder>(entry, 5).append_value(last_start_us);
            builder::<UInt8Builder>(entry, 6).append_value(is_unlikely.into());
            entry.append(true);
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

/// Returns the addresses that routers reply from about others of theirs.
fn sources(traces: &[Traced]) -> Result<ArrayRef, ArrowError> {
    let mut column = FixedSizeBinaryBuilder::new(16);
    for trace in traces {
        match trace.counter.as_ref().and_then(|counter| counter.source) {
            Some(source) => {
                column.append_value(mapped(trace.destination.prefix.family(), source))?;
            }
            None => column.append_null(),
        }
    }
    Ok(Arc::new(column.finish()))
}

/// Returns what is said of pairs of addresses; null for traces without alias resolution.
fn aliases(traces: &[Traced]) -> Result<ArrayRef, ArrowError> {
    let field = |name: &str, kind, is_nullable| Field::new(name, kind, is_nullable);
    let fields = Fields::from(vec![
        field("ttl", DataType::UInt8, false),
        field("first_addr", DataType::FixedSizeBinary(16), false),
        field("second_addr", DataType::FixedSizeBinary(16), false),
        field("verdict", DataType::Utf8, false),
        field("test", DataType::Utf8, true),
        field("round", DataType::UInt8, false),
    ]);
    let item = Field::new("item", DataType::Struct(fields.clone()), false);
    let mut lists = ListBuilder::new(StructBuilder::from_fields(fields, 0)).with_field(item);
    for trace in traces {
        let family = trace.destination.prefix.family();
        for evidence in trace.aliases.iter().flatten() {
            let entry = lists.values();
            builder::<UInt8Builder>(entry, 0).append_value(evidence.ttl);
            for (place, address) in [(1, evidence.first), (2, evidence.second)] {
                let address = mapped(family, address);
                builder::<FixedSizeBinaryBuilder>(entry, place).append_value(address)?;
            }
            let Finding { verdict, test } = evidence.finding;
            builder::<StringBuilder>(entry, 3).append_value(verdict.name());
            builder::<StringBuilder>(entry, 4).append_option(test.map(Test::name));
            builder::<UInt8Builder>(entry, 5).append_value(evidence.round);
            entry.append(true);
        }
        lists.append(trace.aliases.is_some());
    }
    Ok(Arc::new(lists.finish()))
}

fn builder<T: arrow_array::builder::ArrayBuilder>(
    entry: &mut StructBuilder,
    place: usize,
) -> &mut T {
    entry
        .field_builder(place)
        .expect("the builders are those of the fields")
}
