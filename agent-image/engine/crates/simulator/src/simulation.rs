//! A simulation from start to end: it runs a command in a simulated network.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anabranch_fakeroute::behaviour::Behaviour;
use anabranch_fakeroute::internet::Internet;
use anabranch_fakeroute::measured::Measured;
use anabranch_fakeroute::network::Network;
use anabranch_fakeroute::topology::Topologies;
use anabranch_link::namespace::Namespace;
use anabranch_prefixes::Family;

use crate::command::{self, Named};
use crate::simulator::{Counts, Simulator, VantagePoint};

/// The link of a vantage point, in a namespace that the simulation makes.
const OWN_LINK: &str = "eth0";
/// The link of a vantage point, in an existing namespace that may have other links.
const LINK: &str = "sim0";

/// The parameters of a simulation.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The number of IPv4 prefixes: /24s from 240.0.0.0 on.
    pub prefixes_v4: u32,
    /// The number of IPv6 prefixes: /64s from `3fff::` on.
    pub prefixes_v6: u32,
    /// The topologies in addition to the prefixes.
    pub topologies: Topologies,
    /// The paths of a survey in addition to both.
    pub measured: Arc<Measured>,
    /// The number of vantage points. If there are several, the last is behind 1:1 address
    /// translation.
    pub vantage_points: u32,
    /// The seed of all random choices.
    pub seed: u64,
    /// The behaviour of the network.
    pub behaviour: Behaviour,
}

impl Plan {
    /// Builds the network.
    #[must_use]
    pub fn build(&self) -> Network {
        let landscape = self.behaviour.landscape();
        let internet = |family, prefixes| {
            Internet::draw(family, prefixes, self.vantage_points, self.seed, &landscape)
        };
        let v4 = internet(Family::V4, self.prefixes_v4);
        let v6 = internet(Family::V6, self.prefixes_v6);
        let topologies = self.topologies.clone();
        let network = Network::new(v4, v6, topologies, &self.behaviour, self.seed);
        network.with_measured(Arc::clone(&self.measured))
    }

    /// Runs a command at the first vantage point until it ends. Returns its exit code and the
    /// counts.
    ///
    /// Each vantage point is the network namespace of one of `files`, or a new one where there is
    /// no file. Everything that the simulation made is gone when this returns.
    ///
    /// # Errors
    /// Those of the kernel; `PermissionDenied` if the process may not make namespaces.
    pub fn run(&self, command: &[OsString], files: &[PathBuf]) -> io::Result<(i32, Counts)> {
        let network = self.build();
        let inside = Namespace::create()?;
        let vantage_points = (0..self.vantage_points)
            .map(|number| {
                let (namespace, link) = match files.get(number as usize) {
                    Some(file) => (Namespace::open(file)?, LINK),
                    None => (Namespace::create()?, OWN_LINK),
                };
                let translated = number > 0 && number + 1 == self.vantage_points;
                VantagePoint::create(&network, number, &inside, namespace, link, translated)
            })
            .collect::<io::Result<Vec<_>>>()?;
        let mut simulator =
            Simulator::new(network, vantage_points, self.behaviour.gateway_change_us());
        let names: Vec<String> = (0..self.vantage_points).map(name_of).collect();
        let namespaces: Vec<Named<'_>> = names
            .iter()
            .zip(simulator.vantage_points())
            .map(|(name, vantage_point)| Named {
                name,
                namespace: vantage_point.namespace.as_fd(),
            })
            .collect();
        // The command ends with this thread.
        let running = command::start(command, &namespaces)?;
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let simulating = scope.spawn(|| simulator.run(&stop));
            let ended = running.wait();
            stop.store(true, Ordering::Relaxed);
            let counts = simulating
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok((ended?, counts))
        })
    }
}

/// Returns the name of a vantage point for `ip netns`.
#[must_use]
pub fn name_of(number: u32) -> String {
    format!("vp{}", number + 1)
}
