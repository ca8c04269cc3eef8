//! The options of a prober.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anabranch_plan::Plan;

/// The options of a prober.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file of the network namespace to probe from; None for the calling thread's.
    pub network: Option<PathBuf>,
    /// The plan's file.
    pub plan: PathBuf,
    /// The folder of the parts. The parts in it tell how far earlier probers got.
    pub parts: PathBuf,
    /// The blocks to probe, in this order; empty for all of them.
    pub blocks: Vec<u32>,
    /// The first slot of each block's parts in the folder; 0 for a block that is not named.
    pub begin: HashMap<u32, u64>,
    /// Who probes, and in which round. With the plan, this determines the order of the probes.
    pub order: String,
    /// The name of whoever probes, which each part records; empty if nobody asks.
    pub sender: String,
    /// The number of the hand-out that `blocks` are, which each part records; 0 without.
    pub hand_out: u32,
    /// The number of the round, which each reply records.
    pub round: u8,
    /// How long to wait for the reply to a probe.
    pub wait: Duration,
    /// The most probes of a part.
    pub part_probes: u64,
    /// The longest time over which the probes of a part are sent.
    pub part_time: Duration,
    /// The link that probes leave by; None to leave the choice to the routes.
    pub interface: Option<String>,
    /// The addresses to send from, at most one a family. Without one, the routes choose.
    pub sources: Vec<IpAddr>,
    /// How to reach whoever probes. Probes carry this text for people who wonder about them.
    pub contact: String,
}

impl Options {
    /// Returns the numbers of the blocks to probe.
    pub(crate) fn blocks_of(&self, plan: &Plan) -> Vec<u32> {
        if self.blocks.is_empty() {
            (0..plan.header().blocks).collect()
        } else {
            self.blocks.clone()
        }
    }
}
