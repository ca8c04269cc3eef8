//! Echo requests to a target as a ping.

use std::sync::Arc;

use anabranch_formats::record::{Method, Origin, Ping, PingSettings, Probe, Record, Settings};

use crate::path::Frame;
use crate::probes::probe;
use crate::rows::Target;

const ALL_SENT: (u8, u8) = (1, 0);

/// Returns the ping of a target. The number of a request is that of its flow.
#[must_use]
pub fn write_ping(target: &Target, frame: &Frame) -> Option<Record> {
    let first = target.rows.first()?;
    let answered = target.rows.iter().filter(|row| row.attempt > 0);
    let probes: Vec<Probe> = answered
        .clone()
        .map(|row| Probe {
            flow: 0,
            attempt: u16::try_from(row.flow + 1).unwrap_or(u16::MAX),
            ..probe(row)
        })
        .collect();
    let sent = answered.clone().filter_map(|row| row.sent_us);
    // Of requests that nothing answered, nobody knows more than when the first of all was sent.
    let cycle_us = u64::from(frame.cycle.start) * 1_000_000;
    let requests = target.requests.and_then(|count| u16::try_from(count).ok());
    Some(Record::Ping(Box::new(Ping {
        list: Some(Arc::clone(&frame.list)),
        cycle: Some(Arc::clone(&frame.cycle)),
        method: Method::IcmpEcho,
        source: first.source,
        destination: first.destination,
        source_port: None,
        destination_port: None,
        began_us: sent.min().or(Some(cycle_us)),
        stop: requests.map_or((0, 0), |_| ALL_SENT),
        asked: requests,
        probe_count: requests,
        settings: Settings {
            max_ttl: answered.map(|row| row.ttl).max(),
            wait_us: frame.settings.wait_us,
            ..Settings::default()
        },
        origin: Origin::default(),
        specific: PingSettings::default(),
        probes,
    })))
}
