//! The rules of splitting: each in an example, and all of them at every address of a small space.

use std::collections::BTreeMap;

use proptest::prelude::*;

use anabranch_prefixes::{Family, Prefix, PrefixSet};
use anabranch_targets::{
    Entry, Intent, MAX_TARGETS, Protocol, Split, SplitError, TargetList, Targets,
};

const SPLIT: Split = Split { v4: 24, v6: 64 };

fn list(lines: &[&str]) -> TargetList {
    TargetList::new(lines.iter().map(|l| Entry::parse(l).unwrap()).collect())
}

fn forbidden(prefixes: &[&str]) -> PrefixSet {
    prefixes.iter().map(|p| p.parse().unwrap()).collect()
}

fn split(lines: &[&str], without: &[&str]) -> Targets {
    list(lines)
        .split(SPLIT, &[forbidden(without)], MAX_TARGETS)
        .unwrap()
}

fn prefixes(targets: &Targets) -> Vec<String> {
    targets.iter().map(|t| t.prefix.to_string()).collect()
}

#[test]
fn the_whole_of_ipv4_is_one_run_of_2_to_the_24() {
    let targets = split(&["0.0.0.0/0,udp,2,32,6"], &[]);
    assert_eq!((targets.count(), targets.runs().len()), (1 << 24, 1));
    let last = targets.iter().last().unwrap();
    assert_eq!(last.prefix.to_string(), "255.255.255.0/24");
}

#[test]
fn entries_longer_than_the_split_stay_whole() {
    let targets = split(&["10.0.0.0/26,udp,2,32,6", "10.0.0.64/26,udp,2,32,6"], &[]);
    assert_eq!(prefixes(&targets), ["10.0.0.0/26", "10.0.0.64/26"]);
}

#[test]
fn a_bare_address_stands_for_its_24_or_for_itself_where_the_tool_splits_to_addresses() {
    let bare = list(&["10.0.0.9,udp,2,32,6", "2001:db8::9,udp,2,32,6"]);
    let at = |v4, v6| prefixes(&bare.split(Split { v4, v6 }, &[], MAX_TARGETS).unwrap());
    assert_eq!(at(24, 64), ["10.0.0.0/24", "2001:db8::9/128"]);
    assert_eq!(at(32, 128), ["10.0.0.9/32", "2001:db8::9/128"]);
    assert_eq!(at(16, 48), ["10.0.0.0/24", "2001:db8::9/128"]);
}

#[test]
fn a_stronger_entry_inside_a_weaker_one_is_probed_as_both_ask() {
    let targets = split(&["10.0.0.0/22,udp,5,32,1", "10.0.1.0/24,udp,2,9,6"], &[]);
    let intents: Vec<_> = targets.iter().map(|t| t.intent).collect();
    let (weak, both) = (
        Intent {
            min_ttl: 5,
            max_ttl: 32,
            n_initial_flows: 1,
        },
        Intent {
            min_ttl: 2,
            max_ttl: 32,
            n_initial_flows: 6,
        },
    );
    assert_eq!(intents, [weak, both, weak, weak]);
}

#[test]
fn a_weaker_entry_inside_a_stronger_one_changes_nothing() {
    assert_eq!(
        split(&["10.0.0.0/22,udp,2,32,6", "10.0.1.128/25,udp,5,9,1"], &[]),
        split(&["10.0.0.0/22,udp,2,32,6"], &[])
    );
}

#[test]
fn protocols_are_targets_of_their_own() {
    let targets = split(&["10.0.0.0/24,udp,2,32,6", "10.0.0.0/24,icmp,2,32,6"], &[]);
    assert_eq!(targets.count(), 2);
}

#[test]
fn forbidden_targets_go_and_partly_forbidden_ones_are_counted() {
    let without = ["10.0.1.0/24", "10.0.3.0/25", "10.0.3.192/32"];
    let targets = split(&["10.0.0.0/22,udp,2,32,6"], &without);
    assert_eq!(
        prefixes(&targets),
        ["10.0.0.0/24", "10.0.2.0/24", "10.0.3.0/24"]
    );
    assert_eq!(
        (targets.excluded(), targets.partly_excluded()),
        (&[1][..], 1)
    );
}

#[test]
fn a_target_counts_for_the_first_set_that_leaves_nothing_of_it() {
    let sets = [
        forbidden(&["10.0.0.0/24", "10.0.1.0/25"]),
        forbidden(&["10.0.0.0/23"]),
        forbidden(&["10.0.4.0/24"]),
        forbidden(&["10.0.0.0/22"]),
    ];
    let targets = list(&["10.0.0.0/21,udp,2,32,6"])
        .split(SPLIT, &sets, MAX_TARGETS)
        .unwrap();
    assert_eq!(targets.excluded(), [1, 1, 1, 2]);
    assert_eq!(targets.count(), 3);
}

#[test]
fn targets_beyond_bounds_of_ttls_are_counted() {
    let lines = [
        "10.0.0.0/23,udp,2,8,6",
        "10.0.2.0/24,udp,9,32,6",
        "10.0.3.0/24,udp,4,8,6",
    ];
    let targets = split(&lines, &[]);
    assert_eq!(targets.beyond(1, 255), (0, 0));
    assert_eq!(targets.beyond(4, 8), (1, 2));
    assert_eq!(targets.beyond(9, 30), (3, 1));
}

#[test]
fn too_many_targets_are_refused_with_their_number() {
    let all_v6 = list(&["::/0,udp,2,32,6"]);
    let refused = all_v6.split(SPLIT, &[], MAX_TARGETS).unwrap_err();
    assert_eq!(
        refused,
        SplitError {
            count: 1 << 64,
            limit: MAX_TARGETS
        }
    );
    let by_address = Split { v4: 32, v6: 128 };
    assert!(all_v6.split(by_address, &[], MAX_TARGETS).is_err());
    let nothing_left = all_v6.split(by_address, &[forbidden(&["::/0"])], MAX_TARGETS);
    assert_eq!(nothing_left.unwrap().count(), 0);
}

// The same rules over a space of 64 addresses with a split of /29 to /32, one address at a time.

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let parts = (0u128..64, 26u8..=33, 1u8..4, 0u8..3, 1u16..4);
    let entry = parts.prop_map(|(address, len, min_ttl, more, n_initial_flows)| Entry {
        protocol: Protocol::Udp,
        prefix: Prefix::containing(Family::V4, address, len.min(32)),
        bare: len == 33,
        intent: Intent {
            min_ttl,
            max_ttl: min_ttl + more,
            n_initial_flows,
        },
    });
    proptest::collection::vec(entry, 1..8)
}

/// Returns the target that an address belongs to, straight from the rules.
fn expected(entries: &[Entry], len: u8, address: u128) -> Option<(Prefix, Intent)> {
    let entries: Vec<(Prefix, Intent)> = entries
        .iter()
        .map(|e| {
            let widened = Prefix::containing(Family::V4, e.prefix.first(), len);
            (if e.bare { widened } else { e.prefix }, e.intent)
        })
        .collect();
    let around = |p: &Prefix| p.first() <= address && address <= p.last();
    let within =
        |p: &Prefix, outer: &Prefix| outer.first() <= p.first() && p.last() <= outer.last();
    let outermost = entries
        .iter()
        .map(|e| e.0)
        .filter(around)
        .min_by_key(Prefix::len)?;
    let target = Prefix::containing(Family::V4, address, outermost.len().max(len));
    let intent = entries
        .iter()
        .filter(|e| within(&e.0, &target) || within(&target, &e.0))
        .map(|e| e.1)
        .reduce(Intent::union)?;
    Some((target, intent))
}

proptest! {
    #[test]
    fn splitting_keeps_every_rule_at_every_address(
        entries in entries(), len in 28u8..=32, without in entries()
    ) {
        let without: Vec<Prefix> = without.into_iter().map(|e| e.prefix).collect();
        let set: PrefixSet = without.iter().copied().collect();
        // Each set forbids one prefix. A target counts for the first set that leaves nothing of it.
        let sets: Vec<PrefixSet> = without.iter().map(|p| [*p].into_iter().collect()).collect();
        let is_closed = |n: usize, a| {
            without[..n].iter().any(|p| p.first() <= a && a <= p.last())
        };
        let targets = TargetList::new(entries.clone())
            .split(Split { v4: len, v6: 64 }, &sets, MAX_TARGETS)
            .unwrap();
        let found: BTreeMap<Prefix, Intent> =
            targets.iter().map(|t| (t.prefix, t.intent)).collect();
        let is_forbidden = |a| set.holds(&Prefix::containing(Family::V4, a, 32));
        let mut wanted = BTreeMap::new();
        let (mut gone, mut partly) = (vec![0; sets.len()], 0);
        for (prefix, intent) in (0..64).filter_map(|a| expected(&entries, len, a)).collect::<BTreeMap<_, _>>() {
            let addresses = prefix.first()..=prefix.last();
            match addresses.clone().filter(|a| is_forbidden(*a)).count() {
                0 => {}
                n if n == addresses.clone().count() => {
                    let first = (1..=sets.len()).find(|n| addresses.clone().all(|a| is_closed(*n, a)));
                    gone[first.unwrap() - 1] += 1;
                    continue;
                }
                _ => partly += 1,
            }
            wanted.insert(prefix, intent);
        }
        prop_assert_eq!(targets.count(), wanted.len() as u64);
        prop_assert_eq!(found, wanted);
        prop_assert_eq!((targets.excluded(), targets.partly_excluded()), (&gone[..], partly));
    }
}
