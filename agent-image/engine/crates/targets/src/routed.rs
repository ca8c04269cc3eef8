//! Target lists of the prefixes that routes lead to.

use std::fmt;
use std::ops::RangeInclusive;

use anabranch_prefixes::{Family, Prefix, PrefixSet};

use crate::{Entry, Intent, MAX_TARGETS, Protocol, TargetList};

/// The length of the smallest IPv4 target of such a list: networks route nothing smaller.
const UNIT_V4: u8 = 24;
/// That of the smallest and only IPv6 one.
const UNIT_V6: u8 = 48;

/// Which routed prefixes become targets, and how these are probed.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The lengths of IPv4 prefixes that count; None to leave IPv4 out.
    pub lengths_v4: Option<RangeInclusive<u8>>,
    /// The lengths of IPv6 prefixes that count; None to leave IPv6 out.
    pub lengths_v6: Option<RangeInclusive<u8>>,
    /// How many /48s of an IPv6 prefix become targets, if it has so many.
    pub samples_v6: u32,
    /// How many peers must see a prefix.
    pub min_peers: u16,
    /// Addresses that no target may have.
    pub reserved: PrefixSet,
    /// What they are probed by; [`Protocol::Icmp`] stands for the ICMP of each one's family.
    pub protocol: Protocol,
    /// How each target is probed.
    pub intent: Intent,
}

/// The prefixes of a table of routes that were read so far.
#[derive(Debug)]
pub struct Routes {
    choice: Choice,
    read: u64,
    /// Those that count.
    v4: Vec<Prefix>,
    v6: Vec<Prefix>,
    dropped: Dropped,
}

/// How many routes do not count, by the first reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Dropped {
    family: u64,
    short: u64,
    long: u64,
    rare: u64,
    reserved: u64,
}

impl Routes {
    /// Begins a list.
    #[must_use]
    pub const fn new(choice: Choice) -> Self {
        Self {
            choice,
            read: 0,
            v4: Vec::new(),
            v6: Vec::new(),
            dropped: Dropped {
                family: 0,
                short: 0,
                long: 0,
                rare: 0,
                reserved: 0,
            },
        }
    }

    /// Takes a routed prefix, with the number of peers that see it if that is known.
    ///
    /// # Errors
    /// If the number of peers counts, and is not known; with the remedy.
    pub fn add(&mut self, prefix: Prefix, peers: Option<u16>) -> Result<(), String> {
        self.read += 1;
        let (choice, dropped) = (&self.choice, &mut self.dropped);
        let (lengths, kept) = match prefix.family() {
            Family::V4 => (&choice.lengths_v4, &mut self.v4),
            Family::V6 => (&choice.lengths_v6, &mut self.v6),
        };
        if peers.is_none() && choice.min_peers > 1 {
            return Err(
                "prefix2as does not say how many peers see a prefix; leave out the number that \
                 must, or name an MRT RIB dump"
                    .to_owned(),
            );
        }
        let Some(lengths) = lengths else {
            dropped.family += 1;
            return Ok(());
        };
        if prefix.len() < *lengths.start() {
            dropped.short += 1;
        } else if prefix.len() > *lengths.end() {
            dropped.long += 1;
        } else if peers.is_some_and(|peers| peers < choice.min_peers) {
            dropped.rare += 1;
        } else if choice.reserved.holds(&prefix) {
            dropped.reserved += 1;
        } else {
            kept.push(prefix);
        }
        Ok(())
    }

    /// Returns the list, and the number of routes read.
    ///
    /// An IPv4 target is a prefix that no other one holds, or its /24 if it is longer; a part of
    /// it that is reserved is cut out. An IPv6 target is a /48.
    ///
    /// # Errors
    /// If there are too many targets or none, with the remedy.
    pub fn finish(self) -> Result<(TargetList, u64), String> {
        let choice = &self.choice;
        let v4 = cover(self.v4, &choice.reserved);
        let v6 = sample(self.v6, choice.samples_v6, &choice.reserved)?;
        if v4.is_empty() && v6.is_empty() {
            return Err(format!(
                "none of its {} routes counts: {}",
                self.read, self.dropped
            ));
        }
        let entries = v4.into_iter().chain(v6).map(|prefix| Entry {
            protocol: match (choice.protocol, prefix.family()) {
                (Protocol::Icmp, Family::V6) => Protocol::Icmp6,
                (protocol, _) => protocol,
            },
            prefix,
            bare: false,
            intent: choice.intent,
        });
        Ok((TargetList::new(entries.collect()), self.read))
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = [
            (self.family, "of a family that is left out"),
            (self.short, "shorter than the shortest prefix that counts"),
            (self.long, "longer than the longest"),
            (self.rare, "seen by too few peers"),
            (self.reserved, "in reserved space"),
        ];
        let mut before = "";
        for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{before}{count} {reason}")?;
            before = ", ";
        }
        Ok(())
    }
}

/// Returns the outermost of prefixes without what is reserved, in order.
fn cover(mut prefixes: Vec<Prefix>, reserved: &PrefixSet) -> Vec<Prefix> {
    for prefix in &mut prefixes {
        let len = prefix.len().min(UNIT_V4);
        *prefix = Prefix::containing(prefix.family(), prefix.first(), len);
    }
    // A prefix sorts before those that it holds.
    prefixes.sort_unstable();
    let mut covered = None;
    prefixes.retain(|prefix| {
        let is_new = covered.is_none_or(|last| prefix.first() > last);
        if is_new {
            covered = Some(prefix.last());
        }
        is_new
    });
    let is_clear = |prefix: &Prefix| {
        let mut ranges = reserved
            .family(prefix.family())
            .overlapping(prefix.first(), prefix.last());
        ranges.next().is_none()
    };
    if prefixes.iter().all(is_clear) {
        return prefixes;
    }
    prefixes
        .iter()
        .flat_map(|prefix| without(prefix, reserved))
        .collect()
}

/// Returns the largest prefixes of what is left of a prefix, in order.
fn without(prefix: &Prefix, reserved: &PrefixSet) -> Vec<Prefix> {
    let family = prefix.family();
    let mut left = Vec::new();
    // Where the next part begins; None if nothing follows.
    let mut next = Some(prefix.first());
    for (first, last) in reserved
        .family(family)
        .overlapping(prefix.first(), prefix.last())
    {
        if let Some(from) = next
            && from < first
        {
            fill(family, from, first - 1, &mut left);
        }
        next = (last < prefix.last()).then(|| last + 1);
    }
    if let Some(from) = next {
        fill(family, from, prefix.last(), &mut left);
    }
    left
}

/// Adds the largest prefixes that together are the addresses from `first` to `last`.
fn fill(family: Family, first: u128, last: u128, into: &mut Vec<Prefix>) {
    let mut next = Some(first);
    while let Some(from) = next {
        let fits = (0..=family.bits())
            .map(|len| Prefix::containing(family, from, len))
            .find(|prefix| prefix.first() == from && prefix.last() <= last);
        let largest = fits.expect("an address is a prefix");
        next = (largest.last() < last).then(|| largest.last() + 1);
        into.push(largest);
    }
}

/// Returns some /48s of each prefix, as far apart as they can be, without what is reserved.
fn sample(
    mut prefixes: Vec<Prefix>,
    samples: u32,
    reserved: &PrefixSet,
) -> Result<Vec<Prefix>, String> {
    prefixes.sort_unstable();
    prefixes.dedup();
    let units = |prefix: &Prefix| 1_u128 << UNIT_V6.saturating_sub(prefix.len());
    let taken = |prefix: &Prefix| units(prefix).min(samples.into());
    let total: u128 = prefixes.iter().map(taken).sum();
    if total > MAX_TARGETS.into() {
        return Err(format!(
            "{total} /48s of {} IPv6 prefixes, above the limit of {MAX_TARGETS}; take fewer /48s \
             of each",
            prefixes.len()
        ));
    }
    let chosen = prefixes.iter().flat_map(|prefix| {
        let (units, taken) = (units(prefix), taken(prefix));
        (0..taken).map(move |number| {
            let offset = (number * units / taken) << (Family::V6.bits() - UNIT_V6);
            Prefix::containing(Family::V6, prefix.first() + offset, UNIT_V6)
        })
    });
    Ok(chosen.filter(|unit| !reserved.holds(unit)).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use anabranch_prefixes::reserved;
    use proptest::prelude::*;

    use super::*;

    fn choice() -> Choice {
        Choice {
            lengths_v4: Some(8..=24),
            lengths_v6: Some(16..=48),
            samples_v6: 1,
            min_peers: 1,
            reserved: reserved(),
            protocol: Protocol::Icmp,
            intent: Intent {
                min_ttl: 1,
                max_ttl: 32,
                n_initial_flows: 1,
            },
        }
    }

    fn list(choice: Choice, prefixes: &[&str]) -> Result<String, String> {
        let mut routes = Routes::new(choice);
        for prefix in prefixes {
            routes.add(prefix.parse().unwrap(), None)?;
        }
        let mut csv = Vec::new();
        routes.finish()?.0.write_csv(&mut csv).unwrap();
        let lines = String::from_utf8(csv).unwrap();
        let targets = lines.lines().map(|line| line.split(',').next().unwrap());
        Ok(targets.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_prefix_counts_once_whatever_it_holds() {
        let routed = ["1.0.0.0/8", "1.2.0.0/16", "1.2.3.0/24", "2.0.0.0/24"];
        assert_eq!(list(choice(), &routed).unwrap(), "1.0.0.0/8 2.0.0.0/24");
    }

    #[test]
    fn default_routes_bogons_and_long_prefixes_do_not_count() {
        let routed = [
            "0.0.0.0/0",
            "0.0.0.0/1",
            "::/0",
            "10.0.0.0/8",
            "192.168.4.0/24",
            "3fff::/32",
            "1.2.3.128/25",
            "2600::/64",
            "1.2.4.0/24",
        ];
        assert_eq!(list(choice(), &routed).unwrap(), "1.2.4.0/24");
    }

    #[test]
    fn a_longer_prefix_stands_for_its_24() {
        let longer = Choice {
            lengths_v4: Some(8..=32),
            ..choice()
        };
        let routed = ["1.2.3.128/25", "1.2.3.4/32"];
        assert_eq!(list(longer, &routed).unwrap(), "1.2.3.0/24");
    }

    #[test]
    fn what_is_reserved_is_cut_out_of_what_holds_it() {
        assert_eq!(
            list(choice(), &["192.168.0.0/15"]).unwrap(),
            "192.169.0.0/16"
        );
        let kept = list(choice(), &["198.16.0.0/12"]).unwrap();
        assert_eq!(kept, "198.16.0.0/15 198.20.0.0/14 198.24.0.0/13");
    }

    #[test]
    fn of_ipv6_prefixes_some_48s_count() {
        let routed = ["2600::/46", "2600::/48", "2601::/48"];
        assert_eq!(list(choice(), &routed).unwrap(), "2600::/48 2601::/48");
        let more = Choice {
            samples_v6: 3,
            ..choice()
        };
        assert_eq!(
            list(more, &routed).unwrap(),
            "2600::/48 2600:0:1::/48 2600:0:2::/48 2601::/48"
        );
    }

    #[test]
    fn too_many_48s_and_no_route_at_all_are_refused() {
        let many = Choice {
            samples_v6: 1 << 26,
            ..choice()
        };
        let says = list(many, &["2600::/16"]).unwrap_err();
        assert!(says.contains("67108864 /48s of 1 IPv6 prefixes"), "{says}");
        let says = list(choice(), &["0.0.0.0/0", "10.0.0.0/9"]).unwrap_err();
        assert_eq!(
            says,
            "none of its 2 routes counts: 1 shorter than the shortest prefix that counts, 1 in \
             reserved space"
        );
    }

    #[test]
    fn a_route_that_few_peers_see_does_not_count() {
        let seen = Choice {
            min_peers: 2,
            ..choice()
        };
        let mut routes = Routes::new(seen.clone());
        for (prefix, peers) in [("1.0.0.0/24", 1), ("1.0.1.0/24", 2)] {
            routes.add(prefix.parse().unwrap(), Some(peers)).unwrap();
        }
        let (targets, read) = routes.finish().unwrap();
        assert_eq!((targets.entries().len(), read), (1, 2));
        let says = list(seen, &["1.0.0.0/24"]).unwrap_err();
        assert!(says.contains("name an MRT RIB dump"), "{says}");
    }

    proptest! {
        #[test]
        fn a_list_covers_just_what_is_routed_and_not_reserved(
            parts in prop::collection::vec((0_u128..16, 18_u8..=24), 1..20)
        ) {
            // Around 192.0.0.0/24 and 192.0.2.0/24, which are reserved.
            let base = 0xc000_0000_u128;
            let bogons = reserved();
            let routed: Vec<Prefix> = parts
                .into_iter()
                .map(|(place, len)| Prefix::containing(Family::V4, base + (place << 8), len))
                .collect();
            let mut routes = Routes::new(choice());
            for prefix in &routed {
                routes.add(*prefix, None).unwrap();
            }
            let expected: BTreeSet<u128> = routed
                .iter()
                .flat_map(|prefix| (prefix.first()..=prefix.last()).step_by(256))
                .filter(|first| !bogons.holds(&Prefix::containing(Family::V4, *first, 24)))
                .collect();
            if let Ok((targets, _)) = routes.finish() {
                let mut found = Vec::new();
                for entry in targets.entries() {
                    found.extend((entry.prefix.first()..=entry.prefix.last()).step_by(256));
                }
                prop_assert!(found.iter().copied().eq(expected));
            } else {
                prop_assert!(expected.is_empty());
            }
        }
    }
}
