//! A prefix with its probes, and the order in which passes send them.

use anabranch_chance::{Draws, below};
use anabranch_prefixes::Prefix;

use crate::mapper::{FlowMapper, Space, invert};
use crate::row::{Row, Unit};

/// A prefix with its probes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub prefix: Prefix,
    pub space: Space,
    /// The index of its first share; the others follow it.
    pub first_share: u32,
    pub shares: u32,
    pub probes: u32,
    /// The number of the probe that the first pass sends, and the step from one pass to the next.
    pub start: u32,
    pub step: u32,
}

/// A row without its prefix, which is in its target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub protocol: u8,
    pub prefix_index: u32,
    pub min_ttl: u8,
    pub max_ttl: u8,
    pub first_flow: u32,
    pub flow_count: u32,
    pub slots: u32,
}

impl Target {
    pub fn draw(
        rows: &[Row],
        first_share: u32,
        unit: Unit,
        mapper: &mut FlowMapper,
        draws: &mut Draws,
    ) -> Self {
        let probes = rows.iter().map(|row| row.slots(unit) as u32).sum();
        let start = below(draws.draw(), probes);
        let mut step = 1 + below(draws.draw(), probes);
        while invert(step.into(), probes.into()).is_none() && probes > 1 {
            step = step % probes + 1;
        }
        Self {
            prefix: rows[0].prefix,
            space: mapper.space(&rows[0].prefix),
            first_share,
            shares: rows.len() as u32,
            probes,
            start,
            step: step % probes,
        }
    }

    /// Returns the number of the probe that a pass sends.
    pub fn number_in(&self, pass: u32) -> u32 {
        let steps = u64::from(pass) * u64::from(self.step);
        ((u64::from(self.start) + steps) % u64::from(self.probes)) as u32
    }

    /// Returns the pass that sends a probe.
    pub fn pass_of(&self, number: u32) -> u32 {
        let probes = u64::from(self.probes);
        let inverse = invert(self.step.into(), probes).unwrap_or(0);
        let steps = u64::from(number) + probes - u64::from(self.start);
        (steps % probes * inverse % probes) as u32
    }
}
