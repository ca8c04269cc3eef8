//! Soundings: the probes of alias resolution, what comes back, and what that says of two addresses.

use anabranch_trace::sightings::Ask;

use crate::candidate::Shown;
use crate::evidence::Finding;
use crate::series::Series;

/// The probes to an address in a round, at most.
pub(crate) const CYCLES: u16 = 30;

/// A probe for alias resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sounding {
    /// Of a flow that met the address, with the TTL that ends there.
    Along(Ask),
    /// An echo request to the address itself; a large one in IPv6.
    Echo(u128),
    /// A Packet Too Big to the address itself, about its last echo reply. It is not answered.
    TooBig(u128),
    /// UDP to a port of the address itself where nobody listens.
    Port(u128),
}

/// What is said of two addresses of a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The TTL of the hop; 0 for addresses of a list.
    pub ttl: u8,
    /// The lower address.
    pub first: u128,
    /// The higher address.
    pub second: u128,
    /// What was found.
    pub finding: Finding,
    /// The round after which it stands.
    pub round: u8,
}

/// A reply to a sounding.
#[derive(Clone, Debug)]
pub struct Echoed {
    /// The address that it came from.
    pub from: u128,
    /// What it shows.
    pub shown: Shown,
    /// The time from the probe's departure to its arrival, in microseconds.
    pub rtt_us: u64,
}

/// What an address shows that is probed alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// What its identifications are.
    pub series: Series,
    /// Another address that its router replies from, if there is one.
    pub source: Option<u128>,
}
