//! What files of the field say, whatever their format.
//!
//! The words are ours, the meaning is scamper's where both have the same thing: its warts and JSON are
//! what most archives of the field are written in. Times are in microseconds since 1970.

use std::net::IpAddr;
use std::sync::Arc;

/// One thing that a file says.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A list of targets is begun.
    List(Arc<List>),
    /// A cycle over a list begins.
    CycleStart(Arc<Cycle>),
    /// What follows is of a cycle whose beginning is elsewhere.
    CycleDefinition(Arc<Cycle>),
    /// A cycle has ended.
    CycleStop {
        /// The cycle.
        cycle: Arc<Cycle>,
        /// When, in seconds since 1970.
        at: u32,
    },
    /// A destination was traced.
    Trace(Box<Trace>),
    /// A destination was pinged.
    Ping(Box<Ping>),
    /// Something that is not about paths, by its name in the format. Readers count it and go on.
    Other(&'static str),
}

/// A list of targets, as scamper knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct List {
    /// Its number within the file, from 1.
    pub number: u32,
    /// Its number for people.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// The vantage point.
    pub monitor: Option<String>,
}

/// One pass over a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cycle {
    /// Its number within the file, from 1.
    pub number: u32,
    /// The list.
    pub list: Arc<List>,
    /// Its number for people.
    pub id: u32,
    /// When it began, in seconds since 1970.
    pub start: u32,
    /// When it ended, if the file says so where it begins.
    pub stop: Option<u32>,
    /// The host that probes.
    pub hostname: Option<String>,
}

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

/// Why a trace ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// No reason is given.
    #[default]
    None,
    /// The destination replied.
    Completed,
    /// A destination unreachable of this code came.
    Unreachable(u8),
    /// Another ICMP error of this type came.
    Icmp(u8),
    /// A loop of this length, or 0 if that is not said.
    Loop(u8),
    /// This many hops in a row were silent; 0 if that is not said.
    GapLimit(u8),
    /// Probing failed, with this error number.
    Error(u8),
    /// The last TTL was reached.
    HopLimit,
    /// An address of the global stop set of Doubletree was met.
    StopSet,
    /// It was halted.
    Halted,
    /// It goes on yet.
    InProgress,
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

/// A destination that was traced.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The list that it is of.
    pub list: Option<Arc<List>>,
    /// The cycle that it is of.
    pub cycle: Option<Arc<Cycle>>,
    /// How probes look.
    pub method: Method,
    /// Where probes came from.
    pub source: Option<IpAddr>,
    /// The first router on the way, if the file says it.
    pub router: Option<IpAddr>,
    /// Where probes went to.
    pub destination: IpAddr,
    /// The destination's name, if it was given by one.
    pub destination_name: Option<String>,
    /// The source port of the first flow; of ICMP, the identifier.
    pub source_port: Option<u16>,
    /// The destination port of the first flow; of ICMP, the checksum.
    pub destination_port: Option<u16>,
    /// When it began.
    pub began_us: Option<u64>,
    /// When it ended.
    pub ended_us: Option<u64>,
    /// Why it ended.
    pub stop: Stop,
    /// The number of probes sent, if it is said.
    pub probe_count: Option<u32>,
    /// What it was asked to do.
    pub settings: Settings,
    /// An error that the tool reported.
    pub error: Option<String>,
    /// Who asked for it, and where it was made.
    pub origin: Origin,
    /// What was found.
    pub found: Found,
    /// What was found besides.
    pub aside: Option<Box<Aside>>,
}

/// What a trace of one path found besides the path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aside {
    /// The path's MTU.
    pub path_mtu: Option<PathMtu>,
    /// Probes of the highest TTL, sent behind a gap, that were answered.
    pub last_ditch: Vec<Probe>,
    /// What Doubletree did.
    pub doubletree: Option<Doubletree>,
}

/// The MTU of a path, and how it was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PathMtu {
    /// The interface's MTU.
    pub interface: Option<u16>,
    /// The path's MTU.
    pub path: Option<u16>,
    /// The MTU to the first router, if it is another one than the interface's.
    pub first: Option<u16>,
    /// scamper's version of the method.
    pub version: Option<u8>,
    /// The probes that were answered.
    pub probes: Vec<Probe>,
    /// What each step came to.
    pub notes: Vec<MtuNote>,
}

/// What a step of finding a path's MTU came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MtuNote {
    /// 1 for a packet too big, 2 for one whose MTU makes no sense, 3 for silence.
    pub kind: u8,
    /// The MTU of the next hop.
    pub next_mtu: Option<u16>,
    /// The place of the reply among those to `probes`.
    pub reply: Option<u16>,
}

/// What Doubletree did in a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubletree {
    /// The TTL at which it began.
    pub first_ttl: u8,
    /// The address of the local stop set that ended the way back.
    pub local_stop: Option<IpAddr>,
    /// The address of the global stop set that ended the way forward.
    pub global_stop: Option<IpAddr>,
    /// The name of the local stop set.
    pub local_set: Option<String>,
    /// scamper's flags: 1 for no way back.
    pub flags: u8,
}

impl Trace {
    /// Returns a trace of which nothing else is known.
    #[must_use]
    pub fn new(method: Method, destination: IpAddr, found: Found) -> Self {
        Self {
            list: None,
            cycle: None,
            method,
            source: None,
            router: None,
            destination,
            destination_name: None,
            source_port: None,
            destination_port: None,
            began_us: None,
            ended_us: None,
            stop: Stop::None,
            probe_count: None,
            settings: Settings::default(),
            error: None,
            origin: Origin::default(),
            aside: None,
            found,
        }
    }
}

/// What a trace found.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// One path: its probes, in the order of their TTLs and attempts.
    ///
    /// Formats that list replies alone give probes that were answered, and the last TTL.
    Path {
        /// The probes.
        probes: Vec<Probe>,
        /// The TTL of the last hop that was probed; 0 if none was.
        last_ttl: u8,
    },
    /// Several paths.
    Graph(Graph),
}

/// The paths to a destination, as scamper's tracelb has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// The nodes. The first is the nearest.
    pub nodes: Vec<Node>,
    /// The links, in the order of their nearer node.
    pub links: Vec<Link>,
}

/// An interface on the paths to a destination.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Its address; None where nothing replied.
    pub address: Option<IpAddr>,
    /// The TTL in its quotes.
    pub quoted_ttl: Option<u8>,
    /// Its name.
    pub name: Option<String>,
}

/// A link between two nodes, with silent hops between them if there are any.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The place of the nearer node among the nodes.
    pub near: usize,
    /// The place of the farther node; None if nothing behind the nearer one replied.
    pub far: Option<usize>,
    /// The probes of each hop from behind the nearer node to the farther one, at least one hop.
    /// Probes to silent hops have no replies, and formats may leave them out.
    pub hops: Vec<Vec<Probe>>,
}

/// A probe, and what came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probe {
    /// Its TTL.
    pub ttl: u8,
    /// Its flow, from 0 or as the format counts them.
    pub flow: u32,
    /// Its attempt, from 1; 0 if its file says no more of it than that nothing answered.
    pub attempt: u16,
    /// Its IPv4 identification.
    pub id: Option<u16>,
    /// When it was sent.
    pub sent_us: Option<u64>,
    /// Its length, in bytes.
    pub size: Option<u16>,
    /// The replies to it, in the order in which they came.
    pub replies: Vec<Reply>,
}

/// A reply to a probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Its source.
    pub from: IpAddr,
    /// The source's name.
    pub name: Option<String>,
    /// When it came.
    pub received_us: Option<u64>,
    /// The time since the probe was sent, in microseconds.
    pub rtt_us: Option<u32>,
    /// What it is.
    pub kind: Kind,
    /// Its TTL on arrival.
    pub ttl: Option<u8>,
    /// Its length, in bytes.
    pub size: Option<u16>,
    /// Its type of service or traffic class.
    pub tos: Option<u8>,
    /// Its IPv4 identification.
    pub id: Option<u32>,
    /// The TTL of the probe as it quotes it.
    pub quoted_ttl: Option<u8>,
    /// The length of the probe as it quotes it.
    pub quoted_length: Option<u16>,
    /// The type of service of the probe as it quotes it.
    pub quoted_tos: Option<u8>,
    /// The MTU of the next hop, in a packet too big.
    pub next_mtu: Option<u16>,
    /// The objects of its ICMP extension.
    pub extensions: Vec<Extension>,
    /// scamper's flags of a hop, as they are.
    pub flags: Option<u8>,
    /// What it says in answer to IP options and timestamp requests, which only pings send.
    pub answers: Option<Box<Answers>>,
}

/// What a reply says in answer to IP options and timestamp requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// The addresses that routers recorded.
    pub route: Vec<IpAddr>,
    /// The times that routers recorded, with their addresses if these were asked for.
    pub times: Vec<(Option<IpAddr>, u32)>,
    /// The originate, receive and transmit timestamps of ICMP.
    pub clock: Option<[u32; 3]>,
}

/// What a reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An ICMP or `ICMPv6` message, by type and code.
    Icmp(u8, u8),
    /// A TCP segment, by its flags.
    Tcp(u8),
    /// A UDP datagram.
    Udp,
    /// The file does not say.
    Unknown,
}

/// An object of an ICMP extension (RFC 4884).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Its class; 1 is a stack of MPLS labels (RFC 4950).
    pub class: u8,
    /// Its type within the class.
    pub kind: u8,
    /// Its content, as on the wire.
    pub data: Vec<u8>,
}

/// An entry of a stack of MPLS labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The label, of 20 bits.
    pub label: u32,
    /// The traffic class, of 3 bits.
    pub exp: u8,
    /// 1 at the bottom of the stack.
    pub bottom: u8,
    /// Its time to live.
    pub ttl: u8,
}

impl Extension {
    /// Returns the object for a stack of MPLS labels, outermost first.
    #[must_use]
    pub fn from_labels(labels: &[Label]) -> Self {
        let word = |entry: &Label| {
            let high = entry.label << 12 | u32::from(entry.exp & 7) << 9;
            high | u32::from(entry.bottom & 1) << 8 | u32::from(entry.ttl)
        };
        let data = labels.iter().flat_map(|entry| word(entry).to_be_bytes());
        Self {
            class: 1,
            kind: 1,
            data: data.collect(),
        }
    }

    /// Returns its MPLS labels, outermost first; empty if it has none.
    #[must_use]
    pub fn labels(&self) -> Vec<Label> {
        if (self.class, self.kind) != (1, 1) {
            return Vec::new();
        }
        let words = self.data.as_chunks::<4>().0.iter();
        let split = |word: &[u8; 4]| {
            let word = u32::from_be_bytes(*word);
            Label {
                label: word >> 12,
                exp: (word >> 9 & 7) as u8,
                bottom: (word >> 8 & 1) as u8,
                ttl: word as u8,
            }
        };
        words.map(split).collect()
    }
}

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
