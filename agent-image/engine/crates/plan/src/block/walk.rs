//! The walk through the probes of a block.

use super::{Block, Draw};

/// The probes of a block, in their order.
pub struct Walk<'a> {
    block: &'a Block,
    pass: u32,
    /// The places of the prefixes that have probes left, in order.
    alive: Vec<u32>,
    next: usize,
    /// The number of each prefix's next probe.
    numbers: Vec<u32>,
    /// The passes from which on some prefix has no probes left, latest first.
    ends: Vec<u32>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(block: &'a Block, slot: u64) -> Self {
        let prefixes = block.prefixes().max(1);
        let pass = u32::try_from(slot / prefixes).unwrap_or(u32::MAX);
        let alive: Vec<u32> = (0..block.targets.len() as u32)
            .filter(|place| block.targets[*place as usize].probes > pass)
            .collect();
        let place = (slot % prefixes) as u32;
        let mut ends: Vec<u32> = block.targets.iter().map(|target| target.probes).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        ends.dedup();
        let numbers = block.targets.iter().map(|target| target.number_in(pass));
        let mut walk = Self {
            block,
            pass,
            next: alive.partition_point(|other| *other < place),
            alive,
            numbers: numbers.collect(),
            ends,
        };
        // The prefixes before the slot have already had their probe of this pass.
        for i in 0..walk.next {
            walk.advance(walk.alive[i]);
        }
        walk
    }

    /// Returns the number of prefixes that have probes left in this pass or later.
    #[must_use]
    pub fn alive(&self) -> u64 {
        self.alive.len() as u64
    }

    /// Returns the number of a prefix's next probe, and moves on to the one after it.
    #[inline]
    fn advance(&mut self, place: u32) -> u32 {
        let target = &self.block.targets[place as usize];
        let number = self.numbers[place as usize];
        let after = number + target.step;
        self.numbers[place as usize] = if after < target.probes {
            after
        } else {
            after - target.probes
        };
        number
    }
}

impl Iterator for Walk<'_> {
    type Item = Draw;

    #[inline]
    fn next(&mut self) -> Option<Draw> {
        while self.next == self.alive.len() {
            self.pass = self.pass.checked_add(1)?;
            self.next = 0;
            while self.ends.last().is_some_and(|end| *end < self.pass) {
                self.ends.pop();
            }
            if self.ends.last() == Some(&self.pass) {
                let (targets, pass) = (&self.block.targets, self.pass);
                self.alive
                    .retain(|place| targets[*place as usize].probes > pass);
            }
            if self.alive.is_empty() {
                self.pass -= 1;
                return None;
            }
        }
        let place = self.alive[self.next];
        self.next += 1;
        let number = self.advance(place);
        let target = &self.block.targets[place as usize];
        let (protocol, ttl, flow) = self.block.probe(target, number);
        Some(Draw {
            slot: u64::from(self.pass) * self.block.prefixes() + u64::from(place),
            place,
            protocol,
            ttl,
            flow,
        })
    }
}
