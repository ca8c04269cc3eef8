//! A tracer: the state of one destination's trace.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::lite::{self, Next, Switch};
use crate::mda;
use crate::rule::{Algorithm, Rule};
use crate::sightings::{Ask, Sightings, Vertex};
use crate::timeout::Timeout;

/// The reason for which a trace ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All paths that were found end.
    Completed,
    /// Too many hops in a row are silent.
    GapLimit,
    /// Paths go on behind the highest TTL.
    HopLimit,
    /// The trace took all the probes that it may.
    ProbeLimit,
}

/// What a tracer wants from its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Send this probe now.
    Send(Ask),
    /// Hand over the next reply, or come back at this time, in microseconds.
    Wait(u64),
    /// Nothing more.
    Nothing(End),
}

/// A probe that waits for its reply.
#[derive(Clone, Copy, Debug)]
struct Flight {
    attempt: u8,
    sent_us: u64,
    due_us: u64,
}

/// The trace of one destination.
#[derive(Clone, Debug)]
pub struct Tracer {
    rule: Arc<Rule>,
    seen: Sightings,
    /// Probes to be sent, each with its attempt from 1.
    queue: VecDeque<(Ask, u8)>,
    flights: BTreeMap<Ask, Flight>,
    timeout: Timeout,
    /// The hop that is worked on.
    ttl: u8,
    probes: u32,
    switch: Option<(u8, Switch)>,
    end: Option<End>,
}

impl Tracer {
    /// Begins a trace.
    #[must_use]
    pub fn new(rule: Arc<Rule>) -> Self {
        Self {
            rule,
            seen: Sightings::default(),
            queue: VecDeque::new(),
            flights: BTreeMap::new(),
            timeout: Timeout::default(),
            ttl: 1,
            probes: 0,
            switch: None,
            end: None,
        }
    }

    /// What was seen so far.
    #[must_use]
    pub const fn seen(&self) -> &Sightings {
        &self.seen
    }

    /// The number of probes sent so far.
    #[must_use]
    pub const fn probes(&self) -> u32 {
        self.probes
    }

    /// The TTL at which MDA-Lite went over to the MDA, and why; None if it did not.
    #[must_use]
    pub const fn switch(&self) -> Option<(u8, Switch)> {
        self.switch
    }

    /// Returns what the tracer wants at this time, in microseconds of the body's clock.
    pub fn poll(&mut self, now_us: u64) -> Want {
        loop {
            if let Some(end) = self.end {
                return Want::Nothing(end);
            }
            if let Some((ask, attempt)) = self.queue.pop_front() {
                if self.probes == self.rule.max_probes {
                    self.end = Some(End::ProbeLimit);
                    continue;
                }
                self.probes += 1;
                let flight = Flight {
                    attempt,
                    sent_us: now_us,
                    due_us: now_us + self.timeout.wait_us(),
                };
                self.flights.insert(ask, flight);
                return Want::Send(ask);
            }
            self.give_up(now_us);
            if !self.queue.is_empty() {
                continue;
            }
            if let Some(due_us) = self.flights.values().map(|flight| flight.due_us).min() {
                return Want::Wait(due_us);
            }
            self.decide();
        }
    }

    /// Takes the reply to a probe, which arrived at this time. A reply to a probe that is not in
    /// flight is ignored: it is a copy, or came too late.
    pub fn take(&mut self, ask: Ask, vertex: Vertex, now_us: u64) {
        if let Some(flight) = self.flights.remove(&ask) {
            if flight.attempt == 1 {
                // Of a probe that was sent again, nobody knows which attempt is answered (Karn).
                self.timeout.learn(now_us.saturating_sub(flight.sent_us));
            }
            self.seen.note(ask, vertex);
        }
    }

    /// Sends probes again that are due, or takes their silence as the answer.
    fn give_up(&mut self, now_us: u64) {
        let due: Vec<(Ask, u8)> = (self.flights.iter())
            .filter(|(_, flight)| flight.due_us <= now_us)
            .map(|(ask, flight)| (*ask, flight.attempt))
            .collect();
        for (ask, attempt) in due {
            self.flights.remove(&ask);
            if attempt < self.rule.attempts {
                self.queue.push_back((ask, attempt + 1));
            } else {
                self.seen.note(ask, Vertex::Silent);
            }
        }
    }

    /// Finds the probes that come next, or the end.
    fn decide(&mut self) {
        loop {
            // A hop before may have got vertices that its own predecessors do not know yet.
            let open = (self.ttl.saturating_sub(1).max(1)..=self.ttl)
                .map(|ttl| self.ask(ttl))
                .find(|asks| !asks.is_empty());
            if let Some(asks) = open {
                self.queue.extend(asks.into_iter().map(|ask| (ask, 1)));
                return;
            }
            if let Some(end) = self.find_end() {
                self.end = Some(end);
                return;
            }
            self.ttl += 1;
        }
    }

    /// Returns the probes that a hop still takes.
    fn ask(&mut self, ttl: u8) -> Vec<Ask> {
        match self.rule.algorithm {
            Algorithm::SinglePath => {
                let is_seen = self.seen.hop(ttl).probed() > 0;
                if is_seen {
                    Vec::new()
                } else {
                    vec![Ask { flow: 0, ttl }]
                }
            }
            Algorithm::MdaLite { phi } if self.switch.is_none() => {
                match lite::decide(&self.seen, &self.rule.points, phi, ttl) {
                    Next::Probe(asks) => asks,
                    Next::Switch(switch) => {
                        self.switch = Some((ttl, switch));
                        // The MDA goes through all hops again, with what is known of them.
                        self.ttl = 1;
                        self.ask(1)
                    }
                }
            }
            Algorithm::Mda | Algorithm::MdaLite { .. } => {
                mda::ask(&self.seen, &self.rule.points, ttl)
            }
        }
    }

    /// Returns why a trace whose current hop is done ends here, if it does.
    fn find_end(&self) -> Option<End> {
        let goes_on = |ttl: u8| self.seen.hop(ttl).vertices().iter().any(|v| v.leads_on());
        let is_silent = |ttl: u8| self.seen.hop(ttl).vertices() == [Vertex::Silent];
        let gap = (1..=self.ttl).rev().take_while(|ttl| is_silent(*ttl));
        if !goes_on(self.ttl) {
            Some(End::Completed)
        } else if gap.count() >= usize::from(self.rule.gap_limit) {
            Some(End::GapLimit)
        } else if self.ttl >= self.rule.max_ttl {
            Some(End::HopLimit)
        } else {
            None
        }
    }
}
