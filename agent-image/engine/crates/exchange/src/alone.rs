//! A trace that stands alone, as scamper's JSON: between the lines of a cycle of its own.
//!
//! M-Lab has a file of these three lines, behind one of its own, for each connection.

use std::sync::Arc;

use anabranch_formats::codec::Encode;
use anabranch_formats::record::{Cycle, List, Probe, Record, Settings};
use anabranch_formats::scamper::{self, Encoder};
use arrow_array::RecordBatch;

use crate::netblock::hide_client;
use crate::path::Frame;
use crate::probes::probe;
use crate::rows::{Gatherer, RowsError, Target};
use crate::writer::{WriteError, write_target};

/// The name of scamper's list where its user names none.
const LIST: &str = "default";
const SECOND_US: u64 = 1_000_000;

/// What all such traces of a host have in common.
#[derive(Clone, Debug)]
pub struct Alone {
    /// The host's name.
    pub hostname: String,
    /// What traces are asked to do.
    pub settings: Settings,
    /// Whether a trace has all flows of its destination, and not only one.
    pub is_multipath: bool,
    /// Whether the destination's netblock stands for its addresses.
    pub hides_client: bool,
}

/// What is written of a trace.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// Lines: a cycle that starts, the trace, and the end of the cycle.
    pub lines: Vec<u8>,
    /// The probes of the first hop, as scamper has those of links. It keeps no others, and no link leads
    /// to the first hop.
    pub first_hop: String,
}

impl Alone {
    /// Returns what is written of a trace that took this span of time, in microseconds since 1970, of its
    /// rows.
    ///
    /// # Errors
    /// If the rows are not those of one trace.
    pub fn write(&self, rows: &RecordBatch, span_us: (u64, u64)) -> Result<Written, WriteError> {
        let (start, stop) = (seconds(span_us.0), seconds(span_us.1));
        let list = Arc::new(List {
            name: LIST.to_owned(),
            ..List::default()
        });
        let cycle = Arc::new(Cycle {
            list: Arc::clone(&list),
            start,
            stop: Some(stop),
            hostname: Some(self.hostname.clone()),
            ..Cycle::default()
        });
        let mut frame = Frame {
            list,
            cycle: Arc::clone(&cycle),
            settings: self.settings.clone(),
            is_multipath: self.is_multipath,
            is_ping: false,
        };
        let mut gatherer = Gatherer::default();
        gatherer.take(rows, |before| {
            let after = before.prefix_index;
            Err(WriteError::from(RowsError::Order(after, after)))
        })?;
        let Written {
            mut lines,
            mut first_hop,
        } = Written::default();
        let mut encoder = Encoder::new();
        encoder.write(&Record::CycleStart(Arc::clone(&cycle)), &mut lines)?;
        if let Some(mut target) = gatherer.finish() {
            if self.hides_client {
                hide_client(&mut target);
            }
            first_hop = scamper::hop(&list_first(&target));
            let quoted = target.rows.iter().filter_map(|row| row.reply.as_ref());
            frame.settings.probe_size = quoted.filter_map(|reply| reply.quoted_length).min();
            write_target(&target, &frame, &mut encoder, &mut lines)?;
        }
        encoder.write(&Record::CycleStop { cycle, at: stop }, &mut lines)?;
        Ok(Written { lines, first_hop })
    }
}

/// Returns the probes with the lowest TTL.
fn list_first(target: &Target) -> Vec<Probe> {
    let sent = || target.rows.iter().filter(|row| row.attempt > 0);
    let first = sent().map(|row| row.ttl).min();
    let at_first = sent().filter(|row| Some(row.ttl) == first);
    at_first.map(probe).collect()
}

fn seconds(time_us: u64) -> u32 {
    u32::try_from(time_us / SECOND_US).unwrap_or(u32::MAX)
}
