//! Measured paths have the links that were found, and answer as was heard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anabranch_chance::{Share, scatter};
use anabranch_fakeroute::behaviour::Behaviour;
use anabranch_fakeroute::internet::Internet;
use anabranch_fakeroute::measured::{Builder, Measured};
use anabranch_fakeroute::network::Network;
use anabranch_fakeroute::packet::{Asks, Probe, Reply};
use anabranch_fakeroute::topology::Topologies;
use anabranch_fakeroute::weave::{Crossing, Target};
use anabranch_prefixes::{Family, Prefix};

const PREFIXES: u32 = 40;
const FLOWS: u64 = 300;

fn network(prefixes: u32, settings: &[(&str, f64)]) -> Network {
    let mut behaviour = Behaviour::plain();
    for (name, value) in settings {
        behaviour.set(name, *value).unwrap();
    }
    let internet = |family| Internet::new(family, prefixes, 2, 5);
    let (v4, v6) = (internet(Family::V4), internet(Family::V6));
    Network::new(v4, v6, Topologies::default(), &behaviour, 5)
}

fn probe(network: &Network, vantage_point: u32, prefix: Prefix, flow: u64) -> Probe {
    Probe {
        vantage_point,
        family: prefix.family(),
        source: network
            .internet(prefix.family())
            .vantage_point(vantage_point),
        destination: prefix.first() + u128::from(scatter(flow) as u8),
        protocol: 17,
        ttl: 1,
        octets: scatter(flow) as u32,
        flow_label: 0,
        identification: 0,
        asks: Asks::Port,
    }
}

fn target(vantage_point: u32, prefix: Prefix, host_ttl: u8) -> Target {
    Target {
        vantage_point,
        prefix,
        protocol: 17,
        host_ttl,
        hosts: Share::new(if host_ttl > 0 { 1.0 } else { 0.0 }),
    }
}

/// Returns the links that flows to a prefix meet, as a survey sees them.
fn survey(network: &Network, vantage_point: u32, prefix: Prefix) -> Vec<Crossing> {
    let mut found: BTreeMap<(u8, u128, u128), u64> = BTreeMap::new();
    for flow in 0..FLOWS {
        let path = network.path(&probe(network, vantage_point, prefix, flow));
        for (pair, ttl) in path.windows(2).zip(1..) {
            if pair[0].answers && pair[1].answers {
                *found
                    .entry((ttl, pair[0].address, pair[1].address))
                    .or_default() += 1;
            }
        }
    }
    let crossings = found.into_iter();
    crossings
        .map(|((near_ttl, near, far), flows)| Crossing {
            near_ttl,
            near,
            far: Some(far),
            flows,
        })
        .collect()
}

fn prefix(network: &Network, family: Family, number: u32) -> Prefix {
    let len = if family == Family::V4 { 24 } else { 64 };
    Prefix::containing(family, network.internet(family).prefix(number), len)
}

fn measure(network: &Network, has_flows: bool) -> (Measured, BTreeSet<(Family, u128, u128)>) {
    let mut builder = Builder::new(has_flows);
    let mut links = BTreeSet::new();
    for family in [Family::V4, Family::V6] {
        for number in 0..PREFIXES {
            let prefix = prefix(network, family, number);
            for vantage_point in 0..2 {
                let crossings = survey(network, vantage_point, prefix);
                let far = |each: &Crossing| each.far.expect("a link");
                links.extend(crossings.iter().map(|each| (family, each.near, far(each))));
                builder.add(target(vantage_point, prefix, 0), &crossings);
            }
        }
    }
    (builder.finish(), links)
}

#[test]
fn flows_cross_the_links_that_were_found_and_no_others() {
    for weighted in [0.0, 1.0] {
        let drawn = network(PREFIXES, &[("silent-routers", 0.2)]);
        let (measured, found) = measure(&drawn, weighted > 0.0);
        assert_eq!(measured.links(), found);
        let again = network(0, &[("weighted", weighted)]).with_measured(Arc::new(measured));
        let mut crossed = BTreeSet::new();
        for family in [Family::V4, Family::V6] {
            for number in 0..PREFIXES {
                for (vantage_point, flow) in (0..2).flat_map(|v| (0..1_000).map(move |f| (v, f))) {
                    let probe = probe(&again, vantage_point, prefix(&drawn, family, number), flow);
                    again.links_of_flow(&probe, |near, far| {
                        if near.answers && far.answers {
                            crossed.insert((family, near.address, far.address));
                        }
                    });
                }
            }
        }
        assert!(crossed.is_subset(&found));
        // Some of the rarest links are missed.
        assert!(crossed.len() * 1_000 > found.len() * 999);
    }
}

#[test]
fn each_ttl_is_answered_by_the_router_of_the_path() {
    let drawn = network(PREFIXES, &[("silent-routers", 0.2)]);
    let (measured, _) = measure(&drawn, false);
    let mut again = network(0, &[("delay", 0.0)]).with_measured(Arc::new(measured));
    for (number, flow) in (0..PREFIXES).flat_map(|number| (0..4).map(move |flow| (number, flow))) {
        let mut probe = probe(&again, 1, prefix(&drawn, Family::V4, number), flow);
        let path = again.path(&probe);
        assert!(!path.is_empty());
        for (interface, ttl) in path.iter().zip(1..) {
            probe.ttl = ttl;
            let answer = again.answer(&probe, 0);
            assert_eq!(answer.is_some(), interface.answers);
            assert_eq!(interface.answers, interface.address != 0);
            if let Some(answer) = answer {
                assert_eq!(answer.reply, Reply::TimeExceeded);
                assert_eq!((answer.from, answer.hops), (interface.address, ttl));
            }
        }
        probe.ttl = path.len() as u8 + 1;
        assert_eq!(again.answer(&probe, 0), None);
    }
}

/// Returns the links of a chain of routers, and of a fork: one way for three flows, one for one.
fn fork() -> Vec<Crossing> {
    let links = [(1, 1, 2, 3), (1, 1, 3, 1), (2, 2, 4, 3), (2, 3, 4, 1)];
    let links = links.into_iter();
    links
        .map(|(near_ttl, near, far, flows)| Crossing {
            near_ttl,
            near,
            far: Some(far),
            flows,
        })
        .collect()
}

fn fork_prefix(len: u8) -> Prefix {
    Prefix::containing(Family::V4, 0xcb00_7100, len)
}

fn with_fork(targets: &[Target], has_flows: bool, weighted: f64) -> Network {
    let mut builder = Builder::new(has_flows);
    for target in targets {
        builder.add(*target, &fork());
    }
    network(0, &[("weighted", weighted)]).with_measured(Arc::new(builder.finish()))
}

#[test]
fn routers_spread_flows_evenly_or_as_was_seen() {
    let share = |has_flows, weighted| {
        let network = with_fork(&[target(0, fork_prefix(24), 0)], has_flows, weighted);
        let by_two = (0..10_000).filter(|flow| {
            let path = network.path(&probe(&network, 0, fork_prefix(24), *flow));
            path[1].address == 2
        });
        by_two.count()
    };
    for even in [share(false, 0.0), share(true, 0.0), share(false, 1.0)] {
        assert!((4_800..5_200).contains(&even), "{even}");
    }
    let weighted = share(true, 1.0);
    assert!((7_300..7_700).contains(&weighted), "{weighted}");
}

#[test]
fn a_host_answers_where_it_was_heard_or_behind_the_last_router() {
    for (heard, at) in [(2, 4), (4, 4), (7, 7)] {
        let mut network = with_fork(&[target(0, fork_prefix(24), heard)], false, 0.0);
        for ttl in 1..12 {
            let mut probe = probe(&network, 0, fork_prefix(24), 8);
            probe.ttl = ttl;
            let answer = network.answer(&probe, 0);
            let from = answer.map(|answer| answer.from);
            match ttl {
                1..4 => assert_eq!(answer.unwrap().reply, Reply::TimeExceeded),
                _ if ttl < at => assert_eq!(from, None),
                _ => assert_eq!((from, answer.unwrap().hops), (Some(probe.destination), at)),
            }
        }
    }
}

#[test]
fn a_share_of_the_hosts_answers() {
    let half = Target {
        hosts: Share::new(0.5),
        ..target(0, fork_prefix(24), 4)
    };
    let network = with_fork(&[half], false, 0.0);
    let heard = (0..256).filter(|i| {
        let probe = Probe {
            destination: fork_prefix(24).first() + i,
            ttl: 9,
            ..probe(&network, 0, fork_prefix(24), 1)
        };
        network.predict(&probe).is_some()
    });
    assert!((96..160).contains(&heard.count()));
}

#[test]
fn the_longest_prefix_and_the_probes_own_protocol_count() {
    let (net, address) = (fork_prefix(24), fork_prefix(32));
    let icmp = Target {
        protocol: 1,
        ..target(0, net, 4)
    };
    let network = with_fork(
        &[target(0, net, 9), icmp, target(0, address, 0)],
        false,
        0.0,
    );
    let find = |destination, protocol, vantage_point| {
        let probe = Probe {
            destination,
            protocol,
            ..probe(&network, vantage_point, net, 1)
        };
        network.measured().find(&probe).map(|route| route.target)
    };
    let first = net.first();
    assert_eq!(find(first, 1, 0).unwrap().prefix, address);
    assert_eq!(find(first + 1, 17, 0).unwrap().host_ttl, 9);
    assert_eq!(find(first + 1, 1, 0).unwrap().host_ttl, 4);
    // Nobody probed by TCP: the paths of UDP are the next best.
    assert_eq!(find(first + 1, 6, 0).unwrap().host_ttl, 9);
    assert_eq!(find(first + 256, 17, 0), None);
    assert_eq!(find(first, 17, 1), None);
    let prefixes: Vec<Prefix> = network.measured().prefixes(0).collect();
    assert_eq!(prefixes, [net, address]);
}

#[test]
fn hops_that_are_equal_are_held_once() {
    let size = |targets: u32| {
        let mut builder = Builder::new(true);
        for number in 0..targets {
            let first = 0xf000_0000 + u128::from(number << 8);
            let prefix = Prefix::containing(Family::V4, first, 24);
            builder.add(target(0, prefix, 0), &fork());
        }
        builder.finish().size()
    };
    assert_eq!(size(1_000), size(1));
}

#[test]
fn the_truth_has_the_diamonds_between_routers_that_answer() {
    let network = with_fork(&[target(0, fork_prefix(24), 0)], false, 0.0);
    let route = network.measured().routes().next().unwrap();
    let diamonds = route.diamonds();
    let told: Vec<_> = (diamonds.iter())
        .map(|each| {
            (
                each.divergence,
                each.convergence,
                each.max_width,
                each.max_length,
            )
        })
        .collect();
    assert_eq!(told, [(1, 4, 2, 2)]);
    let interface = network.interface_at(4);
    assert!(interface.answers);
}
