//! Rows of parts, and the targets that they are about.

use std::net::{IpAddr, Ipv6Addr};

use anabranch_formats::record::{Extension, Kind, Label, Reply};
use arrow_array::cast::AsArray;
use arrow_array::types::{UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{
    Array, FixedSizeBinaryArray, ListArray, PrimitiveArray, RecordBatch, StringArray, UInt8Array,
    UInt16Array, UInt32Array, UInt64Array,
};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP6: u8 = 58;

/// A probe, with the reply to it if one came.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The probe's destination.
    pub destination: IpAddr,
    /// Where it came from; None if no route led to the destination, or it is not known.
    pub source: Option<IpAddr>,
    /// Its ports; of ICMP, the identifier and 0.
    pub ports: (u16, u16),
    /// Its flow.
    pub flow: u32,
    /// Its TTL.
    pub ttl: u8,
    /// Its attempt, from 1; 0 if it stands for a target to which nothing was sent.
    pub attempt: u8,
    /// When it was sent, in microseconds since 1970.
    pub sent_us: Option<u64>,
    /// The reply.
    pub reply: Option<Reply>,
    /// Whether the reply came from the target.
    pub is_from_target: bool,
}

/// What a tracer concluded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conclusion {
    /// Why the trace ended, as results name it.
    pub end: String,
    /// When it began and ended, in microseconds since 1970.
    pub span_us: (Option<u64>, Option<u64>),
    /// The number of probes sent.
    pub probes: Option<u32>,
    /// The TTLs at which a flow met now this interface, now that.
    pub unsteady: Vec<u8>,
    /// The links between routers: the nearer one's TTL and address, and the farther one's address.
    pub links: Vec<(u8, IpAddr, IpAddr)>,
    /// What an imported trace says beyond its probes, as JSON.
    pub context: Option<String>,
}

/// A target, with all probes to it that are known.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The number of the target.
    pub prefix_index: u32,
    /// The protocol of the probes: 1, 6, 17 or 58.
    pub protocol: u8,
    /// What its tracer concluded; None if it was not traced.
    pub conclusion: Option<Conclusion>,
    /// The echo requests sent to it; None if it was not pinged, or some may not have been sent.
    pub requests: Option<u32>,
    /// The probes, sorted by flow, TTL and attempt.
    pub rows: Vec<Row>,
}

/// Why rows can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// A column is missing, or of another type.
    #[error("rows must have a column {0} of {1}")]
    Column(&'static str, &'static str),
    /// Rows of a target are not together.
    #[error("sort rows by prefix_index, flow, probe_ttl and attempt: {0} comes after {1}")]
    Order(u32, u32),
}

/// What gathers the rows of one target after another.
#[derive(Debug, Default)]
pub struct Gatherer {
    target: Option<Target>,
}

impl Gatherer {
    /// Takes the next rows, sorted by `prefix_index`, flow, TTL and attempt; hands each target that is
    /// complete to `done`.
    ///
    /// # Errors
    ///
    /// If the rows can't be used, or `done` fails.
    pub fn take<E: From<RowsError>>(
        &mut self,
        batch: &RecordBatch,
        mut done: impl FnMut(Target) -> Result<(), E>,
    ) -> Result<(), E> {
        let columns = Columns::new(batch)?;
        for place in 0..batch.num_rows() {
            let prefix_index = columns.prefix_index.value(place);
            let conclusion = columns.conclusion(place)?;
            let last = self.target.as_ref().map(|target| target.prefix_index);
            // A trace begins with its conclusion: parts of traces follow in any order.
            if conclusion.is_some() || last != Some(prefix_index) {
                if conclusion.is_none() && last.is_some_and(|last| prefix_index < last) {
                    return Err(RowsError::Order(prefix_index, last.unwrap_or_default()).into());
                }
                let next = Target {
                    prefix_index,
                    protocol: columns.protocol.value(place),
                    conclusion,
                    requests: columns.requests.and_then(|column| value(column, place)),
                    rows: Vec::new(),
                };
                if let Some(target) = self.target.replace(next) {
                    done(target)?;
                }
            }
            if let Some(target) = &mut self.target {
                target.rows.push(columns.row(place));
            }
        }
        Ok(())
    }

    /// Returns the last target, after the last rows.
    pub fn finish(&mut self) -> Option<Target> {
        self.target.take()
    }
}

/// The columns of a batch.
struct Columns<'a> {
    prefix_index: &'a UInt32Array,
    protocol: &'a UInt8Array,
    destination: &'a FixedSizeBinaryArray,
    source: &'a FixedSizeBinaryArray,
    ports: [&'a UInt16Array; 2],
    flow: &'a UInt32Array,
    ttl: &'a UInt8Array,
    attempt: &'a UInt8Array,
    sent_us: &'a UInt64Array,
    requests: Option<&'a UInt32Array>,
    answer: Answer<'a>,
    conclusion: Option<Concluded<'a>>,
}

/// The columns of replies, which are null where none came.
struct Answer<'a> {
    from: &'a FixedSizeBinaryArray,
    protocol: &'a UInt8Array,
    kind: &'a UInt8Array,
    code: &'a UInt8Array,
    ttl: &'a UInt8Array,
    tos: &'a UInt8Array,
    size: &'a UInt16Array,
    id: &'a UInt16Array,
    at_us: &'a UInt64Array,
    rtt_us: &'a UInt32Array,
    quoted_ttl: &'a UInt8Array,
    quoted_tos: &'a UInt8Array,
    quoted_length: &'a UInt16Array,
    is_from_target: &'a UInt8Array,
    labels: &'a ListArray,
}

/// The columns of conclusions.
struct Concluded<'a> {
    end: &'a StringArray,
    probes: &'a UInt32Array,
    began_us: &'a UInt64Array,
    ended_us: &'a UInt64Array,
    unsteady: &'a ListArray,
    links: &'a ListArray,
    context: Option<&'a StringArray>,
}

impl<'a> Columns<'a> {
    fn new(batch: &'a RecordBatch) -> Result<Self, RowsError> {
        let small = |name| number::<UInt8Type>(batch, name, "uint8");
        let medium = |name| number::<UInt16Type>(batch, name, "uint16");
        let large = |name| number::<UInt32Type>(batch, name, "uint32");
        let huge = |name| number::<UInt64Type>(batch, name, "uint64");
        let answer = Answer {
            from: addresses(batch, "reply_src_addr")?,
            protocol: small("reply_protocol")?,
            kind: small("reply_icmp_type")?,
            code: small("reply_icmp_code")?,
            ttl: small("reply_ttl")?,
            tos: small("reply_tos")?,
            size: medium("reply_size")?,
            id: medium("reply_id")?,
            at_us: huge("capture_time_us")?,
            rtt_us: large("rtt_us")?,
            quoted_ttl: small("quoted_ttl")?,
            quoted_tos: small("quoted_tos")?,
            quoted_length: medium("quoted_length")?,
            is_from_target: small("destination_prefix_reply")?,
            labels: list(batch, "reply_mpls_labels")?,
        };
        let conclusion = if batch.column_by_name("trace_end").is_some() {
            Some(Concluded {
                end: text(batch, "trace_end")?,
                probes: large("trace_probes")?,
                began_us: huge("trace_began_us")?,
                ended_us: huge("trace_ended_us")?,
                unsteady: list(batch, "trace_unsteady")?,
                links: list(batch, "trace_links")?,
                context: text(batch, "trace_context").ok(),
            })
        } else {
            None
        };
        Ok(Self {
            prefix_index: large("prefix_index")?,
            protocol: small("probe_protocol")?,
            destination: addresses(batch, "probe_dst_addr")?,
            source: addresses(batch, "probe_src_addr")?,
            ports: [medium("probe_src_port")?, medium("probe_dst_port")?],
            flow: large("flow")?,
            ttl: small("probe_ttl")?,
            attempt: small("attempt")?,
            sent_us: huge("sent_us")?,
            requests: large("requests").ok(),
            answer,
            conclusion,
        })
    }

    fn row(&self, place: usize) -> Row {
        let source = address(self.source.value(place));
        let answer = &self.answer;
        let is_there = answer.from.is_valid(place);
        let is_from_target = answer.is_from_target;
        Row {
            destination: address(self.destination.value(place)),
            source: (!source.is_unspecified()).then_some(source),
            ports: (self.ports[0].value(place), self.ports[1].value(place)),
            flow: self.flow.value(place),
            ttl: self.ttl.value(place),
            attempt: self.attempt.value(place),
            sent_us: value(self.sent_us, place),
            reply: is_there.then(|| answer.reply(place)),
            is_from_target: value(is_from_target, place) == Some(1),
        }
    }

    /// Returns the conclusion that begins a trace; None in its other rows.
    fn conclusion(&self, place: usize) -> Result<Option<Conclusion>, RowsError> {
        let Some(columns) = &self.conclusion else {
            return Ok(None);
        };
        if columns.end.is_null(place) {
            return Ok(None);
        }
        let context = columns.context.filter(|column| column.is_valid(place));
        Ok(Some(Conclusion {
            end: columns.end.value(place).to_owned(),
            span_us: (
                value(columns.began_us, place),
                value(columns.ended_us, place),
            ),
            probes: value(columns.probes, place),
            unsteady: read_unsteady(columns.unsteady, place)?,
            links: read_links(columns.links, place)?,
            context: context.map(|column| column.value(place).to_owned()),
        }))
    }
}

impl Answer<'_> {
    fn reply(&self, place: usize) -> Reply {
        let protocol = value(self.protocol, place);
        let (kind, code) = (self.kind.value(place), self.code.value(place));
        let kind = match protocol {
            Some(ICMP | ICMP6) => Kind::Icmp(kind, code),
            Some(TCP) => Kind::Tcp(kind),
            Some(UDP) => Kind::Udp,
            _ => Kind::Unknown,
        };
        let from = address(self.from.value(place));
        // Only errors quote.
        let is_error = matches!(
            (kind, from),
            (Kind::Icmp(3 | 4 | 5 | 11 | 12, _), IpAddr::V4(_))
        ) || matches!((kind, from), (Kind::Icmp(1..=4, _), IpAddr::V6(_)));
        let quoted = |there: Option<u8>| there.filter(|_| is_error);
        let labels = read_labels(self.labels, place);
        Reply {
            from,
            name: None,
            received_us: value(self.at_us, place),
            rtt_us: value(self.rtt_us, place),
            kind,
            ttl: value(self.ttl, place),
            size: value(self.size, place),
            tos: value(self.tos, place),
            id: value(self.id, place)
                .map(u32::from)
                .filter(|_| from.is_ipv4()),
            quoted_ttl: quoted(value(self.quoted_ttl, place)),
            quoted_length: value(self.quoted_length, place).filter(|_| is_error),
            quoted_tos: quoted(value(self.quoted_tos, place)),
            next_mtu: None,
            extensions: (!labels.is_empty())
                .then(|| Extension::from_labels(&labels))
                .into_iter()
                .collect(),
            flags: None,
            answers: None,
        }
    }
}

fn value<T: arrow_array::ArrowPrimitiveType>(
    column: &PrimitiveArray<T>,
    place: usize,
) -> Option<T::Native> {
    column.is_valid(place).then(|| column.value(place))
}

/// Returns the address of 16 bytes, where IPv4 is mapped.
fn address(bytes: &[u8]) -> IpAddr {
    let bytes: [u8; 16] = bytes
        .try_into()
        .expect("columns of addresses have 16 bytes");
    Ipv6Addr::from(bytes).to_canonical()
}

fn number<'a, T: arrow_array::ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &'static str,
    kind: &'static str,
) -> Result<&'a PrimitiveArray<T>, RowsError> {
    let column = batch.column_by_name(name);
    column
        .and_then(|column| column.as_primitive_opt())
        .ok_or(RowsError::Column(name, kind))
}

fn addresses<'a>(
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<&'a FixedSizeBinaryArray, RowsError> {
    let column = batch.column_by_name(name);
    column
        .and_then(|column| column.as_fixed_size_binary_opt())
        .filter(|column| column.value_length() == 16)
        .ok_or(RowsError::Column(name, "16-byte fixed-size binary"))
}

fn text<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a StringArray, RowsError> {
    let column = batch.column_by_name(name);
    column
        .and_then(|column| column.as_string_opt())
        .ok_or(RowsError::Column(name, "string"))
}

fn list<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a ListArray, RowsError> {
    let column = batch.column_by_name(name);
    column
        .and_then(|column| column.as_list_opt())
        .ok_or(RowsError::Column(name, "list"))
}

fn read_labels(column: &ListArray, place: usize) -> Vec<Label> {
    if column.is_null(place) || column.value_length(place) == 0 {
        return Vec::new();
    }
    let entries = column.value(place);
    let Some(entries) = entries.as_struct_opt() else {
        return Vec::new();
    };
    let small = |at: usize| entries.column(at).as_primitive_opt::<UInt8Type>();
    let labels = entries.column(0).as_primitive_opt::<UInt32Type>();
    let (Some(labels), Some(exps), Some(bottoms), Some(ttls)) =
        (labels, small(1), small(2), small(3))
    else {
        return Vec::new();
    };
    let read = |entry| Label {
        label: labels.value(entry),
        exp: exps.value(entry),
        bottom: bottoms.value(entry),
        ttl: ttls.value(entry),
    };
    (0..entries.len()).map(read).collect()
}

fn read_unsteady(column: &ListArray, place: usize) -> Result<Vec<u8>, RowsError> {
    let ttls = column.value(place);
    let ttls: &UInt8Array = ttls
        .as_primitive_opt()
        .ok_or(RowsError::Column("trace_unsteady", "list of uint8"))?;
    Ok(ttls.values().to_vec())
}

fn read_links(column: &ListArray, place: usize) -> Result<Vec<(u8, IpAddr, IpAddr)>, RowsError> {
    let wrong = || RowsError::Column("trace_links", "list of links");
    let links = column.value(place);
    let links = links.as_struct_opt().ok_or_else(wrong)?;
    let end = |name| {
        let column = links.column_by_name(name);
        column.and_then(|column| column.as_fixed_size_binary_opt())
    };
    let ttls = links.column_by_name("near_ttl").ok_or_else(wrong)?;
    let ttls: &UInt8Array = ttls.as_primitive_opt().ok_or_else(wrong)?;
    let near = end("near_addr").ok_or_else(wrong)?;
    let far = end("far_addr").ok_or_else(wrong)?;
    let read = |link| {
        (
            ttls.value(link),
            address(near.value(link)),
            address(far.value(link)),
        )
    };
    Ok((0..links.len()).map(read).collect())
}
