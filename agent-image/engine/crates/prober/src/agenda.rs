//! The agenda: which destinations of a plan are traced, and the parts of those that were.
//!
//! Traces begin in the order of their slots, and end in any order. A part holds the traces of a
//! range of slots, and the ranges of a block close in order. So a slow destination delays a part,
//! but none of the others.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use anabranch_plan::{Block, Destination, Plan};
use anabranch_prefixes::{Prefix, PrefixSet};
use anabranch_trace::sightings::Ask;

use crate::control::{Control, Counts, Limits};
use crate::error::ProberError;
use crate::options::Options;
use crate::part::{Content, Head, Part};
use crate::planfile::{open_block, refuse_plan};
use crate::traced::Traced;
use crate::traceoptions::TraceOptions;
use crate::work::{Next, Probed, Protocol, Refusal, Target, Trace, Work};

/// The destinations that are drawn at once.
const DRAWN: usize = 1 << 16;
/// The parts whose rows may wait for a slow destination before them.
const PARTS_BEHIND: u64 = 4;

/// The destinations of a plan's blocks, and the traces that wait to be written.
pub(crate) struct Agenda<'a> {
    plan: &'a Plan,
    options: &'a Options,
    tracing: &'a TraceOptions,
    control: &'a Control,
    /// Which version of the limits `limits` is.
    changes: Option<u64>,
    /// They tell which address of a target is traced, if a seed chooses.
    limits: Option<Arc<Limits>>,
    parts: SyncSender<Part>,
    /// The numbers of the blocks to come.
    numbers: VecDeque<u32>,
    /// The block whose destinations are handed out.
    handing: Option<Handing>,
    /// The blocks with traces that are not in a part yet, in order.
    blocks: VecDeque<Open>,
    /// The number of the next target.
    next: u64,
    /// The rows of traces that are not in a part yet.
    rows: u64,
}

/// A block whose destinations are handed out.
struct Handing {
    block: Block,
    drawn: VecDeque<Destination>,
    /// The addresses for which targets stand, by their numbers, if aliases are looked for among them.
    lists: HashMap<u32, Vec<u128>>,
    /// The slot from which on more are drawn.
    slot: u64,
}

/// A block with traces that are not in a part yet.
struct Open {
    /// Of its parts: without the counts, and with the slots of the range that is open.
    head: Head,
    began: Instant,
    /// The number of the first target in `entries`.
    first: u64,
    /// The targets that were handed out, in order.
    entries: VecDeque<Entry>,
    /// Traces of the open range that have ended, and their rows.
    ready: Vec<Traced>,
    rows: u64,
    /// The slot after its last one, once all of its destinations are handed out.
    end: Option<u64>,
}

/// A target that was handed out.
struct Entry {
    destination: Destination,
    traced: Option<Traced>,
}

impl<'a> Agenda<'a> {
    pub fn new(
        plan: &'a Plan,
        options: &'a Options,
        tracing: &'a TraceOptions,
        control: &'a Control,
        parts: SyncSender<Part>,
    ) -> Self {
        Self {
            plan,
            options,
            tracing,
            control,
            changes: None,
            limits: None,
            parts,
            numbers: options.blocks_of(plan).into(),
            handing: None,
            blocks: VecDeque::new(),
            next: 0,
            rows: 0,
        }
    }

    /// Writes parts of all that has ended and waits for nothing before it.
    pub fn close(&mut self) {
        for place in 0..self.blocks.len() {
            self.close_range(place);
        }
    }

    /// Returns the next destination; None if there are no more.
    fn draw(&mut self) -> Result<Option<Destination>, ProberError> {
        if let Some(limits) = self.control.changed_limits(&mut self.changes) {
            self.limits = Some(limits);
            if let Some(handing) = &mut self.handing {
                // These were drawn under the limits before.
                handing.drawn.clear();
            }
        }
        // The limits are there since the first look at them.
        let limits = self.limits.clone();
        let nothing = PrefixSet::default();
        let forbidden = limits.as_ref().map_or(&nothing, |it| &it.forbidden);
        loop {
            if let Some(handing) = &mut self.handing {
                if let Some(destination) = handing.draw(forbidden) {
                    return Ok(Some(destination));
                }
                let end = handing.block.end();
                self.handing = None;
                let place = self.blocks.len() - 1;
                self.blocks[place].end = Some(end);
                self.advance(place);
            }
            let Some(number) = self.numbers.pop_front() else {
                return Ok(None);
            };
            let (block, cursor) = open_block(self.options, self.plan, number)?;
            if cursor < block.end() {
                self.blocks
                    .push_back(Open::new(number, &block, cursor, self.next));
                self.handing = Some(Handing {
                    block,
                    drawn: VecDeque::new(),
                    lists: self
                        .plan
                        .lists(number)
                        .map_err(|error| refuse_plan(self.options, error))?,
                    slot: cursor,
                });
            }
        }
    }

    /// Moves the traces of a block that wait for nothing before them into its range, and closes the
    /// range if that is due.
    fn advance(&mut self, place: usize) {
        let open = &mut self.blocks[place];
        while let Some(traced) = open
            .entries
            .front_mut()
            .and_then(|entry| entry.traced.take())
        {
            open.entries.pop_front();
            open.first += 1;
            open.head.end = traced.destination.slot + 1;
            open.rows += traced.rows() as u64;
            open.ready.push(traced);
        }
        let is_full =
            open.rows >= self.options.part_probes || open.began.elapsed() >= self.options.part_time;
        if open.is_done() || is_full {
            self.close_range(place);
        }
        self.blocks
            .retain(|open| !open.is_done() || open.head.start < open.head.end);
    }

    /// Writes the traces of a block's open range, and begins another range.
    fn close_range(&mut self, place: usize) {
        let open = &mut self.blocks[place];
        if let Some(end) = open.end.filter(|_| open.entries.is_empty()) {
            open.head.end = end;
        }
        if open.head.start == open.head.end {
            return;
        }
        self.rows -= open.rows;
        let traces = std::mem::take(&mut open.ready);
        let probes = || traces.iter().flat_map(|traced| &traced.probes);
        let soundings = |of: fn(&Traced) -> u32| traces.iter().map(of).map(u64::from).sum::<u64>();
        let answered = probes().filter(|probe| probe.reply.is_some()).count() as u64;
        let head = Head {
            probes: probes().count() as u64 + soundings(|traced| traced.soundings.0),
            replies: Some(answered + soundings(|traced| traced.soundings.1)),
            traced: traces.len() as u64,
            unroutable: traces.iter().filter(|traced| traced.way.is_none()).count() as u64,
            counts: self.control.counts(),
            ..open.head.clone()
        };
        (open.head.start, open.rows, open.began) = (head.end, 0, Instant::now());
        let content = Content::Traces(traces);
        if self.parts.send(Part { head, content }).is_err() {
            // Nobody writes parts any more: the writer reports why.
            self.control.stop();
        }
    }
}

impl Work for Agenda<'_> {
    fn next(&mut self) -> Result<Next, ProberError> {
        if self.rows >= PARTS_BEHIND * self.options.part_probes {
            return Ok(Next::Wait);
        }
        let Some(destination) = self.draw()? else {
            return Ok(Next::Nothing);
        };
        let family = destination.prefix.family();
        let Some(protocol) = Protocol::of_number(destination.protocol) else {
            let reason = format!("protocol {} can't be traced", destination.protocol);
            return Err(ProberError::Option(reason));
        };
        let target = Target {
            number: self.next,
            destination: Prefix::containing(family, destination.address, family.bits()).address(),
            protocol,
            ttls: destination.ttls,
        };
        let handing = self.handing.as_mut();
        let list = handing.and_then(|handing| handing.lists.remove(&destination.prefix_index));
        self.next += 1;
        if let Some(open) = self.blocks.back_mut() {
            open.entries.push_back(Entry {
                destination,
                traced: None,
            });
        }
        Ok(match list {
            Some(addresses) => Next::Resolve(target, addresses),
            None => Next::Trace(target),
        })
    }

    fn hear(&mut self, _: &Target, _: Ask, _: u8, _: &Probed) {}

    fn end(&mut self, trace: Trace) -> Result<(), ProberError> {
        if let Some(Refusal::Stuck(reason)) = &trace.refusal
            && self.control.counts().sent == 0
        {
            // As long as nothing was sent, this is no matter of one destination.
            let error = io::Error::new(io::ErrorKind::NetworkUnreachable, reason.clone());
            return Err(error.into());
        }
        let number = trace.target.number;
        let place = self.blocks.partition_point(|open| open.first <= number) - 1;
        let open = &mut self.blocks[place];
        let entry = &mut open.entries[(number - open.first) as usize];
        let traced = Traced::new(entry.destination, trace, self.tracing);
        self.rows += traced.rows() as u64;
        entry.traced = Some(traced);
        self.advance(place);
        Ok(())
    }
}

impl Handing {
    fn draw(&mut self, forbidden: &PrefixSet) -> Option<Destination> {
        if self.drawn.is_empty() {
            let more = self.block.destinations(self.slot, forbidden);
            self.drawn.extend(more.take(DRAWN));
        }
        let destination = self.drawn.pop_front()?;
        self.slot = destination.slot + 1;
        Some(destination)
    }
}

impl Open {
    fn new(number: u32, block: &Block, cursor: u64, first: u64) -> Self {
        Self {
            head: Head {
                plan: block.fingerprint(),
                block: number,
                start: cursor,
                end: cursor,
                probes: 0,
                replies: None,
                traced: 0,
                unroutable: 0,
                sender: String::new(),
                hand_out: 0,
                counts: Counts::default(),
            },
            began: Instant::now(),
            first,
            entries: VecDeque::new(),
            ready: Vec::new(),
            rows: 0,
            end: None,
        }
    }

    /// Returns whether all of its destinations are traced.
    fn is_done(&self) -> bool {
        self.end.is_some() && self.entries.is_empty()
    }
}
