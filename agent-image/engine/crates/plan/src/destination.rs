//! Which address of a target is its destination, if a seed decides.

use anabranch_chance::{Draws, mix, scatter};
use anabranch_prefixes::{Family, Prefix, PrefixSet};

/// Returns an address of a target, which looks random: that of another seed is another one.
///
/// In IPv4 it is neither the network's address nor the broadcast address, unless the target has no
/// others. If the address is forbidden, another draw decides among those of the target that are
/// not; so what is forbidden elsewhere in the target does not change the address. If all are, it is
/// one of those.
#[must_use]
pub fn draw_address(prefix: &Prefix, seed: u64, forbidden: &PrefixSet) -> u128 {
    let first = prefix.first();
    let key = mix(
        mix(scatter(seed), scatter(first as u64)),
        scatter((first >> 64) as u64 ^ u64::from(prefix.len())),
    );
    let mut source = Draws::new(key);
    let (low, high) = hosts(prefix);
    let drawn = draw_between(low, high, &mut source);
    let forbidden = forbidden.family(prefix.family());
    let forbidden: Vec<_> = forbidden.overlapping(low, high).collect();
    if !forbidden
        .iter()
        .any(|(from, to)| (*from..=*to).contains(&drawn))
    {
        return drawn;
    }
    // The ranges of addresses that are not forbidden.
    let mut allowed = Vec::with_capacity(forbidden.len() + 1);
    let mut next = Some(low);
    for (from, to) in forbidden {
        if let Some(start) = next.filter(|start| *start < from) {
            allowed.push((start, from - 1));
        }
        next = (to < high).then(|| to + 1);
    }
    allowed.extend(next.map(|start| (start, high)));
    let count: u128 = allowed.iter().map(|(from, to)| to - from + 1).sum();
    let Some(last) = count.checked_sub(1) else {
        return drawn;
    };
    let mut place = draw_between(0, last, &mut source);
    for (from, to) in allowed {
        if place <= to - from {
            return from + place;
        }
        place -= to - from + 1;
    }
    unreachable!("the place is below the number of addresses")
}

/// Returns the first and the last address that a host may have. Networks of two IPv4 addresses have
/// no others (RFC 3021).
const fn hosts(prefix: &Prefix) -> (u128, u128) {
    let (first, last) = (prefix.first(), prefix.last());
    if matches!(prefix.family(), Family::V4) && last - first > 1 {
        (first + 1, last - 1)
    } else {
        (first, last)
    }
}

/// Draws a number between two, both included. All are as likely, up to one part in 2^16 for the
/// largest networks.
fn draw_between(low: u128, high: u128, draws: &mut Draws) -> u128 {
    let word = u128::from(draws.draw()) << 64 | u128::from(draws.draw());
    match (high - low).checked_add(1) {
        Some(count) => low + word % count,
        None => word,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn targets() -> impl Strategy<Value = Prefix> {
        prop_oneof![
            (any::<u32>(), 8_u8..=32).prop_map(|(first, len)| Prefix::containing(
                Family::V4,
                first.into(),
                len
            )),
            (any::<u128>(), 0_u8..=128).prop_map(|(first, len)| Prefix::containing(
                Family::V6,
                first,
                len
            )),
        ]
    }

    /// Parts of a target of 256 addresses, which may cover it.
    fn parts() -> impl Strategy<Value = Vec<Prefix>> {
        let part = (0_u128..256, 24_u8..=32);
        let part =
            part.prop_map(|(host, len)| Prefix::containing(Family::V4, 0xf000_0000 | host, len));
        prop::collection::vec(part, 0..8)
    }

    proptest! {
        #[test]
        fn it_is_a_host_of_the_target(target in targets(), seed in any::<u64>()) {
            let address = draw_address(&target, seed, &PrefixSet::default());
            prop_assert!((target.first()..=target.last()).contains(&address));
            if target.family() == Family::V4 && target.len() < 31 {
                prop_assert!(address != target.first() && address != target.last());
            }
            prop_assert_eq!(address, draw_address(&target, seed, &PrefixSet::default()));
        }

        #[test]
        fn it_is_forbidden_only_if_all_hosts_are(parts in parts(), seed in any::<u64>()) {
            let target = prefix("240.0.0.0/24");
            let forbidden: PrefixSet = parts.into_iter().collect();
            let is_open = |host| !forbidden.holds(&Prefix::containing(Family::V4, host, 32));
            let address = draw_address(&target, seed, &forbidden);
            prop_assert!(address != target.first() && address != target.last());
            let any_is_open = (target.first() + 1..target.last()).any(is_open);
            prop_assert_eq!(is_open(address), any_is_open);
            let free = draw_address(&target, seed, &PrefixSet::default());
            if is_open(free) {
                prop_assert_eq!(address, free);
            }
        }
    }

    /// Returns how often each address of a target is drawn by 20,000 seeds.
    fn count(target: &Prefix, forbidden: &PrefixSet) -> BTreeMap<u128, u32> {
        let mut counts = BTreeMap::new();
        for seed in 0..20_000 {
            *counts
                .entry(draw_address(target, seed, forbidden))
                .or_default() += 1;
        }
        counts
    }

    #[test]
    fn all_hosts_are_as_likely() {
        let target = prefix("240.0.0.0/28");
        let counts = count(&target, &PrefixSet::default());
        assert_eq!(counts.len(), 14);
        assert!(
            counts.values().all(|n| (1_280..1_580).contains(n)),
            "{counts:?}"
        );
        let half: PrefixSet = [prefix("240.0.0.8/29")].into_iter().collect();
        let counts = count(&target, &half);
        assert!(counts.keys().copied().eq(0xf000_0001..=0xf000_0007));
        assert!(
            counts.values().all(|n| (2_650..3_070).contains(n)),
            "{counts:?}"
        );
    }

    #[test]
    fn targets_of_one_seed_have_hosts_that_say_nothing_of_one_another() {
        let hosts: BTreeMap<u128, u32> =
            (0..25_400_u128).fold(BTreeMap::new(), |mut counts, place| {
                let target = Prefix::containing(Family::V4, place << 8, 24);
                let address = draw_address(&target, 1, &PrefixSet::default());
                *counts.entry(address & 255).or_default() += 1;
                counts
            });
        assert_eq!(hosts.len(), 254);
        assert!(hosts.values().all(|n| (55..150).contains(n)), "{hosts:?}");
    }

    #[test]
    fn small_targets_have_the_hosts_that_they_have() {
        let draw = |text| draw_address(&prefix(text), 3, &PrefixSet::default());
        assert_eq!(draw("240.0.0.7/32"), 0xf000_0007);
        assert_eq!(draw("3fff::7/128"), prefix("3fff::7/128").first());
        let two = count(&prefix("240.0.0.6/31"), &PrefixSet::default());
        assert_eq!(two.len(), 2);
        let open = [prefix("240.0.0.0/32"), prefix("240.0.0.255/32")];
        let forbidden = open.into_iter().collect::<PrefixSet>().complement();
        let address = draw_address(&prefix("240.0.0.0/24"), 3, &forbidden);
        assert!((0xf000_0001..=0xf000_00fe).contains(&address));
    }
}
