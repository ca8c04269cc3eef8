//! Segments: the parts of paths, each drawn once and used many times.
//!
//! A segment begins with one interface and goes on in layers: all walks through it have the same
//! length. Plain hops come first, then perhaps a diamond. Its convergence point is either the hop
//! behind it or the first one of the next segment.
//!
//! The shares are those of the survey of Vermeulen et al., "Multilevel MDA-Lite Paris Traceroute"
//! (IMC 2018), section 5. There, 53 % of the paths have diamonds, 1.4 each. 48 % of the diamonds
//! have length 2, and half of these width 2. Widths reach 96, with peaks at 48 and 56. 15 % are
//! meshed, 11 % asymmetric. 42 % look different once aliases are resolved: 68 % of the alias sets
//! have size 2, and 97 % at most 10. Values between these figures are interpolated.

use crate::graph::{Graph, Vertex};
use anabranch_chance::{Draws, Share};

/// The parameters by which a level of the Internet draws its segments.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The fewest and the most plain hops.
    pub hops: (u32, u32),
    /// The probability of a diamond.
    pub diamond: f64,
    /// The share of diamonds that are as wide as the widest, if there is room for them.
    pub wide: f64,
    /// The most interfaces.
    pub max_vertices: u32,
}

/// A part of a path.
#[derive(Clone, Debug)]
pub struct Segment {
    graph: Graph,
    length: u32,
    /// The first vertex of each layer, and the end of the last layer.
    layers: Vec<Vertex>,
}

/// The lengths of diamonds, in links from divergence to convergence point, with their weights.
const LENGTHS: [(u32, u32); 9] = [
    (2, 480),
    (3, 180),
    (4, 120),
    (5, 80),
    (6, 60),
    (7, 30),
    (8, 20),
    (10, 20),
    (12, 10),
];
/// The widths of the widest layer in diamonds of length 2, with their weights.
const SHORT_WIDTHS: [(u32, u32); 11] = [
    (2, 504),
    (3, 120),
    (4, 130),
    (5, 40),
    (6, 40),
    (8, 60),
    (12, 30),
    (16, 30),
    (28, 16),
    (48, 15),
    (56, 15),
];
/// The widths of the widest layer in longer diamonds, with their weights.
const LONG_WIDTHS: [(u32, u32); 11] = [
    (2, 250),
    (3, 120),
    (4, 180),
    (6, 100),
    (8, 120),
    (10, 60),
    (16, 70),
    (28, 30),
    (48, 35),
    (56, 30),
    (96, 5),
];
/// The widths of the widest diamonds.
const WIDE: [u32; 3] = [48, 56, 96];
/// The share of meshed diamonds among those with two adjacent wide layers (about half of all).
const MESHED: f64 = 0.29;
/// The share of diamonds with unequal numbers of next hops, among those longer than 2.
const ASYMMETRIC: f64 = 0.21;
/// The share of diamonds in which some interfaces belong to one router.
const ALIASED: f64 = 0.42;
/// The numbers of interfaces that a router has in an aliased diamond, with their weights.
const ALIASES: [(u32, u32); 6] = [(2, 68), (3, 12), (4, 9), (6, 5), (8, 3), (10, 3)];

impl Segment {
    /// Draws a segment.
    pub fn draw(shape: Shape, draws: &mut Draws) -> Self {
        let hops = draws.range(shape.hops.0, shape.hops.1);
        let mut widths = vec![1; hops as usize];
        let mut style = Style::default();
        if draws.happens(Share::new(shape.diamond)) {
            let room = shape.max_vertices.saturating_sub(hops);
            let is_wide = shape.wide > 0.0 && draws.happens(Share::new(shape.wide));
            let inner = if is_wide && room >= WIDE[0] {
                draw_wide(room, draws)
            } else {
                draw_widths(room, draws)
            };
            style = Style::draw(inner.len(), draws);
            // In half of the cases, the convergence point is in the next segment.
            let place = (1 + draws.range(0, 1) * (hops - 1)).min(hops) as usize;
            widths.splice(place..place, inner);
        }
        Self::build(&widths, style, draws)
    }

    fn build(widths: &[u32], style: Style, draws: &mut Draws) -> Self {
        let mut layers = vec![0];
        for width in widths {
            layers.push(layers[layers.len() - 1] + width);
        }
        let mut next_hops: Vec<Vec<Vertex>> = Vec::new();
        for (i, pair) in widths.windows(2).enumerate() {
            next_hops.extend(connect(pair[0], pair[1], layers[i + 1], style));
        }
        next_hops.resize(layers[widths.len()] as usize, Vec::new());
        let routers = group(widths, style, draws);
        Self {
            graph: Graph::new(&next_hops, &routers),
            length: widths.len() as u32,
            layers,
        }
    }

    /// The graph of interfaces and links.
    #[must_use]
    pub const fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The number of layers, which is the number of hops of every walk.
    #[inline]
    #[must_use]
    pub const fn length(&self) -> u32 {
        self.length
    }

    /// Returns the layer of a vertex, from 0, or None if there is no such vertex.
    #[inline]
    #[must_use]
    pub fn layer_of(&self, vertex: Vertex) -> Option<u32> {
        let layer = self.layers.partition_point(|first| *first <= vertex) as u32 - 1;
        (layer < self.length()).then_some(layer)
    }

    /// Returns the vertices of each layer.
    #[must_use]
    pub fn layer_ranges(&self) -> Vec<std::ops::Range<Vertex>> {
        self.layers
            .windows(2)
            .map(|pair| pair[0]..pair[1])
            .collect()
    }

    /// Returns the vertices of the last layer, which lead to the next segment.
    #[must_use]
    pub fn exits(&self) -> std::ops::Range<Vertex> {
        self.layers[self.layers.len() - 2]..self.layers[self.layers.len() - 1]
    }
}

/// How the layers of a diamond are connected.
#[derive(Clone, Copy, Debug, Default)]
struct Style {
    meshed: bool,
    asymmetric: bool,
    aliased: bool,
}

impl Style {
    fn draw(wide_layers: usize, draws: &mut Draws) -> Self {
        let long = wide_layers > 1;
        Self {
            meshed: draws.happens(Share::new(MESHED)) && long,
            asymmetric: draws.happens(Share::new(ASYMMETRIC)) && long,
            aliased: draws.happens(Share::new(ALIASED)),
        }
    }
}

/// Draws the widths of the layers between divergence and convergence point.
fn draw_widths(room: u32, draws: &mut Draws) -> Vec<u32> {
    let layers = draws.weighted(&LENGTHS) - 1;
    let widths: &[(u32, u32)] = if layers == 1 {
        &SHORT_WIDTHS
    } else {
        &LONG_WIDTHS
    };
    let widest = draws.weighted(widths).min((room / layers).max(2));
    open_and_close(widest, layers, draws)
}

/// Does the same for one of the widest diamonds that there is room for.
fn draw_wide(room: u32, draws: &mut Draws) -> Vec<u32> {
    let fitting = WIDE.partition_point(|width| *width <= room) as u32;
    let widest = WIDE[draws.range(0, fitting - 1) as usize];
    let layers = (draws.weighted(&LENGTHS) - 1).min(room / widest);
    open_and_close(widest, layers, draws)
}

/// Draws the widths of some layers, one of which is the widest.
fn open_and_close(widest: u32, layers: u32, draws: &mut Draws) -> Vec<u32> {
    let peak = draws.range(0, layers - 1);
    (0..layers)
        .map(|layer| {
            // Widths halve towards both ends, like trees that open and close.
            let distance = layer.abs_diff(peak).min(draws.range(0, 2));
            (widest >> distance).max(2)
        })
        .collect()
}

/// Returns the next hops of each of `from` vertices, among `to` vertices that begin at `first`.
fn connect(from: u32, to: u32, first: Vertex, style: Style) -> Vec<Vec<Vertex>> {
    (0..from)
        .map(|i| {
            let mut next: Vec<Vertex> = if to >= from {
                // Each takes every `from`th: all are reached, and their numbers differ by one at
                // most.
                (0..to).filter(|j| j % from == i).collect()
            } else {
                vec![i % to]
            };
            if from > 1 && to > 1 {
                if style.meshed {
                    next.extend([(i + 1) % to, (next[0] + 1) % to]);
                }
                if style.asymmetric && i == 0 {
                    next.extend(0..to.min(3));
                }
                next.sort_unstable();
                next.dedup();
            }
            next.iter().map(|j| first + j).collect()
        })
        .collect()
}

/// Returns the router of each vertex. In an aliased diamond, neighbours in a layer may share one.
fn group(widths: &[u32], style: Style, draws: &mut Draws) -> Vec<u32> {
    let mut routers: Vec<u32> = Vec::new();
    for width in widths {
        let end = routers.len() + *width as usize;
        while routers.len() < end {
            let router = routers.len() as u32;
            let left = end - routers.len();
            let wanted = if style.aliased && *width > 1 {
                draws.weighted(&ALIASES) as usize
            } else {
                1
            };
            routers.resize(routers.len() + wanted.min(left), router);
        }
    }
    routers
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        hops: (1, 3),
        diamond: 1.0,
        wide: 0.0,
        max_vertices: 256,
    };

    fn segments(count: u32) -> Vec<Segment> {
        let mut draws = Draws::new(11);
        (0..count)
            .map(|_| Segment::draw(SHAPE, &mut draws))
            .collect()
    }

    fn width(segment: &Segment, layer: u32) -> u32 {
        let layer = layer as usize;
        segment.layers[layer + 1] - segment.layers[layer]
    }

    #[test]
    fn every_vertex_is_reached_and_leads_on() {
        for segment in segments(500) {
            let graph = segment.graph();
            assert_eq!(width(&segment, 0), 1);
            let mut reached = vec![false; graph.vertices() as usize];
            reached[0] = true;
            for vertex in 0..graph.vertices() {
                assert!(reached[vertex as usize]);
                assert_eq!(
                    graph.next_hops(vertex).is_empty(),
                    segment.exits().contains(&vertex)
                );
                for next in graph.next_hops(vertex) {
                    assert_eq!(
                        segment.layer_of(*next),
                        segment.layer_of(vertex).map(|l| l + 1)
                    );
                    reached[*next as usize] = true;
                }
            }
        }
    }

    #[test]
    fn segments_keep_to_the_room_of_their_level() {
        let mut draws = Draws::new(5);
        for max_vertices in [8, 32, 64] {
            let shape = Shape {
                max_vertices,
                ..SHAPE
            };
            for _ in 0..2_000 {
                // A layer of a diamond is never narrower than two, however little room there is.
                let segment = Segment::draw(shape, &mut draws);
                assert!(segment.graph().vertices() <= max_vertices.max(3 + 2 * 11));
            }
        }
    }

    #[test]
    fn wide_diamonds_have_the_widths_that_there_is_room_for() {
        let mut draws = Draws::new(7);
        for (max_vertices, widths) in [
            (32, [].as_slice()),
            (64, [48, 56].as_slice()),
            (256, [48, 56, 96].as_slice()),
        ] {
            let shape = Shape {
                wide: 1.0,
                max_vertices,
                ..SHAPE
            };
            let mut found = std::collections::BTreeSet::new();
            for _ in 0..500 {
                let segment = Segment::draw(shape, &mut draws);
                let widest = (0..segment.length()).map(|layer| width(&segment, layer));
                found.insert(widest.max().unwrap());
                assert!(segment.graph().vertices() <= max_vertices.max(3 + 2 * 11));
            }
            if widths.is_empty() {
                assert!(found.iter().all(|width| *width < 48), "{found:?}");
            } else {
                assert!(found.iter().eq(widths), "{found:?}");
            }
        }
    }

    #[test]
    fn diamonds_have_the_lengths_of_the_survey() {
        let all = segments(20_000);
        let short = all
            .iter()
            .filter(|s| (0..s.length()).filter(|l| width(s, *l) > 1).count() == 1)
            .count();
        assert!((9_300..9_900).contains(&short), "{short}");
        let simplest = all
            .iter()
            .filter(|s| {
                let wide: Vec<u32> = (0..s.length())
                    .map(|l| width(s, l))
                    .filter(|w| *w > 1)
                    .collect();
                wide == [2]
            })
            .count();
        assert!((4_500..5_200).contains(&simplest), "{simplest}");
    }

    #[test]
    fn routers_have_neighbours_of_one_layer() {
        for segment in segments(500) {
            let graph = segment.graph();
            for vertex in 0..graph.vertices() {
                assert_eq!(
                    segment.layer_of(graph.router(vertex)),
                    segment.layer_of(vertex)
                );
            }
        }
    }
}
