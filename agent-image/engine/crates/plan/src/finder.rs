//! A hash table that finds the place of a prefix in a list.

use anabranch_chance::{mix, scatter};
use anabranch_prefixes::{Family, Prefix};

/// The places of prefixes in a list, in a hash table with at least twice as many slots. The
/// prefixes themselves stay in the list.
pub(crate) struct Finder {
    /// The families and lengths that occur among the prefixes.
    kinds: Vec<(Family, u8)>,
    slots: Vec<u32>,
}

const EMPTY: u32 = u32::MAX;

impl Finder {
    /// Makes a table of different prefixes, which come in the order of their places.
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

    /// Returns the lengths of a family's prefixes.
    pub fn lens(&self, family: Family) -> impl Iterator<Item = u8> + '_ {
        let kinds = self.kinds.iter().filter(move |kind| kind.0 == family);
        kinds.map(|kind| kind.1)
    }

    /// Returns the place of a prefix, if it is in the list. `prefix_at` returns the prefix at a
    /// place.
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
