//! A tracer waits, retries and ends as its rule says.

use std::sync::Arc;

use anabranch_trace::rule::{Algorithm, Rule};
use anabranch_trace::sightings::{Ask, Vertex};
use anabranch_trace::tracer::{End, Tracer, Want};

#[test]
fn silent_hops_are_probed_again_and_end_the_trace() {
    let rule = Arc::new(Rule::new(Algorithm::SinglePath, 0.05));
    let mut tracer = Tracer::new(rule);
    let first = Ask { flow: 0, ttl: 1 };
    assert_eq!(tracer.poll(0), Want::Send(first));
    assert_eq!(tracer.poll(0), Want::Wait(1_000_000));
    tracer.take(first, Vertex::Router(1), 10_000);
    // A copy changes nothing.
    tracer.take(first, Vertex::Router(2), 10_500);
    let mut now_us = 10_000;
    let end = loop {
        match tracer.poll(now_us) {
            Want::Send(_) => {}
            Want::Wait(until_us) => now_us = until_us,
            Want::Nothing(end) => break end,
        }
    };
    assert_eq!(end, End::GapLimit);
    assert_eq!(tracer.seen().hop(1).vertices(), [Vertex::Router(1)]);
    // Five silent hops, three attempts each, after the least time-out of 0.2 s.
    assert_eq!(tracer.probes(), 1 + 5 * 3);
    assert_eq!(now_us, 10_000 + 15 * 200_000);
}
