//! Aliases among the addresses of a list.

use anabranch_aliases::candidate::Shown;
use anabranch_aliases::evidence::Verdict;
use anabranch_aliases::resolver::{Resolver, Want};
use anabranch_aliases::series::Sample;
use anabranch_aliases::sounding::{Echoed, Sounding};
use anabranch_prefixes::Family;

/// Where a packet's identification comes from: a counter's start and rate.
type Counter = (u64, u64);

const RTT_US: u64 = 9_000;

/// Resolves the addresses 0, 1, … of which each has the counter of this place, and returns the number of
/// probes, and when the last one was sent.
fn resolve(counters: &[usize], of: &[Counter], rounds: u8) -> (Resolver, u64, u64) {
    let addresses: Vec<u128> = (0..counters.len() as u128).collect();
    let mut resolver = Resolver::of_list(Family::V4, &addresses, rounds, |_, _| None);
    let (mut now_us, mut probes, mut given) = (0, 0, vec![0; of.len()]);
    let mut flying: Vec<(u64, Sounding, u16, u64)> = Vec::new();
    loop {
        match resolver.poll(now_us) {
            Want::Send(sounding, number) => {
                probes += 1;
                flying.push((now_us + RTT_US, sounding, number, now_us));
            }
            Want::Wait(until_us) => {
                let arrives = flying.first().map(|(at_us, ..)| *at_us);
                now_us = arrives.map_or(until_us, |at_us| at_us.min(until_us));
                if arrives != Some(now_us) {
                    continue;
                }
                let (at_us, sounding, number, sent_us) = flying.remove(0);
                let (Sounding::Echo(from) | Sounding::Port(from)) = sounding else {
                    panic!("addresses of a list have no hop");
                };
                let counter = counters[from as usize];
                let (start, rate) = of[counter];
                given[counter] += 1;
                let passed = rate * (sent_us + RTT_US / 2) / 1_000_000;
                let sample = Sample {
                    sent_us,
                    at_us,
                    id: u32::from((start + passed + given[counter]) as u16),
                    is_copied: false,
                };
                let shown = Shown {
                    sample: Some(sample),
                    ttl: 250,
                    labels: Vec::new(),
                };
                let rtt_us = RTT_US;
                resolver.take(
                    sounding,
                    number,
                    Echoed {
                        from,
                        shown,
                        rtt_us,
                    },
                );
            }
            Want::Nothing => return (resolver, probes, now_us),
        }
    }
}

#[test]
fn addresses_of_one_counter_are_aliases_and_others_are_not() {
    let counters: Vec<usize> = (0..60).map(|address| address % 50).collect();
    let of: Vec<Counter> = (0..50)
        .map(|number| (number * 1_299, 900 + number))
        .collect();
    let (resolver, ..) = resolve(&counters, &of, 10);
    let said: Vec<_> = resolver.testimony();
    assert_eq!(said.len(), 10);
    for evidence in said {
        assert_eq!(evidence.finding.verdict, Verdict::Accept);
        assert_eq!(evidence.second - evidence.first, 50);
        assert_eq!(evidence.ttl, 0);
    }
}

#[test]
fn an_address_alone_tells_how_fast_its_counter_is() {
    for rate in [0u32, 40, 1_000, 9_000] {
        let (resolver, probes, took_us) = resolve(&[0], &[(65_000, rate.into())], 1);
        // Its own replies count, too: five a second, and the one to a port.
        let found = resolver.counter().unwrap().series.rate().unwrap();
        assert!((found - f64::from(rate)).abs() < 9.0, "{found}, not {rate}");
        assert_eq!(probes, 9);
        assert!(took_us > 1_000_000);
    }
    assert_eq!(resolve(&[0, 0], &[(0, 9)], 1).0.counter(), None);
}

#[test]
fn a_list_gets_no_more_than_a_probe_in_a_millisecond() {
    let counters: Vec<usize> = (0..200).collect();
    let of: Vec<Counter> = (0..200).map(|number| (number * 331, 2_000)).collect();
    let (_, probes, took_us) = resolve(&counters, &of, 1);
    assert!(probes > 1_000);
    assert!(took_us >= 1_000 * (probes - 1));
}

#[test]
fn counters_that_go_side_by_side_for_a_while_are_not_taken_for_one() {
    for (rate, other) in [(0, 0), (1, 1), (30, 32), (400, 410), (3_000, 3_010)] {
        let of = [(500, rate), (501, other)];
        let (resolver, ..) = resolve(&[0, 1], &of, 10);
        let (one, ..) = resolve(&[0, 0], &of, 10);
        let verdicts = [resolver, one].map(|each| {
            let said: Vec<_> = each.evidence().collect();
            said[0].finding.verdict
        });
        assert_eq!(
            verdicts,
            [Verdict::Reject, Verdict::Accept],
            "at {rate} a second"
        );
    }
}
