//! The gateways of a vantage point: two, of which the second is reached by IPv6 alone.

use anabranch_link::netlink::Mac;
use anabranch_prefixes::Family;
use anabranch_wire::ip::Packet;

use crate::neighbour::{
    ARP, ETHERNET, announce, answer_arp, answer_router_solicitation, answer_solicitation,
    is_solicitation,
};

/// The first one's address on Ethernet. No link has it, so that the kernel on the simulator's side
/// passes over what comes: to it, the frames are for somebody else.
const FIRST: Mac = [0x02, 0xab, 0x72, 0x61, 0x6e, 0x01];
/// Their link-local addresses, which routes lead to.
pub const LINK_LOCAL: [u128; 2] = [0xfe80 << 112 | 1, 0xfe80 << 112 | 2];

/// Gateways, and their addresses.
pub struct Gateways {
    v4: u128,
    /// A global address of the first one.
    v6: u128,
    /// Whether they have other Ethernet addresses by now.
    have_changed: bool,
}

impl Gateways {
    /// Gateways, of which the first has these addresses besides.
    pub const fn new(v4: u128, v6: u128) -> Self {
        Self {
            v4,
            v6,
            have_changed: false,
        }
    }

    /// Gives them other Ethernet addresses.
    pub const fn change(&mut self) {
        self.have_changed = true;
    }

    /// The Ethernet address of the first or the second.
    pub const fn mac(&self, number: usize) -> Mac {
        let mut mac = FIRST;
        mac[5] += number as u8 + if self.have_changed { 0x10 } else { 0 };
        mac
    }

    /// Whether they take a frame with this destination.
    pub fn take(&self, destination: &[u8]) -> bool {
        let is_to_many = destination[0] & 1 == 1;
        is_to_many || destination == self.mac(0) || destination == self.mac(1)
    }

    /// The answer to a frame that looks for a gateway, as a frame.
    pub fn answer(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let (head, rest) = frame.split_first_chunk::<ETHERNET>()?;
        if !self.take(&head[..6]) {
            return None;
        }
        let mut answer = Vec::new();
        if head[12..] == ARP {
            return answer_arp(&mut answer, frame, self.v4, self.mac(0)).then_some(answer);
        }
        let packet = Packet::parse(rest).filter(is_solicitation)?;
        for (address, number) in self.addresses_v6() {
            let mac = self.mac(number);
            answer.extend(&head[6..12]);
            answer.extend(mac);
            answer.extend(&head[12..]);
            if answer_solicitation(&mut answer, &packet, address, mac)
                || answer_router_solicitation(&mut answer, &packet, address, mac)
            {
                return Some(answer);
            }
            answer.clear();
        }
        None
    }

    /// The frames that tell everybody their Ethernet addresses.
    pub fn announce(&self) -> Vec<Vec<u8>> {
        let mut frames = vec![announce(Family::V4, self.v4, self.mac(0))];
        frames.extend(
            self.addresses_v6()
                .map(|(address, number)| announce(Family::V6, address, self.mac(number))),
        );
        frames
    }

    /// The IPv6 addresses, and whose they are.
    const fn addresses_v6(&self) -> [(u128, usize); 3] {
        [(LINK_LOCAL[0], 0), (LINK_LOCAL[1], 1), (self.v6, 0)]
    }
}
