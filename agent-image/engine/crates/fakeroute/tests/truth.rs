//! Every answer comes from an interface on a path, and every path is made of links.

use std::collections::BTreeSet;

use anabranch_chance::scatter;
use anabranch_fakeroute::behaviour::Behaviour;
use anabranch_fakeroute::internet::{Internet, Place};
use anabranch_fakeroute::level::Level;
use anabranch_fakeroute::network::Network;
use anabranch_fakeroute::packet::{Asks, Probe, Reply};
use anabranch_fakeroute::topology::Topologies;
use anabranch_prefixes::Family;

const PREFIXES: u32 = 3_000;
const VANTAGE_POINTS: u32 = 3;

fn network(settings: &[(&str, f64)]) -> Network {
    let mut behaviour = Behaviour::default();
    for (name, value) in settings {
        behaviour.set(name, *value).unwrap();
    }
    let internet = |family| Internet::new(family, PREFIXES, VANTAGE_POINTS, 42);
    {
        let topologies = Topologies::default();
        Network::new(
            internet(Family::V4),
            internet(Family::V6),
            topologies,
            &behaviour,
            42,
        )
    }
}

fn probe(network: &Network, family: Family, draw: u64) -> Probe {
    let internet = network.internet(family);
    let vantage_point = draw as u32 % VANTAGE_POINTS;
    Probe {
        vantage_point,
        family,
        source: internet.vantage_point(vantage_point),
        destination: internet.prefix((draw >> 8) as u32 % PREFIXES) + 1 + u128::from(draw >> 56),
        protocol: 17,
        ttl: 1,
        octets: (draw >> 32) as u32,
        flow_label: 0,
        identification: 0,
        asks: Asks::Port,
    }
}

fn links(internet: &Internet) -> BTreeSet<(u128, u128)> {
    let mut links = BTreeSet::new();
    for instance in internet.all(0) {
        internet.links(&instance, |near, far| {
            links.insert((near, far));
        });
    }
    links
}

#[test]
fn each_ttl_is_answered_by_the_interface_of_the_path() {
    for family in [Family::V4, Family::V6] {
        let mut network = network(&[("hosts", 1.0), ("delay", 0.0)]);
        for i in 0..2_000 {
            let mut probe = probe(&network, family, scatter(i));
            let path = network.path(&probe);
            for (i, interface) in path.iter().enumerate() {
                probe.ttl = i as u8 + 1;
                let answer = network.answer(&probe, 0);
                assert_eq!(answer.is_some(), interface.answers);
                if let Some(answer) = answer {
                    assert_eq!(answer.reply, Reply::TimeExceeded);
                    assert_eq!((answer.from, answer.hops), (interface.address, probe.ttl));
                }
            }
            probe.ttl = path.len() as u8 + 1;
            let answer = network.answer(&probe, 0).unwrap();
            assert_eq!(answer.reply, Reply::PortUnreachable);
            assert_eq!((answer.from, answer.hops), (probe.destination, probe.ttl));
            probe.ttl = 64;
            assert_eq!(network.answer(&probe, 0).unwrap().from, probe.destination);
        }
    }
}

#[test]
fn a_path_is_made_of_links_and_each_link_lies_on_a_path() {
    let network = network(&[]);
    for family in [Family::V4, Family::V6] {
        let links = links(network.internet(family));
        let mut crossed = BTreeSet::new();
        for i in 0..400_000 {
            let path = network.path(&probe(&network, family, scatter(i)));
            crossed.extend(
                path.windows(2)
                    .map(|pair| (pair[0].address, pair[1].address)),
            );
        }
        assert!(crossed.is_subset(&links));
        assert!(
            crossed.len() * 100 > links.len() * 97,
            "{} of {}",
            crossed.len(),
            links.len()
        );
    }
}

#[test]
fn an_address_tells_its_interface() {
    let network = network(&[]);
    for family in [Family::V4, Family::V6] {
        let internet = network.internet(family);
        let mut seen = BTreeSet::new();
        for instance in internet.all(0) {
            for (vertex, interface) in network.interfaces(internet, instance).enumerate() {
                assert!(seen.insert(interface.address));
                let place = Place::Interface {
                    level: instance.level,
                    number: instance.number,
                    vertex: vertex as u32,
                };
                assert_eq!(internet.find(interface.address), Some(place));
            }
        }
        assert_eq!(internet.find(internet.prefix(PREFIXES)), None);
        assert_eq!(internet.find(internet.vantage_point(0)), None);
    }
}

#[test]
fn a_router_answers_to_probes_of_its_own() {
    let mut network = network(&[("silent-routers", 0.0)]);
    let mut direct = probe(&network, Family::V4, 5);
    for interface in network.path(&direct) {
        direct.destination = interface.address;
        direct.asks = Asks::Echo;
        direct.ttl = 64;
        let answer = network.answer(&direct, 0).unwrap();
        assert_eq!(
            (answer.reply, answer.from),
            (Reply::Echo, interface.address)
        );
        direct.ttl = answer.hops;
        assert_eq!(network.answer(&direct, 0).unwrap().reply, Reply::Echo);
        if answer.hops > 1 {
            direct.ttl = answer.hops - 1;
            assert_eq!(
                network.answer(&direct, 0).unwrap().reply,
                Reply::TimeExceeded
            );
        }
    }
}

#[test]
fn diamonds_begin_and_end_where_links_say() {
    let network = network(&[]);
    let internet = network.internet(Family::V4);
    let links = links(internet);
    let mut count = 0;
    for instance in internet.all(0) {
        internet.diamonds(&instance, |diamond| {
            count += 1;
            let leaving = links
                .iter()
                .filter(|link| link.0 == diamond.divergence)
                .count();
            let arriving = links
                .iter()
                .filter(|link| link.1 == diamond.convergence)
                .count();
            assert!(leaving > 1 && arriving > 1, "{diamond:?}");
            assert!(diamond.max_width >= leaving.max(2) as u32 && diamond.max_length > 1);
        });
    }
    assert!(count > 50, "{count}");
}

#[test]
fn a_limit_of_errors_holds_for_each_router() {
    let mut network = network(&[("icmp-rate", 10.0), ("silent-routers", 0.0)]);
    let probe = probe(&network, Family::V4, 9);
    let answered = (0..1_000).filter(|ms| network.answer(&probe, ms * 1_000).is_some());
    assert!((10..=12).contains(&answered.count()));
}

#[test]
fn a_loop_alternates_between_two_routers_for_ever() {
    let mut network = network(&[("loops", 1.0), ("silent-routers", 0.0), ("hosts", 1.0)]);
    let mut probe = probe(&network, Family::V4, 9);
    let mut at = |ttl| {
        probe.ttl = ttl;
        network.answer(&probe, 0).unwrap().from
    };
    assert_eq!(at(40), at(42));
    assert_eq!(at(41), at(43));
    assert_ne!(at(40), at(41));
}

#[test]
fn routes_change_when_they_are_to() {
    let mut network = network(&[("route-change", 10.0), ("delay", 0.0)]);
    let changed = |network: &mut Network, i: u64| {
        let mut probe = probe(network, Family::V4, scatter(i));
        let mut at = |ttl, now| {
            probe.ttl = ttl;
            network.answer(&probe, now).map(|answer| answer.from)
        };
        (4..12).any(|ttl| at(ttl, 9_000_000) != at(ttl, 11_000_000))
    };
    let count = (0..200).filter(|i| changed(&mut network, *i)).count();
    assert!(count > 100, "{count}");
}

#[test]
fn losing_amplifying_and_splitting_by_packet_are_as_frequent_as_set() {
    let mut lossy = network(&[("loss", 0.1), ("silent-routers", 0.0)]);
    let probe_ = probe(&lossy, Family::V4, 3);
    let answered = (0..20_000)
        .filter(|_| lossy.answer(&probe_, 0).is_some())
        .count();
    assert!((15_900..16_500).contains(&answered), "{answered}"); // 0.9 squared

    let mut loud = network(&[("amplification", 1.0), ("silent-routers", 0.0)]);
    let mut last = probe(&loud, Family::V4, 3);
    last.ttl = loud.path(&last).len() as u8;
    assert_eq!(loud.answer(&last, 0).unwrap().copies, 3);

    let mut spraying = network(&[("per-packet", 1.0), ("per-destination", 0.0)]);
    let many = (0..500).filter(|i| {
        let mut probe = probe(&spraying, Family::V4, scatter(*i));
        probe.ttl = 8;
        let seen: BTreeSet<_> = (0..20)
            .map(|_| spraying.answer(&probe, 0).map(|a| a.from))
            .collect();
        seen.len() > 1
    });
    assert!(many.count() > 20);
}

#[test]
fn balancers_by_label_look_at_the_label_alone_and_ipv4_has_none() {
    let network = network(&[("per-label", 1.0), ("per-destination", 0.0)]);
    let path = |probe: &Probe| -> Vec<u128> {
        let path = network.path(probe).into_iter();
        path.map(|interface| interface.address).collect()
    };
    let mut differ = [0; 2];
    for i in 0..200 {
        let one = probe(&network, Family::V6, scatter(i));
        let octets = one.octets ^ 0x00ff_0000;
        assert_eq!(path(&one), path(&Probe { octets, ..one }));
        let flow_label = 7;
        differ[0] += u32::from(path(&one) != path(&Probe { flow_label, ..one }));
        let one = probe(&network, Family::V4, scatter(i));
        let octets = one.octets ^ 0x00ff_0000;
        differ[1] += u32::from(path(&one) != path(&Probe { octets, ..one }));
    }
    assert!(differ.iter().all(|count| *count > 100), "{differ:?}");
}

#[test]
fn counters_of_routers_grow_and_others_do_as_they_do() {
    let mut network = network(&[("silent-routers", 0.0)]);
    let (mut counting, mut constant) = (0, 0);
    for i in 0..300 {
        let mut probe = probe(&network, Family::V4, scatter(i));
        probe.ttl = 10;
        let mut ids: Vec<u16> = Vec::new();
        for ms in 0..10 {
            ids.extend(
                network
                    .answer(&probe, ms * 1_000)
                    .map(|answer| answer.identification),
            );
        }
        let steps: Vec<u16> = ids.windows(2).map(|p| p[1].wrapping_sub(p[0])).collect();
        counting += u32::from(steps.iter().all(|step| (1..100).contains(step)));
        constant += u32::from(ids.iter().all(|id| *id == 0));
    }
    assert!(counting > 100 && constant > 20, "{counting} {constant}");
}

#[test]
fn the_same_seed_gives_the_same_internet_and_another_another() {
    let internet = |seed| links(&Internet::new(Family::V4, 100, 2, seed));
    assert_eq!(internet(1), internet(1));
    assert_ne!(internet(1), internet(2));
}

#[test]
fn levels_are_in_the_order_of_paths() {
    assert!(Level::Home < Level::Core && Level::Access < Level::Edge);
}
