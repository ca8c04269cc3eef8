//! What a trace or ping was asked to do, and by whom.

use std::net::IpAddr;

/// How probes of a trace or ping look, and what makes a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Echo requests whose checksum varies from probe to probe: not one flow.
    IcmpEcho,
    /// Echo requests of one checksum for each flow.
    IcmpEchoParis,
    /// UDP whose destination port varies from probe to probe: not one flow.
    Udp,
    /// UDP of one pair of ports.
    UdpParis,
    /// TCP SYN of one pair of ports.
    Tcp,
    /// TCP ACK of one pair of ports.
    TcpAck,
    /// Flows by UDP destination port.
    UdpDestinationPort,
    /// Flows by UDP source port.
    UdpSourcePort,
    /// Flows by TCP SYN source port.
    TcpSourcePort,
    /// Flows by TCP ACK source port.
    TcpAckSourcePort,
    /// ICMP timestamp requests. Only pings have these and the next two.
    IcmpTimestamp,
    /// TCP SYN-ACK of one pair of ports.
    TcpSynAck,
    /// TCP RST of one pair of ports.
    TcpReset,
}

/// Who asked for a trace or ping, and where it was made, in the words of archives.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Origin {
    /// M-Lab's UUID of the connection that it is about.
    pub uuid: Option<String>,
    /// The UUID of the connection that it was made for, if M-Lab took it from its cache.
    pub cached_uuid: Option<String>,
    /// RIPE Atlas's number of the measurement.
    pub measurement: Option<u32>,
    /// RIPE Atlas's number of the host that probed.
    pub host: Option<u32>,
    /// The source as others see it, behind a NAT.
    pub public_source: Option<IpAddr>,
}

/// What a trace was asked to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Settings {
    /// A number that its user chose.
    pub user_id: Option<u32>,
    /// The first TTL.
    pub first_ttl: Option<u8>,
    /// The last TTL, or hop limit.
    pub max_ttl: Option<u8>,
    /// How many silent hops end it.
    pub gap_limit: Option<u8>,
    /// What it does then: scamper's 1 stops, 2 tries the last ditch.
    pub gap_action: Option<u8>,
    /// How many loops end it.
    pub loops: Option<u8>,
    /// What it does then.
    pub loop_action: Option<u8>,
    /// How often a probe is tried.
    pub attempts: Option<u8>,
    /// How many hops it probes at once.
    pub window: Option<u8>,
    /// Confidence that all next hops were found, in percent.
    pub confidence: Option<u8>,
    /// How long it waits for a reply, in microseconds.
    pub wait_us: Option<u64>,
    /// How long it waits between probes, in microseconds.
    pub wait_probe_us: Option<u64>,
    /// Type of service of probes.
    pub tos: Option<u8>,
    /// Length of probes, in bytes.
    pub probe_size: Option<u16>,
    /// The most probes that it sends.
    pub max_probes: Option<u32>,
    /// The offset of fragments.
    pub offset: Option<u16>,
    /// scamper's flags, as they are.
    pub flags: Option<u32>,
}
