//! The receiver: validates replies, finds the probes that they answer, and sorts them into parts.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anabranch_link::receiver::{Frame, Receiver};
use anabranch_plan::block::{Found, Headed};
use anabranch_prefixes::Family;
use anabranch_wire::ip::Packet;
use anabranch_wire::probe::{Stamp, elapsed_us};
use anabranch_wire::reply::Reply;

use crate::control::{Control, Counter};
use crate::part::{self, Head, Row};
use crate::sending::{Event, Running};

/// Frames that are read before anything else is looked at.
const TURN: usize = 256;
/// How long the receiver lets frames gather when it has read all: the kernel notes their times, and
/// to be woken for each would cost more than to read it.
const PAUSE: Duration = Duration::from_millis(1);

pub(crate) struct Receiving<'a> {
    control: &'a Control,
    stamp: &'a Stamp,
    wait: Duration,
    events: mpsc::Receiver<Event>,
    parts: mpsc::SyncSender<(Head, Vec<Row>)>,
    links: Vec<Receiver>,
    sources: HashMap<Family, u128>,
    /// Blocks that replies may still come to, latest first, each with its ranges.
    blocks: Vec<(Arc<Running>, Vec<Range>)>,
    ended: bool,
}

/// A range of slots, and the replies to it so far.
struct Range {
    start: u64,
    /// The slot behind the last one, and when that was sent; none while it is being sent.
    closed: Option<(u64, Instant)>,
    rows: Vec<Row>,
}

impl<'a> Receiving<'a> {
    pub fn new(
        control: &'a Control,
        stamp: &'a Stamp,
        wait: Duration,
        events: mpsc::Receiver<Event>,
        parts: mpsc::SyncSender<(Head, Vec<Row>)>,
    ) -> Self {
        Self {
            control,
            stamp,
            wait,
            events,
            parts,
            links: Vec::new(),
            sources: HashMap::new(),
            blocks: Vec::new(),
            ended: false,
        }
    }

    /// Receives until all that was sent had its time.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            self.hear();
            let busy = self.receive();
            if !self.close_ranges() {
                // Nobody writes parts any more: what failed there is told there.
                self.control.stop();
                return Ok(());
            }
            if self.ended && self.blocks.is_empty() {
                return self.count_dropped();
            }
            if !busy {
                sleep(PAUSE);
            }
        }
    }

    /// Takes what the sender has told.
    fn hear(&mut self) {
        loop {
            match self.events.try_recv() {
                Ok(Event::Link(link)) => self.links.push(link),
                Ok(Event::Source(family, source)) => {
                    self.sources.insert(family, source);
                }
                Ok(Event::Block(running, from)) => {
                    self.blocks.insert(0, (running, vec![Range::new(from)]));
                }
                Ok(Event::Range(number, end)) => self.begin_range(number, end),
                Ok(Event::End) | Err(mpsc::TryRecvError::Disconnected) => {
                    self.ended = true;
                    return;
                }
                Err(mpsc::TryRecvError::Empty) => return,
            }
        }
    }

    fn begin_range(&mut self, number: u32, end: u64) {
        let running = self
            .blocks
            .iter_mut()
            .find(|(running, _)| running.number == number);
        if let Some((_, ranges)) = running
            && let Some(last) = ranges.last_mut()
        {
            last.closed = Some((end, Instant::now()));
            ranges.push(Range::new(end));
        }
    }

    /// Reads some frames; whether there were any.
    fn receive(&mut self) -> bool {
        let mut links = std::mem::take(&mut self.links);
        let mut busy = false;
        for link in &mut links {
            for _ in 0..TURN {
                if link.receive(|frame| self.take(&frame)).is_none() {
                    break;
                }
                busy = true;
            }
        }
        self.links = links;
        busy
    }

    fn take(&mut self, frame: &Frame<'_>) {
        let Some(reply) = self.read(frame.packet) else {
            self.control.count(Counter::Foreign, 1);
            return;
        };
        if !self.stamp.vouches_for(&reply.probe, reply.seen) {
            self.control.count(Counter::Forged, 1);
            return;
        }
        let mut place = self.find(&reply);
        if place.is_none() {
            // It may be of a block that the sender has just begun with.
            self.hear();
            place = self.find(&reply);
        }
        let Some((block, found)) = place else {
            self.control.count(Counter::Unplanned, 1);
            return;
        };
        let ranges = self.blocks[block].1.iter_mut();
        let mut ranges = ranges.filter(|range| range.holds(found.slot));
        let Some(range) = ranges.next() else {
            self.control.count(Counter::Late, 1);
            return;
        };
        range.rows.push(Row {
            reply,
            at_us: frame.at_us,
            rtt_us: elapsed_us(reply.probe.sent, frame.at_us),
            prefix_index: found.prefix_index,
            flow: found.flow,
        });
        self.control.count(Counter::Replies, 1);
    }

    fn read(&self, packet: &[u8]) -> Option<Reply> {
        let packet = Packet::parse(packet)?;
        let own = *self.sources.get(&packet.family())?;
        self.stamp
            .read(&packet, own)
            .filter(|reply| reply.to == own)
    }

    /// The block of the probe that a reply answers, and the probe, if it was sent.
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
            .find_map(|(i, (running, _))| {
                let found = running.block.find(&headed, probe.ttl)?;
                (found.slot < running.position.load(Ordering::Acquire)).then_some((i, found))
            })
    }

    /// Hands over the ranges that have had their time; false if nobody takes them.
    fn close_ranges(&mut self) -> bool {
        let now = Instant::now();
        for (running, ranges) in &mut self.blocks {
            while let Some((end, at)) = ranges.first().and_then(|range| range.closed)
                && at + self.wait <= now
            {
                let range = ranges.remove(0);
                let head = Head {
                    block: running.number,
                    start: range.start,
                    end,
                    counts: self.control.counts(),
                };
                if self.parts.send((head, range.rows)).is_err() {
                    return false;
                }
            }
        }
        // The last range of a block is open and empty, once nothing more of it is sent.
        let (ended, mut newest) = (self.ended, true);
        self.blocks.retain(|(_, ranges)| {
            let goes_on = newest && !ended;
            newest = false;
            goes_on || ranges.iter().any(|range| range.closed.is_some())
        });
        true
    }

    fn count_dropped(&self) -> io::Result<()> {
        for link in &self.links {
            self.control.count(Counter::Dropped, link.lost()?);
        }
        Ok(())
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
        self.start <= slot && self.closed.is_none_or(|(end, _)| slot < end)
    }
}

/// Writes parts as they come; the first that can't be written ends it.
pub(crate) fn write_parts(
    parts: &mpsc::Receiver<(Head, Vec<Row>)>,
    folder: &Path,
    round: u8,
) -> io::Result<()> {
    parts
        .iter()
        .try_for_each(|(head, mut rows)| part::write(folder, &head, round, &mut rows))
}
