//! Topologies: each is one graph from the vantage points to one destination.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use anabranch_chance::Draws;
use anabranch_prefixes::Family;
use anabranch_trace::diamond::{Diamond, delimit};

use crate::graph::{Graph, Vertex};
use crate::links::{self, End, TopologyError};
use crate::segment::{Segment, Shape};

/// The most links on a path: no TTL reaches further.
pub const MAX_LENGTH: u32 = 255;
/// The most topologies of a network, copies included: 198.19.0.0/16 has addresses for them.
pub const MAX_TOPOLOGIES: usize = 65_000;

/// A graph of addresses, from the vantage points (vertex 0) to the destination (the last vertex).
///
/// Every link leads to a vertex with a higher number.
#[derive(Clone, Debug)]
pub struct Topology {
    family: Family,
    graph: Graph,
    /// The address of each vertex; that of vertex 0 has no meaning.
    addresses: Vec<u128>,
    /// For each vertex, the vertex before it on the way of packets to the router itself.
    before: Vec<Vertex>,
}

impl Topology {
    /// Reads a topology file from its text.
    ///
    /// # Errors
    /// If a line is no link, or if the links are no acyclic graph from the vantage points to one
    /// destination.
    pub fn read(text: &str) -> Result<Self, TopologyError> {
        let links = links::read(text)?;
        let ends = links::sort(&links)?;
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

    /// Draws a topology of one diamond, with lengths, widths, meshing and asymmetry as the
    /// simulated Internet has them: a router, the diamond, the destination.
    ///
    /// # Panics
    /// Never: what is drawn is a topology.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let shape = Shape {
            hops: (1, 1),
            diamond: 1.0,
            wide: 0.0,
            max_vertices: 256,
        };
        let segment = Segment::draw(shape, &mut Draws::new(seed));
        let graph = segment.graph();
        let address = |vertex: Vertex| Ipv4Addr::from(0xf000_0001 + vertex);
        let (first, destination) = (address(0), address(graph.vertices() + 1));
        // Diamonds that end with their segment get a convergence point before the destination.
        let last = address(graph.vertices());
        let mut text = format!("127.0.0.1 {first}\n{last} {destination}\n");
        for vertex in 0..graph.vertices() {
            let next = graph.next_hops(vertex).iter().map(|next| address(*next));
            let end = segment.exits().contains(&vertex).then_some(last);
            for next in next.chain(end) {
                writeln!(text, "{} {next}", address(vertex)).expect("memory");
            }
        }
        Self::read(&text).expect("a topology")
    }

    /// Returns the diamonds, in the order of the paths; None if a vertex is reached by paths of
    /// different lengths.
    #[must_use]
    pub fn measure_diamonds(&self) -> Option<Vec<Diamond>> {
        let graph = &self.graph;
        let mut hops: Vec<Vec<Vertex>> = vec![vec![0]];
        let mut places = vec![(0, 0); graph.vertices() as usize];
        for vertex in 0..graph.vertices() {
            let hop = places[vertex as usize].0 + 1;
            for next in graph.next_hops(vertex) {
                let place = &mut places[*next as usize];
                if *place == (0, 0) {
                    hops.resize(hops.len().max(hop + 1), Vec::new());
                    *place = (hop, hops[hop].len());
                    hops[hop].push(*next);
                } else if place.0 != hop {
                    return None;
                }
            }
        }
        let widths: Vec<usize> = hops.iter().map(Vec::len).collect();
        let links = |hop: &Vec<Vertex>| {
            let links = hop.iter().flat_map(|near| {
                let place = places[*near as usize].1;
                let next = graph.next_hops(*near).iter();
                next.map(move |far| (place, *far))
            });
            links
                .map(|(near, far)| (near, places[far as usize].1))
                .collect()
        };
        let diamonds = delimit(&widths).map(|inside| {
            Diamond::new(
                widths[inside.start..=inside.end].to_vec(),
                hops[inside].iter().map(links).collect(),
            )
        });
        Some(diamonds.collect())
    }

    /// The address family.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// The graph of vertices and links. It repeats a link as often as its weight.
    #[must_use]
    pub const fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The vertex of the destination, which is the last one.
    #[must_use]
    pub const fn destination(&self) -> Vertex {
        self.graph.vertices() - 1
    }

    /// Returns the address of a vertex, as a number of the family; 0 for the vantage points.
    ///
    /// # Panics
    /// If there is no such vertex.
    #[inline]
    #[must_use]
    pub fn address(&self, vertex: Vertex) -> u128 {
        self.addresses[vertex as usize]
    }

    /// Returns the vertices of all interfaces, including the destination.
    pub fn interfaces(&self) -> impl Iterator<Item = Vertex> + use<> {
        1..self.graph.vertices()
    }

    /// Returns the path of packets to the router itself, from the first hop on. It never varies.
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

/// The topologies of a network, with an index of their addresses.
#[derive(Clone, Debug, Default)]
pub struct Topologies {
    all: Vec<Topology>,
    places: HashMap<(Family, u128), (usize, Vertex)>,
}

impl Topologies {
    /// Puts topologies side by side. They may share routers. A probe to an address that several
    /// have takes the first of them.
    ///
    /// # Errors
    /// If an address is the destination of one topology and stands in another too: the positions of
    /// both.
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

    /// Repeats each topology `copies` times, copy after copy. Copies share their routers, which
    /// choose next hops for each copy independently, and each copy has a destination of its own.
    ///
    /// The first copy keeps the destination if vantage points have a route to it. The others, and
    /// loopback addresses for example, get addresses of the simulated space that no other interface
    /// has.
    ///
    /// # Panics
    /// Never: there are more addresses than interfaces.
    #[must_use]
    pub fn route_destinations(
        all: &[Topology],
        copies: u32,
        is_routable: impl Fn(Family, u128) -> bool,
    ) -> Vec<Topology> {
        let mut taken: HashSet<(Family, u128)> = all
            .iter()
            .flat_map(|topology| {
                let addresses = topology.addresses.iter();
                addresses.map(|address| (topology.family, *address))
            })
            .collect();
        let mut spare = [Family::V4, Family::V6].map(|family| first_spare(family) + 1..);
        let mut routed = Vec::new();
        for topology in all {
            let family = topology.family;
            let place = topology.destination() as usize;
            for copy in 0..copies {
                let mut topology = topology.clone();
                if copy > 0 || !is_routable(family, topology.addresses[place]) {
                    let given = spare[family as usize].find(|given| taken.insert((family, *given)));
                    topology.addresses[place] = given.expect("an address");
                }
                routed.push(topology);
            }
        }
        routed
    }

    /// All topologies, in their order.
    #[must_use]
    pub fn all(&self) -> &[Topology] {
        &self.all
    }

    /// Returns the addresses of all interfaces, each once.
    pub fn addresses(&self) -> impl Iterator<Item = (Family, u128)> {
        self.places.keys().copied()
    }

    /// Returns the topology and the vertex that have an address.
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

/// Returns the base of the addresses for destinations: 198.19.0.0 or `3fff:ffd::`.
const fn first_spare(family: Family) -> u128 {
    match family {
        Family::V4 => 0xc613_0000,
        Family::V6 => 0x3fff_0ffd << 96,
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
    fn a_drawn_topology_has_one_diamond() {
        for seed in 0..500 {
            let topology = Topology::draw(seed);
            let diamonds = topology.measure_diamonds().unwrap();
            assert_eq!(diamonds.len(), 1, "seed {seed}");
            assert!(diamonds[0].max_width() > 1);
            assert_eq!(topology.graph().next_hops(0).len(), 1);
        }
    }

    #[test]
    fn diamonds_are_found_if_all_paths_to_a_vertex_have_one_length() {
        let even = "start 1.1.1.1\n1.1.1.1 1.1.1.2\n1.1.1.1 1.1.1.3\n1.1.1.2 1.1.1.4\n\
                    1.1.1.3 1.1.1.4\n1.1.1.4 1.1.1.5\n1.1.1.4 1.1.1.6\n1.1.1.5 1.1.1.7\n\
                    1.1.1.6 1.1.1.7";
        assert_eq!(
            Topology::read(even)
                .unwrap()
                .measure_diamonds()
                .unwrap()
                .len(),
            2
        );
        let uneven = "start 1.1.1.1\n1.1.1.1 1.1.1.2\n1.1.1.1 1.1.1.3\n1.1.1.2 1.1.1.3";
        assert_eq!(Topology::read(uneven).unwrap().measure_diamonds(), None);
    }

    #[test]
    fn the_first_left_side_alone_is_the_source() {
        let fakeroute = "\u{feff}127.0.0.1 10.0.0.1\r\n\r\n10.0.0.1 10.1.2.3\r\n10.0.0.1 127.0.0.9\r\n\
                         \r\n10.1.2.3 127.1.1.6 \r\n127.0.0.9 127.1.1.6";
        let topology = Topology::read(fakeroute).unwrap();
        assert_eq!(topology.address(topology.destination()), 0x7f01_0106);
        let own = Topology::read("192.168.1.1 10.0.0.1\n10.0.0.1 10.0.0.2").unwrap();
        assert_eq!((own.address(1), own.destination()), (0x0a00_0001, 2));
    }

    #[test]
    fn a_destination_that_nobody_can_send_to_gets_an_address() {
        let all = [
            "127.0.0.1 198.19.0.1\n198.19.0.1 127.1.1.6",
            "127.0.0.1 10.0.0.1\n10.0.0.1 127.1.1.6",
            "::1 3fff::1\n3fff::1 ::2",
        ];
        let all = all.map(|text| Topology::read(text).unwrap()).to_vec();
        let is_routable = |family, address: u128| match family {
            Family::V4 => address >> 24 != 127,
            Family::V6 => address >> 96 != 0,
        };
        let routed = Topologies::route_destinations(&all, 1, is_routable);
        let given: Vec<u128> = routed
            .iter()
            .map(|topology| topology.address(topology.destination()))
            .collect();
        assert_eq!(given, [0xc613_0002, 0xc613_0003, 0x3fff_0ffd << 96 | 1]);
        assert!(Topologies::new(routed).is_ok());
    }

    #[test]
    fn copies_share_routers_and_have_destinations_of_their_own() {
        let one = Topology::read("127.0.0.1 240.9.0.1\n240.9.0.1 198.19.0.2").unwrap();
        let copies = Topologies::route_destinations(&[one], 4, |_, _| true);
        let ends = |topology: &Topology| topology.address(topology.destination());
        let given: Vec<u128> = copies.iter().map(ends).collect();
        assert_eq!(given, [0xc613_0002, 0xc613_0001, 0xc613_0003, 0xc613_0004]);
        assert!(copies.iter().all(|copy| copy.address(1) == 0xf009_0001));
        assert_eq!(Topologies::new(copies).unwrap().addresses().count(), 5);
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
        assert!(refusal("127.0.0.x 1.1.1.1").contains("line 1: \"127.0.0.x\" is no address"));
        assert!(refusal("127.0.0.1 1.1.1.1\n1.1.1.1 3fff::1").contains("do not mix"));
        let twice = "127.0.0.1 1.1.1.1\n1.1.1.1 1.1.1.2\n1.1.1.1 1.1.1.2";
        assert!(refusal(twice).contains("line 2 has this link"));
    }

    #[test]
    fn what_is_no_graph_to_one_destination_is_refused() {
        assert!(refusal("# nothing").contains("there is no link"));
        assert!(refusal("1.1.1.1 1.1.1.2\nstart 1.1.1.1").contains("one first router"));
        assert!(refusal("1.1.1.1 1.1.1.2\n1.1.1.1 1.1.1.3").contains("one first router"));
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
