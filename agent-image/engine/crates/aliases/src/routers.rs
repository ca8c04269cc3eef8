//! Routers: sets of addresses that are aliases of each other.

use std::collections::BTreeMap;

use crate::evidence::Verdict;

/// A set of aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// Its addresses, in order: two at least.
    pub addresses: Vec<u128>,
    /// The pairs among them that a test rejects. With any, the set is in conflict with itself: some
    /// of its aliases are none, and nobody knows which.
    pub conflicts: Vec<(u128, u128)>,
}

/// Returns the routers of pairs of addresses with their verdicts, by their lowest addresses. Aliases of one
/// address are aliases of each other. A pair that is accepted here and rejected there is in conflict.
#[must_use]
pub fn find_routers(pairs: &[(u128, u128, Verdict)]) -> Vec<Router> {
    let mut places: BTreeMap<u128, usize> = BTreeMap::new();
    let accepted = || pairs.iter().filter(|pair| pair.2 == Verdict::Accept);
    for (first, second, _) in accepted() {
        for address in [first, second] {
            let next = places.len();
            places.entry(*address).or_insert(next);
        }
    }
    let mut parents: Vec<usize> = (0..places.len()).collect();
    for (first, second, _) in accepted() {
        let roots = [first, second].map(|address| find_root(&mut parents, places[address]));
        parents[roots[0]] = roots[1];
    }
    let mut sets: BTreeMap<usize, Router> = BTreeMap::new();
    for (address, place) in &places {
        let router = sets
            .entry(find_root(&mut parents, *place))
            .or_insert(Router {
                addresses: Vec::new(),
                conflicts: Vec::new(),
            });
        router.addresses.push(*address);
    }
    for (first, second, _) in pairs.iter().filter(|pair| pair.2 == Verdict::Reject) {
        let (Some(one), Some(other)) = (places.get(first), places.get(second)) else {
            continue;
        };
        let root = find_root(&mut parents, *one);
        if root == find_root(&mut parents, *other)
            && let Some(router) = sets.get_mut(&root)
        {
            router
                .conflicts
                .push((*first.min(second), *first.max(second)));
        }
    }
    let mut routers: Vec<Router> = sets.into_values().collect();
    for router in &mut routers {
        router.conflicts.sort_unstable();
        router.conflicts.dedup();
    }
    routers.sort_unstable_by_key(|router| router.addresses[0]);
    routers
}

/// Returns the root of a place, and shortens the way to it.
fn find_root(parents: &mut [usize], mut place: usize) -> usize {
    while parents[place] != place {
        parents[place] = parents[parents[place]];
        place = parents[place];
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Accept, Reject, Undetermined};

    fn router(addresses: &[u128], conflicts: &[(u128, u128)]) -> Router {
        Router {
            addresses: addresses.to_vec(),
            conflicts: conflicts.to_vec(),
        }
    }

    #[test]
    fn aliases_of_aliases_are_aliases() {
        let pairs = [
            (3, 2, Accept),
            (9, 8, Accept),
            (1, 2, Accept),
            (1, 8, Reject),
        ];
        assert_eq!(
            find_routers(&pairs),
            [router(&[1, 2, 3], &[]), router(&[8, 9], &[])]
        );
    }

    #[test]
    fn an_address_without_aliases_is_no_router_of_several() {
        assert_eq!(find_routers(&[(1, 2, Undetermined), (2, 3, Reject)]), []);
    }

    #[test]
    fn a_set_that_a_test_splits_is_in_conflict() {
        let pairs = [
            (1, 2, Accept),
            (2, 3, Accept),
            (3, 1, Reject),
            (1, 3, Reject),
        ];
        assert_eq!(find_routers(&pairs), [router(&[1, 2, 3], &[(1, 3)])]);
        let twice = [(1, 2, Accept), (1, 2, Reject)];
        assert_eq!(find_routers(&twice), [router(&[1, 2], &[(1, 2)])]);
    }
}
