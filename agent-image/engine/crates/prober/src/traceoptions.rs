//! The options of traces, and the probes that they make of a flow and a TTL.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anabranch_link::filter::Filter;
use anabranch_prefixes::number_of;
use anabranch_trace::parameters::Parameters;
use anabranch_trace::sightings::Ask;
use anabranch_wire::ip::UDP;
use anabranch_wire::probe::{Probe, Segment, carried_time, icmp_of};
use anabranch_wire::segment;

use crate::work::{Protocol, Target};

/// The options of a body of tracers.
#[derive(Clone, Debug)]
pub struct TraceOptions {
    /// The file of the network namespace to probe from; None for the calling thread's.
    pub network: Option<PathBuf>,
    /// The link that probes leave by; None to leave the choice to the routes.
    pub interface: Option<String>,
    /// The addresses to send from, at most one a family. Without one, the routes choose.
    pub sources: Vec<IpAddr>,
    /// How to reach whoever probes. Probes carry this text for people who wonder about them, but
    /// for those of TCP.
    pub contact: String,
    /// The parameters of all traces.
    pub parameters: Parameters,
    /// The source port of flow 0; that of another flow is higher by its number.
    pub first_port: u16,
    /// The destination port of UDP probes.
    pub destination_port: u16,
    /// What TCP probes are; None if there are none.
    pub segment: Option<Segment>,
    /// How long a trace may take; None for as long as it wants.
    pub time_limit: Option<Duration>,
    /// The most destinations to trace at once.
    pub window: usize,
    /// How often a route to a destination is looked up, a second apart, before it counts as one
    /// without a route.
    pub lookups: u8,
}

impl TraceOptions {
    /// Returns the filter that lets in all replies, and as little else as it can.
    pub(crate) const fn filter(&self) -> Filter {
        match self.segment {
            None => Filter::Icmp,
            // A flow may have any port.
            Some(_) => Filter::IcmpAndAnswers {
                from: segment::PORT,
                to: (0, u16::MAX),
            },
        }
    }

    /// Returns the probe of a flow and a TTL.
    pub(crate) fn shape(&self, target: &Target, ask: Ask, sent_us: u64) -> Probe {
        let (family, destination) = number_of(target.destination);
        Probe {
            family,
            destination,
            protocol: target.protocol.number(family),
            source_port: self.first_port.wrapping_add(ask.flow),
            destination_port: match target.protocol {
                Protocol::Udp => self.destination_port,
                Protocol::Icmp => 0,
                Protocol::Tcp => segment::PORT,
            },
            ttl: ask.ttl,
            sent: carried_time(sent_us),
        }
    }

    /// Returns an echo request to an address that a trace to a target has met.
    pub(crate) fn shape_echo(&self, target: &Target, address: u128, sent_us: u64) -> Probe {
        let (family, _) = number_of(target.destination);
        Probe {
            family,
            destination: address,
            protocol: icmp_of(family),
            source_port: self.direct_port(),
            destination_port: 0,
            ttl: target.ttls.1,
            sent: carried_time(sent_us),
        }
    }

    /// Returns UDP to a port of such an address where nobody listens.
    pub(crate) fn shape_port(&self, target: &Target, address: u128, sent_us: u64) -> Probe {
        Probe {
            protocol: UDP,
            destination_port: self.destination_port,
            ..self.shape_echo(target, address, sent_us)
        }
    }

    /// Returns whether a probe was sent to an address that a trace has met.
    pub(crate) const fn is_direct(&self, probe: &Probe) -> bool {
        probe.source_port == self.direct_port()
    }

    /// The source port, or the identifier, of probes to addresses that a trace has met: no flow of a
    /// trace has it.
    const fn direct_port(&self) -> u16 {
        self.first_port.wrapping_sub(1)
    }

    /// Returns the flow and TTL of a probe, if it has the protocol of a target.
    pub(crate) fn tell(&self, target: &Target, probe: &Probe) -> Option<Ask> {
        (probe.protocol == target.protocol.number(probe.family)).then(|| Ask {
            flow: probe.source_port.wrapping_sub(self.first_port),
            ttl: probe.ttl,
        })
    }
}
