//! Shapes of Internets for trying rules; each is a switch, or two.

use std::collections::{BTreeMap, BTreeSet};

use anabranch_chance::scatter;
use anabranch_fakeroute::behaviour::Behaviour;
use anabranch_fakeroute::internet::{Internet, MAX_PREFIXES};
use anabranch_fakeroute::level::{Landscape, Level};
use anabranch_fakeroute::network::Network;
use anabranch_fakeroute::packet::{Asks, Probe};
use anabranch_fakeroute::topology::Topologies;
use anabranch_prefixes::Family;

const PREFIXES: u32 = 3_000;

fn network(settings: &[(&str, f64)]) -> Network {
    let mut behaviour = Behaviour::plain();
    for (name, value) in settings {
        behaviour.set(name, *value).unwrap();
    }
    let landscape = behaviour.landscape();
    let internet = |family| Internet::draw(family, PREFIXES, 1, 42, &landscape);
    let (v4, v6) = (internet(Family::V4), internet(Family::V6));
    Network::new(v4, v6, Topologies::default(), &behaviour, 42)
}

/// Returns the addresses that a flow to an address of a prefix meets.
fn walk(network: &Network, prefix: u32, host: u64, flow: u32) -> Vec<u128> {
    let path = network.path(&probe(network, prefix, host, flow));
    path.iter().map(|hop| hop.address).collect()
}

fn probe(network: &Network, prefix: u32, host: u64, flow: u32) -> Probe {
    let internet = network.internet(Family::V6);
    Probe {
        vantage_point: 0,
        family: Family::V6,
        source: internet.vantage_point(0),
        destination: internet.prefix(prefix) + u128::from(scatter(host)),
        protocol: 17,
        ttl: 1,
        octets: flow,
        flow_label: 0,
        identification: 0,
        asks: Asks::Port,
    }
}

/// Returns the routers on the way to 1,024 prefixes, one flow each, and of how many prefixes.
fn meet(network: &Network) -> BTreeMap<u128, u32> {
    let mut met = BTreeMap::new();
    for prefix in 0..1_024 {
        for address in walk(network, prefix, 1, 5) {
            *met.entry(address).or_default() += 1;
        }
    }
    met
}

#[test]
fn without_sharing_each_prefix_has_a_tree_of_its_own() {
    let network = network(&[("sharing", 0.0)]);
    let internet = network.internet(Family::V6);
    for level in [Level::Core, Level::Region, Level::Provider, Level::Access] {
        assert_eq!(internet.instances(level), PREFIXES);
    }
    // They have the vantage point's own network in common.
    let met = meet(&network);
    let shared = met.iter().filter(|(_, prefixes)| **prefixes > 1);
    assert!(shared.count() <= 3);
}

#[test]
fn the_more_is_shared_the_fewer_routers_there_are() {
    let [usual, heavy] = [1.0, 2.0].map(|sharing| {
        let network = network(&[("sharing", sharing)]);
        let internet = network.internet(Family::V6);
        let counts = [Level::Region, Level::Provider, Level::Access];
        (
            counts.map(|level| internet.instances(level)),
            meet(&network).len(),
        )
    });
    assert_eq!(usual.0, [3, 47, 375]);
    assert_eq!(heavy.0, [1, 1, 47]);
    assert!(heavy.1 < usual.1, "{usual:?} {heavy:?}");
}

#[test]
fn an_internet_has_as_many_prefixes_as_its_routers_have_addresses_for() {
    let none = Landscape {
        sharing: 0.0,
        wide: 0.0,
    };
    let fits =
        |prefixes, landscape: Landscape| Internet::fits(Family::V4, prefixes, 16, &landscape);
    assert!(fits(MAX_PREFIXES, Landscape::default()));
    assert!(fits(9_000, none) && !fits(10_000, none));
    assert!(Internet::fits(Family::V6, MAX_PREFIXES, 1, &none));
}

#[test]
fn every_address_is_one_interfaces_however_much_is_shared() {
    for sharing in [0.0, 0.5, 2.0] {
        let network = network(&[("sharing", sharing), ("wide-diamonds", 1.0)]);
        let internet = network.internet(Family::V6);
        let mut seen = BTreeSet::new();
        for instance in internet.all(0) {
            for interface in network.interfaces(internet, instance) {
                assert!(seen.insert(interface.address), "{:x}", interface.address);
            }
        }
        for prefix in (0..PREFIXES).step_by(17) {
            for address in walk(&network, prefix, 1, 5) {
                assert!(seen.contains(&address));
                assert!(internet.find(address).is_some());
            }
        }
    }
}

#[test]
fn wide_diamonds_are_48_56_or_96_wide() {
    let widths = |share| {
        let network = network(&[("wide-diamonds", share)]);
        let internet = network.internet(Family::V6);
        let mut widths = Vec::new();
        for instance in internet.all(0) {
            if matches!(instance.level, Level::Region | Level::Provider) && instance.branches() {
                let layers = instance.segment.layer_ranges();
                widths.extend(layers.iter().map(std::ops::Range::len).max());
            }
        }
        widths
    };
    let all = widths(1.0);
    assert!(!all.is_empty());
    assert!(all.iter().all(|width| [48, 56, 96].contains(width)));
    let usual = widths(0.0);
    let wide = usual.iter().filter(|width| **width >= 48).count();
    assert!(wide * 4 < usual.len(), "{usual:?}");
}

#[test]
fn a_balancer_by_destination_sends_all_flows_to_an_address_one_way() {
    let ways = |share, of: &dyn Fn(&Network, u32, u32) -> Vec<u128>| {
        let network = network(&[("per-destination", share)]);
        let prefixes = (0..PREFIXES).step_by(64);
        let several = prefixes.filter(|prefix| {
            let ways: BTreeSet<_> = (0..16).map(|i| of(&network, *prefix, i)).collect();
            ways.len() > 1
        });
        several.count()
    };
    let by_port = |network: &Network, prefix, i| walk(network, prefix, 1, i);
    let by_address = |network: &Network, prefix, i: u32| walk(network, prefix, i.into(), 1);
    assert_eq!(ways(1.0, &by_port), 0);
    assert!(ways(0.0, &by_port) > 10);
    assert!(ways(1.0, &by_address) > 10);
}

#[test]
fn a_weighted_balancer_sends_more_flows_to_its_first_next_hops() {
    /// Returns the share of flows that leave a router of two next hops by the first one.
    fn by_first(weighted: f64) -> f64 {
        let network = network(&[("weighted", weighted)]);
        let internet = network.internet(Family::V6);
        let (mut first, mut all) = (0, 0);
        for prefix in (0..PREFIXES).step_by(64) {
            for flow in 0..500 {
                let way = walk(&network, prefix, 1, flow);
                for instance in internet.path(0, prefix, 0) {
                    let graph = instance.segment.graph();
                    let near = internet.interface(instance.level, instance.number, 0);
                    let place = way.iter().position(|at| *at == near).unwrap();
                    if let [one, _] = graph.next_hops(0) {
                        let one = internet.interface(instance.level, instance.number, *one);
                        first += u32::from(way[place + 1] == one);
                        all += 1;
                    }
                }
            }
        }
        f64::from(first) / f64::from(all)
    }
    let (even, weighted) = (by_first(0.0), by_first(1.0));
    assert!((0.48..0.52).contains(&even), "{even}");
    // The lower of two draws of two is the first in three of four cases.
    assert!((0.73..0.77).contains(&weighted), "{weighted}");
}

#[test]
fn so_many_routers_are_silent() {
    let network = network(&[("silent-routers", 0.3)]);
    let internet = network.internet(Family::V6);
    let all: Vec<bool> = (internet.all(0))
        .flat_map(|instance| network.interfaces(internet, instance))
        .map(|interface| interface.answers)
        .collect();
    let silent = all.iter().filter(|answers| !**answers).count() * 1_000 / all.len();
    assert!((280..320).contains(&silent), "{silent}");
}
