//! The sender: draws the probes of a plan, and sends those that the limits allow, at their pace.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anabranch_link::receiver::{Filter, Receiver};
use anabranch_link::sender::Sender;
use anabranch_link::way::Ways;
use anabranch_plan::{Block, Draw};
use anabranch_wire::probe::{Probe, Stamp, carried_time};

use crate::control::{Control, Counter, Limits};
use crate::event::{Event, Running};
use crate::options::Options;
use crate::pace::{Gaps, Pace};

/// The longest sleep, and so the longest delay before the sender obeys a stop or a new rate.
const NAP: Duration = Duration::from_millis(50);
/// The most probes to pass over, because they must not be sent, before anything else is looked at.
/// The limit is lower while a batch waits to be sent.
const PASSED_OVER: u64 = 1 << 16;
const PASSED_OVER_WAITING: u64 = 64;
/// How often the sender tells the receiver its position.
const MARK_NS: u64 = 50_000_000;
/// How often the gateways' Ethernet addresses are brought up to date.
const RENEWAL_NS: u64 = 1_000_000_000;

pub(crate) struct Sending<'a> {
    options: &'a Options,
    control: &'a Control,
    stamp: &'a Stamp,
    events: mpsc::Sender<Event>,
    links: Vec<(String, Sender)>,
    ways: Ways,
    /// The exit of each way, by the way's number.
    exits: Vec<Exit>,
    limits: Option<Arc<Limits>>,
    changes: Option<u64>,
    pace: Option<Pace>,
    paused: bool,
    start: Instant,
    renewed_ns: u64,
}

/// What the sender keeps of a way.
struct Exit {
    link: usize,
    head: Vec<u8>,
    source: u128,
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
        control: &'a Control,
        stamp: &'a Stamp,
        events: mpsc::Sender<Event>,
    ) -> io::Result<Self> {
        Ok(Self {
            options,
            control,
            stamp,
            events,
            links: Vec::new(),
            ways: Ways::open(options.interface.as_deref(), &options.sources)?,
            exits: Vec::new(),
            limits: None,
            changes: None,
            pace: None,
            paused: false,
            start: Instant::now(),
            renewed_ns: 0,
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
        let mut marked_ns = self.now_ns();
        while slot < end && !self.control.is_stopped() {
            let now_ns = self.now_ns();
            self.renew_exits(now_ns)?;
            let (granted, mut wake_ns) = self.grant(now_ns);
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
                range.sent += self.flush(taken)?;
                gaps.sent(first, slot - 1, self.now_ns());
                if self.now_ns() >= marked_ns + MARK_NS {
                    marked_ns = self.now_ns();
                    self.tell(Event::Mark(number, slot));
                }
            } else if passed == 0 && slot < end {
                self.rest(wake_ns);
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
        Ok(())
    }

    /// Returns how many probes may be sent now, and when to look again.
    fn grant(&mut self, now_ns: u64) -> (usize, u64) {
        let nap_ns = now_ns + NAP.as_nanos() as u64;
        let rate = self.control.rate();
        if rate == 0 {
            self.paused = true;
            return (0, nap_ns);
        }
        let pace = self.pace.get_or_insert_with(|| Pace::new(rate, now_ns));
        if pace.rate() != rate || self.paused {
            self.paused = false;
            pace.set_rate(rate, now_ns);
        }
        let stalled = pace.stalled_ns();
        let granted = pace.grant(now_ns);
        self.control
            .count(Counter::Stalled, (pace.stalled_ns() - stalled) / 1_000);
        (granted, pace.next_ns())
    }

    /// Adds a probe to the next batch, or returns the counter of why it must not be sent.
    fn take(&mut self, running: &Running, draw: &Draw) -> io::Result<Option<Counter>> {
        let headed = running.block.head(draw);
        if let Some(limits) = self.control.changed_limits(&mut self.changes) {
            self.limits = Some(limits);
        }
        let allowed = self
            .limits
            .as_ref()
            .is_some_and(|limits| limits.allow(headed.family, headed.destination, draw.ttl));
        if !allowed {
            return Ok(Some(Counter::Forbidden));
        }
        let Some(exit) = running.exits[draw.place as usize] else {
            return Ok(Some(Counter::Unroutable));
        };
        let exit = &self.exits[usize::from(exit)];
        let probe = Probe {
            family: headed.family,
            destination: headed.destination,
            protocol: headed.protocol,
            source_port: headed.source_port,
            destination_port: headed.destination_port,
            ttl: draw.ttl,
            sent: carried_time(unix_us()),
        };
        let stamp = self.stamp;
        self.links[exit.link].1.send(|out| {
            out.extend_from_slice(&exit.head);
            stamp.write(out, exit.source, &probe);
        })?;
        Ok(None)
    }

    /// Sends the batch of `taken` probes, and returns how many of them the kernel took.
    fn flush(&mut self, taken: usize) -> io::Result<u64> {
        let mut refused = 0;
        for (_, sender) in &mut self.links {
            sender.flush()?;
            refused += sender.take_unsent();
        }
        let sent = taken as u64 - refused;
        self.control.count(Counter::Sent, sent);
        self.control.count(Counter::Unsent, refused);
        let now_ns = self.now_ns();
        if let Some(pace) = &mut self.pace {
            pace.sent(taken, now_ns);
        }
        Ok(sent)
    }

    /// Sleeps until a time, but no longer than `NAP`.
    fn rest(&self, wake_ns: u64) {
        let wait = Duration::from_nanos(wake_ns.saturating_sub(self.now_ns()));
        sleep(wait.min(NAP));
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
        for prefix in block.places() {
            match self.ways.find(prefix.address()) {
                Ok(number) => {
                    if number == self.exits.len() {
                        self.open(number)?;
                    }
                    exits.push(Some(number as u16));
                }
                Err(error) if error.kind() == io::ErrorKind::NetworkUnreachable => {
                    reason.get_or_insert(error);
                    exits.push(None);
                }
                Err(error) => return Err(error),
            }
        }
        match reason {
            Some(reason) if self.exits.is_empty() => Err(reason),
            _ => Ok(exits),
        }
    }

    /// Opens the link of a new way if need be, and tells the receiver of the link and the way.
    fn open(&mut self, number: usize) -> io::Result<()> {
        let way = self.ways.way(number);
        let known = self.links.iter().position(|(name, _)| *name == way.link);
        let link = known.unwrap_or(self.links.len());
        if known.is_none() {
            self.tell(Event::Link(Receiver::open(&way.link, Filter::Icmp)?));
            self.links
                .push((way.link.clone(), Sender::open(&way.link, false)?));
        }
        let head = way.head.clone();
        let (_, source) = way.source_number();
        self.tell(Event::Way(way.clone()));
        self.exits.push(Exit { link, head, source });
        Ok(())
    }

    /// Brings the gateways' Ethernet addresses up to date, every `RENEWAL_NS`.
    fn renew_exits(&mut self, now_ns: u64) -> io::Result<()> {
        if now_ns < self.renewed_ns + RENEWAL_NS {
            return Ok(());
        }
        self.renewed_ns = now_ns;
        let exits = &mut self.exits;
        self.ways
            .renew(|number, way| exits[number].head.clone_from(&way.head))
    }

    /// Sends the receiver a message. If the receiver is gone, it has failed, and the sender stops.
    fn tell(&self, event: Event) {
        if self.events.send(event).is_err() {
            self.control.stop();
        }
    }

    fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
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

/// Returns the time in microseconds since 1970.
pub(crate) fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}
