//! What a prober is told at its start.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anabranch_plan::Plan;

/// What a prober is to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The network namespace to probe from, by its file; the calling thread's if none.
    pub network: Option<PathBuf>,
    /// The plan's file.
    pub plan: PathBuf,
    /// The folder that parts go to, and that says how far earlier probers were.
    pub parts: PathBuf,
    /// The blocks to probe, in this order; all if there are none.
    pub blocks: Vec<u32>,
    /// The slots that the parts in the folder begin with, by their block; 0 if it is not named.
    pub begin: HashMap<u32, u64>,
    /// Who probes, and in which round: what the order of probes depends on beside the plan.
    pub order: String,
    /// The number of the round, for the replies.
    pub round: u8,
    /// How long replies are waited for.
    pub wait: Duration,
    /// The probes of a part, at most.
    pub part_probes: u64,
    /// The time in which the probes of a part are sent, at most.
    pub part_time: Duration,
    /// Where probes are to leave; by the routes' choice if none.
    pub interface: Option<String>,
    /// The addresses to send from, at most one of a family; the routes' choice where there is none.
    pub sources: Vec<IpAddr>,
    /// For people who wonder about a probe.
    pub contact: String,
}

impl Options {
    /// The blocks to probe.
    pub(crate) fn blocks_of(&self, plan: &Plan) -> Vec<u32> {
        if self.blocks.is_empty() {
            (0..plan.header().blocks).collect()
        } else {
            self.blocks.clone()
        }
    }
}
