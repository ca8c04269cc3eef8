//! The diamonds that a survey finds, which knows the links on the paths to a prefix.

use crate::diamond::{Diamond, delimit};

/// A link between interfaces at neighbouring hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The TTL of the near end; that of the far end is one more.
    pub near_ttl: u8,
    /// The address of the near end.
    pub near: u128,
    /// The address of the far end.
    pub far: u128,
}

/// A diamond, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The TTL of the divergence point.
    pub divergence_ttl: u8,
    /// The address of the divergence point.
    pub divergence: u128,
    /// The address of the convergence point.
    pub convergence: u128,
    /// The diamond itself.
    pub diamond: Diamond,
}

/// Returns the diamonds on the paths to a prefix, of all links on them, sorted by TTL.
///
/// The vertices of a hop are the ends of links at its TTL. An interface counts at each TTL at which
/// it replies, so paths of different lengths do not converge where they meet. Hops without links are
/// part of no diamond. A link may be there several times.
///
/// # Panics
/// If links are not sorted by TTL.
#[must_use]
pub fn find_diamonds(links: &[Link]) -> Vec<Found> {
    let (Some(first), Some(last)) = (links.first(), links.last()) else {
        return Vec::new();
    };
    let mut hops = vec![Vec::new(); usize::from(last.near_ttl - first.near_ttl) + 2];
    let hop_of = |link: &Link| usize::from(link.near_ttl - first.near_ttl);
    for link in links {
        hops[hop_of(link)].push(link.near);
        hops[hop_of(link) + 1].push(link.far);
    }
    for hop in &mut hops {
        hop.sort_unstable();
        hop.dedup();
    }
    let widths: Vec<usize> = hops.iter().map(Vec::len).collect();
    let links_from = |hop: usize| {
        let start = links.partition_point(|link| hop_of(link) < hop);
        let here = links[start..].iter().take_while(|link| hop_of(link) == hop);
        let place = |hop: usize, end| hops[hop].partition_point(|vertex| *vertex < end);
        here.map(|link| (place(hop, link.near), place(hop + 1, link.far)))
            .collect()
    };
    let found = delimit(&widths).map(|inside| Found {
        divergence_ttl: first.near_ttl + inside.start as u8,
        divergence: hops[inside.start][0],
        convergence: hops[inside.end][0],
        diamond: Diamond::new(
            widths[inside.start..=inside.end].to_vec(),
            inside.map(links_from).collect(),
        ),
    });
    found.collect()
}

/// What a diamond between addresses becomes between routers (Vermeulen et al., IMC 2018, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The same: none of its addresses are aliases.
    Nothing,
    /// One smaller diamond.
    OneSmaller,
    /// A series of smaller diamonds.
    SeveralSmaller,
    /// A straight path.
    StraightPath,
}

impl Change {
    /// Returns the change as results name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "no change",
            Self::OneSmaller => "one smaller",
            Self::SeveralSmaller => "several smaller",
            Self::StraightPath => "straight path",
        }
    }
}

impl Found {
    /// Returns the TTL of the convergence point.
    #[must_use]
    pub const fn convergence_ttl(&self) -> u8 {
        // TTLs are bytes, so lengths are, too.
        self.divergence_ttl + self.diamond.max_length() as u8
    }

    /// Returns what it becomes, of all diamonds between routers on the paths to its prefix, and those
    /// of them that lie in it.
    #[must_use]
    pub fn resolve<'a>(&self, between_routers: &'a [Self]) -> (Change, Vec<&'a Self>) {
        let is_inside = |found: &&Self| {
            found.divergence_ttl >= self.divergence_ttl
                && found.convergence_ttl() <= self.convergence_ttl()
        };
        let inside: Vec<&Self> = between_routers.iter().filter(is_inside).collect();
        let change = match inside[..] {
            [] => Change::StraightPath,
            [one] if one.diamond.vertices() == self.diamond.vertices() => Change::Nothing,
            [_] => Change::OneSmaller,
            _ => Change::SeveralSmaller,
        };
        (change, inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(links: &[(u8, u128, u128)]) -> Vec<Found> {
        let links = links.iter().map(|(near_ttl, near, far)| Link {
            near_ttl: *near_ttl,
            near: *near,
            far: *far,
        });
        find_diamonds(&links.collect::<Vec<_>>())
    }

    #[test]
    fn a_diamond_has_its_place_and_its_links() {
        let links = [
            (3, 10, 20),
            (3, 10, 21),
            (3, 10, 21), // again, of a later round
            (4, 21, 30),
            (4, 20, 30),
            (5, 30, 40),
        ];
        let open = [(0, 0), (0, 1)].into();
        let end = [(0, 0), (1, 0)].into();
        let diamond = Found {
            divergence_ttl: 3,
            divergence: 10,
            convergence: 30,
            diamond: Diamond::new(vec![1, 2, 1], vec![open, end]),
        };
        assert_eq!(find(&links), [diamond]);
        assert_eq!(find(&[]), []);
    }

    /// Returns what the diamond of two wide hops becomes if some addresses are those of a router.
    fn resolve(routers: &[(u128, u128)]) -> Change {
        let links = [
            (1, 1, 20),
            (1, 1, 21),
            (1, 1, 22),
            (2, 20, 30),
            (2, 21, 30),
            (2, 22, 31),
            (3, 30, 4),
            (3, 31, 4),
        ];
        let router_of = |address| {
            let router = routers.iter().find(|(alias, _)| *alias == address);
            router.map_or(address, |(_, router)| *router)
        };
        let between = links.map(|(ttl, near, far)| (ttl, router_of(near), router_of(far)));
        find(&links)[0].resolve(&find(&between)).0
    }

    #[test]
    fn aliases_make_a_diamond_smaller_or_several_or_none() {
        assert_eq!(resolve(&[]), Change::Nothing);
        assert_eq!(resolve(&[(21, 20)]), Change::OneSmaller);
        assert_eq!(resolve(&[(21, 20), (22, 20)]), Change::OneSmaller);
        assert_eq!(
            resolve(&[(21, 20), (22, 20), (31, 30)]),
            Change::StraightPath
        );
        let three_hops = [
            (1, 1, 20),
            (1, 1, 21),
            (2, 20, 30),
            (2, 21, 31),
            (3, 30, 40),
            (3, 31, 41),
            (4, 40, 5),
            (4, 41, 5),
        ];
        let joined = three_hops.map(|(ttl, near, far)| {
            let join = |address| if address == 31 { 30 } else { address };
            (ttl, join(near), join(far))
        });
        let between = find(&joined);
        let (change, inside) = find(&three_hops)[0].resolve(&between);
        assert_eq!((change, inside.len()), (Change::SeveralSmaller, 2));
    }

    #[test]
    fn silent_hops_are_part_of_no_diamond() {
        let links = [(1, 1, 2), (1, 1, 3), (2, 2, 4), (2, 3, 5), (5, 6, 7)];
        assert_eq!(find(&links), []);
        let far_off = [(1, 1, 2), (254, 3, 4), (255, 4, 5)];
        assert_eq!(find(&far_off), []);
    }

    #[test]
    fn interfaces_without_links_to_both_sides_are_in_diamonds_that_are_not_whole() {
        // No flow that met 3 has a reply from the next hop.
        let links = [(1, 1, 2), (1, 1, 3), (2, 2, 4)];
        let found = find(&links);
        assert_eq!(found[0].diamond.max_width(), 2);
        assert!(!found[0].diamond.is_whole());
    }

    #[test]
    fn paths_of_different_lengths_do_not_converge() {
        // The interface 5 is at the third hop and at the fourth.
        let links = [
            (1, 1, 2),
            (1, 1, 3),
            (2, 2, 5),
            (2, 3, 4),
            (3, 4, 5),
            (3, 5, 6),
        ];
        assert_eq!(find(&links), []);
    }
}
