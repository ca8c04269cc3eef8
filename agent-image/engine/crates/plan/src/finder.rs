//! Prefixes found by themselves: a hash table of their places in a list.

use anabranch_chance::{mix, scatter};
use anabranch_prefixes::{Family, Prefix};

/// Places of prefixes, in at least twice as many slots; the prefixes stay in their list.
pub(crate) struct Finder {
    /// The families and lengths of prefixes that there are.
    kinds: Vec<(Family, u8)>,
    slots: Vec<u32>,
}

const EMPTY: u32 = u32::MAX;

impl Finder {
    /// A table of prefixes, each once, in the order of their places.
    pub fn new(prefixes: impl ExactSizeIterator<Item = Prefix> + Clone) -> Self {
        let kinds = prefixes.clone();
        let mut kinds: Vec<(Family, u8)> = kinds.map(|p| (p.family(), p.len())).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let size = (2 * prefixes.len()).next_power_of_two();
        let mut finder = Self {
            kinds,
            slots: vec![EMPTY; size],
        };
        for (place, prefix) in (0..).zip(prefixes) {
            let mut slot = finder.slot(&prefix);
            while finder.slots[slot] != EMPTY {
                slot = (slot + 1) % size;
            }
            finder.slots[slot] = place;
        }
        finder
    }

    /// The lengths that a family's prefixes have.
    pub fn lens(&self, family: Family) -> impl Iterator<Item = u8> + '_ {
        let kinds = self.kinds.iter().filter(move |kind| kind.0 == family);
        kinds.map(|kind| kind.1)
    }

    /// The place of a prefix, if it is there; `prefix_at` is the list.
    pub fn find(&self, prefix: &Prefix, prefix_at: impl Fn(u32) -> Prefix) -> Option<u32> {
        let mut slot = self.slot(prefix);
        while self.slots[slot] != EMPTY {
            if prefix_at(self.slots[slot]) == *prefix {
                return Some(self.slots[slot]);
            }
            slot = (slot + 1) % self.slots.len();
        }
        None
    }

    fn slot(&self, prefix: &Prefix) -> usize {
        let first = prefix.first();
        let hash = scatter(first as u64 ^ u64::from(prefix.len()));
        mix(hash, (first >> 64) as u64) as usize % self.slots.len()
    }
}
