//! Alias resolution on simulated Internets, whose routers are known.

use std::collections::BTreeSet;
use std::sync::Arc;

use anabranch_aliases::evidence::{Test, Verdict};
use anabranch_fakeroute::aliastrial::{AliasTrial, Outcome};
use anabranch_fakeroute::behaviour::Behaviour;
use anabranch_prefixes::Family;
use anabranch_trace::rule::{Algorithm, Rule};

/// Resolves what 128 destinations show.
fn resolve(switches: &[(&str, f64)], rounds: u8) -> Vec<Outcome> {
    resolve_in(Family::V4, switches, rounds)
}

fn resolve_in(family: Family, switches: &[(&str, f64)], rounds: u8) -> Vec<Outcome> {
    let mut behaviour = Behaviour::plain();
    for (name, value) in switches {
        behaviour.set(name, *value).unwrap();
    }
    let rule = Arc::new(Rule::new(Algorithm::MdaLite { phi: 2 }, 0.05));
    let mut trial = AliasTrial::new(family, 1 << 12, &behaviour, 5);
    (0..128)
        .map(|number| trial.run(32 * number, &rule, rounds))
        .collect()
}

/// Returns the numbers of pairs with a verdict: of aliases, and of others.
fn count(outcomes: &[Outcome], verdict: Verdict) -> (usize, usize) {
    let counts = outcomes.iter().map(|outcome| outcome.count(verdict));
    counts.fold((0, 0), |sum, (aliases, others)| {
        (sum.0 + aliases, sum.1 + others)
    })
}

#[test]
fn routers_with_one_counter_are_found_and_no_others() {
    let outcomes = resolve(&[], 10);
    let (found, wrong) = count(&outcomes, Verdict::Accept);
    // Of ten thousand pairs one may pass by chance; there are some 1,500.
    assert!(found > 200 && wrong <= 1, "{found}, {wrong}");
    assert_eq!(count(&outcomes, Verdict::Reject).0, 0);
    assert_eq!(count(&outcomes, Verdict::Undetermined), (0, 0));
}

#[test]
fn nothing_is_sent_without_rounds_and_what_is_found_is_right() {
    let outcomes = resolve(&[], 0);
    assert!(outcomes.iter().all(|outcome| outcome.alias_probes == 0));
    let (found, wrong) = count(&outcomes, Verdict::Accept);
    assert!(found > 50 && wrong == 0, "{found}, {wrong}");
}

#[test]
fn further_rounds_send_nothing_once_all_is_decided() {
    let probes = |rounds| -> u32 {
        let outcomes = resolve(&[], rounds);
        outcomes
            .iter()
            .map(|outcome| u32::from(outcome.alias_probes))
            .sum()
    };
    assert_eq!(probes(1), probes(10));
}

#[test]
fn identifications_that_no_counter_gives_say_nothing() {
    for habit in ["constant-ids", "random-ids", "copied-ids"] {
        let outcomes = resolve(&[(habit, 1.0)], 1);
        let pairs = outcomes.iter().flat_map(|outcome| &outcome.pairs);
        let by_ids = pairs.filter(|(evidence, _)| {
            matches!(evidence.finding.test, Some(Test::ErrorIds | Test::EchoIds))
        });
        // Five random ones look like those of a counter once in 256 times.
        assert!(by_ids.count() <= 1, "{habit}");
        assert!(count(&outcomes, Verdict::Undetermined).0 > 200, "{habit}");
    }
}

#[test]
fn echo_replies_tell_what_counters_of_interfaces_hide() {
    let outcomes = resolve(&[("interface-ids", 1.0)], 1);
    let pairs = outcomes.iter().flat_map(|outcome| &outcome.pairs);
    let (mut by_echoes, mut all) = (0, 0);
    for (evidence, are_aliases) in pairs {
        assert!(*are_aliases || evidence.finding.verdict != Verdict::Accept);
        all += usize::from(*are_aliases);
        by_echoes += usize::from(evidence.finding.test == Some(Test::EchoIds) && *are_aliases);
    }
    assert!(by_echoes * 100 > all * 99, "{by_echoes} of {all}");
}

#[test]
fn echo_counters_of_their_own_hide_nothing() {
    let outcomes = resolve(&[("echo-counters", 1.0)], 1);
    assert_eq!(count(&outcomes, Verdict::Reject).0, 0);
    assert_eq!(count(&outcomes, Verdict::Undetermined), (0, 0));
}

#[test]
fn fast_counters_are_told_apart() {
    let outcomes = resolve(&[("id-rate", 10_000.0)], 10);
    let (found, wrong) = count(&outcomes, Verdict::Accept);
    let missed = count(&outcomes, Verdict::Undetermined).0 + count(&outcomes, Verdict::Reject).0;
    assert!(found > 30 * missed, "{found}, {missed}");
    assert_eq!(wrong, 0);
}

#[test]
fn the_source_of_port_unreachables_tells_what_identifications_do_not() {
    let outcomes = resolve(&[("constant-ids", 1.0), ("one-source", 1.0)], 1);
    let (found, wrong) = count(&outcomes, Verdict::Accept);
    assert!(found > 200, "{found}");
    assert_eq!(wrong, 0);
    assert_eq!(count(&outcomes, Verdict::Undetermined).0, 0);
    let pairs = outcomes.iter().flat_map(|outcome| &outcome.pairs);
    let mut accepted = pairs.filter(|(evidence, _)| evidence.finding.verdict == Verdict::Accept);
    assert!(accepted.all(|(evidence, _)| evidence.finding.test == Some(Test::Source)));
}

#[test]
fn fragments_tell_the_routers_of_ipv6_and_no_others() {
    for rate in [0.0, 1.0, 100.0] {
        let outcomes = resolve_in(Family::V6, &[("fragment-rate", rate)], 1);
        let (found, wrong) = count(&outcomes, Verdict::Accept);
        assert!(found > 80, "{found}");
        assert_eq!(wrong, 0);
        assert_eq!(count(&outcomes, Verdict::Reject).0, 0);
        assert_eq!(count(&outcomes, Verdict::Undetermined), (0, 0));
        let pairs = outcomes.iter().flat_map(|outcome| &outcome.pairs);
        let mut tests = pairs.map(|(evidence, _)| evidence.finding.test);
        assert!(tests.all(|test| matches!(test, Some(Test::FragmentIds | Test::Fingerprint))));
    }
}

#[test]
fn fragments_that_no_counter_numbers_say_nothing() {
    for habit in ["constant-ids", "random-ids", "whole-replies"] {
        let outcomes = resolve_in(Family::V6, &[(habit, 1.0)], 10);
        let pairs = outcomes.iter().flat_map(|outcome| &outcome.pairs);
        let mut tests = pairs.map(|(evidence, _)| evidence.finding.test);
        assert!(tests.all(|test| test != Some(Test::FragmentIds)), "{habit}");
        assert!(count(&outcomes, Verdict::Undetermined).0 > 80, "{habit}");
        // An address takes five fragments, or four replies in one piece; a port, and what asks for them.
        let most = outcomes.iter().map(|outcome| {
            let ends = outcome.pairs.iter().flat_map(|(evidence, _)| {
                [
                    (evidence.ttl, evidence.first),
                    (evidence.ttl, evidence.second),
                ]
            });
            8 * ends.collect::<BTreeSet<_>>().len()
        });
        let sent = outcomes
            .iter()
            .map(|outcome| usize::from(outcome.alias_probes));
        assert!(sent.sum::<usize>() <= most.sum(), "{habit}");
    }
}

#[test]
fn counters_of_fragments_of_interfaces_are_told_apart() {
    let outcomes = resolve_in(
        Family::V6,
        &[("interface-ids", 1.0), ("one-source", 0.5)],
        1,
    );
    let pairs = outcomes.iter().flat_map(|outcome| &outcome.pairs);
    let mut accepted = pairs.filter(|(evidence, _)| evidence.finding.verdict == Verdict::Accept);
    assert!(accepted.all(|(evidence, _)| evidence.finding.test == Some(Test::Source)));
    assert_eq!(count(&outcomes, Verdict::Accept).1, 0);
}

#[test]
fn fragments_tell_routers_though_replies_are_lost() {
    let outcomes = resolve_in(Family::V6, &[("loss", 0.05), ("fragment-rate", 100.0)], 2);
    let (found, wrong) = count(&outcomes, Verdict::Accept);
    assert!(found > 80, "{found}");
    assert_eq!((wrong, count(&outcomes, Verdict::Reject).0), (0, 0));
}
