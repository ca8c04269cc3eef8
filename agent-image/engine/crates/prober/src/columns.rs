//! The columns of reply parts. `docs/formats.md` describes each.

use std::net::IpAddr;
use std::sync::Arc;

use anabranch_link::way::Way;
use anabranch_prefixes::{Family, Prefix};
use anabranch_wire::probe::Probe;
use anabranch_wire::reply::{Labels, Reply};
use arrow_array::builder::{ListBuilder, StructBuilder, UInt8Builder, UInt32Builder};
use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Fields};

/// The order of the columns: those of caracal's replies
/// (<https://github.com/dioptra-io/caracal>), by name and unit, then our own. Others come last.
const ORDER: [&str; 29] = [
    "capture_timestamp",
    "probe_protocol",
    "probe_src_addr",
    "probe_dst_addr",
    "probe_src_port",
    "probe_dst_port",
    "probe_ttl",
    "quoted_ttl",
    "reply_src_addr",
    "reply_protocol",
    "reply_icmp_type",
    "reply_icmp_code",
    "reply_ttl",
    "reply_size",
    "reply_mpls_labels",
    "rtt",
    "round",
    "capture_time_us",
    "rtt_us",
    "reply_id",
    "reply_tos",
    "quoted_tos",
    "quoted_length",
    "destination_prefix_reply",
    "prefix_index",
    "flow",
    "rewritten",
    "interface",
    "gateway",
];

/// A column and its name.
pub(crate) type Named = (&'static str, ArrayRef);

/// What a row says of its probe.
pub(crate) struct Sent<'a> {
    pub probe: Probe,
    /// The address that it was sent from.
    pub source: [u8; 16],
    pub prefix_index: u32,
    pub flow: u32,
    pub link: &'a str,
    pub gateway: [u8; 16],
}

/// What a row says of the reply.
pub(crate) struct Got<'a> {
    pub reply: &'a Reply,
    pub at_us: u64,
    pub rtt_us: u32,
    pub is_from_prefix: bool,
}

/// Puts columns in their order.
pub(crate) fn arrange(mut columns: Vec<Named>) -> Result<RecordBatch, ArrowError> {
    columns.sort_by_key(|(name, _)| {
        let place = ORDER.iter().position(|each| each == name);
        place.unwrap_or(ORDER.len())
    });
    RecordBatch::try_from_iter(columns)
}

/// Returns the columns about the probes of `count` rows.
pub(crate) fn probe_columns<'a>(
    count: usize,
    round: u8,
    at: impl Fn(usize) -> Sent<'a>,
) -> Result<Vec<Named>, ArrowError> {
    let rows = || (0..count).map(&at);
    let destination = |row: Sent<'_>| mapped(row.probe.family, row.probe.destination);
    Ok(vec![
        (
            "probe_protocol",
            small(rows().map(|row| row.probe.protocol)),
        ),
        ("probe_src_addr", addresses(rows().map(|row| row.source))?),
        ("probe_dst_addr", addresses(rows().map(destination))?),
        (
            "probe_src_port",
            medium(rows().map(|row| row.probe.source_port)),
        ),
        (
            "probe_dst_port",
            medium(rows().map(|row| row.probe.destination_port)),
        ),
        ("probe_ttl", small(rows().map(|row| row.probe.ttl))),
        ("round", small(rows().map(|_| round))),
        ("prefix_index", large(rows().map(|row| row.prefix_index))),
        ("flow", large(rows().map(|row| row.flow))),
        (
            "interface",
            Arc::new(StringArray::from_iter_values(rows().map(|row| row.link))),
        ),
        ("gateway", addresses(rows().map(|row| row.gateway))?),
    ])
}

/// Returns the columns about the replies of `count` rows.
pub(crate) fn reply_columns<'a>(
    count: usize,
    at: impl Fn(usize) -> Got<'a>,
) -> Result<Vec<Named>, ArrowError> {
    let rows = || (0..count).map(&at);
    let replies = || rows().map(|row| row.reply);
    let source = |reply: &Reply| mapped(reply.probe.family, reply.from);
    Ok(vec![
        (
            "capture_timestamp",
            large(rows().map(|row| (row.at_us / 1_000_000) as u32)),
        ),
        ("quoted_ttl", small(replies().map(|reply| reply.quoted.ttl))),
        ("reply_src_addr", addresses(replies().map(source))?),
        (
            "reply_protocol",
            small(replies().map(|reply| reply.protocol)),
        ),
        ("reply_icmp_type", small(replies().map(|reply| reply.kind))),
        ("reply_icmp_code", small(replies().map(|reply| reply.code))),
        ("reply_ttl", small(replies().map(|reply| reply.ttl))),
        ("reply_size", medium(replies().map(|reply| reply.size))),
        (
            "reply_mpls_labels",
            labels(replies().map(|reply| &reply.labels)),
        ),
        ("rtt", medium(rows().map(|row| (row.rtt_us / 100) as u16))),
        ("capture_time_us", huge(rows().map(|row| row.at_us))),
        ("rtt_us", large(rows().map(|row| row.rtt_us))),
        (
            "reply_id",
            medium(replies().map(|reply| reply.identification)),
        ),
        ("reply_tos", small(replies().map(|reply| reply.tos))),
        ("quoted_tos", small(replies().map(|reply| reply.quoted.tos))),
        (
            "quoted_length",
            medium(replies().map(|reply| reply.quoted.length)),
        ),
        (
            "destination_prefix_reply",
            small(rows().map(|row| row.is_from_prefix.into())),
        ),
        (
            "rewritten",
            small(replies().map(|reply| reply.quoted.rewritten.bits())),
        ),
    ])
}

pub(crate) fn small(values: impl Iterator<Item = u8>) -> ArrayRef {
    Arc::new(values.collect::<UInt8Array>())
}

fn medium(values: impl Iterator<Item = u16>) -> ArrayRef {
    Arc::new(values.collect::<UInt16Array>())
}

pub(crate) fn large(values: impl Iterator<Item = u32>) -> ArrayRef {
    Arc::new(values.collect::<UInt32Array>())
}

pub(crate) fn huge(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(values.collect::<UInt64Array>())
}

fn addresses(bytes: impl Iterator<Item = [u8; 16]>) -> Result<ArrayRef, ArrowError> {
    let bytes: Vec<u8> = bytes.flatten().collect();
    let array = FixedSizeBinaryArray::try_new(16, bytes.into(), None)?;
    Ok(Arc::new(array))
}

/// Returns the neighbour that the probes of a way go to first; `::` where there is none.
pub(crate) fn gateway_of(way: &Way) -> [u8; 16] {
    match way.gateway {
        Some(IpAddr::V4(v4)) => v4.to_ipv6_mapped().octets(),
        Some(IpAddr::V6(v6)) => v6.octets(),
        None => [0; 16],
    }
}

/// Returns an address as IPv6 has it.
pub(crate) fn mapped(family: Family, address: u128) -> [u8; 16] {
    Prefix::containing(family, address, family.bits()).mapped()
}

fn labels<'a>(stacks: impl Iterator<Item = &'a Labels>) -> ArrayRef {
    let small = |name: &str| Field::new(name, DataType::UInt8, false);
    let fields = Fields::from(vec![
        Field::new("label", DataType::UInt32, false),
        small("exp"),
        small("bos"),
        small("ttl"),
    ]);
    let item = Field::new("item", DataType::Struct(fields.clone()), false);
    let entries = StructBuilder::from_fields(fields, 0);
    let mut lists = ListBuilder::new(entries).with_field(item);
    for stack in stacks {
        for (label, class, bottom, ttl) in stack.iter() {
            let entry = lists.values();
            if let Some(builder) = entry.field_builder::<UInt32Builder>(0) {
                builder.append_value(label);
            }
            for (place, value) in [(1, class), (2, bottom), (3, ttl)] {
                if let Some(builder) = entry.field_builder::<UInt8Builder>(place) {
                    builder.append_value(value);
                }
            }
            entry.append(true);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}
