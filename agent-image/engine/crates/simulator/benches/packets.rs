//! Packets answered on the wire: one core sends as fast as its link takes them, another answers.
//! Needs root, for namespaces of its own.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anabranch_fakeroute::behaviour::Behaviour;
use anabranch_fakeroute::topology::Topologies;
use anabranch_link::filter::Filter;
use anabranch_link::namespace::Namespace;
use anabranch_link::receiver::Receiver;
use anabranch_link::sender::Sender;
use anabranch_prefixes::Family;
use anabranch_simulator::simulation::Plan;
use anabranch_simulator::simulator::{Simulator, VantagePoint};
use anabranch_wire::ip::{Header, UDP};

const PREFIXES: u32 = 1_000;
const PROBES: u64 = 2_000_000;
const LAST_REPLIES: Duration = Duration::from_millis(300);
/// The MAC address of the simulated gateways.
const GATEWAY: [u8; 6] = [0x02, 0xab, 0x72, 0x61, 0x6e, 0x01];

fn main() -> Result<(), Box<dyn Error>> {
    let mut behaviour = Behaviour::default();
    behaviour.set("delay", 0.0)?;
    behaviour.set("silent-routers", 0.0)?;
    let plan = Plan {
        prefixes_v4: PREFIXES,
        prefixes_v6: 0,
        topologies: Topologies::default(),
        measured: Arc::default(),
        vantage_points: 1,
        seed: 1,
        behaviour,
    };
    let network = plan.build();
    let source = network.internet(Family::V4).vantage_point(0);
    let frames: Vec<Vec<u8>> = (0..PREFIXES * 8)
        .map(|i| {
            let destination = network.internet(Family::V4).prefix(i / 8) + 9;
            frame(source, destination, 3 + (i % 8) as u8)
        })
        .collect();
    let inside = Namespace::create()?;
    let vantage_point =
        VantagePoint::create(&network, 0, &inside, Namespace::create()?, "eth0", false)?;
    let namespace = &vantage_point.namespace;
    let mut sender = namespace.enter(|| Sender::open("eth0", true))?;
    let mut receiver = namespace.enter(|| Receiver::open("eth0", Filter::Icmp))?;
    let mut simulator = Simulator::new(network, vec![vantage_point], 0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let simulating = scope.spawn(|| simulator.run(&stop));
        let start = Instant::now();
        let mut replies = 0u64;
        for i in 0..PROBES {
            let frame = &frames[i as usize % frames.len()];
            sender.send(|out| out.extend_from_slice(frame))?;
            while receiver.receive(|_| ()).is_some() {
                replies += 1;
            }
        }
        sender.flush()?;
        let us = start.elapsed().as_micros() as u64;
        let end = Instant::now() + LAST_REPLIES;
        while Instant::now() < end {
            while receiver.receive(|_| ()).is_some() {
                replies += 1;
            }
        }
        stop.store(true, Ordering::Relaxed);
        let counts = simulating.join().map_err(|_| "the simulator panicked")??;
        let (unsent, dropped) = (sender.take_unsent().len(), receiver.take_lost()?);
        println!("sent {PROBES} in {us} us: {} k/s", PROBES * 1_000 / us);
        println!("simulator: {counts:?}");
        println!("prober: {replies} replies, {unsent} unsent, {dropped} dropped");
        Ok(())
    })
}

fn frame(source: u128, destination: u128, ttl: u8) -> Vec<u8> {
    let header = Header {
        family: Family::V4,
        source,
        destination,
        protocol: UDP,
        ttl,
        identification: 1,
        flow_label: 0,
    };
    let mut payload = vec![0x5d, 0xc0, 0x82, 0x9a, 0, 12, 0, 0, 0, 0, 0, 0];
    let sum = header.start_sum(payload.len()).with(&payload).finish();
    payload[6..8].copy_from_slice(&sum.to_be_bytes());
    let mut bytes = GATEWAY.to_vec();
    bytes.extend([2, 0, 0, 0, 0, 1, 8, 0]);
    header.write(&mut bytes, payload.len());
    bytes.extend(payload);
    bytes
}
