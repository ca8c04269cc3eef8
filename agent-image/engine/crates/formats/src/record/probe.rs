//! Probes, and the replies to them.

use std::net::IpAddr;

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
