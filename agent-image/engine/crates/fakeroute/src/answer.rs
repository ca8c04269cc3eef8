//! Computes the network's answer to a probe: a function of the probe, the time and the seed.

use crate::network::Network;
use crate::packet::{Answer, Asks, Probe, Reply};
use crate::router::{Sender, initial_ttl};
use crate::stop::Stop;
use anabranch_chance::{below, mix};

const JITTER_US: u32 = 200;

impl Network {
    /// Returns the answer to a probe sent at `now_us` microseconds from the start, or None.
    #[inline]
    pub fn answer(&mut self, probe: &Probe, now_us: u64) -> Option<Answer> {
        let packet = self.draw_packet();
        let lost = self.switches.loss.of(packet) || self.switches.loss.of_mix(packet, 2);
        if lost || probe.ttl == 0 {
            return None;
        }
        let (stop, left) = self.find_end(probe, packet, now_us)?;
        let router = stop.router;
        let path = mix(router, self.fold(probe.source));
        if probe.asks == Asks::SmallerPackets {
            // Nothing is said about an error.
            if stop.is_destination && !self.switches.whole_replies.of_mix(router, 52) {
                self.memory.begin_to_cut(path, now_us);
            }
            return None;
        }
        let reply = self.reply_of(&stop, probe)?;
        let interval_us = self.switches.error_interval_us;
        if reply.is_error() && !self.memory.may_send_error(router, interval_us, now_us) {
            return None;
        }
        let from = self.sender_of(&stop, probe);
        let sender = Sender {
            router,
            address: from,
            probe,
            reply,
            packet,
        };
        let is_cut = stop.is_destination
            && probe.asks == Asks::LargeEcho
            && self.memory.is_cutting(path, now_us);
        let travel_us = u64::from(2 * stop.delay_us + below(mix(packet, 8), JITTER_US));
        Some(Answer {
            reply,
            from,
            hops: stop.hops as u8,
            ttl: initial_ttl(router, reply).saturating_sub(stop.hops as u8 - 1),
            identification: self.memory.identify(&sender, &self.switches, now_us),
            fragment: is_cut.then(|| {
                self.memory
                    .number_fragments(&sender, &self.switches, now_us)
            }),
            delay_us: ((travel_us * self.switches.delay_per_1024) >> 10) as u32,
            label: stop.label,
            quote: self.switches.quote(router, stop.prefix, left),
            copies: stop.copies,
        })
    }

    /// Returns the reply to a probe and its source address, as if nothing were lost or rate-limited
    /// and before any route change. Under per-packet balancing it is one of the possible replies.
    #[must_use]
    pub fn predict(&self, probe: &Probe) -> Option<(Reply, u128)> {
        let (reply, from, _) = self.predict_quoted(probe)?;
        Some((reply, from))
    }

    /// Returns the same, and the TTL that was left of the probe.
    pub(crate) fn predict_quoted(&self, probe: &Probe) -> Option<(Reply, u128, u8)> {
        let (stop, left) = self.find_end(probe, 0, 0).filter(|_| probe.ttl > 0)?;
        let reply = self.reply_of(&stop, probe)?;
        Some((reply, self.sender_of(&stop, probe), left))
    }

    /// Returns where a probe ends and what is left of its TTL there, or None if nobody answers
    /// there.
    #[inline]
    fn find_end(&self, probe: &Probe, packet: u64, now_us: u64) -> Option<(Stop, u8)> {
        let stop = self.find_stop(probe, packet, now_us)?;
        if stop.is_destination {
            let left = u32::from(probe.ttl) + 1 - stop.hops;
            return Some((stop, left as u8));
        }
        if !self.forwards_at_zero(stop.router) {
            return Some((stop, 1));
        }
        let further = Probe {
            ttl: probe.ttl.checked_add(1)?,
            ..*probe
        };
        Some((self.find_stop(&further, packet, now_us)?, 0))
    }

    /// Returns the kind of reply to a probe from a stop, or None if there is no reply.
    #[inline]
    fn reply_of(&self, stop: &Stop, probe: &Probe) -> Option<Reply> {
        if !stop.is_destination {
            return Some(Reply::TimeExceeded);
        }
        match probe.asks {
            Asks::Echo | Asks::LargeEcho => Some(Reply::Echo),
            Asks::Port => Some(Reply::PortUnreachable),
            Asks::Connection if self.is_open(stop.router, probe) => Some(Reply::SynAck),
            Asks::Connection | Asks::Reset => Some(Reply::Reset),
            Asks::SmallerPackets | Asks::Nothing => None,
        }
    }

    /// Returns whether the port that a probe goes to is open at a host or router.
    fn is_open(&self, router: u64, probe: &Probe) -> bool {
        let port = u64::from(probe.octets as u16);
        self.switches.open_ports.of_mix(mix(router, 26), port)
    }

    /// Returns the source address of replies from a stop.
    #[inline]
    fn sender_of(&self, stop: &Stop, probe: &Probe) -> u128 {
        match stop.prefix {
            Some(prefix) if self.masquerades(prefix) => probe.destination,
            _ if stop.is_destination
                && probe.asks == Asks::Port
                && self.switches.one_source.of_mix(stop.router, 34) =>
            {
                stop.first_address
            }
            _ => stop.address,
        }
    }
}
