//! The links of a topology file.
//!
//! The format is Fakeroute's list of links (<https://github.com/dioptra-io/fakeroute>). Each line
//! is a link, `near far`. The first link begins at the vantage points (`127.0.0.1` by custom), and
//! the last ends at the destination. A third word is a weight: the link is that much likelier than
//! its neighbours. Lines that begin with `#` are comments.
//!
//! The older format of libparistraceroute works too. In it, `start` stands for what is before the
//! first router, and `end` for what is behind the destination.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// The largest weight of a link.
pub const MAX_WEIGHT: u32 = 1_000;

/// An error in a topology file, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct TopologyError {
    /// The line, counted from 1; None if the error concerns the whole file.
    pub line: Option<usize>,
    /// The reason, with the remedy.
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
pub enum End {
    /// The vantage points.
    Source,
    /// An interface.
    At(IpAddr),
}

/// A link of a file.
pub struct Link {
    /// The end nearer to the vantage points.
    pub near: End,
    /// The end nearer to the destination.
    pub far: End,
    /// The weight: how much likelier the link is than a neighbour of weight 1.
    pub weight: u32,
}

/// Reads the links of a file from its text.
///
/// # Errors
/// For the first line that is no link, or that contradicts an earlier line.
pub fn read(text: &str) -> Result<Vec<Link>, TopologyError> {
    let mut links: Vec<Link> = Vec::new();
    // The left end of the first link is the source, whatever its address. Some files also use
    // loopback addresses for routers and destinations: these are not the source.
    let mut source: Option<&str> = None;
    let mut seen: BTreeMap<(End, End), usize> = BTreeMap::new();
    let mut v6 = None;
    let text = text.trim_start_matches('\u{feff}');
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
        let source = *source.get_or_insert(near);
        let ends = [near, far].map(|word| match word {
            "start" => Ok(End::Source),
            word if word == source => read_end(word).map(|_| End::Source),
            word => read_end(word),
        });
        let (near, far) = match ends {
            [Ok(near), Ok(far)] => (near, far),
            [Err(reason), _] | [_, Err(reason)] => return refuse(reason),
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
    match word.parse::<IpAddr>() {
        Ok(address) if address.is_multicast() || address.is_unspecified() => Err(format!(
            "no interface can have the address {address}; write a unicast address"
        )),
        Ok(address) => Ok(End::At(address)),
        Err(_) => Err(format!(
            "{word:?} is no address; write one such as 240.0.0.1"
        )),
    }
}

/// Returns the ends of links in topological order: the vantage points first, the destination last.
///
/// # Errors
/// If the links are no acyclic graph from the vantage points to one destination.
pub fn sort(links: &[Link]) -> Result<Vec<End>, TopologyError> {
    let refuse = |reason| Err(TopologyError { line: None, reason });
    let mut next_hops: BTreeMap<End, Vec<End>> = BTreeMap::new();
    let mut waits_for: BTreeMap<End, usize> = BTreeMap::new();
    for link in links {
        next_hops.entry(link.near).or_default().push(link.far);
        next_hops.entry(link.far).or_default();
        *waits_for.entry(link.far).or_default() += 1;
    }
    if links.is_empty() {
        return refuse(
            "there is no link; the first one leads from 127.0.0.1 to the first router".to_owned(),
        );
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
