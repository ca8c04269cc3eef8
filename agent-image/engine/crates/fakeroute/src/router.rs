//! Routers and hosts: their habits and their memory.

use crate::packet::{Probe, Reply};
use anabranch_chance::{below, mix};

/// The number of slots in the memory. Routers may share a slot: one then sees the other's past.
const SLOTS: usize = 1 << 16;

/// The state of routers. A slot belongs to the number that identifies a router.
pub(crate) struct Memory {
    /// The number of replies sent, which advances the routers' identification counters.
    counters: Box<[u16]>,
    /// When each router may next send an ICMP error, in microseconds.
    next_error_us: Box<[u64]>,
}

impl Memory {
    /// Makes the memory of routers that have sent nothing.
    pub fn new() -> Self {
        Self {
            counters: vec![0; SLOTS].into(),
            next_error_us: vec![0; SLOTS].into(),
        }
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
    pub fn identify(&mut self, router: u64, probe: &Probe, packet: u64, now_us: u64) -> u16 {
        let counter = &mut self.counters[router as usize % SLOTS];
        *counter = counter.wrapping_add(1);
        let habit = mix(router, 10);
        match below(habit, 10) {
            // One counter for all packets of the router, including those to other people.
            0..6 => {
                let others = now_us * u64::from(1 + below(habit << 32, 500)) / 1_000_000;
                (habit as u16)
                    .wrapping_add(others as u16)
                    .wrapping_add(*counter)
            }
            6..8 => 0,
            8 => packet as u16,
            _ => probe.identification,
        }
    }
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
