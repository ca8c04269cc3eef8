//! Algorithms find what they promise, and cost what the MDA-Lite paper calculates.

#![allow(clippy::cast_precision_loss)] // there are few runs

use std::fmt::Write as _;
use std::sync::Arc;

use anabranch_fakeroute::topology::Topology;
use anabranch_fakeroute::trial::{Run, Trial};
use anabranch_trace::lite::Switch;
use anabranch_trace::rule::{Algorithm, Rule};
use anabranch_trace::tracer::{End, Want};

/// The failure probability for which `n_1` = 9, `n_2` = 17 and `n_4` = 33 (Veitch et al.).
const VEITCH: f64 = 0.003_93;
const LITE: Algorithm = Algorithm::MdaLite { phi: 2 };

/// Draws hops of these widths; each vertex of a pair of hops is linked to as many of the next hop,
/// `meshed` or as evenly as it goes.
fn draw(widths: &[u32], meshed: bool) -> Topology {
    let address = |hop: usize, vertex: u32| format!("240.9.{hop}.{}", vertex + 1);
    let mut text = format!("127.0.0.1 {}\n", address(0, 0));
    for (hop, pair) in widths.windows(2).enumerate() {
        let (near, far) = (pair[0], pair[1]);
        for i in 0..near.max(far) {
            writeln!(
                text,
                "{} {}",
                address(hop, i % near),
                address(hop + 1, i % far)
            )
            .unwrap();
        }
        if meshed && near.min(far) > 1 {
            for i in 0..near.max(far) {
                let other = (i + 1) % far;
                writeln!(
                    text,
                    "{} {}",
                    address(hop, i % near),
                    address(hop + 1, other)
                )
                .unwrap();
            }
        }
    }
    Topology::read(&text).unwrap()
}

fn run_all(topology: Topology, algorithm: Algorithm, share: f64, runs: u32) -> Vec<Run> {
    let rule = Arc::new(Rule::new(algorithm, share));
    let mut trial = Trial::new(topology, 7);
    (0..runs).map(|number| trial.run(&rule, number)).collect()
}

fn mean_probes(runs: &[Run]) -> f64 {
    let sum: u32 = runs.iter().map(|run| run.tracer.probes()).sum();
    f64::from(sum) / runs.len() as f64
}

#[test]
fn the_simplest_diamond_is_missed_as_often_as_is_predicted() {
    let topology = draw(&[1, 2, 1], false);
    let rule = Arc::new(Rule::new(Algorithm::Mda, 0.05));
    let mut trial = Trial::new(topology, 3);
    let predicted = trial.predict_failure(&rule.points).unwrap();
    assert!((predicted - 0.031_25).abs() < 1e-12);
    let failed = (0..20_000)
        .filter(|number| !trial.run(&rule, *number).is_exact)
        .count();
    // Within five standard deviations.
    assert!((500..=750).contains(&failed), "{failed} of 20,000");
}

#[test]
fn figure_1_costs_what_the_paper_calculates() {
    // The destination is one hop behind the convergence point.
    let widths = [1, 4, 2, 1, 1];
    let mda = run_all(draw(&widths, false), Algorithm::Mda, VEITCH, 400);
    let lite = run_all(draw(&widths, false), LITE, VEITCH, 400);
    let last = 9.0;
    let (mda, lite) = (mean_probes(&mda) - last, mean_probes(&lite) - last);
    // 11 n_1 + d = 99 + d, and n_4 + n_2 + 2 n_1 = 68 before the meshing test.
    assert!((99.0..118.0).contains(&mda), "{mda}");
    assert!((68.0..74.0).contains(&lite), "{lite}");
}

#[test]
fn the_meshed_diamond_is_switched_to_the_mda_and_costs_as_much() {
    let widths = [1, 4, 2, 1, 1];
    let mda = run_all(draw(&widths, true), Algorithm::Mda, VEITCH, 400);
    let lite = run_all(draw(&widths, true), LITE, VEITCH, 400);
    let switched = lite.iter().filter(|run| run.tracer.switch().is_some());
    assert!(switched.count() >= 390);
    // 8 n_2 + 3 n_1 + d = 163 + d
    let cost = mean_probes(&mda) - 9.0;
    assert!((163.0..195.0).contains(&cost), "{cost}");
    let ratio = mean_probes(&lite) / mean_probes(&mda);
    assert!((0.95..1.05).contains(&ratio), "{ratio}");
}

#[test]
fn meshing_is_missed_as_often_as_equation_1_says() {
    // Two vertices of two successors each: (1/2)^2 for phi = 2, (1/2)^6 for phi = 4.
    for (phi, expected) in [(2, 0.25), (4, 0.015_6)] {
        let algorithm = Algorithm::MdaLite { phi };
        let runs = run_all(draw(&[1, 2, 2, 1], true), algorithm, VEITCH, 4_000);
        let missed = runs
            .iter()
            .filter(|run| !matches!(run.tracer.switch(), Some((3, Switch::Meshed))));
        let share = missed.count() as f64 / 4_000.0;
        // Flows that found the hops are tested too: it is never missed more often.
        assert!(share <= expected + 0.01, "{share} of {expected}");
    }
}

#[test]
fn a_uniform_unmeshed_diamond_is_found_for_fewer_probes() {
    for widths in [vec![1, 28, 1], vec![1, 4, 8, 8, 4, 1]] {
        let mda = run_all(draw(&widths, false), Algorithm::Mda, VEITCH, 30);
        let lite = run_all(draw(&widths, false), LITE, VEITCH, 30);
        let ratio = mean_probes(&lite) / mean_probes(&mda);
        assert!(ratio < 0.75, "{widths:?}: {ratio}");
        let exact = |runs: &[Run]| runs.iter().filter(|run| run.is_exact).count();
        assert!(exact(&mda) >= 27, "{widths:?}");
        assert!(exact(&lite) >= 26, "{widths:?}");
    }
}

#[test]
fn asymmetry_and_unequal_lengths_are_named() {
    let reasons = |text: &str| -> Vec<Switch> {
        let topology = Topology::read(text).unwrap();
        let runs = run_all(topology, LITE, VEITCH, 50);
        assert!(runs.iter().filter(|run| run.is_exact).count() >= 47);
        let switches = runs.iter().filter_map(|run| run.tracer.switch());
        switches.map(|(_, switch)| switch).collect()
    };
    let asymmetric = "127.0.0.1 240.1.0.1\n240.1.0.1 240.1.1.1\n240.1.0.1 240.1.1.2\n\
        240.1.1.1 240.1.2.1\n240.1.1.1 240.1.2.2\n240.1.1.1 240.1.2.3\n240.1.1.2 240.1.2.4\n\
        240.1.2.1 240.1.3.1\n240.1.2.2 240.1.3.1\n240.1.2.3 240.1.3.1\n240.1.2.4 240.1.3.1\n\
        240.1.3.1 240.9.9.9\n";
    let found = reasons(asymmetric);
    assert!(found.len() >= 48);
    assert!(found.iter().all(|switch| *switch == Switch::Asymmetric));
    let unequal = "127.0.0.1 240.1.0.1\n240.1.0.1 240.1.1.1\n240.1.0.1 240.9.9.9\n\
        240.1.1.1 240.9.9.9\n";
    let found = reasons(unequal);
    assert!(found.iter().all(|switch| *switch == Switch::UnequalLengths));
    assert!(found.len() >= 48);
}

#[test]
fn a_single_path_is_one_flow() {
    let runs = run_all(
        draw(&[1, 4, 2, 1, 1], false),
        Algorithm::SinglePath,
        VEITCH,
        5,
    );
    for mut run in runs {
        assert_eq!((run.tracer.probes(), run.vertices, run.edges), (5, 5, 5));
        assert_eq!(run.tracer.poll(0), Want::Nothing(End::Completed));
    }
}

#[test]
fn balancers_that_prefer_a_next_hop_have_no_prediction() {
    let text = "127.0.0.1 240.1.0.1\n240.1.0.1 240.1.1.1 3\n240.1.0.1 240.1.1.2\n\
                240.1.1.1 240.1.2.1\n240.1.1.2 240.1.2.1\n";
    let trial = Trial::new(Topology::read(text).unwrap(), 1);
    let rule = Rule::new(Algorithm::Mda, 0.05);
    assert!(trial.predict_failure(&rule.points).is_none());
}

/// Draws two diamonds in a row: one meshed, one not.
fn draw_both() -> Topology {
    let mut text = String::from("127.0.0.1 240.9.0.1\n");
    let mut link = |near: (u32, u32), far: (u32, u32)| {
        writeln!(
            text,
            "240.9.{}.{} 240.9.{}.{}",
            near.0, near.1, far.0, far.1
        )
        .unwrap();
    };
    for i in 1..=3 {
        link((0, 1), (1, i));
        for j in 1..=3 {
            link((1, i), (2, j));
        }
        link((2, i), (3, 1));
    }
    for i in 1..=8 {
        link((3, 1), (4, i));
        link((4, i), (5, 1));
    }
    Topology::read(&text).unwrap()
}

#[test]
fn local_switching_controls_nodes_between_meshed_hops_alone() {
    let all = run_all(draw_both(), LITE, 0.05, 300);
    let local = run_all(draw_both(), Algorithm::MdaLocal { phi: 2 }, 0.05, 300);
    assert!(mean_probes(&local) < 0.75 * mean_probes(&all));
    // The MDA controls nodes of the second diamond, too.
    let rule = Rule::new(Algorithm::MdaLocal { phi: 2 }, 0.05);
    let predicted = Trial::new(draw_both(), 1).predict_failure(&rule.points);
    let missed = local.iter().filter(|run| !run.is_exact).count();
    assert!((missed as f64) < 1.3 * 300.0 * predicted.unwrap());
}
