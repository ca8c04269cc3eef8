//! Routers and hosts: their habits and their memory.

use crate::behaviour::{Counting, Switches};
use crate::packet::{Probe, Reply};
use anabranch_chance::{below, mix, scatter};

/// The number of slots in the memory. Routers may share a slot: one then sees the other's past.
const SLOTS: usize = 1 << 16;
/// How long a router remembers that packets must be smaller, in microseconds.
const CUTTING_US: u64 = 600_000_000;

/// The state of routers. A slot belongs to the number that identifies a router.
pub(crate) struct Memory {
    /// The number of replies sent, which advances identification counters.
    counters: Box<[u16]>,
    /// When each router may next send an ICMP error, in microseconds.
    next_error_us: Box<[u64]>,
    /// The number of packets of IPv6 cut, which advances identification counters of fragments.
    cut: Box<[u32]>,
    /// Until when each router cuts what it sends to an address, in microseconds.
    cutting_until_us: Box<[u64]>,
}

impl Memory {
    /// Makes the memory of routers that have sent nothing.
    pub fn new() -> Self {
        Self {
            counters: vec![0; SLOTS].into(),
            next_error_us: vec![0; SLOTS].into(),
            cut: vec![0; SLOTS].into(),
            cutting_until_us: vec![0; SLOTS].into(),
        }
    }

    /// Notes that packets on a path must have 1,280 bytes at most (RFC 8201, section 5.2). A number
    /// identifies the router and where the path leads.
    pub fn begin_to_cut(&mut self, path: u64, now_us: u64) {
        self.cutting_until_us[path as usize % SLOTS] = now_us + CUTTING_US;
    }

    /// Returns whether packets on a path must have 1,280 bytes at most.
    pub fn is_cutting(&self, path: u64, now_us: u64) -> bool {
        now_us < self.cutting_until_us[path as usize % SLOTS]
    }

    /// Returns the identification of the fragments of a router's next packet, by the router's habit. Half
    /// of the counters began at 0 with the network.
    #[allow(clippy::cast_precision_loss, clippy::cast_sign_loss)] // rates are rough, and not below 0
    pub fn number_fragments(&mut self, sender: &Sender, switches: &Switches, now_us: u64) -> u32 {
        let router = sender.router;
        let owner = match switches.counting(router) {
            Counting::Constant => return 0,
            Counting::Random => return sender.packet as u32,
            Counting::ByInterface => mix(router, scatter(sender.address as u64)),
            // There is nothing to copy: requests are no fragments.
            Counting::ByRouter | Counting::Copied => router,
        };
        let counter = &mut self.cut[owner as usize % SLOTS];
        *counter = counter.wrapping_add(1);
        let start = mix(owner, 50);
        let others = now_us as f64 / 1e6 * switches.fragment_rate(owner);
        let number = (others as u32).wrapping_add(*counter);
        if start & 1 == 0 {
            return number;
        }
        ((start >> 32) as u32).wrapping_add(number)
    }

    /// Returns whether a router's limit, one ICMP error in `interval_us`, lets it send one now. The
    /// limit is a token bucket: it fills evenly, and holds a tenth of a second's errors.
    #[inline]
    pub fn may_send_error(&mut self, router: u64, interval_us: u64, now_us: u64) -> bool {
        if interval_us == 0 {
            return true;
        }
        let next = &mut self.next_error_us[router as usize % SLOTS];
        let earned = (*next).max(now_us) + interval_us;
        let fits = earned <= now_us + interval_us.max(100_000);
        if fits {
            *next = earned;
        }
        fits
    }

    /// Returns the IPv4 identification of a router's next packet, by the router's habit.
    #[inline]
    #[allow(clippy::cast_precision_loss, clippy::cast_sign_loss)] // rates are rough, and not below 0
    pub fn identify(&mut self, sender: &Sender, switches: &Switches, now_us: u64) -> u16 {
        let Sender { router, probe, .. } = *sender;
        let owner = match switches.counting(router) {
            Counting::Constant => return 0,
            Counting::Random => return sender.packet as u16,
            Counting::Copied => return probe.identification,
            // What the router itself sends has one counter for all interfaces.
            Counting::ByInterface if sender.reply.is_error() => {
                mix(router, scatter(sender.address as u64))
            }
            Counting::ByInterface | Counting::ByRouter => router,
        };
        let own = switches.echo_counters.of_mix(router, 28) && !sender.reply.is_error();
        let owner = if own { mix(owner, 29) } else { owner };
        let counter = &mut self.counters[owner as usize % SLOTS];
        *counter = counter.wrapping_add(1);
        let start = mix(owner, 10);
        let others = (now_us as f64 / 1e6 * switches.id_rate(owner)) as u64;
        (start as u16)
            .wrapping_add(others as u16)
            .wrapping_add(*counter)
    }
}

/// Who sends a reply, and what about.
pub(crate) struct Sender<'a> {
    /// The number that identifies the router.
    pub router: u64,
    /// The address of the interface that sends it.
    pub address: u128,
    pub probe: &'a Probe,
    pub reply: Reply,
    /// The hash of the packet.
    pub packet: u64,
}

/// Returns the initial TTL of a router's reply: one for errors and one for others (Vanaubel et al.,
/// "Network fingerprinting: TTL-based router signatures", IMC 2013).
#[inline]
pub(crate) fn initial_ttl(router: u64, reply: Reply) -> u8 {
    let (errors, others) = match below(mix(router, 7), 20) {
        0..10 => (255, 255),
        10..16 => (64, 64),
        16..19 => (255, 64),
        _ => (128, 128),
    };
    if reply.is_error() { errors } else { others }
}
