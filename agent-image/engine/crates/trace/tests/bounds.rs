//! A trace ends by its bounds, whatever they are and whatever it meets, up to the last TTL.

use std::sync::Arc;

use anabranch_trace::rule::{Algorithm, Rule};
use anabranch_trace::sightings::{Ask, Vertex};
use anabranch_trace::tracer::{End, Tracer, Want};
use proptest::prelude::*;

/// Traces a path on which each probe meets what `answer` says, or nothing.
fn trace(rule: Rule, answer: impl Fn(Ask) -> Option<Vertex>) -> Tracer {
    let mut tracer = Tracer::new(Arc::new(rule));
    let mut now_us = 0;
    loop {
        match tracer.poll(now_us) {
            Want::Send(ask, _) => {
                if let Some(vertex) = answer(ask) {
                    tracer.take(ask, vertex, 1_000);
                }
            }
            Want::Wait(until_us) => now_us = until_us,
            Want::Nothing(_) => return tracer,
        }
    }
}

/// Returns the router of a flow at a TTL, among so many.
fn router(ask: Ask, width: u16) -> Vertex {
    Vertex::Router(u128::from(ask.ttl) << 16 | u128::from(ask.flow % width))
}

fn rule(algorithm: Algorithm, first_ttl: u8, max_ttl: u8) -> Rule {
    let mut rule = Rule::new(algorithm, 0.05);
    (rule.first_ttl, rule.max_ttl) = (first_ttl, max_ttl);
    (rule.gap_limit, rule.attempts) = (255, 2);
    rule.max_probes = 20_000;
    rule.tells_per_packet = true;
    rule
}

#[test]
fn a_path_may_end_at_the_last_ttl_or_behind() {
    for algorithm in [
        Algorithm::SinglePath,
        Algorithm::Mda,
        Algorithm::MdaLite { phi: 2 },
    ] {
        for (last, end) in [(255, End::Completed), (u16::MAX, End::HopLimit)] {
            for first_ttl in [1, 254, 255] {
                let tracer = trace(rule(algorithm, first_ttl, 255), |ask| {
                    let width = 1 + u16::from(ask.ttl == 254);
                    Some(if u16::from(ask.ttl) < last {
                        router(ask, width)
                    } else {
                        Vertex::End(9)
                    })
                });
                assert_eq!(tracer.end(), Some(end), "{algorithm:?} from {first_ttl}");
                assert_eq!(tracer.seen().last_ttl(), 255);
                let links = tracer.seen().links();
                assert_eq!(links.last().map(|link| link.near_ttl), Some(254));
            }
        }
    }
}

fn algorithms() -> impl Strategy<Value = Algorithm> {
    prop_oneof![
        Just(Algorithm::SinglePath),
        Just(Algorithm::Mda),
        Just(Algorithm::MdaLite { phi: 2 }),
        Just(Algorithm::MdaLocal { phi: 3 }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_trace_ends_between_its_ttls(
        algorithm in algorithms(),
        first_ttl in prop_oneof![1_u8..=4, 245_u8..=255],
        hops in 0_u8..=12,
        last in prop_oneof![1_u16..=16, 245_u16..=260],
        gap_limit in prop_oneof![1_u8..=6, Just(255)],
        width in 1_u16..=3,
        silent in prop::collection::hash_set(any::<u8>(), 0..40),
    ) {
        let max_ttl = first_ttl.saturating_add(hops);
        let mut rule = rule(algorithm, first_ttl, max_ttl);
        rule.gap_limit = gap_limit;
        let is_silent = |ttl: u8| silent.contains(&(ttl % 64));
        let tracer = trace(rule, |ask| {
            assert!((first_ttl..=max_ttl).contains(&ask.ttl));
            if is_silent(ask.ttl) {
                return None;
            }
            Some(if u16::from(ask.ttl) < last { router(ask, width) } else { Vertex::End(9) })
        });
        let end = tracer.end().unwrap();
        prop_assert!(!matches!(end, End::Refused | End::Loop));
        prop_assert!(tracer.seen().links().iter().all(|link| link.near_ttl < max_ttl));
        let answers = (first_ttl..=max_ttl).all(|ttl| !is_silent(ttl));
        if answers {
            let is_reached = last <= u16::from(max_ttl);
            prop_assert_eq!(end, if is_reached { End::Completed } else { End::HopLimit });
        }
    }
}
