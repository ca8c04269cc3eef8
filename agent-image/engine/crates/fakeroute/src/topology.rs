//! Topology files: one graph from the vantage points to one destination.
//!
//! The format is Fakeroute's list of links (<https://github.com/dioptra-io/fakeroute>), a line for
//! each, `near far`, that begins at `127.0.0.1` (`::1` for IPv6) and ends at the destination. A third
//! word, the weight, makes a link that much likelier than its neighbours; lines that begin with `#`
//! are comments. The older format of libparistraceroute, in which `start` and `end` stand for what
//! is before the first router and behind the destination, is read too.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;

use anabranch_prefixes::Family;

use crate::graph::{Graph, Vertex};

/// The heaviest weight of a link.
pub const MAX_WEIGHT: u32 = 1_000;
/// The most links on a path: a TTL reaches no further.
pub const MAX_LENGTH: u32 = 255;

/// A graph of addresses, from the vantage points (vertex 0) to the destination (the last vertex).
///
/// Vertices are numbered so that every link leads to a higher number.
#[derive(Clone, Debug)]
pub struct Topology {
    family: Family,
    graph: Graph,
    /// The address of each vertex; that of vertex 0 means nothing.
    addresses: Vec<u128>,
    /// The vertex by which packets to a router itself come, for each.
    before: Vec<Vertex>,
}

/// What is wrong with a topology file, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct TopologyError {
    /// The line, from 1; none where it is about all of it.
    pub line: Option<usize>,
    /// The reason with the remedy.
    pub reason: String,
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// An end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum End {
    /// The vantage points.
    Source,
    /// An interface.
    At(IpAddr),
}

impl Topology {
    /// Reads a topology file.
    ///
    /// # Errors
    /// When a line is no link, or the links are not a graph without loops from `127.0.0.1` or `::1`
    /// to one destination.
    pub fn read(text: &str) -> Result<Self, TopologyError> {
        let links = read_links(text)?;
        let ends = sort(&links)?;
        let numbers: HashMap<End, Vertex> =
            ends.iter().zip(0..).map(|(end, i)| (*end, i)).collect();
        let mut next_hops = vec![Vec::new(); ends.len()];
        let mut before = vec![Vertex::MAX; ends.len()];
        let mut length = vec![0; ends.len()];
        before[0] = 0;
        let mut numbered: Vec<(Vertex, Vertex, u32)> = links
            .iter()
            .map(|link| (numbers[&link.near], numbers[&link.far], link.weight))
            .collect();
        numbered.sort_by_key(|link| link.0);
        for (near, far, weight) in numbered {
            next_hops[near as usize].extend((0..weight).map(|_| far));
            before[far as usize] = near.min(before[far as usize]);
            length[far as usize] = (length[near as usize] + 1).max(length[far as usize]);
        }
        if length.iter().any(|length| *length > MAX_LENGTH) {
            let reason =
                format!("a path is longer than {MAX_LENGTH} links; no TTL reaches its end");
            return Err(TopologyError { line: None, reason });
        }
        let routers: Vec<u32> = (0..ends.len() as u32).collect();
        let family = match ends[1] {
            End::At(IpAddr::V6(_)) => Family::V6,
            _ => Family::V4,
        };
        Ok(Self {
            family,
            graph: Graph::new(&next_hops, &routers),
            addresses: ends.iter().map(|end| number(*end)).collect(),
            before,
        })
    }

    /// The address family.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Its vertices and links; a link stands there as often as it weighs.
    #[must_use]
    pub const fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The last vertex.
    #[must_use]
    pub const fn destination(&self) -> Vertex {
        self.graph.vertices() - 1
    }

    /// The address of a vertex, as a number of the family; 0 for the vantage points.
    ///
    /// # Panics
    /// When there is no such vertex.
    #[inline]
    #[must_use]
    pub fn address(&self, vertex: Vertex) -> u128 {
        self.addresses[vertex as usize]
    }

    /// All interfaces, the destination's too.
    pub fn interfaces(&self) -> impl Iterator<Item = Vertex> + use<> {
        1..self.graph.vertices()
    }

    /// The vertices by which packets to a router come, from the first one on: always the same.
    #[must_use]
    pub fn way_to(&self, vertex: Vertex) -> Vec<Vertex> {
        let mut way = Vec::new();
        let mut at = vertex;
        while at != 0 {
            way.push(at);
            at = self.before[at as usize];
        }
        way.reverse();
        way
    }
}

/// The topologies of a network, and what has an address in them.
#[derive(Clone, Debug, Default)]
pub struct Topologies {
    all: Vec<Topology>,
    places: HashMap<(Family, u128), (usize, Vertex)>,
}

impl Topologies {
    /// Topologies side by side. They may share routers: an address that several have is a
    /// router of the first, when probed itself.
    ///
    /// # Errors
    /// With the places of two topologies where an address is the destination of one and stands in
    /// the other too.
    pub fn new(all: Vec<Topology>) -> Result<Self, (usize, usize)> {
        let mut places = HashMap::new();
        for (i, topology) in all.iter().enumerate() {
            for vertex in topology.interfaces() {
                let key = (topology.family, topology.address(vertex));
                let (first, there) = *places.entry(key).or_insert((i, vertex));
                let ends = vertex == topology.destination() || there == all[first].destination();
                if first != i && ends {
                    return Err((first, i));
                }
            }
        }
        Ok(Self { all, places })
    }

    /// All of them, in their order.
    #[must_use]
    pub fn all(&self) -> &[Topology] {
        &self.all
    }

    /// The addresses of all interfaces, each once.
    pub fn addresses(&self) -> impl Iterator<Item = (Family, u128)> {
        self.places.keys().copied()
    }

    /// The topology and the vertex that have an address.
    #[inline]
    #[must_use]
    pub fn find(&self, family: Family, address: u128) -> Option<(&Topology, Vertex)> {
        if self.all.is_empty() {
            return None;
        }
        let (topology, vertex) = self.places.get(&(family, address))?;
        Some((&self.all[*topology], *vertex))
    }
}

struct Link {
    near: End,
    far: End,
    weight: u32,
}

fn read_links(text: &str) -> Result<Vec<Link>, TopologyError> {
    let mut links = Vec::new();
    let mut seen: BTreeMap<(End, End), usize> = BTreeMap::new();
    let mut v6 = None;
    for (i, line) in text.lines().enumerate() {
        let refuse = |reason| {
            Err(TopologyError {
                line: Some(i + 1),
                reason,
            })
        };
        let words: Vec<&str> = line.split_whitespace().collect();
        let (near, far, weight) = match words[..] {
            [first, ..] if first.starts_with('#') => continue,
            [] | [_, "end"] => continue,
            [near, far] => (near, far, "1"),
            [near, far, weight] => (near, far, weight),
            _ => return refuse("write a link as `near far`, or `near far weight`".to_owned()),
        };
        let Ok(weight @ 1..=MAX_WEIGHT) = weight.parse() else {
            return refuse(format!(
                "the weight {weight:?} must be a whole number from 1 to {MAX_WEIGHT}"
            ));
        };
        let (near, far) = match (read_end(near), read_end(far)) {
            (Ok(near), Ok(far)) => (near, far),
            (Err(reason), _) | (_, Err(reason)) => return refuse(reason),
        };
        if near == End::Source && !links.is_empty() {
            return refuse("a vantage point has one first router, in the first line".to_owned());
        }
        if far == End::Source {
            return refuse("nothing leads to the vantage points; links begin there".to_owned());
        }
        for end in [near, far] {
            if let End::At(address) = end
                && *v6.get_or_insert(address.is_ipv6()) != address.is_ipv6()
            {
                return refuse("IPv4 and IPv6 do not mix; write a file for each".to_owned());
            }
        }
        if let Some(earlier) = seen.insert((near, far), i + 1) {
            return refuse(format!(
                "line {earlier} has this link already; give it a weight if it is to be likelier"
            ));
        }
        links.push(Link { near, far, weight });
    }
    Ok(links)
}

fn read_end(word: &str) -> Result<End, String> {
    if word == "start" {
        return Ok(End::Source);
    }
    match word.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() => Ok(End::Source),
        Ok(address) if address.is_multicast() || address.is_unspecified() => Err(format!(
            "no interface can have the address {address}; write a unicast address"
        )),
        Ok(address) => Ok(End::At(address)),
        Err(_) => Err(format!(
            "{word:?} is no address; write one such as 240.0.0.1, or 127.0.0.1 for the vantage points"
        )),
    }
}

/// The ends of links, each after all that lead to it: the vantage points first, the destination last.
fn sort(links: &[Link]) -> Result<Vec<End>, TopologyError> {
    let refuse = |reason| Err(TopologyError { line: None, reason });
    let mut next_hops: BTreeMap<End, Vec<End>> = BTreeMap::new();
    let mut waits_for: BTreeMap<End, usize> = BTreeMap::new();
    for link in links {
        next_hops.entry(link.near).or_default().push(link.far);
        next_hops.entry(link.far).or_default();
        *waits_for.entry(link.far).or_default() += 1;
    }
    if links.first().is_none_or(|link| link.near != End::Source) {
        return refuse("the first link must begin at 127.0.0.1, or ::1 for IPv6".to_owned());
    }
    if let Some(End::At(stray)) = next_hops
        .keys()
        .find(|end| **end != End::Source && !waits_for.contains_key(end))
    {
        return refuse(format!(
            "no link leads to {stray}; add one, or leave it out"
        ));
    }
    let last: Vec<&End> = (next_hops.iter())
        .filter_map(|(end, next)| next.is_empty().then_some(end))
        .collect();
    if let [End::At(one), End::At(other), ..] = last[..] {
        return refuse(format!(
            "no link begins at {one} nor at {other}; only the destination may be last: write a file \
             for each destination"
        ));
    }
    let mut sorted = vec![End::Source];
    let mut place = 0;
    while let Some(end) = sorted.get(place).copied() {
        place += 1;
        for next in &next_hops[&end] {
            if let Some(count) = waits_for.get_mut(next) {
                *count -= 1;
                if *count == 0 {
                    waits_for.remove(next);
                    sorted.push(*next);
                }
            }
        }
    }
    match waits_for.first_key_value() {
        Some((End::At(address), _)) => refuse(format!(
            "links lead in a circle before {address}, or through it; leave one of them out"
        )),
        _ => Ok(sorted),
    }
}

fn number(end: End) -> u128 {
    match end {
        End::Source => 0,
        End::At(IpAddr::V4(v4)) => u128::from(u32::from(v4)),
        End::At(IpAddr::V6(v6)) => u128::from(v6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Topology::read(text).unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_read_with_its_destination_last() {
        let text = "127.0.0.1 240.9.0.1\n\n# two ways\n240.9.0.1 240.9.0.2 3\n240.9.0.1 240.9.0.3\n\
                    240.9.0.2 240.9.0.4\n240.9.0.3 240.9.0.4\n";
        let topology = Topology::read(text).unwrap();
        assert_eq!(topology.destination(), 4);
        assert_eq!(topology.address(4), 0xf009_0004);
        assert_eq!(topology.graph().next_hops(1), [2, 2, 2, 3]);
        assert_eq!(topology.way_to(4), [1, 2, 4]);
        assert_eq!(topology.way_to(1), [1]);
    }

    #[test]
    fn the_older_format_and_ipv6_are_read() {
        let text = "# A DIAMOND\nstart 3fff::1\n3fff::1 3fff::2\n3fff::1 3fff::3\n3fff::2 3fff::4\n\
                    3fff::3 3fff::4\n3fff::4 end\n";
        let topology = Topology::read(text).unwrap();
        assert_eq!((topology.family(), topology.destination()), (Family::V6, 4));
    }

    #[test]
    fn what_is_no_link_is_refused_by_its_line() {
        assert!(refusal("127.0.0.1 1.1.1.1\n1.1.1.1").starts_with("line 2: write a link"));
        assert!(refusal("127.0.0.1 1.1.1").starts_with("line 1: \"1.1.1\" is no address"));
        assert!(refusal("127.0.0.1 1.1.1.1 0").contains("from 1 to 1000"));
        assert!(refusal("127.0.0.1 224.0.0.1").contains("unicast"));
        assert!(refusal("127.0.0.1 1.1.1.1\n1.1.1.1 127.0.0.1").contains("line 2: nothing leads"));
        assert!(refusal("127.0.0.1 1.1.1.1\n1.1.1.1 3fff::1").contains("do not mix"));
        let twice = "127.0.0.1 1.1.1.1\n1.1.1.1 1.1.1.2\n1.1.1.1 1.1.1.2";
        assert!(refusal(twice).contains("line 2 has this link"));
    }

    #[test]
    fn what_is_no_graph_to_one_destination_is_refused() {
        assert!(refusal("").contains("must begin at 127.0.0.1"));
        assert!(refusal("1.1.1.1 1.1.1.2\nstart 1.1.1.1").contains("one first router"));
        assert!(refusal("start 1.1.1.1\n1.1.1.3 1.1.1.2\n1.1.1.1 1.1.1.2").contains("to 1.1.1.3"));
        let two = "start 1.1.1.1\n1.1.1.1 1.1.1.2\n1.1.1.1 1.1.1.3";
        assert!(refusal(two).contains("1.1.1.2 nor at 1.1.1.3"));
        let circle = "start 1.1.1.1\n1.1.1.1 1.1.1.2\n1.1.1.2 1.1.1.1\n1.1.1.2 1.1.1.3";
        assert!(refusal(circle).contains("in a circle"));
        let path: Vec<String> = (0..255)
            .map(|i| format!("1.1.{i}.1 1.1.{}.1", i + 1))
            .collect();
        let path = format!("start 1.1.0.1\n{}", path.join("\n"));
        assert!(refusal(&path).contains("longer than 255 links"));
    }

    #[test]
    fn topologies_may_share_routers_and_no_destinations() {
        let read = |text: &str| Topology::read(text).unwrap();
        let one = read("start 1.1.1.1\n1.1.1.1 1.1.1.2");
        let other = read("start 1.1.1.1\n1.1.1.1 1.1.1.3");
        let both = Topologies::new(vec![one.clone(), other.clone()]).unwrap();
        assert_eq!(both.addresses().count(), 3);
        assert_eq!(both.find(Family::V4, 0x0101_0103).unwrap().1, 2);
        assert!(both.find(Family::V6, 0x0101_0103).is_none());
        let behind = read("start 1.1.1.2\n1.1.1.2 1.1.1.4");
        assert_eq!(
            Topologies::new(vec![one, other, behind]).unwrap_err(),
            (0, 2)
        );
    }
}
