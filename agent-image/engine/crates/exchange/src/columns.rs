//! Traces of other tools as rows of parts.
//!
//! Rows have the columns of parts of traces but for `prefix_index`, and null wherever the trace says
//! nothing. `trace` is the trace's number, from 0.

use std::net::IpAddr;
use std::sync::Arc;

use anabranch_formats::record::{Extension, Found, Probe, Reply, Trace};
use arrow_array::builder::{
    FixedSizeBinaryBuilder, ListBuilder, StringBuilder, StructBuilder, UInt8Builder, UInt16Builder,
    UInt32Builder, UInt64Builder,
};
use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Fields};

use crate::codes::{TCP, UDP, kind_of, name_end, protocol_of};
use crate::context::Context;
use crate::crossing::{Crossed, follow, list_links, sent};
use crate::nested::{field, label_fields, structs};

/// What turns traces into rows.
#[derive(Debug)]
pub struct Columns {
    traces: u64,
    rows: usize,
    dropped: u64,
    trace: UInt64Builder,
    probe_protocol: UInt8Builder,
    probe_src_addr: FixedSizeBinaryBuilder,
    probe_dst_addr: FixedSizeBinaryBuilder,
    probe_src_port: UInt16Builder,
    probe_dst_port: UInt16Builder,
    probe_ttl: UInt8Builder,
    flow: UInt32Builder,
    attempt: UInt8Builder,
    sent_us: UInt64Builder,
    capture_timestamp: UInt32Builder,
    capture_time_us: UInt64Builder,
    quoted_ttl: UInt8Builder,
    quoted_tos: UInt8Builder,
    quoted_length: UInt16Builder,
    reply_src_addr: FixedSizeBinaryBuilder,
    reply_protocol: UInt8Builder,
    reply_icmp_type: UInt8Builder,
    reply_icmp_code: UInt8Builder,
    reply_ttl: UInt8Builder,
    reply_size: UInt16Builder,
    reply_id: UInt16Builder,
    reply_tos: UInt8Builder,
    reply_mpls_labels: ListBuilder<StructBuilder>,
    rtt: UInt16Builder,
    rtt_us: UInt32Builder,
    destination_prefix_reply: UInt8Builder,
    trace_end: StringBuilder,
    trace_probes: UInt32Builder,
    trace_began_us: UInt64Builder,
    trace_ended_us: UInt64Builder,
    trace_unsteady: ListBuilder<UInt8Builder>,
    trace_gone: ListBuilder<UInt8Builder>,
    trace_links: ListBuilder<StructBuilder>,
    trace_context: StringBuilder,
}

impl Default for Columns {
    fn default() -> Self {
        let address = || FixedSizeBinaryBuilder::new(16);
        let ttl = Field::new("item", DataType::UInt8, false);
        Self {
            traces: 0,
            rows: 0,
            dropped: 0,
            trace: UInt64Builder::new(),
            probe_protocol: UInt8Builder::new(),
            probe_src_addr: address(),
            probe_dst_addr: address(),
            probe_src_port: UInt16Builder::new(),
            probe_dst_port: UInt16Builder::new(),
            probe_ttl: UInt8Builder::new(),
            flow: UInt32Builder::new(),
            attempt: UInt8Builder::new(),
            sent_us: UInt64Builder::new(),
            capture_timestamp: UInt32Builder::new(),
            capture_time_us: UInt64Builder::new(),
            quoted_ttl: UInt8Builder::new(),
            quoted_tos: UInt8Builder::new(),
            quoted_length: UInt16Builder::new(),
            reply_src_addr: address(),
            reply_protocol: UInt8Builder::new(),
            reply_icmp_type: UInt8Builder::new(),
            reply_icmp_code: UInt8Builder::new(),
            reply_ttl: UInt8Builder::new(),
            reply_size: UInt16Builder::new(),
            reply_id: UInt16Builder::new(),
            reply_tos: UInt8Builder::new(),
            reply_mpls_labels: structs(label_fields()),
            rtt: UInt16Builder::new(),
            rtt_us: UInt32Builder::new(),
            destination_prefix_reply: UInt8Builder::new(),
            trace_end: StringBuilder::new(),
            trace_probes: UInt32Builder::new(),
            trace_began_us: UInt64Builder::new(),
            trace_ended_us: UInt64Builder::new(),
            trace_unsteady: ListBuilder::new(UInt8Builder::new()).with_field(ttl.clone()),
            trace_gone: ListBuilder::new(UInt8Builder::new()).with_field(ttl),
            trace_links: structs(link_fields()),
            trace_context: StringBuilder::new(),
        }
    }
}

impl Columns {
    /// Returns columns without rows. Traces are numbered from this number on.
    #[must_use]
    pub fn starting_at(first_trace: u64) -> Self {
        Self {
            traces: first_trace,
            ..Self::default()
        }
    }

    /// The rows that it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Takes the number of replies that were left out since the last time: a row has room for the first
    /// reply to its probe.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Takes the next trace.
    ///
    /// # Errors
    ///
    /// If a column can't take a value, which is a defect.
    pub fn push(&mut self, trace: &Trace) -> Result<(), ArrowError> {
        let (probes, links): (Vec<&Probe>, _) = match &trace.found {
            Found::Path { probes, .. } => (probes.iter().collect(), follow(trace, probes)),
            Found::Graph(graph) => {
                let links = graph.links.iter();
                let probes = links.flat_map(|link| link.hops.iter().flatten());
                (probes.collect(), list_links(trace, graph))
            }
        };
        let mut probes = probes;
        probes.sort_by_key(|probe| (probe.flow, probe.ttl, probe.attempt));
        self.conclude(trace, &links)?;
        if probes.is_empty() {
            let nothing = Probe::default();
            self.write_probe(trace, &nothing)?;
        }
        for (place, probe) in probes.iter().enumerate() {
            if place > 0 {
                self.leave_conclusion();
            }
            self.write_probe(trace, probe)?;
        }
        self.traces += 1;
        Ok(())
    }

    fn write_probe(&mut self, trace: &Trace, probe: &Probe) -> Result<(), ArrowError> {
        let destination = trace.destination;
        let source = trace.source.map_or([0; 16], mapped);
        let is_icmp = protocol_of(trace) != UDP && protocol_of(trace) != TCP;
        let port = if is_icmp {
            Some(0)
        } else {
            trace.destination_port
        };
        self.rows += 1;
        self.trace.append_value(self.traces);
        self.probe_protocol.append_value(protocol_of(trace));
        self.probe_src_addr.append_value(source)?;
        self.probe_dst_addr.append_value(mapped(destination))?;
        self.probe_src_port
            .append_value(trace.source_port.unwrap_or(0));
        self.probe_dst_port.append_value(port.unwrap_or(0));
        self.probe_ttl.append_value(probe.ttl);
        self.flow.append_value(probe.flow);
        // Only pings try so often.
        let attempt = u8::try_from(probe.attempt).unwrap_or(u8::MAX);
        self.attempt.append_value(attempt);
        let reply = probe.replies.first();
        self.dropped += probe.replies.len().saturating_sub(1) as u64;
        self.sent_us.append_option(sent(probe));
        self.write_reply(trace, probe, reply)
    }

    fn write_reply(
        &mut self,
        trace: &Trace,
        probe: &Probe,
        reply: Option<&Reply>,
    ) -> Result<(), ArrowError> {
        let Some(reply) = reply else {
            self.leave_reply();
            return Ok(());
        };
        let (protocol, kind) = kind_of(trace, reply);
        let at_us = reply.received_us.or_else(|| {
            let rtt_us = u64::from(reply.rtt_us?);
            probe.sent_us.map(|sent_us| sent_us + rtt_us)
        });
        let seconds = at_us.and_then(|at_us| u32::try_from(at_us / 1_000_000).ok());
        let tenths = |rtt_us: u32| u16::try_from(rtt_us / 100).unwrap_or(u16::MAX);
        self.capture_timestamp.append_option(seconds);
        self.capture_time_us.append_option(at_us);
        self.quoted_ttl.append_option(reply.quoted_ttl);
        self.quoted_tos.append_option(reply.quoted_tos);
        self.quoted_length.append_option(reply.quoted_length);
        self.reply_src_addr.append_value(mapped(reply.from))?;
        self.reply_protocol.append_value(protocol);
        self.reply_icmp_type.append_option(kind.map(|kind| kind.0));
        self.reply_icmp_code.append_option(kind.map(|kind| kind.1));
        self.reply_ttl.append_option(reply.ttl);
        self.reply_size.append_option(reply.size);
        self.reply_id
            .append_option(reply.id.and_then(|id| u16::try_from(id).ok()));
        self.reply_tos.append_option(reply.tos);
        self.rtt.append_option(reply.rtt_us.map(tenths));
        self.rtt_us.append_option(reply.rtt_us);
        let is_end = reply.from == trace.destination;
        self.destination_prefix_reply.append_value(is_end.into());
        for label in reply.extensions.iter().flat_map(Extension::labels) {
            let entry = self.reply_mpls_labels.values();
            field::<UInt32Builder>(entry, 0).append_value(label.label);
            field::<UInt8Builder>(entry, 1).append_value(label.exp);
            field::<UInt8Builder>(entry, 2).append_value(label.bottom);
            field::<UInt8Builder>(entry, 3).append_value(label.ttl);
            entry.append(true);
        }
        self.reply_mpls_labels.append(true);
        Ok(())
    }

    fn leave_reply(&mut self) {
        self.capture_timestamp.append_null();
        self.capture_time_us.append_null();
        self.quoted_ttl.append_null();
        self.quoted_tos.append_null();
        self.quoted_length.append_null();
        self.reply_src_addr.append_null();
        self.reply_protocol.append_null();
        self.reply_icmp_type.append_null();
        self.reply_icmp_code.append_null();
        self.reply_ttl.append_null();
        self.reply_size.append_null();
        self.reply_id.append_null();
        self.reply_tos.append_null();
        self.rtt.append_null();
        self.rtt_us.append_null();
        self.destination_prefix_reply.append_null();
        self.reply_mpls_labels.append(false);
    }

    fn conclude(&mut self, trace: &Trace, links: &[Crossed]) -> Result<(), ArrowError> {
        let last_ttl = match trace.found {
            Found::Path { last_ttl, .. } => Some(last_ttl),
            Found::Graph(_) => None,
        };
        let context = serde_json::to_string(&Context::of(trace, last_ttl))
            .map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
        self.trace_end.append_value(name_end(trace.stop));
        self.trace_probes.append_option(trace.probe_count);
        self.trace_began_us.append_option(trace.began_us);
        self.trace_ended_us.append_option(trace.ended_us);
        self.trace_unsteady.append(true);
        self.trace_gone.append(true);
        for link in links {
            let (first_end, last_start) = link.span_us.unwrap_or_default();
            let entry = self.trace_links.values();
            field::<UInt8Builder>(entry, 0).append_value(link.near_ttl);
            for (place, address) in [(1, link.near), (2, link.far)] {
                field::<FixedSizeBinaryBuilder>(entry, place).append_value(mapped(address))?;
            }
            field::<UInt32Builder>(entry, 3).append_value(link.flows.len() as u32);
            field::<UInt64Builder>(entry, 4).append_value(first_end);
            field::<UInt64Builder>(entry, 5).append_value(last_start);
            field::<UInt8Builder>(entry, 6).append_value(link.is_unlikely.into());
            entry.append(true);
        }
        self.trace_links.append(true);
        self.trace_context.append_value(context);
        Ok(())
    }

    fn leave_conclusion(&mut self) {
        self.trace_end.append_null();
        self.trace_probes.append_null();
        self.trace_began_us.append_null();
        self.trace_ended_us.append_null();
        self.trace_unsteady.append(false);
        self.trace_gone.append(false);
        self.trace_links.append(false);
        self.trace_context.append_null();
    }

    /// Returns the rows, and has none then.
    ///
    /// # Errors
    ///
    /// If they make no table, which is a defect.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        let nothing = || Arc::new(arrow_array::StringArray::new_null(rows)) as ArrayRef;
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("trace", Arc::new(self.trace.finish())),
            (
                "capture_timestamp",
                Arc::new(self.capture_timestamp.finish()),
            ),
            ("probe_protocol", Arc::new(self.probe_protocol.finish())),
            ("probe_src_addr", Arc::new(self.probe_src_addr.finish())),
            ("probe_dst_addr", Arc::new(self.probe_dst_addr.finish())),
            ("probe_src_port", Arc::new(self.probe_src_port.finish())),
            ("probe_dst_port", Arc::new(self.probe_dst_port.finish())),
            ("probe_ttl", Arc::new(self.probe_ttl.finish())),
            ("quoted_ttl", Arc::new(self.quoted_ttl.finish())),
            ("reply_src_addr", Arc::new(self.reply_src_addr.finish())),
            ("reply_protocol", Arc::new(self.reply_protocol.finish())),
            ("reply_icmp_type", Arc::new(self.reply_icmp_type.finish())),
            ("reply_icmp_code", Arc::new(self.reply_icmp_code.finish())),
            ("reply_ttl", Arc::new(self.reply_ttl.finish())),
            ("reply_size", Arc::new(self.reply_size.finish())),
            (
                "reply_mpls_labels",
                Arc::new(self.reply_mpls_labels.finish()),
            ),
            ("rtt", Arc::new(self.rtt.finish())),
            ("capture_time_us", Arc::new(self.capture_time_us.finish())),
            ("rtt_us", Arc::new(self.rtt_us.finish())),
            ("reply_id", Arc::new(self.reply_id.finish())),
            ("reply_tos", Arc::new(self.reply_tos.finish())),
            ("quoted_tos", Arc::new(self.quoted_tos.finish())),
            ("quoted_length", Arc::new(self.quoted_length.finish())),
            (
                "destination_prefix_reply",
                Arc::new(self.destination_prefix_reply.finish()),
            ),
            ("flow", Arc::new(self.flow.finish())),
            ("attempt", Arc::new(self.attempt.finish())),
            ("sent_us", Arc::new(self.sent_us.finish())),
            ("trace_end", Arc::new(self.trace_end.finish())),
            ("trace_switch", nothing()),
            (
                "trace_switch_ttl",
                Arc::new(arrow_array::UInt8Array::new_null(rows)),
            ),
            (
                "trace_failure_probability",
                Arc::new(Float64Array::new_null(rows)),
            ),
            ("trace_probes", Arc::new(self.trace_probes.finish())),
            ("trace_began_us", Arc::new(self.trace_began_us.finish())),
            ("trace_ended_us", Arc::new(self.trace_ended_us.finish())),
            ("trace_unsteady", Arc::new(self.trace_unsteady.finish())),
            ("trace_gone", Arc::new(self.trace_gone.finish())),
            ("trace_links", Arc::new(self.trace_links.finish())),
            ("trace_context", Arc::new(self.trace_context.finish())),
        ];
        let nullable = columns
            .into_iter()
            .map(|(name, column)| (name, column, true));
        RecordBatch::try_from_iter_with_nullable(nullable)
    }
}

fn link_fields() -> Fields {
    let field = |name: &str, kind| Field::new(name, kind, false);
    Fields::from(vec![
        field("near_ttl", DataType::UInt8),
        field("near_addr", DataType::FixedSizeBinary(16)),
        field("far_addr", DataType::FixedSizeBinary(16)),
        field("flows", DataType::UInt32),
        field("first_end", DataType::UInt64),
        field("last_start", DataType::UInt64),
        field("is_unlikely", DataType::UInt8),
    ])
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
