//! A tracer: the state of one destination's trace.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use crate::lite::{self, Next, Switch};
use crate::mda;
use crate::rule::{Algorithm, Rule};
use crate::sightings::{Ask, Flow, Sightings, Vertex};
use crate::star;
use crate::steadiness;
use crate::timeout::Timeout;

/// The reason for which a trace ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All paths that were found end.
    Completed,
    /// Too many hops in a row are silent.
    GapLimit,
    /// Packets go round in a loop.
    Loop,
    /// Paths go on behind the highest TTL.
    HopLimit,
    /// The trace took all the probes that it may.
    ProbeLimit,
    /// The trace took all the time that it may.
    TimeLimit,
    /// A probe must not be sent: a limit forbids it, or no route leads to the destination.
    Refused,
}

impl End {
    /// Returns the end as results name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::GapLimit => "gap limit",
            Self::Loop => "loop",
            Self::HopLimit => "hop limit",
            Self::ProbeLimit => "probe limit",
            Self::TimeLimit => "time limit",
            Self::Refused => "refused",
        }
    }
}

/// What a tracer wants from its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Send this probe now. The number counts its attempts, from 1; one more than the rule's
    /// attempts marks a probe that tells whether the load is balanced by packet.
    Send(Ask, u8),
    /// Hand over the next reply, or come back at this time, in microseconds.
    Wait(u64),
    /// Nothing more.
    Nothing(End),
}

/// The probes of a scout in flight. It overshoots the end of the path by one less.
const SCOUTS: usize = 2;

/// A probe that waits for a reply, or to be sent again.
#[derive(Clone, Copy, Debug)]
struct Flight {
    attempt: u8,
    /// Whether decisions wait for it.
    is_fresh: bool,
    /// When the wait for its reply ends; None as long as it is not sent.
    due_us: Option<u64>,
}

/// What a hop still takes.
enum Step {
    Probe(Vec<Ask>),
    Repeat(Vec<Ask>),
    Switch(Switch),
}

/// The trace of one destination.
#[derive(Clone, Debug)]
pub struct Tracer {
    rule: Arc<Rule>,
    seen: Sightings,
    /// Probes to be sent, each with its attempt from 1.
    queue: VecDeque<(Ask, u8)>,
    flights: BTreeMap<Ask, Flight>,
    /// How many of them are fresh.
    fresh: usize,
    /// When the wait for each attempt ends. Attempts that are answered or taken back stay in it until
    /// then.
    due: BinaryHeap<Reverse<(u64, Ask, u8)>>,
    /// How many flows were probed at each TTL.
    asked: [u16; 256],
    /// Probes that were not sent again, with their last attempt, since their hop is silent.
    abandoned: BTreeMap<Ask, u8>,
    timeout: Timeout,
    /// The last TTL of the scout: the first flow of a multipath trace, which goes ahead. So the probes
    /// that each hop takes anyway can be sent to all hops at once. None once that is done.
    scout: Option<u8>,
    /// The hop that is worked on.
    ttl: u8,
    probes: u32,
    /// The hops at which MDA-Lite went over to the MDA.
    switches: BTreeMap<u8, Switch>,
    end: Option<End>,
}

impl Tracer {
    /// Begins a trace.
    #[must_use]
    pub fn new(rule: Arc<Rule>) -> Self {
        Self {
            seen: Sightings::new(rule.first_ttl),
            queue: VecDeque::new(),
            flights: BTreeMap::new(),
            fresh: 0,
            due: BinaryHeap::new(),
            asked: [0; 256],
            abandoned: BTreeMap::new(),
            timeout: Timeout::new(rule.wait_us),
            scout: (rule.algorithm != Algorithm::SinglePath).then(|| rule.first_ttl - 1),
            ttl: rule.first_ttl,
            rule,
            probes: 0,
            switches: BTreeMap::new(),
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

    /// The first TTL at which MDA-Lite went over to the MDA, and why; None if it did not.
    #[must_use]
    pub fn switch(&self) -> Option<(u8, Switch)> {
        let first = self.switches.first_key_value();
        first.map(|(ttl, switch)| (*ttl, *switch))
    }

    /// The reason for which the trace ended; None while it goes on.
    #[must_use]
    pub const fn end(&self) -> Option<End> {
        self.end
    }

    /// Ends the trace, since its last probe must not be sent.
    pub fn refuse(&mut self) {
        self.end = Some(End::Refused);
    }

    /// Ends the trace before it begins: there is no path to look for.
    pub const fn skip(&mut self) {
        self.end = Some(End::Completed);
    }

    /// Ends the trace, unless it has ended: it takes too long.
    pub fn cut(&mut self) {
        self.end = self.end.or(Some(End::TimeLimit));
    }

    /// Returns what the tracer wants at this time, in microseconds of the body's clock.
    pub fn poll(&mut self, now_us: u64) -> Want {
        loop {
            if let Some(end) = self.end {
                return Want::Nothing(end);
            }
            if let Some((ask, attempt)) = self.queue.pop_front() {
                if !self.waits_for(ask, attempt) {
                    continue; // a reply came meanwhile
                }
                if self.probes == self.rule.max_probes {
                    self.end = Some(End::ProbeLimit);
                    continue;
                }
                self.probes += 1;
                self.asked[usize::from(ask.ttl)] += u16::from(attempt == 1);
                let due_us = now_us + self.timeout.wait_us();
                self.due.push(Reverse((due_us, ask, attempt)));
                if let Some(flight) = self.flights.get_mut(&ask) {
                    flight.due_us = Some(due_us);
                }
                return Want::Send(ask, attempt);
            }
            self.give_up(now_us);
            if self.queue.is_empty() {
                if let Some(ttl) = self.scout.filter(|_| self.fresh < SCOUTS) {
                    self.go_ahead(ttl);
                } else if self.fresh == 0 {
                    self.decide();
                }
            }
            if self.queue.is_empty()
                && self.end.is_none()
                && let Some(Reverse((due_us, ..))) = self.due.peek()
            {
                return Want::Wait(*due_us);
            }
        }
    }

    /// Takes back a probe that could not be sent, and asks for it again.
    pub fn take_back(&mut self, ask: Ask, attempt: u8) {
        self.probes -= 1;
        self.asked[usize::from(ask.ttl)] -= u16::from(attempt == 1);
        if let Some(flight) = self.flights.get_mut(&ask) {
            flight.due_us = None;
            self.queue.push_front((ask, attempt));
        }
    }

    /// Takes the reply to a probe, and the time from the probe's departure to its arrival.
    pub fn take(&mut self, ask: Ask, vertex: Vertex, rtt_us: u64) {
        if let Some(flight) = self.flights.remove(&ask) {
            self.fresh -= usize::from(flight.is_fresh);
        }
        match self.seen.hop(ask.ttl).vertex(ask.flow) {
            // A reply that nobody waits for any more still tells the vertex.
            None | Some(Vertex::Silent) => {
                self.timeout.learn(rtt_us);
                self.abandoned.remove(&ask);
                self.seen.note(ask, vertex);
                self.revive(ask.ttl);
                // What is known of this hop has changed, and what follows from it.
                self.ttl = self.ttl.min(ask.ttl);
            }
            Some(_) => self.seen.note_again(ask, vertex),
        }
    }

    /// Sends probes again that are due, or takes their silence as the answer.
    fn give_up(&mut self, now_us: u64) {
        while let Some(Reverse((due_us, ask, attempt))) = self.due.peek().copied() {
            let flight = self.flights.get(&ask);
            let waits = flight
                .is_some_and(|flight| (flight.attempt, flight.due_us) == (attempt, Some(due_us)));
            if waits && due_us > now_us {
                return;
            }
            self.due.pop();
            if !waits {
                continue;
            }
            if let Some(flight) = self.flights.remove(&ask) {
                self.fresh -= usize::from(flight.is_fresh);
            }
            if attempt > self.rule.attempts {
                continue;
            }
            if self.scout.is_some() && attempt < self.rule.attempts {
                // The flows behind it will tell whether its hop answers at all.
                self.seen.note_awaited(ask);
                self.abandoned.insert(ask, attempt);
                continue;
            }
            let tells_more = !self.is_silent(ask.ttl) && !star::is_behind(&self.seen, ask);
            if attempt < self.rule.attempts && tells_more {
                self.seen.note_awaited(ask);
                self.launch(ask, attempt + 1, false);
                continue;
            }
            self.seen.note(ask, Vertex::Silent);
            if attempt < self.rule.attempts {
                self.abandoned.insert(ask, attempt);
            }
        }
    }

    fn waits_for(&self, ask: Ask, attempt: u8) -> bool {
        let flight = self.flights.get(&ask);
        flight.is_some_and(|flight| flight.attempt == attempt)
    }

    fn launch(&mut self, ask: Ask, attempt: u8, is_fresh: bool) {
        self.fresh += usize::from(is_fresh);
        let flight = Flight {
            attempt,
            is_fresh,
            due_us: None,
        };
        self.flights.insert(ask, flight);
        self.queue.push_back((ask, attempt));
    }

    /// Returns whether as many flows as a probe has attempts met nobody at a TTL: then another
    /// attempt tells nothing new.
    fn is_silent(&self, ttl: u8) -> bool {
        let is_answered = self.seen.hop(ttl).responsive().next().is_some();
        !is_answered && self.asked[usize::from(ttl)] >= self.rule.attempts.into()
    }

    /// Sends the probes again that were abandoned at a TTL, since it is not silent after all.
    fn revive(&mut self, ttl: u8) {
        for (ask, attempt) in std::mem::take(&mut self.abandoned) {
            if ask.ttl == ttl {
                self.launch(ask, attempt + 1, false);
            } else {
                self.abandoned.insert(ask, attempt);
            }
        }
    }

    /// Returns whether all paths that were found end.
    fn has_ended(&self) -> bool {
        let mut vertices = self.seen.hop(self.ttl).vertices().iter();
        match self.rule.algorithm {
            Algorithm::SinglePath => self.seen.ends_by(0, self.ttl),
            _ => !vertices.any(|vertex| self.seen.goes_on(self.ttl, *vertex)),
        }
    }

    /// Sends the scout on, or once it is at the end of its path, the flows that each hop takes.
    fn go_ahead(&mut self, ttl: u8) {
        let first = self.rule.first_ttl;
        let answers = |ttl: &u8| self.seen.hop(*ttl).responsive().next().is_some();
        let near = (first..=ttl).rev().find(answers).unwrap_or(first - 1);
        let limit = near.saturating_add(self.rule.gap_limit);
        let is_known = |ttl: u8| self.seen.hop(ttl).probed() > 0;
        let is_over = self.seen.ends_by(0, ttl)
            || ttl >= self.rule.max_ttl
            || ttl >= limit && (near + 1..=limit).all(is_known)
            || self.seen.is_looped(near);
        if !is_over {
            let ask = Ask {
                flow: 0,
                ttl: ttl + 1,
            };
            self.scout = Some(ask.ttl);
            self.launch(ask, 1, true);
        } else if self.fresh == 0 {
            self.scout = None;
            let flows = self.rule.points.after(1) as Flow;
            for ttl in first..=ttl.min(limit) {
                if !self.seen.has_ended(0, ttl) {
                    (1..flows).for_each(|flow| self.launch(Ask { flow, ttl }, 1, true));
                }
            }
        }
    }

    /// Finds the probes that come next, or the end; neither, if that depends on probes in flight.
    fn decide(&mut self) {
        loop {
            // A hop before may have got vertices that its own predecessors do not know yet.
            let mut hops = self.ttl.saturating_sub(1).max(self.rule.first_ttl)..=self.ttl;
            let open = hops.find_map(|ttl| Some((ttl, self.choose(ttl)?)));
            match open {
                Some((_, Step::Probe(asks))) => {
                    for ask in asks {
                        self.launch(ask, 1, true);
                    }
                    return;
                }
                Some((_, Step::Repeat(asks))) => {
                    for ask in asks {
                        self.seen.note_repeated(ask);
                        self.launch(ask, self.rule.attempts + 1, true);
                    }
                    return;
                }
                Some((ttl, Step::Switch(switch))) => {
                    if !self.flights.is_empty() {
                        return;
                    }
                    self.switches.insert(ttl, switch);
                    if matches!(self.rule.algorithm, Algorithm::MdaLite { .. }) {
                        // The MDA goes through all hops again, with what is known of them.
                        self.ttl = self.rule.first_ttl;
                    }
                }
                None => match self.find_end() {
                    None => self.ttl += 1,
                    end => {
                        self.end = end.filter(|_| self.flights.is_empty());
                        return;
                    }
                },
            }
        }
    }

    /// Returns what a hop still takes; None if it is done.
    fn choose(&self, ttl: u8) -> Option<Step> {
        let points = &self.rule.points;
        let next = match self.rule.algorithm {
            Algorithm::SinglePath if self.seen.hop(ttl).probed() > 0 => return None,
            Algorithm::SinglePath => return Some(Step::Probe(vec![Ask { flow: 0, ttl }])),
            Algorithm::MdaLite { phi } if self.switches.is_empty() => {
                lite::decide(&self.seen, points, phi, ttl)
            }
            Algorithm::MdaLocal { phi } if !self.takes_control(ttl) => {
                lite::decide(&self.seen, points, phi, ttl)
            }
            _ => Next::Probe(mda::ask(&self.seen, points, ttl)),
        };
        if let Next::Probe(asks) = &next
            && !asks.is_empty()
        {
            return Some(Step::Probe(asks.clone()));
        }
        if self.rule.tells_per_packet {
            let asks = steadiness::repeat(&self.seen, points, ttl);
            if !asks.is_empty() {
                return Some(Step::Repeat(asks));
            }
        }
        match next {
            Next::Switch(switch) if !self.seen.hop(ttl).is_unsteady() => Some(Step::Switch(switch)),
            _ if ttl == self.rule.max_ttl => None,
            _ => Some(star::ask(&self.seen, points, ttl))
                .filter(|asks| !asks.is_empty())
                .map(Step::Probe),
        }
    }

    /// Returns whether links to a hop take node control. Meshed hops do. Behind an asymmetric hop,
    /// vertices are not equally likely any more up to the end of the diamond, so that a stopping
    /// point of the hop as a whole would not hold.
    fn takes_control(&self, ttl: u8) -> bool {
        let inside = (self.rule.first_ttl..=ttl).rev();
        let mut inside = inside.take_while(|each| *each == ttl || !self.seen.is_single(*each));
        inside.any(|each| match self.switches.get(&each) {
            Some(Switch::Meshed) => each == ttl,
            Some(Switch::Asymmetric | Switch::UnequalLengths) => true,
            None => false,
        })
    }

    /// Returns why a trace whose current hop is done ends here, if it does.
    fn find_end(&self) -> Option<End> {
        let is_silent = |ttl: u8| self.seen.hop(ttl).responsive().next().is_none();
        let gap = (self.rule.first_ttl..=self.ttl)
            .rev()
            .take_while(|ttl| is_silent(*ttl));
        if self.has_ended() {
            Some(End::Completed)
        } else if gap.count() >= usize::from(self.rule.gap_limit) {
            Some(End::GapLimit)
        } else if self.seen.is_looped(self.ttl) {
            Some(End::Loop)
        } else if self.ttl >= self.rule.max_ttl {
            Some(End::HopLimit)
        } else {
            None
        }
    }
}
