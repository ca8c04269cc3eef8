//! Traces, of one path or of several.

use std::net::IpAddr;
use std::sync::Arc;

use super::asked::{Method, Origin, Settings};
use super::list::{Cycle, List};
use super::probe::Probe;

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
