//! Pings.

use std::net::IpAddr;
use std::sync::Arc;

use super::asked::{Method, Origin, Settings};
use super::list::{Cycle, List};
use super::probe::Probe;

/// A destination that was pinged.
#[derive(Clone, Debug, PartialEq)]
pub struct Ping {
    /// The list that it is of.
    pub list: Option<Arc<List>>,
    /// The cycle that it is of.
    pub cycle: Option<Arc<Cycle>>,
    /// How probes look.
    pub method: Method,
    /// Where probes came from.
    pub source: Option<IpAddr>,
    /// Where probes went to.
    pub destination: IpAddr,
    /// The source port; of ICMP, the identifier.
    pub source_port: Option<u16>,
    /// The destination port; of ICMP, the first sequence number.
    pub destination_port: Option<u16>,
    /// When it began.
    pub began_us: Option<u64>,
    /// Why it ended: 0 no reason, 1 all probes sent, 2 error, 3 halted, 4 in progress.
    pub stop: (u8, u8),
    /// How many probes it was to send.
    pub asked: Option<u16>,
    /// How many it sent.
    pub probe_count: Option<u16>,
    /// What else it was asked to do. `wait_us` is the time after the last probe.
    pub settings: Settings,
    /// Who asked for it, and where it was made.
    pub origin: Origin,
    /// What only pings are asked to do.
    pub specific: PingSettings,
    /// The probes in order, with their replies. Formats may list those alone that were answered:
    /// `attempt` has their place, from 1.
    pub probes: Vec<Probe>,
}

/// What only pings are asked to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PingSettings {
    /// How many replies are enough; None or 0 for all.
    pub replies: Option<u16>,
    /// What the probes carry: scamper's flags say whether as a payload or as a pattern.
    pub payload: Vec<u8>,
    /// The routers that are asked for timestamps.
    pub routers: Vec<IpAddr>,
    /// The checksum of ICMP probes.
    pub checksum: Option<u16>,
    /// The MTU that replies are made to believe in.
    pub reply_mtu: Option<u16>,
    /// The acknowledgement number of TCP probes.
    pub acknowledgement: Option<u32>,
    /// The sequence number of TCP probes.
    pub sequence: Option<u32>,
    /// The router that probes are sent to.
    pub router: Option<IpAddr>,
}
