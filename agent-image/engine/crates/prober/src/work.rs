//! What is traced, what comes of it, and who takes that.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anabranch_aliases::resolver::Resolver;
use anabranch_link::way::Way;
use anabranch_prefixes::Family;
use anabranch_trace::sightings::{Ask, Vertex};
use anabranch_trace::tracer::Tracer;
use anabranch_wire::ip::{ICMP, ICMP6, TCP, UDP};
use anabranch_wire::probe::icmp_of;
use anabranch_wire::reply::Reply;

use crate::clock::Moment;
use crate::error::ProberError;

/// The protocol of the probes of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// UDP; the source port tells flows apart.
    Udp,
    /// Echo requests of ICMP or `ICMPv6`; the checksum tells flows apart.
    Icmp,
    /// TCP segments; the source port tells flows apart.
    Tcp,
}

impl Protocol {
    /// Returns the protocol with a number in the IP header, if probes of it are known.
    #[must_use]
    pub const fn of_number(number: u8) -> Option<Self> {
        match number {
            UDP => Some(Self::Udp),
            ICMP | ICMP6 => Some(Self::Icmp),
            _ => None,
        }
    }

    /// Returns the protocol's number in the IP header.
    #[must_use]
    pub const fn number(self, family: Family) -> u8 {
        match self {
            Self::Udp => UDP,
            Self::Icmp => icmp_of(family),
            Self::Tcp => TCP,
        }
    }
}

/// A destination to trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The number by which the work knows it.
    pub number: u64,
    /// The address.
    pub destination: IpAddr,
    /// The protocol of its probes.
    pub protocol: Protocol,
    /// The lowest and the highest TTL.
    pub ttls: (u8, u8),
}

/// What the work wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// To trace this. If its destination is being traced, the body waits for the end of that.
    Trace(Target),
    /// To find the aliases among addresses. A target stands for them: no path to it is looked for.
    Resolve(Target, Vec<u128>),
    /// To see traces end first.
    Wait,
    /// Nothing more.
    Nothing,
}

/// What a body traces, and who takes the traces.
pub trait Work {
    /// Returns what to trace next.
    ///
    /// # Errors
    /// If that can't be told; the body stops then.
    fn next(&mut self) -> Result<Next, ProberError>;
    /// Takes a probe with the first reply to it, as soon as that comes.
    fn hear(&mut self, target: &Target, ask: Ask, attempt: u8, probed: &Probed);
    /// Takes a trace that has ended.
    ///
    /// # Errors
    /// If there is no use in tracing more; the body stops then.
    fn end(&mut self, trace: Trace) -> Result<(), ProberError>;
}

/// A probe that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Probed {
    /// When it was sent.
    pub sent: Moment,
    /// The first reply to it, if one came.
    pub reply: Option<Heard>,
}

/// A reply to a probe.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// What it says.
    pub reply: Reply,
    /// When the kernel received it, in microseconds since 1970.
    pub at_us: u64,
    /// The time since the probe was sent, in microseconds.
    pub rtt_us: u64,
}

/// A trace of one destination.
#[derive(Debug)]
pub struct Trace {
    /// What is traced.
    pub target: Target,
    /// The way that its probes left by; None without a route.
    pub way: Option<Way>,
    /// When it began and ended, in microseconds since 1970.
    pub span_us: (u64, u64),
    /// The probes, by flow and TTL, and by the attempt, which counts from 1.
    pub probes: BTreeMap<(Ask, u8), Probed>,
    /// The tracer at its end.
    pub tracer: Tracer,
    /// The alias resolution at its end; None without, and for a trace that was cut off.
    pub resolver: Option<Resolver>,
    /// The probes for alias resolution, and the replies to them.
    pub soundings: (u32, u32),
    /// Why it was refused, if it was.
    pub refusal: Option<Refusal>,
}

/// Why a probe could not be sent, for people.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// The limits forbid it.
    Forbidden(String),
    /// It can't leave: there is no route, or the kernel takes no probe. The text has the remedy.
    Stuck(String),
}

impl Refusal {
    /// Returns the reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        let (Self::Forbidden(reason) | Self::Stuck(reason)) = self;
        reason
    }
}

impl Trace {
    /// Ends the trace, since its next probe can't be sent.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        self.tracer.refuse();
        self.refusal = Some(refusal);
    }
}

/// Returns what a reply says that the probe met: only a router where its TTL ended leads on.
///
/// A reply that quotes TTL 0 comes from the next router: the one at this hop forwarded the probe
/// instead of replying (Augustin et al., "Avoiding traceroute anomalies with Paris traceroute",
/// IMC 2006). So that one is silent.
#[must_use]
pub const fn tell_vertex(reply: &Reply) -> Vertex {
    match (reply.protocol, reply.kind, reply.quoted.ttl) {
        (ICMP, 11, 0) | (ICMP6, 3, 0) => Vertex::Silent,
        (ICMP, 11, _) | (ICMP6, 3, _) => Vertex::Router(reply.from),
        _ => Vertex::End(reply.from),
    }
}
