//! Diamonds, and what distinguishes them: the metrics of Vermeulen et al. (IMC 2018), section 5.1.

use std::collections::BTreeSet;
use std::ops::Range;

/// Returns the hops of each diamond on paths whose hops have these widths, in order: from that of
/// the divergence point up to, and without, that of the convergence point.
///
/// Augustin et al. (IMC 2007) have all flows pass through both points. So each is the only vertex
/// of its hop, and each hop in between has several. A hop of width 0 is not known, and is part of no
/// diamond.
pub fn delimit(widths: &[usize]) -> impl Iterator<Item = Range<usize>> {
    let mut divergence = None;
    widths.iter().enumerate().filter_map(move |(hop, width)| {
        let before = divergence.filter(|before| before + 1 < hop && *width == 1);
        divergence = match width {
            0 => None,
            1 => Some(hop),
            _ => divergence,
        };
        before.map(|before| before..hop)
    })
}

/// A diamond: its hops from divergence to convergence point, and the links between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diamond {
    /// The number of vertices of each hop.
    widths: Vec<usize>,
    /// The links of each hop with the next one, by the places of their ends.
    links: Vec<BTreeSet<(usize, usize)>>,
}

impl Diamond {
    /// Makes a diamond of its hops' widths, and the links of each hop with the next one.
    ///
    /// # Panics
    /// If a link leads to a vertex that is not there, or the numbers of hops do not fit.
    #[must_use]
    pub fn new(widths: Vec<usize>, links: Vec<BTreeSet<(usize, usize)>>) -> Self {
        assert_eq!(widths.len(), links.len() + 1);
        for (widths, links) in widths.windows(2).zip(&links) {
            let fits = |link: &(usize, usize)| link.0 < widths[0] && link.1 < widths[1];
            assert!(links.iter().all(fits));
        }
        Self { widths, links }
    }

    /// Whether each vertex is on a path from the divergence to the convergence point. Without that,
    /// links are missing, and what rests on links is not known.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let is_joined = |pair| {
            let ends = [self.degrees(pair, true), self.degrees(pair, false)];
            ends.concat().iter().all(|degree| *degree > 0)
        };
        (0..self.links.len()).all(is_joined)
    }

    /// The largest number of vertices of a hop.
    #[must_use]
    pub fn max_width(&self) -> usize {
        self.widths.iter().copied().max().unwrap_or(0)
    }

    /// The number of vertices.
    #[must_use]
    pub fn vertices(&self) -> usize {
        self.widths.iter().sum()
    }

    /// The number of links of the longest path.
    #[must_use]
    pub const fn max_length(&self) -> usize {
        self.links.len()
    }

    /// The largest difference in the number of successors within a hop that is not wider than the
    /// next, or in the number of predecessors within one that is not wider than the hop before.
    #[must_use]
    pub fn width_asymmetry(&self) -> usize {
        let differ = |degrees: &[usize]| {
            let most = degrees.iter().max().copied().unwrap_or(0);
            most - degrees.iter().min().copied().unwrap_or(0)
        };
        let pairs = (0..self.links.len()).map(|pair| {
            let (near, far) = (self.widths[pair], self.widths[pair + 1]);
            let successors = if near <= far {
                differ(&self.degrees(pair, true))
            } else {
                0
            };
            let predecessors = if near >= far {
                differ(&self.degrees(pair, false))
            } else {
                0
            };
            successors.max(predecessors)
        });
        pairs.max().unwrap_or(0)
    }

    /// The share of pairs of hops that are meshed: a vertex of the wider hop, or of either if they
    /// are as wide, has several neighbours in the other one.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // there are few hops
    pub fn meshed_ratio(&self) -> f64 {
        let is_meshed = |pair: &usize| {
            let forward = self.widths[*pair] >= self.widths[pair + 1];
            let is_wide = self.widths[*pair].min(self.widths[pair + 1]) > 1;
            is_wide && self.degrees(*pair, forward).iter().any(|count| *count > 1)
        };
        let meshed = (0..self.links.len()).filter(is_meshed).count();
        meshed as f64 / self.links.len().max(1) as f64
    }

    /// The largest difference within a hop between the probabilities of reaching its vertices, if
    /// each vertex spreads flows evenly over its successors.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // vertices have few successors
    pub fn probability_difference(&self) -> f64 {
        let first = self.widths.first().copied().unwrap_or(0);
        let mut chances = vec![1.0 / first as f64; first];
        let mut largest: f64 = 0.0;
        for (pair, links) in self.links.iter().enumerate() {
            let successors = self.degrees(pair, true);
            let mut next = vec![0.0; self.widths[pair + 1]];
            for (near, far) in links {
                next[*far] += chances[*near] / successors[*near] as f64;
            }
            let most = next.iter().copied().fold(0.0, f64::max);
            let least = next.iter().copied().fold(1.0, f64::min);
            largest = largest.max(most - least);
            chances = next;
        }
        largest
    }

    /// Returns the number of neighbours of each vertex of a pair of hops: successors of the near
    /// ones if `forward`, else predecessors of the far ones.
    fn degrees(&self, pair: usize, forward: bool) -> Vec<usize> {
        let mut degrees = vec![0; self.widths[pair + usize::from(!forward)]];
        for (near, far) in &self.links[pair] {
            degrees[if forward { *near } else { *far }] += 1;
        }
        degrees
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diamond(widths: &[usize], links: &[&[(usize, usize)]]) -> Diamond {
        let links = links.iter().map(|pair| pair.iter().copied().collect());
        Diamond::new(widths.to_vec(), links.collect())
    }

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-12
    }

    #[test]
    fn figure_1_of_the_paper_is_measured_as_there() {
        let open: &[(usize, usize)] = &[(0, 0), (0, 1), (0, 2), (0, 3)];
        let end: &[(usize, usize)] = &[(0, 0), (1, 0)];
        let unmeshed = diamond(
            &[1, 4, 2, 1],
            &[open, &[(0, 0), (1, 1), (2, 0), (3, 1)], end],
        );
        assert_eq!((unmeshed.max_width(), unmeshed.max_length()), (4, 3));
        assert_eq!(unmeshed.width_asymmetry(), 0);
        assert!(close(unmeshed.meshed_ratio(), 0.0));
        assert!(close(unmeshed.probability_difference(), 0.0));
        let all: Vec<(usize, usize)> = (0..4).flat_map(|i| [(i, 0), (i, 1)]).collect();
        let meshed = diamond(&[1, 4, 2, 1], &[open, &all, end]);
        assert!(close(meshed.meshed_ratio(), 1.0 / 3.0));
        assert_eq!(meshed.width_asymmetry(), 0);
    }

    #[test]
    fn diamonds_lie_between_hops_of_one_vertex() {
        let found = |widths: &[usize]| {
            let ends = delimit(widths).map(|inside| (inside.start, inside.end));
            ends.collect::<Vec<_>>()
        };
        assert_eq!(found(&[1, 1, 4, 2, 1, 3, 1, 1, 2]), [(1, 4), (4, 6)]);
        assert_eq!(found(&[2, 1, 3, 0, 1, 2, 1]), [(4, 6)]);
        assert_eq!(found(&[1, 0, 1, 1]), []);
        assert_eq!(found(&[]), []);
    }

    #[test]
    fn a_diamond_whose_vertices_lack_links_is_not_whole() {
        let open: &[(usize, usize)] = &[(0, 0), (0, 1)];
        let end: &[(usize, usize)] = &[(0, 0), (1, 0)];
        assert!(diamond(&[1, 2, 1], &[open, end]).is_whole());
        assert!(!diamond(&[1, 2, 1], &[&[(0, 1)], end]).is_whole());
        assert!(!diamond(&[1, 2, 1], &[open, &[(1, 0)]]).is_whole());
        assert!(!diamond(&[1, 2, 2, 1], &[open, &[], end]).is_whole());
    }

    #[test]
    fn a_lopsided_diamond_is_asymmetric() {
        // One of two vertices leads to one of four, the other one to three.
        let lopsided = diamond(
            &[1, 2, 4, 1],
            &[
                &[(0, 0), (0, 1)],
                &[(0, 0), (1, 1), (1, 2), (1, 3)],
                &[(0, 0), (1, 0), (2, 0), (3, 0)],
            ],
        );
        assert_eq!(lopsided.width_asymmetry(), 2);
        assert!(close(lopsided.probability_difference(), 0.5 - 1.0 / 6.0));
        assert!(close(lopsided.meshed_ratio(), 0.0));
    }
}
