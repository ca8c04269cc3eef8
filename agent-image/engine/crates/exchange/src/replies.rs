//! Replies of batch tools as rows of parts, but for what only their targets tell.

use std::sync::Arc;

use anabranch_formats::caracal::Row;
use arrow_array::builder::{
    FixedSizeBinaryBuilder, ListBuilder, StructBuilder, UInt8Builder, UInt16Builder, UInt32Builder,
    UInt64Builder,
};
use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray, UInt8Array, UInt16Array,
};
use arrow_schema::ArrowError;

use crate::nested::{field, label_fields, structs};

/// What turns replies into rows.
#[derive(Debug)]
pub struct Replies {
    rows: usize,
    capture_timestamp: UInt32Builder,
    probe_protocol: UInt8Builder,
    probe_src_addr: FixedSizeBinaryBuilder,
    probe_dst_addr: FixedSizeBinaryBuilder,
    probe_src_port: UInt16Builder,
    probe_dst_port: UInt16Builder,
    probe_ttl: UInt8Builder,
    quoted_ttl: UInt8Builder,
    reply_src_addr: FixedSizeBinaryBuilder,
    reply_protocol: UInt8Builder,
    reply_icmp_type: UInt8Builder,
    reply_icmp_code: UInt8Builder,
    reply_ttl: UInt8Builder,
    reply_size: UInt16Builder,
    reply_mpls_labels: ListBuilder<StructBuilder>,
    rtt: UInt16Builder,
    round: UInt8Builder,
    capture_time_us: UInt64Builder,
    rtt_us: UInt32Builder,
}

impl Default for Replies {
    fn default() -> Self {
        let address = || FixedSizeBinaryBuilder::new(16);
        Self {
            rows: 0,
            capture_timestamp: UInt32Builder::new(),
            probe_protocol: UInt8Builder::new(),
            probe_src_addr: address(),
            probe_dst_addr: address(),
            probe_src_port: UInt16Builder::new(),
            probe_dst_port: UInt16Builder::new(),
            probe_ttl: UInt8Builder::new(),
            quoted_ttl: UInt8Builder::new(),
            reply_src_addr: address(),
            reply_protocol: UInt8Builder::new(),
            reply_icmp_type: UInt8Builder::new(),
            reply_icmp_code: UInt8Builder::new(),
            reply_ttl: UInt8Builder::new(),
            reply_size: UInt16Builder::new(),
            reply_mpls_labels: structs(label_fields()),
            rtt: UInt16Builder::new(),
            round: UInt8Builder::new(),
            capture_time_us: UInt64Builder::new(),
            rtt_us: UInt32Builder::new(),
        }
    }
}

impl Replies {
    /// The rows that it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Takes the next reply.
    ///
    /// # Errors
    ///
    /// If a column can't take a value, which is a defect.
    pub fn push(&mut self, row: &Row) -> Result<(), ArrowError> {
        self.rows += 1;
        self.capture_timestamp.append_value(row.at);
        self.probe_protocol.append_value(row.protocol);
        self.probe_src_addr.append_value(row.source.octets())?;
        self.probe_dst_addr.append_value(row.destination.octets())?;
        self.probe_src_port.append_value(row.ports.0);
        self.probe_dst_port.append_value(row.ports.1);
        self.probe_ttl.append_value(row.ttl);
        self.quoted_ttl.append_value(row.quoted_ttl);
        self.reply_src_addr.append_value(row.from.octets())?;
        self.reply_protocol.append_value(row.reply_protocol);
        self.reply_icmp_type.append_value(row.kind.0);
        self.reply_icmp_code.append_value(row.kind.1);
        self.reply_ttl.append_value(row.reply_ttl);
        self.reply_size.append_value(row.size);
        for label in &row.labels {
            let entry = self.reply_mpls_labels.values();
            field::<UInt32Builder>(entry, 0).append_value(label.label);
            field::<UInt8Builder>(entry, 1).append_value(label.exp);
            field::<UInt8Builder>(entry, 2).append_value(label.bottom);
            field::<UInt8Builder>(entry, 3).append_value(label.ttl);
            entry.append(true);
        }
        self.reply_mpls_labels.append(true);
        self.rtt.append_value(row.rtt);
        self.round.append_value(row.round);
        // Its times are whole seconds.
        self.capture_time_us
            .append_value(u64::from(row.at) * 1_000_000);
        self.rtt_us.append_value(u32::from(row.rtt) * 100);
        Ok(())
    }

    /// Returns the rows, and has none then.
    ///
    /// # Errors
    ///
    /// If they make no table, which is a defect.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        let small = || Arc::new(UInt8Array::new_null(rows)) as ArrayRef;
        let medium = || Arc::new(UInt16Array::new_null(rows)) as ArrayRef;
        let gateways = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
            std::iter::repeat_n(Some([0_u8; 16]), rows),
            16,
        )?;
        let interfaces = StringArray::from_iter_values(std::iter::repeat_n("", rows));
        let said: Vec<(&str, ArrayRef)> = vec![
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
            ("round", Arc::new(self.round.finish())),
            ("capture_time_us", Arc::new(self.capture_time_us.finish())),
            ("rtt_us", Arc::new(self.rtt_us.finish())),
            ("interface", Arc::new(interfaces)),
            ("gateway", Arc::new(gateways)),
        ];
        let unknown = [
            ("reply_id", medium()),
            ("reply_tos", small()),
            ("quoted_tos", small()),
            ("quoted_length", medium()),
            ("rewritten", small()),
        ];
        let said = said.into_iter().map(|(name, column)| (name, column, false));
        let unknown = unknown
            .into_iter()
            .map(|(name, column)| (name, column, true));
        RecordBatch::try_from_iter_with_nullable(said.chain(unknown))
    }
}
