//! The rules of a trace.

use crate::stopping::StoppingPoints;

/// How flows and TTLs are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// One flow: Paris traceroute.
    SinglePath,
    /// The Multipath Detection Algorithm with node control.
    Mda,
    /// MDA-Lite, which goes over to the MDA if its assumptions do not hold somewhere.
    MdaLite {
        /// The flows of each vertex in the meshing test, at least 2.
        phi: usize,
    },
    /// MDA-Lite, which goes over to the MDA only where its assumptions do not hold: between two
    /// meshed hops, and from an asymmetric hop to the end of its diamond.
    MdaLocal {
        /// The flows of each vertex in the meshing test, at least 2.
        phi: usize,
    },
}

/// The rules of a trace, shared by many tracers.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Whether load balancing by packet is told from that by flow. It takes at most
    /// `n_1 - 1` probes for each pair of hops between which the load is balanced.
    pub tells_per_packet: bool,
    /// The stopping points of each vertex.
    pub points: StoppingPoints,
    /// The lowest TTL that is probed, at least 1.
    pub first_ttl: u8,
    /// The highest TTL that is probed.
    pub max_ttl: u8,
    /// The number of silent hops in a row that end a trace.
    pub gap_limit: u8,
    /// The number of times that a probe without a reply is sent.
    pub attempts: u8,
    /// The most probes of a trace.
    pub max_probes: u32,
    /// How long a reply is waited for, in microseconds; None to go by the round-trip times.
    pub wait_us: Option<u64>,
}

impl Rule {
    /// Makes a rule with the usual bounds: TTLs from 1 to 32, 5 silent hops, 3 attempts, 30,000 probes.
    /// It takes all load balancing for one by flow, as the paper does.
    ///
    /// # Panics
    /// If the failure probability of a vertex is not between 0 and 1.
    #[must_use]
    pub fn new(algorithm: Algorithm, failure_probability: f64) -> Self {
        Self {
            algorithm,
            tells_per_packet: false,
            points: StoppingPoints::new(failure_probability),
            first_ttl: 1,
            max_ttl: 32,
            gap_limit: 5,
            attempts: 3,
            max_probes: 30_000,
            wait_us: None,
        }
    }
}
