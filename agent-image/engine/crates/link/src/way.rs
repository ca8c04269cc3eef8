//! The ways by which probes leave this machine.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use anabranch_prefixes::{Family, number_of};

use crate::netlink::{Mac, Netlink, Route};
use crate::socket::index_of;

/// How long a gateway may take to answer with its Ethernet address.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(20);

/// A way by which probes leave this machine: a link, a source address and a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The name of the link.
    pub link: String,
    /// The address that probes are sent from.
    pub source: IpAddr,
    /// The neighbour that probes go to first; None only on links without Ethernet addresses.
    pub gateway: Option<IpAddr>,
    /// The bytes before each packet: an Ethernet header, or nothing on links that have none.
    pub head: Vec<u8>,
}

impl Way {
    /// Returns the family of the source address, and the address as a number.
    #[must_use]
    pub fn source_number(&self) -> (Family, u128) {
        number_of(self.source)
    }
}

/// The ways out of a network namespace: few, however many destinations there are.
pub struct Ways {
    netlink: Netlink,
    /// The name and index of the link that all ways must use.
    wanted: Option<(String, u32)>,
    /// The addresses that probes must be sent from, at most one a family.
    sources: Vec<IpAddr>,
    known: HashMap<Route, usize>,
    found: Vec<Way>,
    /// The index of each way's link.
    links: Vec<u32>,
}

impl Ways {
    /// Prepares to find the ways out of the calling thread's network namespace.
    ///
    /// They lead through the link `wanted`, if given, and from `sources`. Where the kernel has
    /// several routes, it chooses among those that fit.
    ///
    /// # Errors
    /// Those of the kernel, or if there is no such link.
    pub fn open(wanted: Option<&str>, sources: &[IpAddr]) -> io::Result<Self> {
        let wanted = match wanted {
            None => None,
            Some(name) => {
                let index = index_of(name).map_err(|error| {
                    let reason = format!("there is no interface {name}; name another: {error}");
                    io::Error::new(error.kind(), reason)
                })?;
                Some((name.to_owned(), index))
            }
        };
        Ok(Self {
            netlink: Netlink::open()?,
            wanted,
            sources: sources.to_vec(),
            known: HashMap::new(),
            found: Vec::new(),
            links: Vec::new(),
        })
    }

    /// Returns the number of the way to a destination.
    ///
    /// # Errors
    /// Each names the remedy. `NetworkUnreachable` if no route leads out to this destination;
    /// others if a gateway does not answer with its address, or the kernel fails.
    pub fn find(&mut self, destination: IpAddr) -> io::Result<usize> {
        let unreachable = |reason| io::Error::new(io::ErrorKind::NetworkUnreachable, reason);
        let through = self.wanted.as_ref().map(|(_, index)| *index);
        let own = (self.sources.iter()).find(|source| source.is_ipv4() == destination.is_ipv4());
        let found = self.netlink.find_route(destination, own.copied(), through);
        let route = found.map_err(|error| match (error.kind(), own) {
            (io::ErrorKind::NetworkUnreachable, None) => unreachable(format!(
                "there is no route to {destination}; add one: {error}"
            )),
            (io::ErrorKind::NetworkUnreachable, Some(own)) => unreachable(format!(
                "there is no route to {destination} from {own}; add one, or name a source address \
                 that this machine has: {error}"
            )),
            _ => error,
        })?;
        if let Some(number) = self.known.get(&route) {
            return Ok(*number);
        }
        let link = self.netlink.find_link(route.index)?;
        if link.is_loopback {
            let reason = format!("{destination} is an address of this machine; probe others");
            return Err(unreachable(reason));
        }
        let head = match (link.mac, route.gateway) {
            (None, _) => Vec::new(),
            (Some(own), Some(gateway)) => {
                let mac = resolve(&self.netlink, route.index, gateway)?;
                let kind: [u8; 2] = if destination.is_ipv4() {
                    [8, 0]
                } else {
                    [0x86, 0xdd]
                };
                [&mac[..], &own, &kind].concat()
            }
            (Some(_), None) => {
                return Err(unreachable(format!(
                    "no gateway leads to {destination}: it is taken for a neighbour on {}; add a \
                     route through a gateway, or probe others",
                    link.name
                )));
            }
        };
        self.found.push(Way {
            link: link.name,
            source: route.source,
            gateway: route.gateway,
            head,
        });
        self.links.push(route.index);
        self.known.insert(route, self.found.len() - 1);
        Ok(self.found.len() - 1)
    }

    /// Brings the gateways' Ethernet addresses up to date, and makes the kernel verify them.
    ///
    /// Calls `changed` with the number of each way whose head is another one now.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn renew(&mut self, mut changed: impl FnMut(usize, &Way)) -> io::Result<()> {
        for (number, (way, index)) in self.found.iter_mut().zip(&self.links).enumerate() {
            let Some(gateway) = way.gateway.filter(|_| !way.head.is_empty()) else {
                continue;
            };
            match self.netlink.seek_neighbour(*index, gateway) {
                // A process that may only send frames relies on others to keep the table right.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                outcome => outcome?,
            }
            if let Some(mac) = self.netlink.find_neighbour(*index, gateway)?
                && way.head[..mac.len()] != mac
            {
                way.head[..mac.len()].copy_from_slice(&mac);
                changed(number, way);
            }
        }
        Ok(())
    }

    /// Returns the way with this number.
    #[must_use]
    pub fn way(&self, number: usize) -> &Way {
        &self.found[number]
    }
}

fn resolve(netlink: &Netlink, index: u32, neighbour: IpAddr) -> io::Result<Mac> {
    let mut waited = Duration::ZERO;
    loop {
        if let Some(mac) = netlink.find_neighbour(index, neighbour)? {
            return Ok(mac);
        }
        if waited >= PATIENCE {
            return Err(io::Error::new(
                io::ErrorKind::HostUnreachable,
                format!("the gateway {neighbour} does not answer; see that it is up"),
            ));
        }
        if waited.is_zero() {
            netlink.seek_neighbour(index, neighbour)?;
        }
        sleep(PAUSE);
        waited += PAUSE;
    }
}
