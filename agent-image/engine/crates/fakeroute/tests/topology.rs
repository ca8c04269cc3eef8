//! A topology's links are found as often as they are likely, and no others.

use std::collections::{BTreeMap, BTreeSet};

use anabranch_fakeroute::behaviour::Behaviour;
use anabranch_fakeroute::internet::Internet;
use anabranch_fakeroute::laboratory::Laboratory;
use anabranch_fakeroute::network::Network;
use anabranch_fakeroute::packet::{Asks, Probe, Reply};
use anabranch_fakeroute::topology::{Topologies, Topology};
use anabranch_fakeroute::truth::Diamond;
use anabranch_prefixes::Family;

/// Layers of 1, 4, 2 and 1 interfaces, and another path that is shorter by one hop.
const GRAPH: &str = "127.0.0.1 240.9.0.1
240.9.0.1 240.9.1.1
240.9.0.1 240.9.1.2
240.9.0.1 240.9.1.3
240.9.0.1 240.9.1.4
240.9.1.1 240.9.2.1
240.9.1.2 240.9.2.1
240.9.1.3 240.9.2.2
240.9.1.4 240.9.3.1
240.9.2.1 240.9.3.1
240.9.2.2 240.9.3.1
240.9.3.1 240.9.4.1
";
const DESTINATION: u128 = 0xf009_0401;

fn network(text: &str, settings: &[(&str, f64)], seed: u64) -> Network {
    let mut behaviour = Behaviour::plain();
    for (name, value) in settings {
        behaviour.set(name, *value).unwrap();
    }
    let internet = |family| Internet::new(family, 0, 1, seed);
    let topologies = Topologies::new(vec![Topology::read(text).unwrap()]).unwrap();
    let (v4, v6) = (internet(Family::V4), internet(Family::V6));
    Network::new(v4, v6, topologies, &behaviour, seed)
}

fn probe(flow: u32, ttl: u8) -> Probe {
    Probe {
        vantage_point: 0,
        family: Family::V4,
        source: 0xc612_0002,
        destination: DESTINATION,
        protocol: 17,
        ttl,
        octets: 24_000 << 16 | flow,
        flow_label: 0,
        identification: 0,
        asks: Asks::Port,
    }
}

fn links(network: &Network) -> BTreeSet<(u128, u128)> {
    let topology = &network.topologies().all()[0];
    let address = |vertex| topology.address(vertex);
    topology
        .links()
        .map(|(near, far)| (address(near), address(far)))
        .collect()
}

#[test]
fn every_link_is_crossed_by_flows_and_none_that_is_not_there() {
    let mut network = network(GRAPH, &[("delay", 0.0)], 1);
    let mut found = BTreeSet::new();
    let mut crossed = BTreeSet::new();
    for flow in 0..200 {
        let seen: Vec<u128> = (1..=5)
            .map(|ttl| network.answer(&probe(flow, ttl), 0).unwrap().from)
            .collect();
        found.extend(
            seen.windows(2)
                .filter(|p| p[0] != p[1])
                .map(|p| (p[0], p[1])),
        );
        network.links_of_flow(&probe(flow, 1), |near, far| {
            crossed.insert((near.address, far.address));
        });
        let path = network.path(&probe(flow, 1));
        assert!(
            path.iter()
                .zip(&seen)
                .all(|(hop, from)| hop.address == *from)
        );
    }
    assert_eq!(found, links(&network));
    assert_eq!(crossed, found);
}

#[test]
fn the_destination_answers_whatever_ttl_is_left() {
    let mut network = network(GRAPH, &[("silent-routers", 1.0)], 1);
    let answer = network.answer(&probe(1, 64), 0).unwrap();
    assert_eq!(
        (answer.reply, answer.from),
        (Reply::PortUnreachable, DESTINATION)
    );
    assert!((4..=5).contains(&answer.hops));
    assert!((1..=3).all(|ttl| network.answer(&probe(1, ttl), 0).is_none()));
    assert!(network.answer(&probe(1, 0), 0).is_none());
}

#[test]
fn a_router_of_a_topology_answers_to_probes_of_its_own() {
    let mut network = network(GRAPH, &[], 1);
    let mut direct = probe(1, 64);
    direct.asks = Asks::Echo;
    direct.destination = 0xf009_0202;
    let answer = network.answer(&direct, 0).unwrap();
    assert_eq!(
        (answer.reply, answer.from, answer.hops),
        (Reply::Echo, 0xf009_0202, 3)
    );
    direct.ttl = 2;
    assert_eq!(network.answer(&direct, 0).unwrap().from, 0xf009_0103);
}

#[test]
fn a_diamond_has_the_width_and_length_of_its_widest_hop_and_longest_path() {
    let network = network(GRAPH, &[], 1);
    let expected = Diamond {
        divergence: 0xf009_0001,
        convergence: 0xf009_0301,
        max_width: 4,
        max_length: 3,
    };
    assert_eq!(network.topologies().all()[0].diamonds(), [expected]);
}

#[test]
fn where_packets_are_sprayed_a_flow_can_cross_every_link() {
    let network = network(GRAPH, &[("per-packet", 1.0)], 1);
    let mut crossed = BTreeSet::new();
    network.links_of_flow(&probe(1, 1), |near, far| {
        crossed.insert((near.address, far.address));
    });
    assert_eq!(crossed, links(&network));
}

#[test]
fn a_weight_makes_a_link_so_much_likelier() {
    let text = "127.0.0.1 240.9.0.1\n240.9.0.1 240.9.1.1 3\n240.9.0.1 240.9.1.2\n\
                240.9.1.1 240.9.4.1\n240.9.1.2 240.9.4.1\n";
    let mut network = network(text, &[("delay", 0.0)], 4);
    let mut counts: BTreeMap<u128, u32> = BTreeMap::new();
    for flow in 0..40_000 {
        let from = network.answer(&probe(flow, 2), 0).unwrap().from;
        *counts.entry(from).or_default() += 1;
    }
    assert!(
        (29_600..30_400).contains(&counts[&0xf009_0101]),
        "{counts:?}"
    );
}

#[test]
fn replies_arrive_in_the_order_of_their_round_trips() {
    let mut laboratory = Laboratory::new(network(GRAPH, &[], 1));
    for ttl in (1..=5).rev() {
        laboratory.send(&probe(7, ttl));
    }
    let replies: Vec<_> = std::iter::from_fn(|| laboratory.receive(1_000_000)).collect();
    let hops: Vec<u8> = replies.iter().map(|reply| reply.answer.hops).collect();
    assert_eq!(hops.len(), 5);
    assert!(hops.is_sorted(), "{hops:?}");
    assert!(
        replies
            .iter()
            .all(|reply| reply.at_us == u64::from(reply.answer.delay_us))
    );
    assert_eq!(laboratory.now_us(), 1_000_000);
}

const RUNS: u32 = 50_000;
/// The fewest probes that the algorithm sends to a hop, at a confidence of 95 %.
const PROBES: u32 = 6;

/// At a confidence of 95 %, the multipath detection algorithm misses the simplest diamond with
/// probability (1/2)^5 (Vermeulen et al., IMC 2018, section 3).
#[test]
fn the_simplest_diamond_is_missed_as_often_as_theory_says() {
    let text = "127.0.0.1 240.9.0.1\n240.9.0.1 240.9.1.1\n240.9.0.1 240.9.1.2\n\
                240.9.1.1 240.9.4.1\n240.9.1.2 240.9.4.1\n";
    let mut missed = 0;
    let mut laboratory = Laboratory::new(network(text, &[], 9));
    for run in 0..RUNS {
        for flow in 0..PROBES {
            let mut probe = probe(flow, 2);
            probe.octets = (run * PROBES + flow).rotate_left(16);
            laboratory.send(&probe);
        }
        let deadline = laboratory.now_us() + 100_000;
        let replies = std::iter::from_fn(|| laboratory.receive(deadline));
        let found: BTreeSet<u128> = replies.map(|reply| reply.answer.from).collect();
        missed += u32::from(found.len() == 1);
    }
    // 1,562.5 are expected; the interval holds 99.9 % of the runs.
    assert!((1_434..=1_691).contains(&missed), "{missed}");
}
