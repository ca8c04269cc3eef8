//! The simulator: ports on one side, the network on the other, and a wheel of delays between them.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anabranch_fakeroute::network::Network;
use anabranch_link::filter::Filter;
use anabranch_link::namespace::Namespace;
use anabranch_link::netlink::Netlink;
use anabranch_link::receiver::Receiver;
use anabranch_link::sender::Sender;
use anabranch_link::{index_of, turn_off_offloads};
use anabranch_prefixes::Family;
use anabranch_wire::ip::Packet;
use nix::libc;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::SigSet;
use nix::sys::time::TimeSpec;

use crate::fragment::cut;
use crate::gateway::{Gateways, LINK_LOCAL};
use crate::neighbour::ETHERNET;
use crate::reply::{read_probe, write_reply};
use crate::wheel::Wheel;

const TYPE_V4: [u8; 2] = [0x08, 0x00];
const TYPE_V6: [u8; 2] = [0x86, 0xdd];
/// The private addresses of vantage points behind address translation: a /24 each from 10.18.0.0
/// on.
const PRIVATE_V4: u128 = 0x0a12_0000;
/// The most frames read from a port before the next port's turn.
const TURN: usize = 256;
/// The prefixes that a vantage point has routes to, in addition to the addresses of topologies and
/// the targets of surveys.
const ROUTES: [(&str, u8); 3] = [("240.0.0.0", 4), ("198.18.0.0", 15), ("3fff::", 20)];

/// A vantage point: a namespace with one link. The link's other end is a port of the simulator.
pub struct VantagePoint {
    /// Its network namespace.
    pub namespace: Namespace,
    receiver: Receiver,
    sender: Sender,
    gateways: Gateways,
    /// The IPv4 address that the network sees, if it is translated.
    public_v4: Option<u128>,
}

impl VantagePoint {
    /// Makes a vantage point of a namespace, with a link named `link` to the namespace `inside`.
    /// `translated` puts it behind 1:1 address translation.
    ///
    /// # Errors
    /// Those of the kernel.
    ///
    /// # Panics
    /// Never: the routes are addresses.
    pub fn create(
        network: &Network,
        number: u32,
        inside: &Namespace,
        namespace: Namespace,
        link: &str,
        translated: bool,
    ) -> io::Result<Self> {
        let (v4, v6) = (network.internet(Family::V4), network.internet(Family::V6));
        let own_v4 = if translated {
            PRIVATE_V4 + (u128::from(number) << 8)
        } else {
            v4.home(number)
        };
        let host = v4.vantage_point(number) - v4.home(number);
        let gateway_v4 = own_v4 + 1;
        let name = format!("vp{}", number + 1);
        inside.enter(|| {
            // The simulator answers, so the kernel on its side must not.
            std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")?;
            let netlink = Netlink::open()?;
            netlink.add_veth(&name, link, namespace.as_fd())?;
            netlink.set_up(index_of(&name)?)
        })?;
        namespace.enter(|| {
            turn_off_offloads(link)?;
            let netlink = Netlink::open()?;
            netlink.set_up(index_of("lo")?)?;
            let index = index_of(link)?;
            let own = format!("/proc/sys/net/ipv6/conf/{link}");
            std::fs::write(format!("{own}/accept_dad"), "0")?;
            // Only static routes count: they lead to the simulated addresses, and nowhere else.
            std::fs::write(format!("{own}/accept_ra"), "0")?;
            netlink.set_up(index)?;
            netlink.add_address(index, v4.address(own_v4 + host), v4.link_len())?;
            netlink.add_address(index, v6.address(v6.vantage_point(number)), v6.link_len())?;
            let fixed = ROUTES.map(|(prefix, len)| (prefix.parse().expect("an address"), len));
            let topologies = network
                .topologies()
                .addresses()
                .map(|(family, number)| (network.internet(family).address(number), family.bits()));
            let measured = network.measured().prefixes(number);
            let measured = measured.map(|prefix| (prefix.address(), prefix.len()));
            // Several of them may lead to the same addresses.
            let all: BTreeSet<_> = fixed
                .into_iter()
                .chain(topologies)
                .chain(measured)
                .collect();
            for prefix in all {
                let gateway = match prefix.0 {
                    IpAddr::V4(_) => v4.address(gateway_v4),
                    IpAddr::V6(_) => v6.address(LINK_LOCAL[0]),
                };
                netlink.add_route(index, prefix, gateway)?;
            }
            Ok(())
        })?;
        Ok(Self {
            receiver: inside.enter(|| Receiver::open(&name, Filter::Everything))?,
            sender: inside.enter(|| Sender::open(&name, true))?,
            namespace,
            gateways: Gateways::new(gateway_v4, v6.home(number) + 1),
            public_v4: translated.then(|| v4.vantage_point(number)),
        })
    }
}

/// The numbers of frames and packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets received.
    pub received: u64,
    /// Frames without a packet, or with a broken one.
    pub malformed: u64,
    /// Replies sent, copies included.
    pub replies: u64,
    /// Frames lost because the simulator could not keep up.
    pub lost: u64,
}

/// The ports, the network behind them, and the replies on their way.
pub struct Simulator {
    network: Network,
    vantage_points: Vec<VantagePoint>,
    wheel: Wheel,
    start: Instant,
    /// When gateways change their Ethernet addresses, in microseconds; 0 for never, or once done.
    gateway_change_us: u64,
    counts: Counts,
}

impl Simulator {
    /// Makes the simulator of a network. Its gateways get other Ethernet addresses after
    /// `gateway_change_us` microseconds, unless that is 0.
    #[must_use]
    pub fn new(
        network: Network,
        vantage_points: Vec<VantagePoint>,
        gateway_change_us: u64,
    ) -> Self {
        Self {
            network,
            vantage_points,
            wheel: Wheel::new(0),
            start: Instant::now(),
            gateway_change_us,
            counts: Counts::default(),
        }
    }

    /// The vantage points, in their order.
    #[must_use]
    pub fn vantage_points(&self) -> &[VantagePoint] {
        &self.vantage_points
    }

    /// Answers until `stop` is true, and returns the counts.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn run(&mut self, stop: &AtomicBool) -> io::Result<Counts> {
        go_first()?;
        while !stop.load(Ordering::Relaxed) {
            if self.gateway_change_us > 0 && self.now_us() >= self.gateway_change_us {
                self.gateway_change_us = 0;
                self.change_gateways();
            }
            let mut busy = false;
            for number in 0..self.vantage_points.len() {
                busy |= self.receive(number);
            }
            self.send()?;
            if !busy {
                self.rest()?;
            }
        }
        for vantage_point in &mut self.vantage_points {
            self.counts.lost += vantage_point.sender.take_unsent().len() as u64;
            self.counts.lost += vantage_point.receiver.take_lost()?;
        }
        Ok(self.counts)
    }

    /// Gives the gateways other Ethernet addresses, and announces these to the vantage points.
    fn change_gateways(&mut self) {
        let now_us = self.now_us();
        for (port, vantage_point) in (0..).zip(&mut self.vantage_points) {
            vantage_point.gateways.change();
            for frame in vantage_point.gateways.announce() {
                self.wheel.add(now_us, port, |out| out.extend(frame));
            }
        }
    }

    fn now_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    /// Reads up to `TURN` frames from a port; returns whether there were any.
    fn receive(&mut self, number: usize) -> bool {
        let now_us = self.now_us();
        let Self {
            network,
            vantage_points,
            wheel,
            counts,
            ..
        } = self;
        let VantagePoint {
            receiver,
            gateways,
            public_v4,
            ..
        } = &mut vantage_points[number];
        let link = Link {
            number: number as u32,
            gateways,
            public_v4: *public_v4,
        };
        for i in 0..TURN {
            let taken = receiver.receive(|frame| {
                counts.received += 1;
                link.take(frame.bytes, now_us, network, wheel, counts);
            });
            if taken.is_none() {
                return i > 0;
            }
        }
        true
    }

    /// Sends the replies that are due.
    fn send(&mut self) -> io::Result<()> {
        let now_us = self.now_us();
        let Self {
            vantage_points,
            wheel,
            counts,
            ..
        } = self;
        let mut outcome = Ok(());
        wheel.leave(now_us, |port, frame| {
            counts.replies += 1;
            let sent = {
                let sender = &mut vantage_points[usize::from(port)].sender;
                sender.send(|out| out.extend_from_slice(frame))
            };
            if outcome.is_ok() {
                outcome = sent;
            }
        });
        outcome?;
        for vantage_point in vantage_points {
            vantage_point.sender.flush()?;
        }
        Ok(())
    }

    /// Waits for a frame, or until the next reply is due.
    fn rest(&self) -> io::Result<()> {
        const IDLE_US: u64 = 50_000;
        let now_us = self.now_us();
        let due_us = self.wheel.next_us(now_us + IDLE_US);
        let pause = Duration::from_micros(due_us.saturating_sub(now_us));
        let mut ports: Vec<PollFd<'_>> = self
            .vantage_points
            .iter()
            .map(|vantage_point| PollFd::new(vantage_point.receiver.as_fd(), PollFlags::POLLIN))
            .collect();
        match ppoll(
            &mut ports,
            Some(TimeSpec::from_duration(pause)),
            None::<SigSet>,
        ) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Gives the calling thread priority over the programs that use the network. Otherwise they would
/// measure a slower network.
fn go_first() -> io::Result<()> {
    const NICENESS: i32 = -15;
    // SAFETY: a plain system call; 0 is the calling thread.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The parts of a port that answer its frames.
struct Link<'a> {
    number: u32,
    gateways: &'a Gateways,
    public_v4: Option<u128>,
}

impl Link<'_> {
    fn take(
        &self,
        frame: &[u8],
        now_us: u64,
        network: &mut Network,
        wheel: &mut Wheel,
        counts: &mut Counts,
    ) {
        let port = self.number as u16;
        let Some((head, bytes)) = frame.split_first_chunk::<ETHERNET>() else {
            counts.malformed += 1;
            return;
        };
        if let Some(answer) = self.gateways.answer(frame) {
            wheel.add(now_us, port, |out| out.extend(answer));
            return;
        }
        if !self.gateways.take(&head[..6]) {
            return;
        }
        let Some(packet) = Packet::parse(bytes) else {
            counts.malformed += 1;
            return;
        };
        let ethernet = |out: &mut Vec<u8>| {
            out.extend(&head[6..12]);
            out.extend(self.gateways.mac(0));
            out.extend(match packet.family() {
                Family::V4 => TYPE_V4,
                Family::V6 => TYPE_V6,
            });
        };
        let mut probe = read_probe(&packet, self.number);
        if let (Family::V4, Some(public)) = (packet.family(), self.public_v4) {
            probe.source = public;
        }
        if let Some(answer) = network.answer(&probe, now_us) {
            for copy in 0..answer.copies {
                let at_us = now_us + u64::from(answer.delay_us) + u64::from(copy);
                if let Some(identification) = answer.fragment {
                    let mut reply = Vec::new();
                    write_reply(&mut reply, &packet, &answer);
                    for fragment in cut(&reply, identification) {
                        wheel.add(at_us, port, |out| {
                            ethernet(out);
                            out.extend(&fragment);
                        });
                    }
                    continue;
                }
                wheel.add(at_us, port, |out| {
                    ethernet(out);
                    write_reply(out, &packet, &answer);
                });
            }
        }
    }
}
