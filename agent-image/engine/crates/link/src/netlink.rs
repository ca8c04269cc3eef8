//! The links, addresses and routes of the calling thread's network namespace, through netlink.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::libc;

use crate::socket::explain;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// The route that packets take to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The index of the link.
    pub index: u32,
    /// The neighbour that packets go to first; None if that is the destination itself.
    pub gateway: Option<IpAddr>,
    /// The address that packets are sent from.
    pub source: IpAddr,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its Ethernet address, if it has one.
    pub mac: Option<Mac>,
    /// True for the loopback link, which leads nowhere but to this machine.
    pub is_loopback: bool,
}

/// A socket to the kernel's routing tables.
pub struct Netlink(Socket);

impl Netlink {
    /// Opens a socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self(socket))
    }

    /// Makes a pair of connected Ethernet links: `name` here, `peer` in another namespace.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn add_veth(&self, name: &str, peer: &str, namespace: BorrowedFd<'_>) -> io::Result<()> {
        let mut other = LinkMessage::default();
        other.attributes = vec![
            LinkAttribute::IfName(peer.to_owned()),
            LinkAttribute::NetNsFd(namespace.as_raw_fd()),
        ];
        let mut link = LinkMessage::default();
        link.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(other))),
            ]),
        ];
        self.create(RouteNetlinkMessage::NewLink(link))
    }

    /// Sets a link up, so that it carries packets.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn set_up(&self, index: u32) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        self.request(RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Gives a link an address at once, without duplicate address detection.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn add_address(&self, index: u32, address: IpAddr, prefix_len: u8) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.index = index;
        message.header.prefix_len = prefix_len;
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes = vec![
            AddressAttribute::Address(address),
            AddressAttribute::Local(address),
        ];
        self.create(RouteNetlinkMessage::NewAddress(message))
    }

    /// Adds a route: packets to `prefix` go to the neighbour `gateway` on a link.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn add_route(&self, index: u32, prefix: (IpAddr, u8), gateway: IpAddr) -> io::Result<()> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(gateway);
        message.header.destination_prefix_length = prefix.1;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.scope = RouteScope::Universe;
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![
            RouteAttribute::Destination(route_address(prefix.0)),
            RouteAttribute::Gateway(route_address(gateway)),
            RouteAttribute::Oif(index),
        ];
        self.create(RouteNetlinkMessage::NewRoute(message))
    }

    /// Returns the route to a destination, optionally for packets from `source` or through `link`.
    ///
    /// # Errors
    /// Those of the kernel; `NetworkUnreachable` if no route leads there.
    pub fn find_route(
        &self,
        destination: IpAddr,
        source: Option<IpAddr>,
        link: Option<u32>,
    ) -> io::Result<Route> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(destination);
        message.header.destination_prefix_length = bits(destination);
        message.attributes = vec![RouteAttribute::Destination(route_address(destination))];
        if let Some(source) = source {
            message.header.source_prefix_length = bits(source);
            let source = RouteAttribute::Source(route_address(source));
            message.attributes.push(source);
        }
        message.attributes.extend(link.map(RouteAttribute::Oif));
        let answer = match self.ask(RouteNetlinkMessage::GetRoute(message)) {
            Err(error) if has_no_route(&error) => {
                return Err(io::Error::new(io::ErrorKind::NetworkUnreachable, error));
            }
            other => other?,
        };
        let RouteNetlinkMessage::NewRoute(found) = answer else {
            return Err(unexpected(&answer));
        };
        if found.header.kind != RouteType::Unicast {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        let (mut index, mut gateway, mut source) = (None, None, source);
        for attribute in found.attributes {
            match attribute {
                RouteAttribute::Oif(oif) => index = Some(oif),
                RouteAttribute::Gateway(address) => gateway = ip_address(&address),
                RouteAttribute::PrefSource(address) => source = ip_address(&address),
                _ => {}
            }
        }
        match (index, source) {
            (Some(index), Some(source)) => Ok(Route {
                index,
                gateway,
                source,
            }),
            _ => Err(io::ErrorKind::NetworkUnreachable.into()),
        }
    }

    /// Returns the link with this index.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn find_link(&self, index: u32) -> io::Result<Link> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        let answer = self.ask(RouteNetlinkMessage::GetLink(message))?;
        let RouteNetlinkMessage::NewLink(found) = answer else {
            return Err(unexpected(&answer));
        };
        let (mut name, mut mac) = (String::new(), None);
        let is_ethernet = found.header.link_layer_type == LinkLayerType::Ether;
        for attribute in found.attributes {
            match attribute {
                LinkAttribute::IfName(text) => name = text,
                LinkAttribute::Address(bytes) if is_ethernet => mac = bytes.try_into().ok(),
                _ => {}
            }
        }
        Ok(Link {
            name,
            mac,
            is_loopback: found.header.link_layer_type == LinkLayerType::Loopback,
        })
    }

    /// Returns the Ethernet address of a neighbour, or None if the kernel does not know it.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn find_neighbour(&self, index: u32, address: IpAddr) -> io::Result<Option<Mac>> {
        let answer = self.ask(RouteNetlinkMessage::GetNeighbour(neighbour(index, address)));
        match answer {
            Ok(RouteNetlinkMessage::NewNeighbour(found)) => {
                let known = found
                    .attributes
                    .into_iter()
                    .find_map(|attribute| match attribute {
                        NeighbourAttribute::LinkLayerAddress(bytes) => bytes.try_into().ok(),
                        _ => None,
                    });
                Ok(known)
            }
            Ok(other) => Err(unexpected(&other)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the kernel ask for the Ethernet address of a neighbour.
    ///
    /// # Errors
    /// Those of the kernel, with the remedy if a right is missing.
    pub fn seek_neighbour(&self, index: u32, address: IpAddr) -> io::Result<()> {
        let mut message = neighbour(index, address);
        message.header.flags = NeighbourFlags::Use;
        let asked = self.request(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE);
        asked.map_err(|error| {
            let what = format!("ask for the Ethernet address of {address}");
            explain(&error, &what, "CAP_NET_ADMIN")
        })
    }

    fn create(&self, message: RouteNetlinkMessage) -> io::Result<()> {
        self.request(message, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Sends a request and waits for its acknowledgement.
    fn request(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        match self.exchange(message, NLM_F_ACK | flags)? {
            None => Ok(()),
            Some(other) => Err(unexpected(&other)),
        }
    }

    /// Sends a question and waits for its answer.
    fn ask(&self, message: RouteNetlinkMessage) -> io::Result<RouteNetlinkMessage> {
        let silence = || io::Error::other("the kernel acknowledged a question");
        self.exchange(message, 0)?.ok_or_else(silence)
    }

    fn exchange(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Option<RouteNetlinkMessage>> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.0.send(&bytes, 0)?;
        let (answer, _) = self.0.recv_from_full()?;
        let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)
            .map_err(|error| io::Error::other(error.to_string()))?;
        match answer.payload {
            NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
            NetlinkPayload::Error(_) => Ok(None),
            NetlinkPayload::InnerMessage(message) => Ok(Some(message)),
            other => Err(io::Error::other(format!("unexpected answer {other:?}"))),
        }
    }
}

/// Returns whether the kernel found no route, or one that lets nothing through: unreachable,
/// prohibit or blackhole.
fn has_no_route(error: &io::Error) -> bool {
    let none = [
        libc::ENETUNREACH,
        libc::EHOSTUNREACH,
        libc::EACCES,
        libc::EINVAL,
    ];
    error
        .raw_os_error()
        .is_some_and(|code| none.contains(&code))
}

fn unexpected(message: &RouteNetlinkMessage) -> io::Error {
    io::Error::other(format!("unexpected answer {message:?}"))
}

fn neighbour(index: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = index;
    message.attributes = vec![NeighbourAttribute::Destination(match address {
        IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
        IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
    })];
    message
}

const fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

const fn ip_address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

const fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

const fn route_address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(v4) => RouteAddress::Inet(v4),
        IpAddr::V6(v6) => RouteAddress::Inet6(v6),
    }
}
