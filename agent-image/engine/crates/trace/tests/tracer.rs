//! A tracer waits, retries and ends as its rule says.

use std::cell::Cell;
use std::sync::Arc;

use anabranch_trace::rule::{Algorithm, Rule};
use anabranch_trace::sightings::{Ask, Vertex};
use anabranch_trace::tracer::{End, Tracer, Want};

#[test]
fn silent_hops_are_probed_again_and_end_the_trace() {
    let rule = Arc::new(Rule::new(Algorithm::SinglePath, 0.05));
    let mut tracer = Tracer::new(rule);
    let first = Ask { flow: 0, ttl: 1 };
    assert_eq!(tracer.poll(0), Want::Send(first, 1));
    assert_eq!(tracer.poll(0), Want::Wait(1_000_000));
    tracer.take(first, Vertex::Router(1), 10_000);
    // A copy changes nothing.
    tracer.take(first, Vertex::Router(1), 10_500);
    assert!(!tracer.seen().hop(1).is_unsteady());
    let mut now_us = 10_000;
    let end = loop {
        match tracer.poll(now_us) {
            Want::Send(..) => {}
            Want::Wait(until_us) => now_us = until_us,
            Want::Nothing(end) => break end,
        }
    };
    assert_eq!(end, End::GapLimit);
    assert_eq!(tracer.seen().hop(1).vertices(), [Vertex::Router(1)]);
    // Five silent hops, three attempts each, with the least time-out of 0.2 s. A hop is probed while
    // the one before is probed again.
    assert_eq!(tracer.probes(), 1 + 5 * 3);
    assert_eq!(now_us, 10_000 + (5 + 2) * 200_000);
}

#[test]
fn a_hop_that_is_silent_to_many_flows_is_not_probed_again() {
    let rule = Rule::new(Algorithm::Mda, 0.05);
    let tracer = trace(rule, |ask| (ask.ttl == 1).then_some(Vertex::Router(1)));
    assert_eq!(tracer.end(), Some(End::GapLimit));
    // n_1 = 6 flows at each hop, and the scout at one more.
    assert_eq!(tracer.probes(), 6 + 5 * 6 + 1);
}

#[test]
fn a_hop_that_answers_after_all_is_probed_again() {
    let mut rule = Rule::new(Algorithm::Mda, 0.05);
    rule.max_ttl = 1;
    let mut tracer = Tracer::new(Arc::new(rule));
    assert_eq!(tracer.poll(0), Want::Send(Ask { flow: 0, ttl: 1 }, 1));
    assert_eq!(tracer.poll(0), Want::Wait(1_000_000));
    for flow in 1..6 {
        let ask = Ask { flow, ttl: 1 };
        assert_eq!(tracer.poll(1_000_000), Want::Send(ask, 1));
    }
    tracer.take(Ask { flow: 4, ttl: 1 }, Vertex::Router(1), 600_000);
    let again = Ask { flow: 0, ttl: 1 };
    assert_eq!(tracer.poll(1_600_000), Want::Send(again, 2));
}

#[test]
fn one_attempt_is_no_more_than_one() {
    let mut rule = Rule::new(Algorithm::Mda, 0.05);
    rule.attempts = 1;
    rule.max_ttl = 1;
    // The scout's probe is lost, and the hop answers to all other flows.
    let tracer = trace(rule, |ask| (ask.flow != 0).then_some(Vertex::Router(1)));
    assert_eq!(tracer.end(), Some(End::HopLimit));
    let met = [Vertex::Silent, Vertex::Router(1)];
    assert_eq!(tracer.seen().hop(1).vertices(), met);
    // A star takes as many flows as a router: n_2 = 11.
    assert_eq!(tracer.probes(), 11);
}

#[test]
fn an_end_that_answers_seldom_is_one_all_the_same() {
    for algorithm in [Algorithm::Mda, Algorithm::MdaLite { phi: 2 }] {
        let answered = Cell::new(0);
        let tracer = trace(Rule::new(algorithm, 0.05), |ask| {
            if ask.ttl <= 2 {
                return Some(Vertex::Router(ask.ttl.into()));
            }
            // Hosts limit their errors: Linux sends six at once, and then one a second.
            answered.set(answered.get() + 1);
            (answered.get() <= 4).then_some(Vertex::End(3))
        });
        assert_eq!(tracer.end(), Some(End::Completed));
        assert_eq!(tracer.switch(), None);
        // Some flows look for a router behind it.
        assert!(tracer.seen().hop(4).probed() > 1);
        assert!(tracer.probes() < 45, "{}", tracer.probes());
    }
}

#[test]
fn a_path_that_goes_on_through_a_silent_router_is_followed() {
    // The scout's path is the longer one.
    let tracer = trace(Rule::new(Algorithm::Mda, 0.05), |ask| {
        match (ask.ttl, ask.flow % 2) {
            (1, _) => Some(Vertex::Router(1)),
            (2, 0) => None,
            (3, 0) => Some(Vertex::Router(3)),
            _ => Some(Vertex::End(9)),
        }
    });
    assert_eq!(tracer.end(), Some(End::Completed));
    assert_eq!(tracer.seen().last_ttl(), 4);
    assert!(tracer.seen().hop(4).probed() > 1);
}

#[test]
fn a_router_that_no_flow_meets_any_more_is_not_looked_for_without_end() {
    let algorithms = [
        Algorithm::Mda,
        Algorithm::MdaLite { phi: 2 },
        Algorithm::MdaLocal { phi: 4 },
    ];
    // It stops answering, or the route changes and another one is in its place.
    let later = [None, Some(Vertex::Router(99))];
    for (algorithm, later) in algorithms.into_iter().flat_map(|a| later.map(|l| (a, l))) {
        let answered = Cell::new(0);
        let tracer = trace(Rule::new(algorithm, 0.05), |ask| {
            let branch = u128::from(ask.flow % 4);
            match ask.ttl {
                1 => Some(Vertex::Router(1)),
                2 if branch == 1 && answered.replace(answered.get() + 1) > 0 => later,
                2 => Some(Vertex::Router(20 + branch)),
                3 => Some(Vertex::Router(30 + branch)),
                _ => Some(Vertex::End(9)),
            }
        });
        assert_eq!(tracer.end(), Some(End::Completed));
        assert_eq!(tracer.seen().gone_ttls().collect::<Vec<_>>(), [2]);
        assert!(tracer.probes() < 500, "{algorithm:?}: {}", tracer.probes());
    }
}

#[test]
fn rare_routers_beside_a_silent_one_are_looked_for() {
    // Every second flow meets a silent router, one in 64 each of 32 others; these have two next hops.
    let mut missed = 0;
    for run in 0..10 {
        let tracer = trace(Rule::new(Algorithm::Mda, 0.05), |ask| {
            let drawn = u128::from(draw(run, ask.flow));
            let (is_silent, rare, next) = (drawn.is_multiple_of(2), drawn / 2 % 32, drawn / 64 % 2);
            match ask.ttl {
                1 => Some(Vertex::Router(1)),
                2 if is_silent => None,
                2 => Some(Vertex::Router(200 + rare)),
                3 if is_silent => Some(Vertex::Router(399)),
                3 => Some(Vertex::Router(300 + 2 * rare + next)),
                _ => Some(Vertex::End(9)),
            }
        });
        let found = (200..232).map(|near| {
            let next = tracer.seen().successors(2, Vertex::Router(near));
            2 - next.len().min(2)
        });
        missed += found.sum::<usize>();
        assert_eq!(tracer.seen().gone_ttls().count(), 0);
    }
    // Of 640 links: .03125 for each of the 320 routers, within five standard deviations.
    assert!(missed <= 26, "{missed}");
}

/// Returns a number for a flow of a run, as good as drawn.
fn draw(run: u64, flow: u16) -> u64 {
    let mut x = (run << 16 | u64::from(flow)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[test]
fn a_longer_path_through_a_silent_router_is_missed_no_more_often_than_any_other() {
    for algorithm in [Algorithm::Mda, Algorithm::MdaLite { phi: 2 }] {
        let missed = (0..500).filter(|run| {
            let tracer = trace(Rule::new(algorithm, 0.05), |ask| {
                let is_longer = draw(*run, ask.flow).is_multiple_of(2);
                match ask.ttl {
                    1 => Some(Vertex::Router(1)),
                    2 if is_longer => None,
                    3 | 4 if is_longer => Some(Vertex::Router(ask.ttl.into())),
                    _ => Some(Vertex::End(9)),
                }
            });
            let far = tracer.seen().hop(4).vertices();
            !far.contains(&Vertex::Router(4))
        });
        // 1 / 2^5 = .03125 of them, within five standard deviations.
        let missed = missed.count();
        assert!(missed <= 35, "{algorithm:?}: {missed} of 500");
    }
}

#[test]
fn a_lost_reply_costs_one_more_probe_and_no_time() {
    let rule = Rule::new(Algorithm::Mda, 0.05);
    let mut tracer = Tracer::new(Arc::new(rule));
    let scouts = [1, 2, 3].map(|ttl| Ask { flow: 0, ttl });
    assert_eq!(tracer.poll(0), Want::Send(scouts[0], 1));
    assert_eq!(tracer.poll(0), Want::Send(scouts[1], 1));
    tracer.take(scouts[0], Vertex::Router(1), 20_000);
    assert_eq!(tracer.poll(0), Want::Send(scouts[2], 1));
    tracer.take(scouts[1], Vertex::End(2), 20_000);
    // It has gone too far by one hop, where the destination answers again.
    tracer.take(scouts[2], Vertex::End(2), 20_000);
    for ttl in [1, 2] {
        for flow in 1..6 {
            let ask = Ask { flow, ttl };
            assert_eq!(tracer.poll(20_000), Want::Send(ask, 1));
            if (flow, ttl) != (3, 1) {
                let vertex = [Vertex::Router(1), Vertex::End(2)][usize::from(ttl) - 1];
                tracer.take(ask, vertex, 20_000);
            }
        }
    }
    let lost = Ask { flow: 3, ttl: 1 };
    assert_eq!(tracer.poll(300_000), Want::Send(lost, 2));
    tracer.take(lost, Vertex::Router(1), 20_000);
    assert_eq!(tracer.poll(320_000), Want::Nothing(End::Completed));
    assert_eq!(tracer.probes(), 2 * 6 + 1 + 1);
}

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

#[test]
fn a_loop_ends_the_trace_once_a_router_comes_back() {
    let rule = Rule::new(Algorithm::MdaLite { phi: 2 }, 0.05);
    let tracer = trace(rule, |ask| {
        Some(Vertex::Router(match ask.ttl {
            ttl @ 1..=3 => ttl.into(),
            ttl => u128::from(ttl % 2) + 10,
        }))
    });
    assert_eq!(tracer.end(), Some(End::Loop));
    assert_eq!(tracer.seen().last_ttl(), 6);
}

#[test]
fn a_router_that_answers_at_two_hops_in_a_row_is_no_loop() {
    let rule = Rule::new(Algorithm::SinglePath, 0.05);
    let tracer = trace(rule, |ask| match ask.ttl {
        ttl @ 1..=3 => Some(Vertex::Router(ttl.into())),
        4 => Some(Vertex::Router(3)),
        _ => Some(Vertex::End(9)),
    });
    assert_eq!(tracer.end(), Some(End::Completed));
    assert_eq!(tracer.seen().last_ttl(), 5);
}

#[test]
fn a_trace_may_begin_behind_the_first_hops() {
    let mut rule = Rule::new(Algorithm::Mda, 0.05);
    rule.first_ttl = 4;
    let tracer = trace(rule, |ask| {
        assert!(ask.ttl >= 4);
        let branch = 10 * u128::from(ask.flow % 2);
        Some(match ask.ttl {
            4 => Vertex::Router(40 + branch),
            5 => Vertex::Router(50 + branch),
            _ => Vertex::End(9),
        })
    });
    assert_eq!(tracer.end(), Some(End::Completed));
    assert_eq!(tracer.seen().hop(4).vertices().len(), 2);
    assert_eq!(tracer.seen().links().len(), 2 + 2 + 2);
}

#[test]
fn a_reply_that_comes_too_late_replaces_the_star() {
    let mut rule = Rule::new(Algorithm::SinglePath, 0.05);
    rule.attempts = 1;
    let mut tracer = Tracer::new(Arc::new(rule));
    let late = Ask { flow: 0, ttl: 1 };
    assert_eq!(tracer.poll(0), Want::Send(late, 1));
    assert_eq!(
        tracer.poll(1_000_000),
        Want::Send(Ask { flow: 0, ttl: 2 }, 1)
    );
    assert_eq!(tracer.seen().hop(1).vertices(), [Vertex::Silent]);
    tracer.take(late, Vertex::Router(1), 1_500_000);
    assert_eq!(tracer.seen().hop(1).vertices(), [Vertex::Router(1)]);
    // From now on it waits longer than this took.
    tracer.take(Ask { flow: 0, ttl: 2 }, Vertex::Router(2), 20_000);
    assert_eq!(
        tracer.poll(1_520_000),
        Want::Send(Ask { flow: 0, ttl: 3 }, 1)
    );
    let Want::Wait(until_us) = tracer.poll(1_520_000) else {
        panic!("it does not wait")
    };
    assert!(until_us > 1_520_000 + 1_500_000);
}

#[test]
fn a_flow_that_meets_two_routers_is_told() {
    let rule = Rule::new(Algorithm::SinglePath, 0.05);
    let mut tracer = Tracer::new(Arc::new(rule));
    let first = Ask { flow: 0, ttl: 1 };
    assert_eq!(tracer.poll(0), Want::Send(first, 1));
    tracer.take(first, Vertex::Router(1), 1_000);
    tracer.take(first, Vertex::Router(2), 1_500);
    assert!(tracer.seen().hop(1).is_unsteady());
}

/// Traces two diamonds in a row. A probe's path through the first depends on its flow, and through
/// the second on `chance` and its number.
fn trace_diamonds(algorithm: Algorithm, chance: fn(Ask, u32) -> u128) -> Tracer {
    let mut rule = Rule::new(algorithm, 0.05);
    rule.tells_per_packet = true;
    let number = Cell::new(0);
    trace(rule, |ask| {
        number.set(number.get() + 1);
        let branch = chance(ask, number.get());
        Some(Vertex::Router(match ask.ttl {
            1 => 10,
            2 => 20 + u128::from(ask.flow % 2),
            3 => 30,
            4 => 40 + branch,
            5 => 50 + branch,
            6 => 60,
            _ => return Some(Vertex::End(9)),
        }))
    })
}

#[test]
fn load_that_is_balanced_by_packet_makes_no_diamond() {
    for algorithm in [Algorithm::Mda, Algorithm::MdaLite { phi: 2 }] {
        let tracer = trace_diamonds(algorithm, |_, number| u128::from(number / 3 % 2));
        let unsteady = (1..=7).filter(|ttl| tracer.seen().hop(*ttl).is_unsteady());
        assert_eq!(unsteady.collect::<Vec<_>>(), [4]);
        assert_eq!(tracer.switch(), None);
        let links = tracer.seen().links();
        let between = links.iter().filter(|link| link.near_ttl == 4);
        // Both interfaces are found; which is linked with which, nobody knows.
        assert_eq!(between.count(), 0);
        assert_eq!(tracer.seen().hop(5).vertices().len(), 2);
        assert_eq!(links.len(), 1 + 2 + 2 + 2 + 2 + 1);
    }
}

#[test]
fn load_that_is_balanced_by_flow_does_make_one() {
    for algorithm in [Algorithm::Mda, Algorithm::MdaLite { phi: 2 }] {
        let by_flow = |ask: Ask, _| u128::from(ask.flow / 2 % 2);
        let tracer = trace_diamonds(algorithm, by_flow);
        assert!((1..=7).all(|ttl| !tracer.seen().hop(ttl).is_unsteady()));
        assert_eq!(tracer.seen().links().len(), 1 + 2 + 2 + 2 + 2 + 2 + 1);
    }
}

#[test]
fn a_probe_that_could_not_be_sent_makes_no_star_and_costs_no_attempt() {
    let mut rule = Rule::new(Algorithm::SinglePath, 0.05);
    rule.attempts = 1;
    rule.max_ttl = 1;
    let mut tracer = Tracer::new(Arc::new(rule));
    let first = Ask { flow: 0, ttl: 1 };
    assert_eq!(tracer.poll(0), Want::Send(first, 1));
    tracer.take_back(first, 1);
    assert_eq!(tracer.probes(), 0);
    assert_eq!(tracer.poll(900_000), Want::Send(first, 1));
    // The wait for what was not sent would be over.
    assert_eq!(tracer.poll(1_000_000), Want::Wait(1_900_000));
    assert_eq!(tracer.seen().hop(1).vertices(), []);
    tracer.take(first, Vertex::End(9), 10_000);
    assert_eq!(tracer.poll(1_000_000), Want::Nothing(End::Completed));
    assert_eq!(tracer.probes(), 1);
}
