//! The content of a plan: a header, and rows.

use std::collections::BTreeMap;

use anabranch_chance::{below, mix, scatter};
use anabranch_prefixes::{Family, Prefix};
use anabranch_trace::parameters::Parameters;
use anabranch_wire::ip::{ICMP, ICMP6, TCP, UDP};
use anabranch_wire::probe::Segment;
use serde::{Deserialize, Serialize};

use crate::mapper::{FlowMapper, Mapping};

/// The number of prefixes that a block should have. So many fit into memory with ease, and the
/// probes of a larger block would be drawn more slowly.
const BLOCK_PREFIXES: u64 = 1 << 20;

/// Returns the number of blocks into which a run with this number of prefixes is cut.
#[must_use]
pub const fn count_blocks(prefixes: u64) -> u32 {
    let blocks = prefixes.div_ceil(BLOCK_PREFIXES);
    if blocks == 0 { 1 } else { blocks as u32 }
}

/// The parameters of a whole plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The number of blocks that it is cut into; the same in all rounds of a run.
    pub blocks: u32,
    /// The source port of a prefix's first flows; for ICMP, the checksum and the identifier.
    pub initial_source_port: u16,
    /// The destination port of all UDP flows; ICMP has none, and TCP has one of its own.
    pub destination_port: u16,
    /// The seed of the order of probes, which also depends on the block and on who sends them.
    pub order_seed: u64,
    /// How flows are mapped to addresses and ports.
    pub mapping: Mapping,
    /// What TCP probes are. Without it, there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<Segment>,
    /// The TTL up to which flows go on beyond a row's last TTL, as long as replies show that their
    /// path does. Without it, nothing is sent but what the rows say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill_ttl: Option<u8>,
    /// How targets are traced. Without it, the plan says each probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Parameters>,
    /// The seed of the addresses that are traced, one of each target. Without it, they are those of
    /// the first flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_seed: Option<u64>,
}

/// What a slot of a plan stands for, and what its progress is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A probe.
    Probe,
    /// A destination, which is traced: an address of its target.
    Destination,
}

impl Header {
    /// What its slots stand for.
    #[must_use]
    pub const fn unit(&self) -> Unit {
        match self.tracing {
            None => Unit::Probe,
            Some(_) => Unit::Destination,
        }
    }

    /// Returns the block of a prefix.
    #[must_use]
    pub const fn block_of(&self, prefix: &Prefix) -> u32 {
        let first = prefix.first();
        below(
            mix(scatter(first as u64), scatter((first >> 64) as u64 ^ 1)),
            self.blocks,
        )
    }

    /// Returns the key from which the order of a block's probes is drawn. `order` says who sends
    /// them.
    #[must_use]
    pub fn order_key(&self, block: u32, order: &str) -> u64 {
        let seed = mix(scatter(self.order_seed), scatter(block.into()));
        order
            .bytes()
            .fold(seed, |key, byte| mix(key, scatter(byte.into())))
    }
}

/// Probes to one prefix: all combinations of some TTLs and some flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The number of the prefix in the list of targets.
    pub prefix_index: u32,
    /// The prefix.
    pub prefix: Prefix,
    /// The protocol's number in the IP header: 1, 6, 17 or 58.
    pub protocol: u8,
    /// The lowest TTL, from 1.
    pub min_ttl: u8,
    /// The highest TTL.
    pub max_ttl: u8,
    /// The first flow.
    pub first_flow: u32,
    /// The number of flows, at least 1.
    pub flow_count: u32,
}

/// An error about a row that can't be probed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{prefix}: {reason}")]
pub struct RowError {
    /// The row's prefix.
    pub prefix: Prefix,
    /// The reason, and what the row must be.
    pub reason: String,
}

/// The most probes to one prefix by one protocol in a plan.
const MAX_PROBES: u64 = 1 << 30;

impl Row {
    /// The number of probes that it stands for.
    #[must_use]
    pub fn probes(&self) -> u64 {
        (u64::from(self.max_ttl) + 1).saturating_sub(self.min_ttl.into())
            * u64::from(self.flow_count)
    }

    /// The number of slots that it takes.
    #[must_use]
    pub fn slots(&self, unit: Unit) -> u64 {
        match unit {
            Unit::Probe => self.probes(),
            Unit::Destination => 1,
        }
    }

    /// Returns the highest source port of its probes, if they can be sent.
    fn check(&self, header: &Header, mapper: &mut FlowMapper) -> Result<u16, String> {
        let fits = match self.prefix.family() {
            Family::V4 => matches!(self.protocol, ICMP | TCP | UDP),
            Family::V6 => matches!(self.protocol, ICMP6 | TCP | UDP),
        };
        if !fits {
            return Err(format!(
                "the protocol {} must be 17 (UDP), 6 (TCP), or 1 (ICMP) for IPv4 and 58 (ICMPv6) \
                 for IPv6",
                self.protocol
            ));
        }
        if self.protocol == TCP && header.segment.is_none() {
            return Err(
                "the plan does not say whether TCP probes are SYNs or ACKs; give it the segment"
                    .to_owned(),
            );
        }
        if self.min_ttl == 0 || self.min_ttl > self.max_ttl {
            return Err(format!(
                "min_ttl {} must be at least 1, and no higher than max_ttl {}",
                self.min_ttl, self.max_ttl
            ));
        }
        let end = self.first_flow.checked_add(self.flow_count);
        let Some(last) = end
            .and_then(|end| end.checked_sub(1))
            .filter(|_| self.flow_count > 0)
        else {
            return Err(format!(
                "{} flows from {} on are too few or too many; flows are numbered from 0 to {}",
                self.flow_count,
                self.first_flow,
                u32::MAX - 1
            ));
        };
        let space = mapper.space(&self.prefix);
        if !FlowMapper::tells_apart(space) {
            return Err(
                "IntervalFlowMapper sends the same probe for several flows of a prefix of this \
                 length; its step must share no factor with the number of the prefix's addresses \
                 less one: powers of 2 never do"
                    .to_owned(),
            );
        }
        let port = u32::from(header.initial_source_port).checked_add(mapper.offsets(space, last).1);
        let Some(port) = port.and_then(|port| u16::try_from(port).ok()) else {
            return Err(format!(
                "flow {last} would need a source port above 65535; begin at a lower port, or probe \
                 fewer flows"
            ));
        };
        if self.probes() > MAX_PROBES {
            return Err(format!(
                "{} probes are more than {MAX_PROBES}",
                self.probes()
            ));
        }
        Ok(port)
    }
}

/// Sorts the rows of a block by prefix, checks them, and returns the highest source port of their
/// probes; 0 without any.
///
/// # Errors
/// For the first row that can't be probed, or that shares a probe with another row.
pub fn sort_and_check(
    rows: &mut [Row],
    header: &Header,
    mapper: &mut FlowMapper,
) -> Result<u16, RowError> {
    rows.sort_unstable_by_key(|row| (row.prefix, row.protocol, row.min_ttl, row.first_flow));
    let mut highest = 0;
    let refuse = |row: &Row, reason| {
        let prefix = row.prefix;
        Err(RowError { prefix, reason })
    };
    for row in &*rows {
        match row.check(header, mapper) {
            Ok(port) => highest = port.max(highest),
            Err(reason) => return refuse(row, reason),
        }
    }
    let mut reached: BTreeMap<(Family, u8), u128> = BTreeMap::new();
    for same in rows.chunk_by(|a, b| (a.prefix, a.protocol) == (b.prefix, b.protocol)) {
        let probes: u64 = same.iter().map(Row::probes).sum();
        if probes > MAX_PROBES {
            return refuse(
                &same[0],
                format!("{probes} probes are more than {MAX_PROBES}"),
            );
        }
        let kind = (same[0].prefix.family(), same[0].protocol);
        let last = reached.insert(kind, same[0].prefix.last());
        if last.is_some_and(|last| same[0].prefix.first() <= last) {
            return refuse(&same[0], "it lies in another prefix of the plan".to_owned());
        }
        for (i, row) in same.iter().enumerate() {
            let twice = same[..i].iter().any(|other| {
                row.min_ttl <= other.max_ttl
                    && other.min_ttl <= row.max_ttl
                    && row.first_flow < other.first_flow + other.flow_count
                    && other.first_flow < row.first_flow + row.flow_count
            });
            if twice || row.prefix_index != same[0].prefix_index {
                let reason = "two of its rows hold the same probe, or differ in prefix_index";
                return refuse(row, reason.to_owned());
            }
        }
    }
    Ok(highest)
}
