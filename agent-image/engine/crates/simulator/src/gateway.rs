//! The two gateways of a vantage point. The second is reachable over IPv6 alone.

use anabranch_link::netlink::Mac;
use anabranch_prefixes::Family;
use anabranch_wire::ip::Packet;

use crate::neighbour::{
    ARP, ETHERNET, announce, answer_arp, answer_router_solicitation, answer_solicitation,
    is_solicitation,
};

/// The Ethernet address of the first gateway. No link has it: so the kernel on the simulator's side
/// ignores these frames, as if they were for somebody else.
const FIRST: Mac = [0x02, 0xab, 0x72, 0x61, 0x6e, 0x01];
/// The gateways' link-local addresses, which routes lead to.
pub const LINK_LOCAL: [u128; 2] = [0xfe80 << 112 | 1, 0xfe80 << 112 | 2];

/// The gateways of a vantage point, and their addresses.
pub struct Gateways {
    v4: u128,
    /// A global address of the first gateway.
    v6: u128,
    /// True once the gateways have other Ethernet addresses.
    have_changed: bool,
}

impl Gateways {
    /// Makes the gateways. The first one also has the addresses `v4` and `v6`.
    pub const fn new(v4: u128, v6: u128) -> Self {
        Self {
            v4,
            v6,
            have_changed: false,
        }
    }

    /// Gives the gateways other Ethernet addresses.
    pub const fn change(&mut self) {
        self.have_changed = true;
    }

    /// Returns the Ethernet address of the first (0) or the second (1) gateway.
    pub const fn mac(&self, number: usize) -> Mac {
        let mut mac = FIRST;
        mac[5] += number as u8 + if self.have_changed { 0x10 } else { 0 };
        mac
    }

    /// Returns whether a gateway accepts frames to this Ethernet address.
    pub fn take(&self, destination: &[u8]) -> bool {
        let is_to_many = destination[0] & 1 == 1;
        is_to_many || destination == self.mac(0) || destination == self.mac(1)
    }

    /// Returns the frame that answers an ARP request or a solicitation, or None for other frames.
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

    /// Returns the frames that announce the gateways' Ethernet addresses to all.
    pub fn announce(&self) -> Vec<Vec<u8>> {
        let mut frames = vec![announce(Family::V4, self.v4, self.mac(0))];
        frames.extend(
            self.addresses_v6()
                .map(|(address, number)| announce(Family::V6, address, self.mac(number))),
        );
        frames
    }

    /// Returns each IPv6 address and the number of its gateway.
    const fn addresses_v6(&self) -> [(u128, usize); 3] {
        [(LINK_LOCAL[0], 0), (LINK_LOCAL[1], 1), (self.v6, 0)]
    }
}
