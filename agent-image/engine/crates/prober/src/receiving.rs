//! The receiver: validates replies, finds the probes that they answer, and sorts them into parts.

use std::collections::VecDeque;
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
use crate::event::{Event, Running};
use crate::inlet::{Inlet, TURN};
use crate::options::Options;
use crate::outlet::Opening;
use crate::part::{self, Content, Head, Part, Row};

/// How long the receiver lets frames gather once it has read all. The kernel records when each
/// arrived, and to wake for each frame would cost more than to read it.
pub(crate) const PAUSE: Duration = Duration::from_millis(1);
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
        parts: mpsc::SyncSender<Part>,
    ) -> Self {
        Self {
            inlet: Inlet::new(control, stamp),
            ledger: Ledger {
                control,
                events,
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
        let Some(range) = heard.range(found.slot) else {
            self.control.count(Counter::Late, 1);
            return;
        };
        if range.rows.len() == self.most {
            self.control.count(Counter::Excess, 1);
            return;
        }
        range.rows.push(Row {
            reply: *reply,
            at_us,
            rtt_us: elapsed_us(reply.probe.sent, at_us),
            is_from_prefix: found.prefix.first() <= reply.from && reply.from <= found.prefix.last(),
            prefix_index: found.prefix_index,
            flow: found.flow,
            way,
        });
        self.control.count(Counter::Replies, 1);
    }

    /// Returns the probe that a reply answers, with the index of its block, if it was sent.
    fn find(&self, reply: &Reply) -> Option<(usize, Found)> {
        let probe = &reply.probe;
        let headed = Headed {
            family: probe.family,
            destination: probe.destination,
            protocol: probe.protocol,
            source_port: probe.source_port,
            destination_port: probe.destination_port,
        };
        self.blocks
            .iter()
            .enumerate()
            .find_map(|(i, Heard { running, .. })| {
                let found = running.block.find(&headed, probe.ttl)?;
                (found.slot < running.position.load(Ordering::Acquire)).then_some((i, found))
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
            while let Some(closed) = heard.ranges.first().and_then(|range| range.closed)
                && closed.at + self.wait <= now
            {
                let range = heard.ranges.remove(0);
                let head = Head {
                    plan: heard.running.plan,
                    block: heard.running.number,
                    start: range.start,
                    end: closed.end,
                    probes: closed.probes,
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
    /// Returns the range for the replies to a slot, or None if they are too late.
    fn range(&mut self, slot: u64) -> Option<&mut Range> {
        let mut ranges = self.ranges.iter_mut();
        ranges.find(|range| self.expired <= slot && range.holds(slot))
    }
}

impl Range {
    const fn new(start: u64) -> Self {
        Self {
            start,
            closed: None,
            rows: Vec::new(),
        }
    }

    fn holds(&self, slot: u64) -> bool {
        self.start <= slot && self.closed.is_none_or(|closed| slot < closed.end)
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
