//! The packet body of tracers: it traces many destinations at once, in one thread.
//!
//! Each destination has a tracer, which says what to send and until when to wait. The body sends
//! for all of them under one set of limits and at one pace, as the batch prober does.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread;

use anabranch_prefixes::{Family, number_of};
use anabranch_trace::rule::Rule;
use anabranch_wire::probe::{MAX_CONTACT, Stamp};

use crate::clock::unix_us;
use crate::control::{Control, Counter};
use crate::error::ProberError;
use crate::going::{Going, Shot, Wish};
use crate::inlet::{Inlet, PAUSE};
use crate::network::enter;
use crate::outlet::Outlet;
use crate::schedule::Schedule;
use crate::sounding::{Direct, Findings};
use crate::stamps;
use crate::traceoptions::TraceOptions;
use crate::work::{Next, Target, Work};

/// How often the packets that the kernel dropped are counted.
const COUNTING_NS: u64 = 1_000_000_000;
/// The time between two looks at whether another trace still probes addresses of a trace.
const BUSY_NS: u64 = 200_000_000;
/// The destinations that share the rate, however low it is: a long trace holds back none of them. Lists of
/// addresses share it only as far as one leaves some: a counter is read often, or not at all.
const FEW: usize = 16;
/// The most turns of tracers before anything else is looked at: some send nothing.
const TURNS: usize = 1 << 12;
/// The least bound on the destinations that are traced at once.
const LEAST_WINDOW: u64 = 1_000;
/// The least time between two probes of a trace, on average: most wait for replies.
const STEP_NS: u64 = 50_000_000;

/// Traces all destinations of the work, in a thread of its own.
///
/// # Errors
/// If an option can't be used; nothing is sent then. The thread returns those of the system.
pub fn start(
    options: TraceOptions,
    control: Arc<Control>,
    mut work: impl Work + Send + 'static,
) -> Result<thread::JoinHandle<Result<(), ProberError>>, ProberError> {
    if options.contact.len() > MAX_CONTACT {
        let reason = format!("the contact must have at most {MAX_CONTACT} bytes");
        return Err(ProberError::Option(reason));
    }
    let stamp = stamps::draw(&options.contact)?
        .with_segment(options.segment)
        .with_flow_labels();
    Ok(thread::spawn(move || {
        enter(options.network.as_deref())?;
        let outcome = run(&options, &control, &stamp, &mut work);
        control.stop();
        outcome
    }))
}

/// Traces all destinations of the work, in the calling thread and its network namespace. Traces
/// that go on when the prober is stopped are dropped.
pub(crate) fn run(
    options: &TraceOptions,
    control: &Control,
    stamp: &Stamp,
    work: &mut impl Work,
) -> Result<(), ProberError> {
    let mut tracing = Tracing::open(options, control, stamp)?;
    let outcome = tracing.run(work);
    control.fall_silent();
    outcome
}

/// Traces that go on, and what sends their probes and receives the replies.
pub(crate) struct Tracing<'a> {
    pub options: &'a TraceOptions,
    pub control: &'a Control,
    pub outlet: Outlet<'a>,
    pub inlet: Inlet<'a>,
    /// The rules of traces, by their TTLs.
    rules: HashMap<(u8, u8), Arc<Rule>>,
    /// The traces that go on, each in its place; places that are free are named in `free`.
    pub traces: Vec<Option<Going>>,
    free: Vec<usize>,
    places: HashMap<(Family, u128), usize>,
    /// What is traced next, once another trace of its destination has ended.
    held: Option<(Target, Option<Vec<u128>>)>,
    /// The destinations that share the rate, however low it is.
    few: usize,
    /// Whether the work may have more to trace.
    more: bool,
    pub schedule: Schedule,
    /// The probes of the next batch, with the place of each trace.
    pub batch: Vec<(usize, Shot)>,
    stamp: &'a Stamp,
    pub direct: Direct,
    findings: Findings,
    counted_ns: u64,
}

impl<'a> Tracing<'a> {
    fn open(options: &'a TraceOptions, control: &'a Control, stamp: &'a Stamp) -> io::Result<Self> {
        let interface = options.interface.as_deref();
        Ok(Self {
            options,
            control,
            outlet: Outlet::open(
                control,
                stamp,
                interface,
                &options.sources,
                options.filter(),
            )?,
            inlet: Inlet::new(control, stamp),
            rules: HashMap::new(),
            traces: Vec::new(),
            free: Vec::new(),
            places: HashMap::new(),
            held: None,
            few: FEW,
            more: true,
            schedule: Schedule::default(),
            batch: Vec::new(),
            stamp,
            direct: Direct::default(),
            findings: Findings::default(),
            counted_ns: 0,
        })
    }

    /// Traces until all is done, or until the prober is stopped.
    fn run(&mut self, work: &mut impl Work) -> Result<(), ProberError> {
        while !self.control.is_stopped() {
            let now_ns = self.outlet.now_ns();
            self.outlet.renew(now_ns)?;
            if now_ns >= self.counted_ns + COUNTING_NS {
                self.counted_ns = now_ns;
                self.inlet.count_dropped()?;
            }
            let read = self.receive(work);
            while self.places.len() < self.few && self.begin_next(work)? {}
            if self.places.is_empty() && !self.more {
                break;
            }
            self.schedule.wake(self.outlet.now_ns());
            let (granted, wake_ns) = self.outlet.grant(self.outlet.now_ns());
            let taken = self.send(granted, work)?;
            if taken > 0 {
                let refused = self.outlet.flush()?;
                self.take_back(&refused);
                continue;
            }
            let mut pause_ns = now_ns + PAUSE.as_nanos() as u64;
            if granted > 0 {
                self.outlet.idle();
            } else {
                pause_ns = pause_ns.min(wake_ns);
            }
            if read == 0 {
                self.outlet.rest(pause_ns);
            }
        }
        Ok(self.inlet.count_dropped()?)
    }

    /// Begins the next trace, if there is one and it may go on beside the others.
    fn begin_next(&mut self, work: &mut impl Work) -> Result<bool, ProberError> {
        if self.places.len() >= self.options.window.min(find_window(self.control)) {
            return Ok(false);
        }
        let (target, list) = match self.held.take() {
            Some(held) => held,
            None => match work.next()? {
                Next::Trace(target) => (target, None),
                Next::Resolve(target, addresses) => (target, Some(addresses)),
                Next::Wait => return Ok(false),
                Next::Nothing => {
                    self.more = false;
                    self.control.begin_to_end();
                    return Ok(false);
                }
            },
        };
        if self.is_traced(&target) {
            self.held = Some((target, list));
            return Ok(false);
        }
        self.begin(target, list)?;
        Ok(true)
    }

    fn is_traced(&self, target: &Target) -> bool {
        self.places.contains_key(&number_of(target.destination))
    }

    /// Returns the rule of traces between two TTLs.
    fn find_rule(&mut self, (first_ttl, max_ttl): (u8, u8)) -> Result<Arc<Rule>, ProberError> {
        if let Some(rule) = self.rules.get(&(first_ttl, max_ttl)) {
            return Ok(Arc::clone(rule));
        }
        let rule = self.options.parameters.rule(first_ttl, max_ttl);
        let rule = Arc::new(rule.map_err(ProberError::Option)?);
        self.rules.insert((first_ttl, max_ttl), Arc::clone(&rule));
        Ok(rule)
    }

    /// Begins to trace a destination, or to find aliases in a list.
    fn begin(&mut self, target: Target, list: Option<Vec<u128>>) -> Result<(), ProberError> {
        let rule = self.find_rule(target.ttls)?;
        let now_us = self.outlet.now_ns() / 1_000;
        let due_us = self.options.time_limit.map_or(u64::MAX, |limit| {
            now_us.saturating_add(limit.as_micros() as u64)
        });
        let mut going = Going::new(target, rule, due_us);
        if let Some(addresses) = list {
            self.few = 1;
            going = going.with_list(addresses);
        }
        let destination = going.destination;
        let place = self.free.pop().unwrap_or_else(|| {
            self.traces.push(None);
            self.traces.len() - 1
        });
        self.traces[place] = Some(going);
        self.places.insert(destination, place);
        self.schedule.enqueue(place);
        Ok(())
    }

    /// Polls the tracers that have something to do, until `granted` probes are taken. Begins more
    /// traces only if those that go on have nothing to send: so as many go on as it takes to send
    /// at the rate, and those that began first soon end.
    fn send(&mut self, granted: usize, work: &mut impl Work) -> Result<usize, ProberError> {
        let gap_ns = self.control.prefix_gap_ns();
        let mut taken = 0;
        for _ in 0..TURNS {
            if taken == granted {
                break;
            }
            let Some(place) = self.schedule.next() else {
                if self.begin_next(work)? {
                    continue;
                }
                break;
            };
            let Some(going) = &mut self.traces[place] else {
                continue;
            };
            let now_ns = self.outlet.now_ns();
            if going.free_ns > now_ns {
                self.schedule.sleep(place, going.free_ns);
                continue;
            }
            let Some(way) = going.way else {
                self.look_up(place)?;
                continue;
            };
            match going.poll(now_ns / 1_000) {
                Wish::Send(shot) => {
                    going.free_ns = now_ns.saturating_add(going.gap_ns(gap_ns));
                    taken += usize::from(self.shoot(place, shot, way)?);
                    self.schedule.enqueue(place);
                }
                Wish::Wait(until_us) => self.schedule.sleep(place, until_us.saturating_mul(1_000)),
                Wish::Nothing if self.batch.iter().any(|(each, ..)| *each == place) => {
                    // Whether its last probe leaves is known once the batch is out.
                    self.schedule.enqueue(place);
                    break;
                }
                Wish::Nothing => self.go_on(place, work)?,
            }
        }
        Ok(taken)
    }

    /// Goes on with a trace whose tracer, or whose alias resolution, wants nothing more.
    fn go_on(&mut self, place: usize, work: &mut impl Work) -> Result<(), ProberError> {
        let rounds = self.options.parameters.alias_rounds;
        if let Some(going) = &mut self.traces[place]
            && let Some(rounds) = rounds.filter(|_| going.may_resolve())
        {
            let (family, stamp) = (going.destination.0, self.stamp);
            let begun = match &going.list {
                Some(addresses) => self.findings.begin_list(addresses, family, rounds),
                None => self.findings.begin(&going.trace, family, stamp, rounds),
            };
            if let Some(resolver) = begun {
                going.resolve(resolver);
                self.schedule.enqueue(place);
            } else {
                let later_ns = self.outlet.now_ns() + BUSY_NS;
                self.schedule.sleep(place, later_ns);
            }
            return Ok(());
        }
        self.finish(place, work)
    }

    fn finish(&mut self, place: usize, work: &mut impl Work) -> Result<(), ProberError> {
        if let Some(mut going) = self.traces[place].take() {
            going.trace.span_us.1 = unix_us();
            let heard = going
                .soundings
                .values()
                .filter(|probed| probed.reply.is_some());
            going.trace.soundings = (going.soundings.len() as u32, heard.count() as u32);
            self.places.remove(&going.destination);
            for address in going.direct_ways.keys() {
                let address = (going.destination.0, *address);
                self.direct.forget(address, place);
            }
            if let Some(resolver) = &going.trace.resolver {
                self.findings.keep(going.destination.0, resolver);
            }
            self.free.push(place);
            self.control.count(Counter::Traced, 1);
            work.end(going.trace)?;
        }
        Ok(())
    }

    /// Hands the replies that have come to the traces; returns how many were read from a link.
    fn receive(&mut self, work: &mut impl Work) -> usize {
        let (control, options, outlet) = (self.control, self.options, &self.outlet);
        let (places, traces, schedule) = (&self.places, &mut self.traces, &mut self.schedule);
        let (direct, stamp) = (&self.direct, self.stamp);
        self.inlet.receive(|reply, at_us| {
            let probe = &reply.probe;
            let to = (probe.family, probe.destination);
            let asked = if options.is_direct(probe) {
                direct.places(to)
            } else {
                places.get(&to).map_or(&[][..], std::slice::from_ref)
            };
            if asked.is_empty() {
                control.count(Counter::Late, 1);
                return;
            }
            let read = outlet.now();
            let heard = asked.iter().find_map(|place| {
                let going = traces[*place].as_mut()?;
                let is_first = going.hear(reply, at_us, read, (options, stamp), work)?;
                Some((*place, is_first))
            });
            match heard {
                Some((place, true)) => {
                    control.count(Counter::Replies, 1);
                    schedule.enqueue(place);
                }
                Some((_, false)) => control.count(Counter::Excess, 1),
                None => control.count(Counter::Unplanned, 1),
            }
        })
    }
}

/// Returns the most destinations to trace at once: as many as it may take to send at the rate.
fn find_window(control: &Control) -> usize {
    let step_ns = u128::from(control.prefix_gap_ns().max(STEP_NS));
    let busy = u128::from(control.rate()) * 2 * step_ns / 1_000_000_000;
    busy.max(LEAST_WINDOW.into())
        .try_into()
        .unwrap_or(usize::MAX)
}
