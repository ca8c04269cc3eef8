//! A network inside the process, with a clock of its own: all that a prober sees, without packets.

use std::collections::BTreeMap;

use crate::network::Network;
use crate::packet::{Answer, Probe};

/// A network, a clock that only waiting moves, and the replies on their way.
pub struct Laboratory {
    network: Network,
    now_us: u64,
    sent: u64,
    /// The replies on their way, by time of arrival and then in the order of sending.
    waiting: BTreeMap<(u64, u64), (Probe, Answer)>,
}

/// A reply, and the probe that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// When it arrived, in microseconds from the start.
    pub at_us: u64,
    /// The probe.
    pub probe: Probe,
    /// The reply.
    pub answer: Answer,
}

impl Laboratory {
    /// Makes a laboratory at time 0.
    #[must_use]
    pub const fn new(network: Network) -> Self {
        Self {
            network,
            now_us: 0,
            sent: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// The time, in microseconds from the start.
    #[must_use]
    pub const fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Sends a probe now.
    pub fn send(&mut self, probe: &Probe) {
        if let Some(answer) = self.network.answer(probe, self.now_us) {
            for copy in 0..answer.copies {
                self.sent += 1;
                let at_us = self.now_us + u64::from(answer.delay_us) + u64::from(copy);
                self.waiting.insert((at_us, self.sent), (*probe, answer));
            }
        }
    }

    /// Waits until the next reply or `until_us`, whichever is first. Returns the reply, if any.
    pub fn receive(&mut self, until_us: u64) -> Option<Received> {
        match self.waiting.first_entry() {
            Some(next) if next.key().0 <= until_us => {
                let ((at_us, _), (probe, answer)) = next.remove_entry();
                self.now_us = self.now_us.max(at_us);
                Some(Received {
                    at_us,
                    probe,
                    answer,
                })
            }
            _ => {
                self.now_us = self.now_us.max(until_us);
                None
            }
        }
    }
}
