//! The ways that probes leave this machine.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use crate::netlink::{Mac, Netlink, Route};
use crate::socket::index_of;

/// How long a gateway may take to tell its Ethernet address.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(20);

/// A way that probes leave this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The name of the link.
    pub link: String,
    /// The address that they are sent from.
    pub source: IpAddr,
    /// What stands before each packet: an Ethernet header, or nothing on links that have none.
    pub head: Vec<u8>,
}

/// The ways out of a network namespace: few, however many destinations there are.
pub struct Ways {
    netlink: Netlink,
    /// The name and index of the link that they must lead through.
    wanted: Option<(String, u32)>,
    known: HashMap<Route, usize>,
    found: Vec<Way>,
}

impl Ways {
    /// Those of the calling thread's network namespace, through a link if one is wanted.
    ///
    /// # Errors
    /// Those of the kernel, or when there is no such link.
    pub fn open(wanted: Option<&str>) -> io::Result<Self> {
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
            known: HashMap::new(),
            found: Vec::new(),
        })
    }

    /// The number of the way to a destination.
    ///
    /// # Errors
    /// With the remedy: `NetworkUnreachable` when no route leads out to this destination, and others
    /// when a gateway does not tell its address, or the kernel fails.
    pub fn find(&mut self, destination: IpAddr) -> io::Result<usize> {
        let unreachable = |reason| io::Error::new(io::ErrorKind::NetworkUnreachable, reason);
        let through = self.wanted.as_ref().map(|(_, index)| *index);
        let found = self.netlink.find_route(destination, through);
        let route = found.map_err(|error| match error.kind() {
            io::ErrorKind::NetworkUnreachable => unreachable(format!(
                "there is no route to {destination}; add one: {error}"
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
            head,
        });
        self.known.insert(route, self.found.len() - 1);
        Ok(self.found.len() - 1)
    }

    /// A way by its number.
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
