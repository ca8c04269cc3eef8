//! Stopping points: after how many probes no further successor is likely.

use std::sync::OnceLock;

/// Stopping points up to this many successors are computed once.
const KEPT: usize = 128;

/// The stopping points for one failure probability.
#[derive(Clone, Debug)]
pub struct StoppingPoints {
    failure_probability: f64,
    known: Vec<OnceLock<u32>>,
}

impl StoppingPoints {
    /// Prepares the stopping points for the failure probability of a vertex.
    ///
    /// # Panics
    /// If the failure probability is not between 0 and 1.
    #[must_use]
    pub fn new(failure_probability: f64) -> Self {
        assert!(
            failure_probability > 0.0 && failure_probability < 1.0,
            "{failure_probability} is not between 0 and 1"
        );
        Self {
            failure_probability,
            known: vec![OnceLock::new(); KEPT],
        }
    }

    /// The failure probability of a vertex.
    #[must_use]
    pub const fn failure_probability(&self) -> f64 {
        self.failure_probability
    }

    /// Returns `n_k`: the probes after which a vertex with `found` known successors has no other,
    /// but for the failure probability. Before the first reply, that of one successor applies.
    #[must_use]
    pub fn after(&self, found: usize) -> usize {
        let found = found.max(1);
        let count = || count_probes(found + 1, self.failure_probability);
        let point = self.known.get(found - 1);
        point.map_or_else(count, |known| *known.get_or_init(count)) as usize
    }

    /// Returns the probability that a vertex with `successors` equally likely successors is left
    /// before all of them are found.
    ///
    /// It follows the distribution of the successors found, probe by probe; a stopping point
    /// absorbs the part that has not gone past it (Veitch et al., INFOCOM 2009, section II.B).
    #[must_use]
    pub fn failure_of(&self, successors: usize) -> f64 {
        let mut found = vec![0.0; successors + 1];
        found[1.min(successors)] = 1.0;
        let mut failed = 0.0;
        let last = (successors.max(2)) - 1;
        for probes in 1..=self.after(last) {
            if probes > 1 {
                draw(&mut found);
            }
            for (k, share) in found.iter_mut().enumerate().take(successors).skip(1) {
                if self.after(k) == probes {
                    failed += std::mem::take(share);
                }
            }
        }
        failed
    }
}

/// Returns the failure probability of each vertex with which that of a whole topology holds, if it
/// has at most `branching` branching points: 1 - (1 - global)^(1/branching).
#[must_use]
pub fn share_failure(global: f64, branching: u32) -> f64 {
    -f64::exp_m1(f64::ln_1p(-global) / f64::from(branching.max(1)))
}

/// Returns the fewest probes that miss one of `successors` equally likely successors with at most
/// the failure probability.
fn count_probes(successors: usize, failure_probability: f64) -> u32 {
    let mut found = vec![0.0; successors + 1];
    found[1] = 1.0;
    let mut probes = 1;
    while found[..successors].iter().sum::<f64>() > failure_probability {
        draw(&mut found);
        probes += 1;
    }
    probes
}

/// Changes the distribution of the number of distinct successors by one more probe. Nothing is
/// subtracted, so it stays exact where the alternating sum of the closed form does not.
#[allow(clippy::cast_precision_loss)] // there are few successors
fn draw(found: &mut [f64]) {
    let successors = found.len() - 1;
    for k in (1..=successors).rev() {
        let stay = found[k] * k as f64;
        let come = found[k - 1] * (successors + 1 - k) as f64;
        found[k] = (stay + come) / successors as f64;
    }
    found[0] = 0.0;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(failure_probability: f64) -> Vec<usize> {
        let points = StoppingPoints::new(failure_probability);
        (1..=16).map(|k| points.after(k)).collect()
    }

    #[test]
    fn the_tables_of_the_field_come_out() {
        // The first two are scamper's and libparistraceroute's for 95 % and 99 %.
        assert_eq!(
            table(0.05),
            [
                6, 11, 16, 21, 27, 33, 38, 44, 51, 57, 63, 70, 76, 83, 90, 96
            ]
        );
        assert_eq!(
            table(0.01),
            [
                8, 15, 21, 28, 36, 43, 51, 58, 66, 74, 82, 90, 98, 106, 115, 123
            ]
        );
        // Veitch et al.: n_1 = 9, n_2 = 17, n_4 = 33, which the MDA-Lite paper calculates with.
        assert_eq!(
            table(0.003_93),
            [
                9, 17, 25, 33, 41, 49, 58, 66, 75, 84, 93, 102, 111, 120, 129, 139
            ]
        );
        let shared = share_failure(0.05, 30);
        assert_eq!(
            table(shared),
            [
                11, 19, 27, 36, 45, 54, 64, 73, 83, 93, 102, 112, 122, 132, 142, 152
            ]
        );
    }

    #[test]
    fn a_vertex_fails_as_often_as_the_papers_say() {
        let points = StoppingPoints::new(0.05);
        // 1 / 2^(n_1 - 1)
        assert!((points.failure_of(2) - 0.031_25).abs() < 1e-12);
        assert!(points.failure_of(1).abs() < 1e-12);
        // The 95 % table exceeds its bound at 8 and 9 successors.
        assert!((points.failure_of(8) - 0.050_11).abs() < 5e-6);
        assert!((points.failure_of(9) - 0.050_61).abs() < 5e-6);
        assert!((points.failure_of(28) - 0.0491).abs() < 5e-5);
    }

    #[test]
    fn points_beyond_those_that_are_kept_go_on() {
        let points = StoppingPoints::new(0.05);
        assert!(points.after(KEPT + 1) > points.after(KEPT));
    }
}
