//! Sets of addresses, as sorted ranges.

use crate::{Family, Prefix};

/// A set of addresses of one family: inclusive ranges, sorted, disjoint and not adjacent.
///
/// Two sets are equal exactly when they hold the same addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    fn from_unsorted(mut ranges: Vec<(u128, u128)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(open) if first <= open.1.saturating_add(1) => open.1 = open.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// Returns the ranges that share an address with `first..=last`, in order. They are not cut to
    /// it.
    pub fn overlapping(&self, first: u128, last: u128) -> impl Iterator<Item = (u128, u128)> + '_ {
        let start = self.0.partition_point(|range| range.1 < first);
        self.0[start..]
            .iter()
            .copied()
            .take_while(move |range| range.0 <= last)
    }

    fn complement(&self, family: Family) -> Self {
        let mut gaps = Vec::with_capacity(self.0.len() + 1);
        let mut next = Some(0);
        for &(first, last) in &self.0 {
            if let Some(gap) = next.filter(|gap| *gap < first) {
                gaps.push((gap, first - 1));
            }
            next = (last < family.last()).then(|| last + 1);
        }
        if let Some(gap) = next {
            gaps.push((gap, family.last()));
        }
        Self(gaps)
    }
}

/// A set of IPv4 and IPv6 addresses; the families never mix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixSet {
    v4: Ranges,
    v6: Ranges,
}

impl PrefixSet {
    /// The addresses of one family.
    #[must_use]
    pub const fn family(&self, family: Family) -> &Ranges {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// Returns whether all addresses of the prefix are in the set.
    #[must_use]
    pub fn holds(&self, prefix: &Prefix) -> bool {
        let (first, last) = (prefix.first(), prefix.last());
        self.family(prefix.family())
            .overlapping(first, last)
            .any(|range| range.0 <= first && last <= range.1)
    }

    /// Returns the addresses that are in this set or in the other.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let join = |a: &Ranges, b: &Ranges| Ranges::from_unsorted([&a.0[..], &b.0[..]].concat());
        Self {
            v4: join(&self.v4, &other.v4),
            v6: join(&self.v6, &other.v6),
        }
    }

    /// Returns the addresses that are not in this set.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self {
            v4: self.v4.complement(Family::V4),
            v6: self.v6.complement(Family::V6),
        }
    }
}

impl FromIterator<Prefix> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = Prefix>>(prefixes: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for prefix in prefixes {
            let ranges = match prefix.family() {
                Family::V4 => &mut v4,
                Family::V6 => &mut v6,
            };
            ranges.push((prefix.first(), prefix.last()));
        }
        Self {
            v4: Ranges::from_unsorted(v4),
            v6: Ranges::from_unsorted(v6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(prefixes: &[&str]) -> PrefixSet {
        prefixes.iter().map(|p| p.parse().unwrap()).collect()
    }

    #[test]
    fn neighbours_become_one_range() {
        assert_eq!(set(&["10.0.0.0/9", "10.128.0.0/9"]), set(&["10.0.0.0/8"]));
        assert_eq!(set(&["::/1", "8000::/1"]), set(&["::/0"]));
    }

    #[test]
    fn all_of_ipv6_says_nothing_about_ipv4() {
        assert_eq!(set(&["::/0"]).family(Family::V4), &Ranges::default());
    }

    #[test]
    fn a_set_holds_a_prefix_only_whole() {
        let two = set(&["10.0.0.0/25", "10.0.0.192/26"]);
        assert!(two.holds(&"10.0.0.0/26".parse().unwrap()));
        assert!(!two.holds(&"10.0.0.0/24".parse().unwrap()));
    }

    #[test]
    fn the_complement_of_nothing_is_everything() {
        let everything = set(&["0.0.0.0/0", "::/0"]);
        assert_eq!(PrefixSet::default().complement(), everything);
        assert_eq!(everything.complement(), PrefixSet::default());
    }

    fn prefixes() -> impl Strategy<Value = Vec<Prefix>> {
        let prefix = (0u128..64, 26u8..=32)
            .prop_map(|(host, len)| Prefix::containing(Family::V4, host, len));
        proptest::collection::vec(prefix, 0..8)
    }

    proptest! {
        #[test]
        fn a_set_holds_just_the_addresses_of_its_prefixes(a in prefixes(), b in prefixes()) {
            let (left, right): (PrefixSet, PrefixSet) =
                (a.iter().copied().collect(), b.iter().copied().collect());
            let inside = |ps: &[Prefix], x: u128| ps.iter().any(|p| p.first() <= x && x <= p.last());
            for address in 0..80 {
                let one = Prefix::containing(Family::V4, address, 32);
                let holds = |s: &PrefixSet| s.holds(&one);
                prop_assert_eq!(holds(&left), inside(&a, address));
                prop_assert_eq!(holds(&left.complement()), !inside(&a, address));
                prop_assert_eq!(holds(&left.union(&right)), inside(&a, address) || inside(&b, address));
            }
        }

        #[test]
        fn a_set_twice_complemented_is_itself(a in prefixes()) {
            let set: PrefixSet = a.into_iter().collect();
            prop_assert_eq!(set.complement().complement(), set);
        }
    }
}
