//! Probes answered in process by one core: every prefix, TTL and flow in no order.

use std::time::Instant;

use anabranch_chance::{below, scatter};
use anabranch_fakeroute::behaviour::Behaviour;
use anabranch_fakeroute::internet::Internet;
use anabranch_fakeroute::network::Network;
use anabranch_fakeroute::packet::{Asks, Probe};
use anabranch_fakeroute::topology::Topologies;
use anabranch_prefixes::Family;

const PREFIXES: u32 = 1_000_000;
const PROBES: u64 = 20_000_000;

fn main() {
    let start = Instant::now();
    let v4 = Internet::new(Family::V4, PREFIXES, 2, 1);
    let v6 = Internet::new(Family::V6, 0, 2, 1);
    let none = Topologies::default();
    let mut network = Network::new(v4, v6, none, &Behaviour::default(), 1);
    println!(
        "start: {:.3} s for {PREFIXES} prefixes",
        start.elapsed().as_secs_f64()
    );
    for (name, spread) in [("1,000 prefixes", 1_000), ("1,000,000 prefixes", PREFIXES)] {
        let start = Instant::now();
        let mut answered = 0u64;
        for i in 0..PROBES {
            let draw = scatter(i);
            let probe = Probe {
                vantage_point: 0,
                family: Family::V4,
                source: network.internet(Family::V4).vantage_point(0),
                destination: network.internet(Family::V4).prefix(below(draw, spread)) + 9,
                protocol: 17,
                ttl: 1 + (draw % 20) as u8,
                octets: 0x5dc0_829a,
                flow_label: 0,
                identification: 0,
                asks: Asks::Port,
            };
            answered += u64::from(network.answer(&probe, i).is_some());
        }
        let us = start.elapsed().as_micros() as u64;
        let (sent, answered) = (PROBES * 10 / us, answered * 10 / us);
        println!(
            "{name}: {}.{} M probes/s, {}.{} M answered/s",
            sent / 10,
            sent % 10,
            answered / 10,
            answered % 10
        );
    }
}
