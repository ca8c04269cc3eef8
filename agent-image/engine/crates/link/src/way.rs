//! The way that probes leave this machine.

use std::io;
use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use crate::netlink::{Mac, Netlink};

/// How long a gateway may take to tell its Ethernet address.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(20);

/// The way that probes to one family's addresses leave this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The name of the link.
    pub link: String,
    /// The address that they are sent from.
    pub source: IpAddr,
    /// What stands before each packet: an Ethernet header, or nothing on links that have none.
    pub head: Vec<u8>,
}

impl Way {
    /// Finds the way to a destination in the calling thread's network namespace.
    ///
    /// # Errors
    /// With the remedy: when there is no route, it does not lead through the link that is wanted,
    /// it leads nowhere, or the gateway does not tell its address.
    pub fn find(destination: IpAddr, wanted: Option<&str>) -> io::Result<Self> {
        let netlink = Netlink::open()?;
        let route = netlink.find_route(destination).map_err(|error| {
            let reason = format!("there is no route to {destination}; add one: {error}");
            io::Error::new(error.kind(), reason)
        })?;
        let link = netlink.find_link(route.index)?;
        if let Some(wanted) = wanted.filter(|wanted| *wanted != link.name) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "the route to {destination} leads through {}, not through {wanted}; name that \
                     interface, or change the route",
                    link.name
                ),
            ));
        }
        if link.is_loopback {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{destination} is an address of this machine; probe others"),
            ));
        }
        let head = match link.mac {
            None => Vec::new(),
            Some(own) => {
                let neighbour = route.gateway.unwrap_or(destination);
                let mac = resolve(&netlink, route.index, neighbour)?;
                let kind: [u8; 2] = if destination.is_ipv4() {
                    [8, 0]
                } else {
                    [0x86, 0xdd]
                };
                [&mac[..], &own, &kind].concat()
            }
        };
        Ok(Self {
            link: link.name,
            source: route.source,
            head,
        })
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
