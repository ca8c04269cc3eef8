//! Balancing by packet is told from that by flow, whatever the weights of next hops.

#![allow(clippy::cast_precision_loss)] // there are few runs

use std::fmt::Write as _;
use std::sync::Arc;

use anabranch_fakeroute::behaviour::Behaviour;
use anabranch_fakeroute::topology::Topology;
use anabranch_fakeroute::trial::Trial;
use anabranch_trace::rule::{Algorithm, Rule};

const LITE: Algorithm = Algorithm::MdaLite { phi: 2 };
const FAILURE_PROBABILITY: f64 = 0.05;

/// Draws a load balancer whose next hops have these weights, and meet again.
fn draw(weights: &[u32]) -> Topology {
    let mut text = "127.0.0.1 240.9.0.1\n".to_owned();
    for (number, weight) in (1..).zip(weights) {
        writeln!(text, "240.9.0.1 240.9.1.{number} {weight}").unwrap();
        writeln!(text, "240.9.1.{number} 240.9.2.1").unwrap();
    }
    writeln!(text, "240.9.2.1 240.9.3.1").unwrap();
    Topology::read(&text).unwrap()
}

/// How the traces of a load balancer went.
struct Outcome {
    /// Of the traces that met several of its next hops, the part that took it for one by packet.
    told: f64,
    /// The probes of a trace, on average.
    probes: f64,
}

fn trace(runs: u32, weights: &[u32], switches: &[(&str, f64)]) -> Outcome {
    let mut behaviour = Behaviour::plain();
    for (name, value) in switches {
        behaviour.set(name, *value).unwrap();
    }
    let mut rule = Rule::new(LITE, FAILURE_PROBABILITY);
    rule.tells_per_packet = true;
    let rule = Arc::new(rule);
    let mut trial = Trial::with_behaviour(draw(weights), &behaviour, 5);
    let (mut told, mut met, mut probes) = (0, 0, 0);
    for number in 0..runs {
        let tracer = trial.run(&rule, number).tracer;
        probes += tracer.probes();
        let hop = tracer.seen().hop(2);
        if hop.responsive().count() > 1 {
            met += 1;
            told += u32::from(hop.is_unsteady());
        }
    }
    Outcome {
        told: f64::from(told) / f64::from(met),
        probes: f64::from(probes) / f64::from(runs),
    }
}

/// Checks that balancing by packet is told, in so many runs for each of these weights.
fn check(runs: u32, all_weights: &[&[u32]]) {
    for weights in all_weights {
        for loss in [0.0, 0.05] {
            let by_packet = trace(runs, weights, &[("per-packet", 1.0), ("loss", loss)]);
            let by_flow = trace(runs, weights, &[("loss", loss)]);
            let missed = 1.0 - by_packet.told;
            println!(
                "{weights:?}, loss {loss}: missed in {missed:.4}; by flow, {:.1} probes",
                by_flow.probes
            );
            assert!(missed <= FAILURE_PROBABILITY);
            assert!(by_flow.told <= 0.0, "flows meet the same again");
        }
    }
}

#[test]
fn balancing_by_packet_is_told_whatever_the_weights() {
    check(200, &[&[1, 1], &[3, 1], &[9, 1]]);
}

#[test]
#[ignore = "takes a minute; make statistics runs it"]
fn balancing_by_packet_is_missed_as_seldom_as_may_be() {
    check(
        2_000,
        &[
            &[1, 1],
            &[2, 1],
            &[3, 1],
            &[9, 1],
            &[1, 1, 1],
            &[6, 3, 1],
            &[1, 1, 1, 1],
            &[9, 1, 1, 1],
        ],
    );
}
