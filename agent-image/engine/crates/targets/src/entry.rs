//! One line of a target list.

use std::fmt;

use anabranch_prefixes::{Family, Prefix, PrefixError};

/// The protocol of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// ICMP echo over IPv4.
    Icmp,
    /// `ICMPv6` echo.
    Icmp6,
    /// UDP over either family.
    Udp,
    /// TCP SYNs over either family.
    TcpSyn,
    /// TCP ACKs over either family.
    TcpAck,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Icmp,
        Self::Icmp6,
        Self::Udp,
        Self::TcpSyn,
        Self::TcpAck,
    ];

    /// Returns the protocol that has this name in a list.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.name() == name)
    }

    /// Returns whether probes by two protocols look the same to whoever answers them. The answers to
    /// a SYN and to an ACK of one flow can't be told apart.
    #[must_use]
    pub fn is_mistaken_for(self, other: Self) -> bool {
        self != other && self.number() == other.number()
    }

    /// The number of the protocol in an IP header.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Icmp => 1,
            Self::Icmp6 => 58,
            Self::Udp => 17,
            Self::TcpSyn | Self::TcpAck => 6,
        }
    }

    /// The name of the protocol in a list.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Icmp => "icmp",
            Self::Icmp6 => "icmp6",
            Self::Udp => "udp",
            Self::TcpSyn => "tcpSyn",
            Self::TcpAck => "tcpAck",
        }
    }
}

/// How a target is to be probed in the first round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Intent {
    /// The first TTL.
    pub min_ttl: u8,
    /// The last TTL, inclusive.
    pub max_ttl: u8,
    /// The number of flows to send at each TTL.
    pub n_initial_flows: u16,
}

impl Intent {
    /// Returns the smallest intent that covers both: the lower first TTL, the higher last TTL, and
    /// the larger number of flows.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            min_ttl: self.min_ttl.min(other.min_ttl),
            max_ttl: self.max_ttl.max(other.max_ttl),
            n_initial_flows: self.n_initial_flows.max(other.n_initial_flows),
        }
    }
}

/// A prefix to probe, as the list names it. Entries sort by protocol, then by prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The probes' protocol.
    pub protocol: Protocol,
    /// The prefix; for a bare address, the one of full length.
    pub prefix: Prefix,
    /// True for an IPv4 address without a length, which may stand for more than itself.
    ///
    /// A bare IPv6 address stands for its /128 everywhere, so it needs no mark.
    pub bare: bool,
    /// How to probe it.
    pub intent: Intent,
}

/// Why a line is not an entry, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The line does not have five fields.
    #[error("expected target,protocol,min_ttl,max_ttl,n_initial_flows; found {0} field(s)")]
    Fields(usize),
    /// The first field is not a prefix.
    #[error("target: {0}")]
    Target(#[from] PrefixError),
    /// The second field is not a protocol.
    #[error("protocol {0:?} is unknown; write icmp, icmp6, udp, tcpSyn or tcpAck")]
    Protocol(String),
    /// The protocol is the ICMP of the other family.
    #[error("protocol {found} does not fit {target}; write {remedy}, udp, tcpSyn or tcpAck")]
    Family {
        /// The target.
        target: Prefix,
        /// The protocol of the line.
        found: &'static str,
        /// The ICMP of the target's family.
        remedy: &'static str,
    },
    /// A field is not a number, or is out of its range.
    #[error("{field} {text:?} must be a whole number from 1 to {max}")]
    Number {
        /// The field's name.
        field: &'static str,
        /// What was read.
        text: String,
        /// The largest value.
        max: u16,
    },
    /// The TTLs are the wrong way round.
    #[error("min_ttl {0} is above max_ttl {1}; exchange them")]
    Ttls(u8, u8),
}

impl Entry {
    /// Reads `target,protocol,min_ttl,max_ttl,n_initial_flows` (Iris's format).
    ///
    /// # Errors
    /// An [`EntryError`] that names the field and the remedy.
    pub fn parse(line: &str) -> Result<Self, EntryError> {
        let mut split = line.split(',').map(str::trim);
        let mut field = || split.next();
        let (Some(target), Some(protocol), Some(min), Some(max), Some(flows), None) =
            (field(), field(), field(), field(), field(), field())
        else {
            return Err(EntryError::Fields(line.split(',').count()));
        };
        let (prefix, is_address) = Prefix::parse(target)?;
        let protocol = parse_protocol(protocol, prefix)?;
        let ttl = |name, text| number(name, text, u8::MAX.into()).map(|ttl| ttl as u8);
        let intent = Intent {
            min_ttl: ttl("min_ttl", min)?,
            max_ttl: ttl("max_ttl", max)?,
            n_initial_flows: number("n_initial_flows", flows, u16::MAX)?,
        };
        if intent.min_ttl > intent.max_ttl {
            return Err(EntryError::Ttls(intent.min_ttl, intent.max_ttl));
        }
        Ok(Self {
            prefix,
            bare: is_address && prefix.family() == Family::V4,
            protocol,
            intent,
        })
    }

    /// Returns what two entries of the same target share: all but how to probe it.
    #[must_use]
    pub const fn key(&self) -> (Protocol, Prefix, bool) {
        (self.protocol, self.prefix, self.bare)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bare {
            write!(f, "{}", self.prefix.address())?;
        } else {
            write!(f, "{}", self.prefix)?;
        }
        let (protocol, intent) = (self.protocol.name(), self.intent);
        let (min, max, flows) = (intent.min_ttl, intent.max_ttl, intent.n_initial_flows);
        write!(f, ",{protocol},{min},{max},{flows}")
    }
}

fn parse_protocol(text: &str, target: Prefix) -> Result<Protocol, EntryError> {
    let protocol = Protocol::named(text).ok_or_else(|| EntryError::Protocol(text.to_owned()))?;
    let (wrong, right) = match target.family() {
        Family::V4 => (Protocol::Icmp6, Protocol::Icmp),
        Family::V6 => (Protocol::Icmp, Protocol::Icmp6),
    };
    if protocol == wrong {
        return Err(EntryError::Family {
            target,
            found: wrong.name(),
            remedy: right.name(),
        });
    }
    Ok(protocol)
}

fn number(field: &'static str, text: &str, max: u16) -> Result<u16, EntryError> {
    text.parse()
        .ok()
        .filter(|value| (1..=max).contains(value) && !text.starts_with('+'))
        .ok_or_else(|| EntryError::Number {
            field,
            text: text.to_owned(),
            max,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        for line in [
            "0.0.0.0/0,udp,2,32,1",
            "8.8.8.8,icmp,2,32,6",
            "8.8.8.0/24,tcpSyn,2,32,6",
            "2001:db8::/48,tcpAck,2,32,6",
            "8.8.8.8/32,icmp,2,32,6",
            "2001:4860:4860::8888/128,icmp6,2,32,6",
        ] {
            assert_eq!(Entry::parse(line).unwrap().to_string(), line);
        }
    }

    #[test]
    fn a_bare_ipv6_address_is_its_128() {
        assert_eq!(
            Entry::parse("2001:db8::1,udp,1,9,1"),
            Entry::parse("2001:db8::1/128,udp,1,9,1")
        );
    }

    #[test]
    fn each_mistake_names_the_field_and_the_remedy() {
        let says = |line: &str| Entry::parse(line).unwrap_err().to_string();
        assert!(says("8.8.8.0/24,udp,2,32").contains("found 4 field(s)"));
        assert!(says("8.8.8.0/24,udp,2,32,6,7").contains("found 6 field(s)"));
        assert!(says("host,udp,2,32,6").contains("target: \"host\" is not an IP address"));
        assert!(says("8.8.8.0/24,tcp,2,32,6").contains("write icmp, icmp6, udp, tcpSyn or"));
        assert!(says("8.8.8.0/24,icmp6,2,32,6").contains("write icmp, udp, tcpSyn or tcpAck"));
        assert!(says("2001:db8::/48,icmp,2,32,6").contains("write icmp6, udp, tcpSyn or tcpAck"));
        assert!(says("8.8.8.0/24,udp,0,32,6").contains("min_ttl \"0\" must be a whole number"));
        assert!(says("8.8.8.0/24,udp,2,256,6").contains("max_ttl \"256\""));
        assert!(says("8.8.8.0/24,udp,2,32,").contains("n_initial_flows \"\""));
        assert!(says("8.8.8.0/24,udp,2,32,+6").contains("n_initial_flows \"+6\""));
        assert!(says("8.8.8.0/24,udp,32,2,6").contains("exchange them"));
    }
}
