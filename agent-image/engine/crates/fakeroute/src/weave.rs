//! Weaves the links that a survey found on the way to one target into a graph of hops.
//!
//! The vertices of a hop are the ends of links at its TTL, and routers that were heard there between
//! two that were not. Where links are missing, routers are silent: a router that no link leads to is behind a silent one at the TTL before. That one follows
//! the routers that no link leads on from or, if there are none, all routers of their hop. So each
//! router is reached, and no two routers that answer get a link that the survey did not find.

use std::collections::BTreeSet;

use anabranch_chance::Share;
use anabranch_prefixes::Prefix;

/// A target of a survey, as one vantage point saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The vantage point's number.
    pub vantage_point: u32,
    /// The addresses that the paths lead to.
    pub prefix: Prefix,
    /// The number of the protocol that it was probed by.
    pub protocol: u8,
    /// The distance of its hosts in hops: the lowest TTL at which one was heard. It has no meaning
    /// without hosts.
    pub host_ttl: u8,
    /// The share of its addresses that answer.
    pub hosts: Share,
}

/// A link that flows to a target crossed, or a router that they met between two silent ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The TTL of the near end, from 1; the far end's is one more.
    pub near_ttl: u8,
    /// The address of the near end, as a number of the family.
    pub near: u128,
    /// The address of the far end; None if there is only a router.
    pub far: Option<u128>,
    /// The number of flows.
    pub flows: u64,
}

/// The routers at one TTL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// The address of each router, None for a silent one.
    pub addresses: Vec<Option<u128>>,
    /// The places of the routers that each leads to in the next hop, and how many flows went there.
    pub next: Vec<Vec<(u32, u64)>>,
}

impl Hop {
    /// Returns the places of the routers that lead to none of the next hop.
    fn ends(&self) -> Vec<usize> {
        let places = 0..self.next.len();
        places.filter(|i| self.next[*i].is_empty()).collect()
    }

    /// Returns how many flows went on from a router, at least one.
    fn flows(&self, place: u32) -> u64 {
        let next = self.next[place as usize].iter();
        next.map(|(_, flows)| flows).sum::<u64>().max(1)
    }

    /// Adds a silent router, and returns its place.
    fn add_silent(&mut self, next: Vec<(u32, u64)>) -> u32 {
        self.addresses.push(None);
        self.next.push(next);
        self.addresses.len() as u32 - 1
    }
}

/// Returns the hops on the way to a target: first the vantage point, with the routers that it leads
/// to, then those of TTL 1, and so on. There is always the vantage point.
#[must_use]
pub fn weave(crossings: &[Crossing]) -> Vec<Hop> {
    let mut hops = place_routers(crossings);
    for ttl in (0..hops.len() - 1).rev() {
        let (before, behind) = hops.split_at_mut(ttl + 1);
        join(&mut before[ttl], &behind[0], ttl == 0);
    }
    hops
}

/// Returns the hops with the routers that answered, and the links between them.
fn place_routers(crossings: &[Crossing]) -> Vec<Hop> {
    let last = (crossings.iter())
        .map(|each| usize::from(each.near_ttl) + usize::from(each.far.is_some()))
        .max();
    let mut there = vec![BTreeSet::new(); last.unwrap_or(0) + 1];
    for each in crossings {
        let ttl = usize::from(each.near_ttl);
        there[ttl].insert(each.near);
        if let Some(far) = each.far {
            there[ttl + 1].insert(far);
        }
    }
    let addresses: Vec<Vec<u128>> = (there.into_iter())
        .map(|addresses| addresses.into_iter().collect())
        .collect();
    let place = |ttl: usize, address: u128| {
        let place = addresses[ttl].binary_search(&address);
        place.expect("an end of a link")
    };
    let mut hops: Vec<Hop> = (addresses.iter())
        .map(|there| Hop {
            addresses: there.iter().copied().map(Some).collect(),
            next: vec![Vec::new(); there.len()],
        })
        .collect();
    for each in crossings {
        let ttl = usize::from(each.near_ttl);
        if let Some(far) = each.far {
            let far = place(ttl + 1, far) as u32;
            hops[ttl].next[place(ttl, each.near)].push((far, each.flows.max(1)));
        }
    }
    // The vantage point is no router, but leads to some.
    hops[0] = Hop {
        addresses: vec![None],
        next: vec![Vec::new()],
    };
    hops
}

/// Leads from a hop to all routers of the next one, by a silent router if need be.
fn join(hop: &mut Hop, next: &Hop, is_start: bool) {
    let mut reached = vec![false; next.addresses.len()];
    for (place, _) in hop.next.iter().flatten() {
        reached[*place as usize] = true;
    }
    let unreached = (0..next.addresses.len() as u32).filter(|place| !reached[*place as usize]);
    let lead = |place: u32| (place, next.flows(place));
    let (silent, answering): (Vec<u32>, Vec<u32>) =
        unreached.partition(|place| next.addresses[*place as usize].is_none());
    if is_start {
        hop.next[0] = answering.into_iter().chain(silent).map(lead).collect();
        return;
    }
    let (ends, routers) = (hop.ends(), hop.addresses.len());
    let behind_silence: Vec<u32> = if routers == 0 {
        answering.into_iter().chain(silent).collect()
    } else {
        // A hop has one silent router at most.
        for (place, flows) in silent.into_iter().map(lead) {
            let before = if ends.is_empty() {
                (0..routers).collect()
            } else {
                ends.clone()
            };
            for near in before {
                hop.next[near].push((place, flows));
            }
        }
        answering
    };
    if !behind_silence.is_empty() {
        hop.add_silent(behind_silence.into_iter().map(lead).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    fn crossings(links: &[(u8, u128, u128)]) -> Vec<Crossing> {
        let links = links.iter();
        links
            .map(|(near_ttl, near, far)| Crossing {
                near_ttl: *near_ttl,
                near: *near,
                // A far end of 0 is none.
                far: Some(*far).filter(|far| *far > 0),
                flows: 1,
            })
            .collect()
    }

    /// The addresses of a hop, 0 for silent routers, and the links to the next one.
    type Told = (Vec<u128>, Vec<(u128, u128)>);

    fn told(links: &[(u8, u128, u128)]) -> Vec<Told> {
        let hops = weave(&crossings(links));
        let name = |hop: &Hop, place: usize| hop.addresses[place].unwrap_or(0);
        let links = |ttl: usize| {
            let near = hops[ttl].next.iter().enumerate();
            near.flat_map(|(place, next)| {
                let near = name(&hops[ttl], place);
                let next = next.iter();
                next.map(|(far, _)| (near, name(&hops[ttl + 1], *far as usize)))
                    .collect::<Vec<_>>()
            })
            .collect()
        };
        let names = |hop: &Hop| (0..hop.addresses.len()).map(|i| name(hop, i)).collect();
        (0..hops.len())
            .map(|ttl| (names(&hops[ttl]), links(ttl)))
            .collect()
    }

    #[test]
    fn links_are_as_they_were_found() {
        let found = told(&[(1, 1, 2), (1, 1, 3), (2, 2, 4), (2, 3, 4)]);
        assert_eq!(
            found,
            [
                (vec![0], vec![(0, 1)]),
                (vec![1], vec![(1, 2), (1, 3)]),
                (vec![2, 3], vec![(2, 4), (3, 4)]),
                (vec![4], vec![]),
            ]
        );
    }

    #[test]
    fn a_gap_is_one_silent_router_a_ttl() {
        // TTL 1 and 4 answer nothing that a link shows, and at TTL 5 only one of two does.
        let found = told(&[(2, 2, 3), (5, 5, 6), (5, 5, 7), (6, 6, 8)]);
        let names: Vec<_> = found.iter().map(|hop| hop.0.clone()).collect();
        let all = [
            vec![0],
            vec![0],
            vec![2],
            vec![3],
            vec![0],
            vec![5],
            vec![6, 7],
            vec![8],
        ];
        assert_eq!(names, all);
        let links: Vec<_> = found.into_iter().flat_map(|hop| hop.1).collect();
        for silent in [(0, 0), (0, 2), (3, 0), (0, 5)] {
            assert!(links.contains(&silent), "{silent:?}");
        }
        assert!(!links.contains(&(3, 5)));
    }

    #[test]
    fn several_silent_ttls_follow_one_another() {
        let found = told(&[(1, 1, 2), (5, 5, 6)]);
        let names: Vec<_> = found.iter().map(|hop| hop.0.clone()).collect();
        assert_eq!(
            names,
            [
                vec![0],
                vec![1],
                vec![2],
                vec![0],
                vec![0],
                vec![5],
                vec![6]
            ]
        );
        assert_eq!(found[2].1, [(2, 0)]);
        assert_eq!(found[3].1, [(0, 0)]);
    }

    #[test]
    fn a_silent_branch_leaves_where_no_link_leads_on() {
        // Router 3 leads on to nobody who answers, and router 5 was reached from nobody who does.
        let found = told(&[(1, 1, 2), (1, 1, 3), (2, 2, 4), (3, 4, 6), (4, 5, 7)]);
        assert_eq!(found[2].1, [(2, 4), (3, 0)]);
        assert_eq!(found[3].0, [4, 0]);
        assert_eq!(found[3].1, [(4, 6), (0, 5)]);
        // If all routers before lead on, the silent one follows each of them.
        let found = told(&[(1, 1, 2), (1, 1, 3), (2, 2, 4), (2, 3, 4), (4, 5, 7)]);
        assert_eq!(found[2].1, [(2, 4), (2, 0), (3, 4), (3, 0)]);
        assert_eq!(found[3].1, [(0, 5)]);
    }

    #[test]
    fn a_router_between_two_silent_ones_is_there() {
        let found = told(&[(1, 1, 2), (4, 9, 0), (6, 8, 0)]);
        let names: Vec<_> = found.iter().map(|hop| hop.0.clone()).collect();
        let all = [
            vec![0],
            vec![1],
            vec![2],
            vec![0],
            vec![9],
            vec![0],
            vec![8],
        ];
        assert_eq!(names, all);
        // One that links show too is there once.
        assert_eq!(told(&[(1, 1, 2), (2, 2, 0)]), told(&[(1, 1, 2)]));
    }

    #[test]
    fn without_links_there_is_the_vantage_point_alone() {
        assert_eq!(told(&[]), [(vec![0], vec![])]);
    }

    proptest! {
        #[test]
        fn whatever_was_found_every_router_is_reached_and_no_link_is_made_up(
            links in btree_set((1u8..9, 1u128..6, 0u128..6), 0..30)
        ) {
            let found = weave(&crossings(&links.iter().copied().collect::<Vec<_>>()));
            let mut woven = BTreeSet::new();
            for (pair, ttl) in found.windows(2).zip(0u8..) {
                let [hop, next] = pair else { unreachable!() };
                let mut reached = BTreeSet::new();
                for (near, leads) in hop.addresses.iter().zip(&hop.next) {
                    for (far, flows) in leads {
                        prop_assert!(*flows > 0);
                        prop_assert!(reached.insert((near, *far)));
                        let far = next.addresses[*far as usize];
                        woven.extend(near.zip(far).map(|(near, far)| (ttl, near, far)));
                    }
                }
                let reached: BTreeSet<u32> = reached.into_iter().map(|(_, far)| far).collect();
                prop_assert_eq!(reached.len(), next.addresses.len());
            }
            let links: BTreeSet<_> = links.into_iter().filter(|link| link.2 > 0).collect();
            prop_assert_eq!(woven, links);
        }
    }
}
