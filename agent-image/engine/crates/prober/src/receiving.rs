//! The receiver: validates replies, finds the probes that they answer, and sorts them into parts.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anabranch_plan::block::{Found, Headed};
use anabranch_wire::probe::{Stamp, elapsed_us};
use anabranch_wire::reply::Reply;

use crate::control::{Control, Counter, Counts};
use crate::event::{Event, Running, Wanted};
use crate::inlet::{Inlet, PAUSE, TURN};
use crate::options::Options;
use crate::outlet::Opening;
use crate::part::{self, Content, Head, Part, Row};

/// The replies that a part has room for, per probe: nobody fills the memory by repeating replies.
const REPLIES_A_PROBE: usize = 2;

pub(crate) struct Receiving<'a> {
    inlet: Inlet<'a>,
    ledger: Ledger<'a>,
    parts: mpsc::SyncSender<Part>,
}

/// What was sent, by the sender's messages, and the replies to it.
struct Ledger<'a> {
    control: &'a Control,
    events: mpsc::Receiver<Event>,
    wanted: mpsc::Sender<Wanted>,
    wait: Duration,
    /// The most replies of a part.
    most: usize,
    /// What the sender opened since the inlet was told last.
    openings: Vec<Opening>,
    /// The blocks that replies may still come to, latest first.
    blocks: Vec<Heard>,
    ended: bool,
}

/// The state of a block whose replies are awaited.
struct Heard {
    running: Arc<Running>,
    ranges: Vec<Range>,
    /// Slots, and when all probes before each were out.
    marks: VecDeque<(u64, Instant)>,
    /// Replies to slots before this one are too late. Their probes were sent a wait time ago, and
    /// the timestamp that they carry is about to wrap around.
    expired: u64,
}

/// A range of slots, and the replies to it so far.
struct Range {
    start: u64,
    /// None while the range is being sent.
    closed: Option<Closed>,
    rows: Vec<Row>,
    further: Further,
}

/// The further probes of a range's slots: those that replies asked for. Each is sent once, so a router
/// that answers twice does not double them.
#[derive(Default)]
struct Further {
    /// When each was sent, by its slot and TTL; None for one that is not.
    sent: HashMap<(u64, u8), Option<Instant>>,
    /// How many are to be sent yet.
    awaited: usize,
    /// How many were sent, and when the last one was.
    count: u64,
    last: Option<Instant>,
}

/// The end of a range.
#[derive(Clone, Copy)]
struct Closed {
    /// The slot after the last one.
    end: u64,
    /// The number of probes sent.
    probes: u64,
    /// When the last probe was sent.
    at: Instant,
}

impl<'a> Receiving<'a> {
    pub fn new(
        control: &'a Control,
        stamp: &'a Stamp,
        options: &Options,
        events: mpsc::Receiver<Event>,
        wanted: mpsc::Sender<Wanted>,
        parts: mpsc::SyncSender<Part>,
    ) -> Self {
        Self {
            inlet: Inlet::new(control, stamp),
            ledger: Ledger {
                control,
                events,
                wanted,
                wait: options.wait,
                most: REPLIES_A_PROBE * options.part_probes as usize,
                openings: Vec::new(),
                blocks: Vec::new(),
                ended: false,
            },
            parts,
        }
    }

    /// Receives until the wait for all probes has ended.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            self.ledger.hear();
            for opening in self.ledger.openings.drain(..) {
                self.inlet.open(opening);
            }
            let read = self
                .inlet
                .receive(|reply, at_us| self.ledger.take(reply, at_us));
            if read >= TURN {
                continue; // what waits in the ring came in time
            }
            if !self.close_ranges()? {
                // Nobody writes parts any more: the writer reports why.
                self.ledger.control.stop();
                return Ok(());
            }
            if self.ledger.ended && self.ledger.blocks.is_empty() {
                return Ok(());
            }
            if read == 0 {
                sleep(PAUSE);
            }
        }
    }

    /// Passes on the ranges whose wait has ended; returns false if nobody takes them.
    fn close_ranges(&mut self) -> io::Result<bool> {
        for mut part in self.ledger.close_ranges() {
            self.inlet.count_dropped()?;
            part.head.counts = self.ledger.control.counts();
            if let Content::Replies(_, ways) = &mut part.content {
                *ways = self.inlet.ways().to_vec();
            }
            if self.parts.send(part).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Ledger<'_> {
    /// Handles the sender's messages.
    fn hear(&mut self) {
        loop {
            match self.events.try_recv() {
                Ok(Event::Opening(opening)) => self.openings.push(opening),
                Ok(Event::Block(running, from)) => {
                    let heard = Heard {
                        running,
                        ranges: vec![Range::new(from)],
                        marks: VecDeque::new(),
                        expired: 0,
                    };
                    self.blocks.insert(0, heard);
                }
                Ok(Event::Mark(number, slot)) => {
                    if let Some(heard) = self.heard(number) {
                        heard.marks.push_back((slot, Instant::now()));
                    }
                }
                Ok(Event::Range(number, end, probes)) => self.begin_range(number, end, probes),
                Ok(Event::Further(number, slot, ttl)) => {
                    if let Some(further) = self.further(number, slot) {
                        further.note_sent(slot, ttl, Instant::now());
                    }
                }
                Ok(Event::Unsent(number, slot, ttl)) => {
                    if let Some(further) = self.further(number, slot) {
                        further.note_unsent(slot, ttl);
                    }
                }
                Ok(Event::End) | Err(mpsc::TryRecvError::Disconnected) => {
                    self.ended = true;
                    return;
                }
                Err(mpsc::TryRecvError::Empty) => return,
            }
        }
    }

    fn heard(&mut self, number: u32) -> Option<&mut Heard> {
        let mut blocks = self.blocks.iter_mut();
        blocks.find(|heard| heard.running.number == number)
    }

    fn further(&mut self, number: u32, slot: u64) -> Option<&mut Further> {
        let range = self.heard(number)?.holder(slot)?;
        Some(&mut range.further)
    }

    fn begin_range(&mut self, number: u32, end: u64, probes: u64) {
        if let Some(heard) = self.heard(number)
            && let Some(last) = heard.ranges.last_mut()
        {
            let at = Instant::now();
            last.closed = Some(Closed { end, probes, at });
            heard.ranges.push(Range::new(end));
        }
    }

    fn take(&mut self, reply: &Reply, at_us: u64) {
        // The sender announces each probe's block before it sends the probe.
        self.hear();
        let Some((block, found)) = self.find(reply) else {
            self.control.count(Counter::Unplanned, 1);
            return;
        };
        let heard = &mut self.blocks[block];
        let way = heard.running.exit(found.slot).unwrap_or_default();
        let Some(range) = heard.range(&found, reply.probe.ttl, self.wait) else {
            self.control.count(Counter::Late, 1);
            return;
        };
        let is_from_prefix =
            found.prefix.first() <= reply.from && reply.from <= found.prefix.last();
        if let Some(ttl) = found.next_ttl
            && reply.is_time_exceeded()
            && !is_from_prefix
            && range.further.ask(found.slot, ttl)
        {
            let (slot, headed) = (found.slot, head_of(reply));
            // A sender that is gone sends nothing: the range is not written then.
            let _ = self.wanted.send(Wanted { slot, headed, ttl });
        }
        if range.rows.len() >= self.most + REPLIES_A_PROBE * range.further.count as usize {
            self.control.count(Counter::Excess, 1);
            return;
        }
        range.rows.push(Row {
            reply: *reply,
            at_us,
            rtt_us: elapsed_us(reply.probe.sent, at_us),
            is_from_prefix,
            prefix_index: found.prefix_index,
            flow: found.flow,
            way,
        });
        self.control.count(Counter::Replies, 1);
    }

    /// Returns the probe that a reply answers, with the index of its block, if it was sent.
    fn find(&self, reply: &Reply) -> Option<(usize, Found)> {
        let (headed, ttl) = (head_of(reply), reply.probe.ttl);
        self.blocks.iter().enumerate().find_map(|(i, heard)| {
            let found = heard.running.block.find(&headed, ttl)?;
            let is_sent = found.slot < heard.running.position.load(Ordering::Acquire)
                && (!found.is_further || heard.may_have_sent(found.slot, ttl));
            is_sent.then_some((i, found))
        })
    }

    /// Takes the ranges whose wait has ended, as parts that lack the counts and the ways.
    fn close_ranges(&mut self) -> Vec<Part> {
        let now = Instant::now();
        let mut parts = Vec::new();
        for heard in &mut self.blocks {
            while let Some((slot, at)) = heard.marks.front()
                && *at + self.wait <= now
            {
                heard.expired = *slot;
                heard.marks.pop_front();
            }
            while let Some(range) = heard.ranges.first()
                && let Some(closed) = range.closed
            {
                if range.further.awaited > 0 && self.ended {
                    // The next prober probes it again, and what comes behind it.
                    heard.ranges.clear();
                    break;
                }
                let last = range.further.last.map_or(closed.at, |at| at.max(closed.at));
                if range.further.awaited > 0 || now < last + self.wait {
                    break;
                }
                let range = heard.ranges.remove(0);
                heard.running.settled.store(closed.end, Ordering::Release);
                let head = Head {
                    plan: heard.running.plan,
                    block: heard.running.number,
                    start: range.start,
                    end: closed.end,
                    probes: closed.probes + range.further.count,
                    replies: None,
                    traced: 0,
                    unroutable: heard.running.unroutable,
                    sender: String::new(),
                    hand_out: 0,
                    counts: Counts::default(),
                };
                parts.push(Part {
                    head,
                    content: Content::Replies(range.rows, Vec::new()),
                });
            }
        }
        // The last range of a block stays open and empty once the block is sent.
        let (ended, mut newest) = (self.ended, true);
        self.blocks.retain(|heard| {
            let goes_on = newest && !ended;
            newest = false;
            goes_on || heard.ranges.iter().any(|range| range.closed.is_some())
        });
        parts
    }
}

impl Heard {
    /// Returns the range that a slot is in, if it is not in a part.
    fn holder(&mut self, slot: u64) -> Option<&mut Range> {
        self.ranges.iter_mut().find(|range| range.holds(slot))
    }

    /// Returns whether a further probe was sent. Of ranges that are in parts, nobody knows any more.
    fn may_have_sent(&self, slot: u64, ttl: u8) -> bool {
        let mut ranges = self.ranges.iter();
        let range = ranges.find(|range| range.holds(slot));
        range.is_none_or(|range| {
            range
                .further
                .sent
                .get(&(slot, ttl))
                .is_some_and(Option::is_some)
        })
    }

    /// Returns the range for the replies to a probe, or None if they are too late.
    fn range(&mut self, found: &Found, ttl: u8, wait: Duration) -> Option<&mut Range> {
        let (slot, expired) = (found.slot, self.expired);
        let range = self.holder(slot)?;
        let is_awaited = if found.is_further {
            range.further.awaits(slot, ttl, wait)
        } else {
            expired <= slot
        };
        is_awaited.then_some(range)
    }
}

impl Range {
    fn new(start: u64) -> Self {
        Self {
            start,
            closed: None,
            rows: Vec::new(),
            further: Further::default(),
        }
    }

    fn holds(&self, slot: u64) -> bool {
        self.start <= slot && self.closed.is_none_or(|closed| slot < closed.end)
    }
}

impl Further {
    /// Asks for a probe; returns whether nobody asked for it before.
    fn ask(&mut self, slot: u64, ttl: u8) -> bool {
        let Entry::Vacant(place) = self.sent.entry((slot, ttl)) else {
            return false;
        };
        place.insert(None);
        self.awaited += 1;
        true
    }

    fn note_sent(&mut self, slot: u64, ttl: u8, at: Instant) {
        self.sent.insert((slot, ttl), Some(at));
        self.awaited -= 1;
        self.count += 1;
        self.last = Some(at);
    }

    /// Notes that a probe was not sent after all.
    fn note_unsent(&mut self, slot: u64, ttl: u8) {
        self.sent.insert((slot, ttl), None);
        self.count -= 1;
    }

    /// Returns whether the reply to a probe is still awaited.
    fn awaits(&self, slot: u64, ttl: u8, wait: Duration) -> bool {
        let sent = self.sent.get(&(slot, ttl)).copied().flatten();
        sent.is_some_and(|at| Instant::now() < at + wait)
    }
}

/// Returns the header fields of the probe that a reply answers.
const fn head_of(reply: &Reply) -> Headed {
    let probe = &reply.probe;
    Headed {
        family: probe.family,
        destination: probe.destination,
        protocol: probe.protocol,
        source_port: probe.source_port,
        destination_port: probe.destination_port,
    }
}

/// Writes parts as they come, with who probed. Stops at the first that can't be written.
pub(crate) fn write_parts(parts: &mpsc::Receiver<Part>, options: &Options) -> io::Result<()> {
    parts.iter().try_for_each(|mut part| {
        part.head.sender.clone_from(&options.sender);
        part.head.hand_out = options.hand_out;
        part::write(&options.parts, options.round, &mut part)
    })
}
