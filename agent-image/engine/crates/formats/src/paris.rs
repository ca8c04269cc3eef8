//! M-Lab's files of paris-traceroute, of 2013 to 2019: a line for each hop.
//!
//! `5  P(16, 16) a.example (198.18.0.5):0,2  0.3/0.4/0.5/0.1 ms  b.example (198.18.0.9):1  0.6 ms !T2`
//! has, for each interface, the flows that met it, the least, mean and greatest time with their
//! deviation, and what was odd. A hop of one interface leaves its flows out: they are the first ones.
//! When a trace was made is in the file's name alone.

use std::collections::HashMap;
use std::io::BufRead;
use std::net::IpAddr;

use crate::codec::ReadError;
use crate::implied::{Protocol, implied};
use crate::json::{damaged, micros_of};
use crate::record::{
    Extension, Found, Graph, Kind, Label, Link, Method, Node, Origin, Probe, Record, Reply,
    Settings, Stop, Trace,
};

/// The most flows that a hop of one interface is taken to have met: each costs memory, and six are usual.
const MOST_FLOWS: u32 = 128;
/// The most flows that a hop lists. Hundreds are many.
const MOST_LISTED: usize = 4096;

/// Files of paris-traceroute being read.
pub struct Decoder {
    input: Box<dyn BufRead + Send>,
    line: u64,
    /// The trace whose hops are read.
    begun: Option<Begun>,
    ended: bool,
}

/// A trace as far as it is read.
struct Begun {
    source: (IpAddr, Option<u16>),
    destination: (IpAddr, Option<u16>),
    protocol: Protocol,
    hops: Vec<Hop>,
}

struct Hop {
    ttl: u8,
    sent: u32,
    faces: Vec<Face>,
}

/// An interface at a hop.
struct Face {
    name: Option<String>,
    address: IpAddr,
    flows: Vec<u32>,
    rtt_us: Option<u32>,
    kind: Kind,
    quoted_ttl: Option<u8>,
    labels: Option<Extension>,
}

impl Decoder {
    /// Reads from `input`, which is not compressed.
    #[must_use]
    pub fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self {
            input,
            line: 0,
            begun: None,
            ended: false,
        }
    }

    fn read(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            let mut bytes = Vec::new();
            if self.input.read_until(b'\n', &mut bytes)? == 0 {
                return Ok(self.begun.take().map(Begun::into_record));
            }
            self.line += 1;
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let wrong = |what: &str| damaged(self.line, format!("{what}: {}", shortened(text)));
            if let Some(text) = text.strip_prefix("traceroute [") {
                let begun = Begun::new(text).ok_or_else(|| wrong("this is no begin of a trace"))?;
                if let Some(before) = self.begun.replace(begun) {
                    return Ok(Some(before.into_record()));
                }
                continue;
            }
            let Some(begun) = &mut self.begun else {
                return Err(wrong("no trace has begun"));
            };
            let done = match text.strip_prefix("MPLS Label ") {
                Some(labels) => begun.label(labels),
                None => begun.hop(text),
            };
            done.ok_or_else(|| wrong("this is no hop"))?;
        }
    }
}

impl Iterator for Decoder {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let record = self.read();
        self.ended = !matches!(record, Ok(Some(_)));
        record.transpose()
    }
}

/// Returns the first words of a line.
fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Returns an address and a port of `198.18.0.2:33456`.
fn end(text: &str) -> Option<(IpAddr, Option<u16>)> {
    let (address, port) = text.rsplit_once(':')?;
    Some((address.parse().ok()?, Some(port.parse().ok()?)))
}

impl Begun {
    /// Returns what `(198.18.0.2:1) -> (240.0.0.9:2)], protocol icmp, algo exhaustive, …` begins.
    fn new(text: &str) -> Option<Self> {
        let (source, rest) = text.strip_prefix('(')?.split_once(") -> (")?;
        let (destination, rest) = rest.split_once(")]")?;
        let mut words = rest.split(", ").map(str::trim);
        let protocol = words.find_map(|word| word.strip_prefix("protocol "))?;
        Some(Self {
            source: end(source)?,
            destination: end(destination)?,
            protocol: match protocol {
                "icmp" => Protocol::Icmp,
                "udp" => Protocol::Udp,
                "tcp" => Protocol::Tcp,
                _ => return None,
            },
            hops: Vec::new(),
        })
    }

    /// Adds the hop of a line, if it is one.
    fn hop(&mut self, text: &str) -> Option<()> {
        let (ttl, rest) = text.split_once(char::is_whitespace)?;
        let (counts, rest) = rest.trim_start().strip_prefix("P(")?.split_once(')')?;
        let (received, sent) = counts.split_once(", ")?;
        let (received, sent): (u32, u32) = (received.parse().ok()?, sent.parse().ok()?);
        let mut hop = Hop {
            ttl: ttl.parse().ok()?,
            sent,
            faces: Vec::new(),
        };
        if self.hops.last().is_some_and(|before| before.ttl >= hop.ttl) {
            return None;
        }
        let mut words = rest.split_whitespace().peekable();
        while let Some(name) = words.next() {
            let (address, flows) = words.next()?.strip_prefix('(')?.split_once(')')?;
            let listed = match flows.strip_prefix(':') {
                Some(flows) => flows
                    .split(',')
                    .map(|it| it.parse().ok())
                    .collect::<Option<_>>()?,
                None => Vec::new(),
            };
            let address: IpAddr = address.parse().ok()?;
            let times = words
                .next()?
                .split('/')
                .map(|time| time.parse::<f64>().ok());
            let times = times.collect::<Option<Vec<f64>>>()?;
            if words.next()? != "ms" {
                return None;
            }
            let mut face = Face {
                name: Some(name)
                    .filter(|name| *name != address.to_string())
                    .map(str::to_owned),
                address,
                // One time is that of one probe.
                rtt_us: times.first().copied().and_then(micros_of),
                flows: listed,
                kind: implied(self.protocol, address, self.destination.0),
                quoted_ttl: None,
                labels: None,
            };
            while let Some(oddity) = words.next_if(|word| word.starts_with('!')) {
                face.note(&oddity[1..]);
            }
            hop.faces.push(face);
        }
        let listed: usize = hop.faces.iter().map(|face| face.flows.len()).sum();
        if listed > MOST_LISTED {
            return None;
        }
        if let [face] = &mut *hop.faces
            && face.flows.is_empty()
        {
            face.flows.extend(0..received.min(MOST_FLOWS));
        }
        for face in &mut hop.faces {
            face.rtt_us = face.rtt_us.filter(|_| face.flows.len() == 1);
        }
        self.hops.push(hop);
        Some(())
    }

    /// Adds the labels of `1309 TTL=1 | 24950` to the hop before, if it has one interface.
    ///
    /// The line says neither traffic classes nor the TTLs of further labels: they are 0.
    fn label(&mut self, text: &str) -> Option<()> {
        let mut labels = Vec::new();
        for entry in text.split(" | ") {
            let (label, ttl) = match entry.trim().split_once(" TTL=") {
                Some((label, ttl)) => (label, ttl.trim().parse().ok()?),
                None => (entry.trim(), 0),
            };
            labels.push(Label {
                label: label.parse().ok().filter(|label| *label < 1 << 20)?,
                exp: 0,
                bottom: 0,
                ttl,
            });
        }
        labels.last_mut()?.bottom = 1;
        if let [face] = &mut *self.hops.last_mut()?.faces {
            face.labels = Some(Extension::from_labels(&labels));
        }
        Some(())
    }

    fn into_record(self) -> Record {
        let ports = |port: Option<u16>| port.filter(|_| self.protocol != Protocol::Icmp);
        let sent = self.hops.iter().map(|hop| hop.sent);
        Record::Trace(Box::new(Trace {
            list: None,
            cycle: None,
            method: match self.protocol {
                Protocol::Icmp => Method::IcmpEchoParis,
                Protocol::Udp => Method::UdpParis,
                Protocol::Tcp => Method::Tcp,
            },
            source: Some(self.source.0),
            router: None,
            destination: self.destination.0,
            destination_name: None,
            source_port: ports(self.source.1),
            destination_port: ports(self.destination.1),
            began_us: None,
            ended_us: None,
            stop: Stop::None,
            probe_count: Some(sent.fold(0, u32::saturating_add)),
            settings: Settings {
                first_ttl: self.hops.first().map(|hop| hop.ttl),
                ..Settings::default()
            },
            error: None,
            origin: Origin::default(),
            aside: None,
            found: Found::Graph(assemble(&self.hops, self.destination.0)),
        }))
    }
}

impl Face {
    /// Takes what a word behind an exclamation mark says.
    fn note(&mut self, oddity: &str) {
        let v4 = self.address.is_ipv4();
        let unreachable = if v4 { 3 } else { 1 };
        match oddity {
            "N" => self.kind = Kind::Icmp(unreachable, 0),
            "H" => self.kind = Kind::Icmp(unreachable, if v4 { 1 } else { 3 }),
            "P" if v4 => self.kind = Kind::Icmp(3, 2),
            "A" | "X" => self.kind = Kind::Icmp(unreachable, if v4 { 13 } else { 1 }),
            _ => match oddity.strip_prefix('T').map(str::parse) {
                Some(Ok(ttl)) => self.quoted_ttl = Some(ttl),
                _ => self.kind = Kind::Unknown,
            },
        }
    }

    fn probe(&self, ttl: u8, flow: u32) -> Probe {
        Probe {
            ttl,
            flow,
            attempt: 1,
            replies: vec![Reply {
                from: self.address,
                name: self.name.clone(),
                received_us: None,
                rtt_us: self.rtt_us,
                kind: self.kind,
                ttl: None,
                size: None,
                tos: None,
                id: None,
                quoted_ttl: self.quoted_ttl,
                quoted_length: None,
                quoted_tos: None,
                next_mtu: None,
                extensions: self.labels.iter().cloned().collect(),
                flags: None,
                answers: None,
            }],
            ..Probe::default()
        }
    }
}

/// Returns the graph of hops: interfaces are linked if a flow met both, with silent hops at most between.
fn assemble(hops: &[Hop], destination: IpAddr) -> Graph {
    let mut graph = Graph::default();
    let mut nodes: HashMap<IpAddr, usize> = HashMap::new();
    // The links by their ends and their length.
    let mut links: HashMap<(usize, Option<usize>, usize), usize> = HashMap::new();
    // The interfaces of the last hop that replied, with its flows, and its TTL.
    let mut before: HashMap<u32, usize> = HashMap::new();
    let mut last: Vec<usize> = Vec::new();
    let mut ttl = hops.first().map_or(0, |hop| hop.ttl);
    for hop in hops.iter().filter(|hop| !hop.faces.is_empty()) {
        let length = usize::from(hop.ttl - ttl);
        let mut here = HashMap::new();
        last.clear();
        for face in &hop.faces {
            let place = *nodes.entry(face.address).or_insert_with(|| {
                graph.nodes.push(Node {
                    address: Some(face.address),
                    quoted_ttl: face.quoted_ttl,
                    name: face.name.clone(),
                });
                graph.nodes.len() - 1
            });
            last.push(place);
            for flow in &face.flows {
                here.insert(*flow, place);
                let Some(near) = before.get(flow) else {
                    continue;
                };
                let link = *links
                    .entry((*near, Some(place), length))
                    .or_insert_with(|| {
                        graph.links.push(Link {
                            near: *near,
                            far: Some(place),
                            hops: vec![Vec::new(); length],
                        });
                        graph.links.len() - 1
                    });
                graph.links[link].hops[length - 1].push(face.probe(hop.ttl, *flow));
            }
        }
        before = here;
        ttl = hop.ttl;
    }
    // Behind the last hop that replied, others were silent.
    let length = hops.last().map_or(0, |hop| usize::from(hop.ttl - ttl));
    if length > 0 {
        for near in last {
            let known = links.insert((near, None, length), 0).is_some();
            if !known && graph.nodes[near].address != Some(destination) {
                graph.links.push(Link {
                    near,
                    far: None,
                    hops: vec![Vec::new(); length],
                });
            }
        }
    }
    graph.links.sort_by_key(|link| link.near);
    graph
}
