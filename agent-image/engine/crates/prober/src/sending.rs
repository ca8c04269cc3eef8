//! The sender: draws the probes of a plan, and sends those that the limits allow, at their pace.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use anabranch_link::filter::Filter;
use anabranch_plan::block::Headed;
use anabranch_plan::{Block, Draw};
use anabranch_wire::probe::{Probe, Stamp, carried_time};

use crate::clock::unix_us;
use crate::control::{Control, Counter};
use crate::event::{Event, Running, Wanted};
use crate::further::Further;
use crate::options::Options;
use crate::outlet::Outlet;
use crate::pace::Gaps;

/// The most probes to pass over, because they must not be sent, before anything else is looked at.
/// The limit is lower while a batch waits to be sent.
const PASSED_OVER: u64 = 1 << 16;
const PASSED_OVER_WAITING: u64 = 64;
/// How long the sender waits for what replies ask for before it looks again.
const LOOK_NS: u64 = 1_000_000;
/// How often the sender tells the receiver its position.
const MARK_NS: u64 = 50_000_000;

pub(crate) struct Sending<'a> {
    options: &'a Options,
    control: &'a Control,
    events: mpsc::Sender<Event>,
    further: Further,
    outlet: Outlet<'a>,
}

/// The progress of the range that is being sent.
struct Range {
    start: u64,
    began: Instant,
    sent: u64,
}

impl<'a> Sending<'a> {
    pub fn new(
        options: &'a Options,
        filter: Filter,
        control: &'a Control,
        stamp: &'a Stamp,
        events: mpsc::Sender<Event>,
        wanted: mpsc::Receiver<Wanted>,
    ) -> io::Result<Self> {
        let interface = options.interface.as_deref();
        Ok(Self {
            options,
            control,
            events,
            further: Further::new(wanted),
            outlet: Outlet::open(control, stamp, interface, &options.sources, filter)?,
        })
    }

    /// Sends a block from slot `from` on, to its end or until the prober is stopped.
    pub fn send_block(&mut self, number: u32, block: Block, from: u64) -> io::Result<()> {
        let exits = self.find_exits(&block)?;
        let unroutable = exits.iter().filter(|exit| exit.is_none()).count() as u64;
        let running = Arc::new(Running {
            plan: block.fingerprint(),
            number,
            block,
            position: AtomicU64::new(from),
            settled: AtomicU64::new(from),
            exits,
            unroutable,
        });
        self.tell(Event::Block(Arc::clone(&running), from));
        let block = &running.block;
        let end = block.end();
        let mut walk = block.walk(from).peekable();
        let mut gaps = Gaps::new(block.prefixes());
        let mut range = Range::new(from);
        let mut slot = from;
        let mut marked_ns = self.outlet.now_ns();
        while slot < end && !self.control.is_stopped() {
            let now_ns = self.outlet.now_ns();
            self.outlet.renew(now_ns)?;
            let (granted, mut wake_ns) = self.outlet.grant(now_ns);
            if self.send_further(&running, granted, &mut gaps)? {
                continue;
            }
            let gap_ns = self.control.prefix_gap_ns();
            let (mut taken, mut passed, mut first) = (0, 0, None);
            let passable = |first: Option<u64>| match first {
                Some(_) => PASSED_OVER_WAITING,
                None => PASSED_OVER,
            };
            while taken < granted && passed < passable(first) {
                let Some(draw) = walk.peek().copied() else {
                    slot = end;
                    break;
                };
                let free_ns = gaps.free_ns(draw.slot, first, gap_ns, now_ns);
                if free_ns > now_ns {
                    wake_ns = free_ns;
                    break;
                }
                walk.next();
                slot = draw.slot + 1;
                // The position moves before the probe is out, so that no reply comes earlier.
                running.position.store(slot, Ordering::Release);
                if let Some(reason) = self.take(&running, &draw)? {
                    self.control.count(reason, 1);
                    passed += 1;
                } else {
                    first = first.or(Some(draw.slot));
                    taken += 1;
                }
            }
            if let Some(first) = first {
                let refused = self.outlet.flush()?;
                range.sent += (taken - refused.len()) as u64;
                gaps.sent(first, slot - 1, self.outlet.now_ns());
                if self.outlet.now_ns() >= marked_ns + MARK_NS {
                    marked_ns = self.outlet.now_ns();
                    self.tell(Event::Mark(number, slot));
                }
            } else if passed == 0 && slot < end {
                self.outlet.rest(wake_ns);
            }
            if self.is_full(&range) && range.start < slot && slot < end {
                self.tell(Event::Range(number, slot, range.sent));
                range = Range::new(slot);
            }
        }
        running.position.store(slot, Ordering::Release);
        if range.start < slot {
            self.tell(Event::Range(number, slot, range.sent));
        }
        if running.block.goes_further() {
            self.await_replies(&running, slot, &mut gaps)?;
        }
        Ok(())
    }

    /// Sends what replies ask for, until those to all slots before `end` are in parts.
    fn await_replies(&mut self, running: &Running, end: u64, gaps: &mut Gaps) -> io::Result<()> {
        while running.settled.load(Ordering::Acquire) < end && !self.control.is_stopped() {
            let now_ns = self.outlet.now_ns();
            self.outlet.renew(now_ns)?;
            let (granted, wake_ns) = self.outlet.grant(now_ns);
            if granted == 0 {
                self.outlet.rest(wake_ns);
            } else if !self.send_further(running, granted, gaps)? {
                self.outlet.idle();
                self.outlet.rest(now_ns + LOOK_NS);
            }
        }
        Ok(())
    }

    /// Sends a batch of at most `granted` probes that replies asked for; returns whether it sent any.
    fn send_further(
        &mut self,
        running: &Running,
        granted: usize,
        gaps: &mut Gaps,
    ) -> io::Result<bool> {
        let (now_ns, gap_ns) = (self.outlet.now_ns(), self.control.prefix_gap_ns());
        let position = running.position.load(Ordering::Acquire);
        let mut batch: Vec<Wanted> = Vec::new();
        while batch.len() < granted
            && let Some(wanted) = self.further.pop(now_ns)
        {
            let free_ns = gaps.further_free_ns(wanted.slot, position, gap_ns);
            if free_ns > now_ns {
                self.further.delay(wanted, free_ns);
                continue;
            }
            let Wanted { slot, headed, ttl } = wanted;
            // The receiver knows of it before it is out, so that no reply comes earlier.
            self.tell(Event::Further(running.number, slot, ttl));
            let reason = match running.exit(slot) {
                Some(way) => self.put(way, headed, ttl)?,
                None => Some(Counter::Unroutable),
            };
            if let Some(reason) = reason {
                self.control.count(reason, 1);
                self.tell(Event::Unsent(running.number, slot, ttl));
            } else {
                gaps.sent_further(slot, gap_ns, now_ns);
                batch.push(wanted);
            }
        }
        if batch.is_empty() {
            return Ok(false);
        }
        let refused = self.outlet.flush()?;
        let sent = (batch.len() - refused.len()) as u64;
        self.control.count(Counter::Further, sent);
        for place in refused {
            let Wanted { slot, ttl, .. } = batch[place];
            self.tell(Event::Unsent(running.number, slot, ttl));
        }
        for wanted in batch {
            gaps.sent_further(wanted.slot, gap_ns, self.outlet.now_ns());
        }
        Ok(true)
    }

    /// Adds a probe to the next batch, or returns the counter of why it must not be sent.
    fn take(&mut self, running: &Running, draw: &Draw) -> io::Result<Option<Counter>> {
        match running.exits[draw.place as usize] {
            Some(way) => self.put(way, running.block.head(draw), draw.ttl),
            None => Ok(Some(Counter::Unroutable)),
        }
    }

    /// Adds a probe of a flow to the next batch, or returns the counter of why it must not be sent.
    fn put(&mut self, way: u16, headed: Headed, ttl: u8) -> io::Result<Option<Counter>> {
        if !(self.outlet).allows(headed.family, headed.destination, ttl) {
            return Ok(Some(Counter::Forbidden));
        }
        let probe = Probe {
            family: headed.family,
            destination: headed.destination,
            protocol: headed.protocol,
            source_port: headed.source_port,
            destination_port: headed.destination_port,
            ttl,
            sent: carried_time(unix_us()),
        };
        self.outlet.put(way, &probe)?;
        Ok(None)
    }

    fn is_full(&self, range: &Range) -> bool {
        range.sent >= self.options.part_probes || range.began.elapsed() >= self.options.part_time
    }

    /// Returns the number of the way to each prefix of a block, by its place; None without a route.
    ///
    /// # Errors
    /// Those of finding the ways, or if no prefix has a route.
    fn find_exits(&mut self, block: &Block) -> io::Result<Vec<Option<u16>>> {
        let mut exits = Vec::with_capacity(block.prefixes() as usize);
        let mut reason = None;
        let (events, control) = (&self.events, self.control);
        for prefix in block.places() {
            let tell = |opening| tell(events, control, Event::Opening(opening));
            match self.outlet.find_way(prefix.address(), tell) {
                Ok(number) => exits.push(Some(number)),
                Err(error) if error.kind() == io::ErrorKind::NetworkUnreachable => {
                    reason.get_or_insert(error);
                    exits.push(None);
                }
                Err(error) => return Err(error),
            }
        }
        match reason {
            Some(reason) if self.outlet.is_closed() => Err(reason),
            _ => Ok(exits),
        }
    }

    fn tell(&self, event: Event) {
        tell(&self.events, self.control, event);
    }
}

/// Sends the receiver a message. If the receiver is gone, it has failed, and the sender stops.
fn tell(events: &mpsc::Sender<Event>, control: &Control, event: Event) {
    if events.send(event).is_err() {
        control.stop();
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.control.fall_silent();
        self.tell(Event::End);
    }
}

impl Range {
    fn new(start: u64) -> Self {
        Self {
            start,
            began: Instant::now(),
            sent: 0,
        }
    }
}
