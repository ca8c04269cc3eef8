//! Further probes: those that replies ask for beyond the plan's last TTLs, until they are sent.

use std::collections::BTreeMap;
use std::sync::mpsc;

use crate::event::Wanted;

pub(crate) struct Further {
    wanted: mpsc::Receiver<Wanted>,
    /// By the time from which each may be sent, in nanoseconds.
    waiting: BTreeMap<(u64, u64, u8), Wanted>,
}

impl Further {
    pub const fn new(wanted: mpsc::Receiver<Wanted>) -> Self {
        Self {
            wanted,
            waiting: BTreeMap::new(),
        }
    }

    /// Returns a probe that may be sent by now.
    pub fn pop(&mut self, now_ns: u64) -> Option<Wanted> {
        while let Ok(wanted) = self.wanted.try_recv() {
            self.delay(wanted, 0);
        }
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now_ns).then(|| first.remove())
    }

    /// Lets a probe wait until a time.
    pub fn delay(&mut self, wanted: Wanted, until_ns: u64) {
        let key = (until_ns, wanted.slot, wanted.ttl);
        self.waiting.insert(key, wanted);
    }
}
