//! The packet body of tracers: it traces many destinations at once, in one thread.
//!
//! Each destination has a tracer, which says what to send and until when to wait. The body sends
//! for all of them under one set of limits and at one pace, as the batch prober does.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use anabranch_link::filter::Filter;
use anabranch_link::way::Way;
use anabranch_prefixes::{Family, number_of};
use anabranch_trace::rule::Rule;
use anabranch_trace::sightings::{Ask, Vertex};
use anabranch_trace::tracer::{Tracer, Want};
use anabranch_wire::ip::{ICMP, ICMP6, TCP, UDP};
use anabranch_wire::probe::{MAX_CONTACT, Probe, Stamp, carried_time, icmp_of};
use anabranch_wire::reply::Reply;
use anabranch_wire::segment::Segment;

use crate::control::{Control, Counter};
use crate::inlet::Inlet;
use crate::outlet::{Outlet, unix_us};
use crate::prober::{ProberError, enter};
use crate::receiving::PAUSE;
use crate::schedule::Schedule;
use crate::stamps;

/// The source port of flow 0; that of another flow is higher by its number.
pub const FIRST_PORT: u16 = 24_000;
/// The destination port of UDP probes.
pub const DESTINATION_PORT: u16 = 33_434;
/// The destination port of TCP probes: that of the web, which firewalls let through most.
pub const TCP_PORT: u16 = 80;

/// The protocol of the probes of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// UDP; the source port tells flows apart.
    Udp,
    /// Echo requests of ICMP or `ICMPv6`; the checksum tells flows apart.
    Icmp,
    /// TCP segments; the source port tells flows apart.
    Tcp(Segment),
}

/// The options of the body.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file of the network namespace to probe from; None for the calling thread's.
    pub network: Option<PathBuf>,
    /// The link that probes leave by; None to leave the choice to the routes.
    pub interface: Option<String>,
    /// The addresses to send from, at most one a family. Without one, the routes choose.
    pub sources: Vec<IpAddr>,
    /// How to reach whoever probes. Probes carry this text for people who wonder about them, but
    /// for those of TCP.
    pub contact: String,
    /// The rule of all traces.
    pub rule: Arc<Rule>,
    /// The protocol of the probes.
    pub protocol: Protocol,
    /// The most destinations to trace at once.
    pub window: usize,
}

/// What a body traces, and who takes the traces.
pub trait Work {
    /// Returns the next destination; None if there are no more. One that is still being traced
    /// must not come again.
    fn next(&mut self) -> Option<IpAddr>;
    /// Takes a probe with the first reply to it, as soon as that comes.
    fn hear(&mut self, destination: IpAddr, ask: Ask, attempt: u8, probed: &Probed);
    /// Takes a trace that has ended.
    fn end(&mut self, trace: Trace);
}

/// A probe that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Probed {
    /// When it was sent, in microseconds since 1970.
    pub sent_us: u64,
    /// The first reply to it, if one came.
    pub reply: Option<Heard>,
}

/// A reply to a probe.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// What it says.
    pub reply: Reply,
    /// When the kernel received it, in microseconds since 1970.
    pub at_us: u64,
    /// The time since the probe was sent, in microseconds.
    pub rtt_us: u64,
}

/// A trace of one destination.
#[derive(Debug)]
pub struct Trace {
    /// The destination.
    pub destination: IpAddr,
    /// The way that its probes left by; None without a route.
    pub way: Option<Way>,
    /// When it began and ended, in microseconds since 1970.
    pub span_us: (u64, u64),
    /// The probes, by flow and TTL, and by the attempt, which counts from 1.
    pub probes: BTreeMap<(Ask, u8), Probed>,
    /// The tracer at its end.
    pub tracer: Tracer,
    /// Why it has no route, if it has none, and the remedy.
    pub unroutable: Option<String>,
}

/// Traces all destinations of the work, in a thread of its own.
///
/// # Errors
/// If an option can't be used; nothing is sent then. The thread returns those of the system.
pub fn start(
    options: Options,
    control: Arc<Control>,
    mut work: impl Work + Send + 'static,
) -> Result<thread::JoinHandle<Result<(), ProberError>>, ProberError> {
    if options.contact.len() > MAX_CONTACT {
        let reason = format!("the contact must have at most {MAX_CONTACT} bytes");
        return Err(ProberError::Option(reason));
    }
    let stamp = stamps::draw(&options.contact)?.with_segment(options.protocol.segment());
    Ok(thread::spawn(move || {
        enter(options.network.as_deref())?;
        let outcome = Tracing::open(&options, &control, &stamp)
            .and_then(|mut tracing| tracing.run(&mut work));
        control.stop();
        control.fall_silent();
        Ok(outcome?)
    }))
}

struct Tracing<'a> {
    options: &'a Options,
    control: &'a Control,
    outlet: Outlet<'a>,
    inlet: Inlet<'a>,
    /// The traces that go on, each in its place; places that are free are named in `free`.
    traces: Vec<Option<Going>>,
    free: Vec<usize>,
    places: HashMap<(Family, u128), usize>,
    schedule: Schedule,
}

/// A trace that goes on.
struct Going {
    trace: Trace,
    /// The destination, as a number of its family.
    destination: (Family, u128),
    way: u16,
    /// When the next probe to this destination may leave.
    free_ns: u64,
}

impl<'a> Tracing<'a> {
    fn open(options: &'a Options, control: &'a Control, stamp: &'a Stamp) -> io::Result<Self> {
        let interface = options.interface.as_deref();
        Ok(Self {
            options,
            control,
            outlet: Outlet::open(
                control,
                stamp,
                interface,
                &options.sources,
                options.protocol.filter(),
            )?,
            inlet: Inlet::new(control, stamp),
            traces: Vec::new(),
            free: Vec::new(),
            places: HashMap::new(),
            schedule: Schedule::default(),
        })
    }

    /// Traces until all is done, or until the prober is stopped: traces that go on are dropped then.
    fn run(&mut self, work: &mut impl Work) -> io::Result<()> {
        let mut more = true;
        while !self.control.is_stopped() {
            let now_ns = self.outlet.now_ns();
            self.outlet.renew(now_ns)?;
            let read = self.receive(work);
            while more && self.places.len() < self.options.window {
                match work.next() {
                    Some(destination) => self.begin(destination, work)?,
                    None => more = false,
                }
            }
            if self.places.is_empty() && !more {
                return self.inlet.count_dropped();
            }
            self.schedule.wake(self.outlet.now_ns());
            let pause_ns = now_ns + PAUSE.as_nanos() as u64;
            if self.schedule.is_idle() {
                self.outlet.idle();
                if read == 0 {
                    self.outlet.rest(pause_ns);
                }
                continue;
            }
            let (granted, wake_ns) = self.outlet.grant(self.outlet.now_ns());
            let taken = self.send(granted, work)?;
            if taken > 0 {
                self.outlet.flush(taken)?;
            } else if granted == 0 && read == 0 {
                self.outlet.rest(wake_ns.min(pause_ns));
            }
        }
        Ok(())
    }

    /// Begins to trace a destination; one without a route ends at once.
    fn begin(&mut self, address: IpAddr, work: &mut impl Work) -> io::Result<()> {
        let now_us = unix_us();
        let mut trace = Trace {
            destination: address,
            way: None,
            span_us: (now_us, now_us),
            probes: BTreeMap::new(),
            tracer: Tracer::new(Arc::clone(&self.options.rule)),
            unroutable: None,
        };
        let inlet = &mut self.inlet;
        let way = match self.outlet.find_way(address, |opening| inlet.open(opening)) {
            Ok(way) => way,
            Err(error) if error.kind() == io::ErrorKind::NetworkUnreachable => {
                self.control.count(Counter::Unroutable, 1);
                trace.unroutable = Some(error.to_string());
                trace.tracer.refuse();
                work.end(trace);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        trace.way = Some(self.inlet.ways()[usize::from(way)].clone());
        let destination = number_of(address);
        let going = Going {
            trace,
            destination,
            way,
            free_ns: 0,
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.traces.push(None);
            self.traces.len() - 1
        });
        self.traces[place] = Some(going);
        self.places.insert(destination, place);
        self.schedule.enqueue(place, 0);
        Ok(())
    }

    /// Polls the tracers that have something to do, until `granted` probes are taken.
    fn send(&mut self, granted: usize, work: &mut impl Work) -> io::Result<usize> {
        let gap_ns = self.control.prefix_gap_ns();
        let mut taken = 0;
        while taken < granted
            && let Some(place) = self.schedule.next()
        {
            let Some(going) = &mut self.traces[place] else {
                continue;
            };
            let now_ns = self.outlet.now_ns();
            if going.free_ns > now_ns {
                self.schedule.sleep(place, going.free_ns);
                continue;
            }
            match going.trace.tracer.poll(now_ns / 1_000) {
                Want::Send(ask, attempt) => {
                    let (family, destination) = going.destination;
                    if self.outlet.allows(family, destination, ask.ttl) {
                        let sent_us = unix_us();
                        let probe = self.options.protocol.shape(going.destination, ask, sent_us);
                        self.outlet.put(going.way, &probe)?;
                        let probed = Probed {
                            sent_us,
                            reply: None,
                        };
                        going.trace.probes.insert((ask, attempt), probed);
                        going.free_ns = now_ns.saturating_add(gap_ns);
                        taken += 1;
                    } else {
                        self.control.count(Counter::Forbidden, 1);
                        going.trace.tracer.refuse();
                    }
                    self.schedule.enqueue(place, going.trace.tracer.probes());
                }
                Want::Wait(until_us) => self.schedule.sleep(place, until_us.saturating_mul(1_000)),
                Want::Nothing(_) => self.finish(place, work),
            }
        }
        Ok(taken)
    }

    fn finish(&mut self, place: usize, work: &mut impl Work) {
        if let Some(mut going) = self.traces[place].take() {
            going.trace.span_us.1 = unix_us();
            self.places.remove(&going.destination);
            self.free.push(place);
            work.end(going.trace);
        }
    }

    /// Hands the replies that have come to the tracers; returns how many were read from a link.
    fn receive(&mut self, work: &mut impl Work) -> usize {
        let (control, options) = (self.control, self.options);
        let (places, traces, schedule) = (&self.places, &mut self.traces, &mut self.schedule);
        self.inlet.receive(|reply, at_us| {
            let probe = &reply.probe;
            let place = places.get(&(probe.family, probe.destination)).copied();
            let Some((place, going)) =
                place.and_then(|place| Some((place, traces[place].as_mut()?)))
            else {
                control.count(Counter::Late, 1);
                return;
            };
            let probed = options.protocol.tell(probe).and_then(|ask| {
                let mut attempts = going.trace.probes.range_mut((ask, 0)..=(ask, u8::MAX));
                attempts.find(|(_, sent)| carried_time(sent.sent_us) == probe.sent)
            });
            let Some(((ask, attempt), probed)) = probed else {
                control.count(Counter::Unplanned, 1);
                return;
            };
            if probed.reply.is_some() {
                control.count(Counter::Excess, 1);
                return;
            }
            let rtt_us = at_us.saturating_sub(probed.sent_us);
            probed.reply = Some(Heard {
                reply: *reply,
                at_us,
                rtt_us,
            });
            control.count(Counter::Replies, 1);
            work.hear(going.trace.destination, *ask, *attempt, probed);
            going.trace.tracer.take(*ask, tell_vertex(reply), rtt_us);
            schedule.enqueue(place, going.trace.tracer.probes());
        })
    }
}

impl Protocol {
    /// Returns the probe of a flow and a TTL.
    fn shape(self, (family, destination): (Family, u128), ask: Ask, sent_us: u64) -> Probe {
        Probe {
            family,
            destination,
            protocol: self.number(family),
            source_port: FIRST_PORT.wrapping_add(ask.flow),
            destination_port: match self {
                Self::Udp => DESTINATION_PORT,
                Self::Icmp => 0,
                Self::Tcp(_) => TCP_PORT,
            },
            ttl: ask.ttl,
            sent: carried_time(sent_us),
        }
    }

    /// Returns the flow and TTL of a probe, if it has this protocol.
    fn tell(self, probe: &Probe) -> Option<Ask> {
        (probe.protocol == self.number(probe.family)).then(|| Ask {
            flow: probe.source_port.wrapping_sub(FIRST_PORT),
            ttl: probe.ttl,
        })
    }

    const fn number(self, family: Family) -> u8 {
        match self {
            Self::Udp => UDP,
            Self::Icmp => icmp_of(family),
            Self::Tcp(_) => TCP,
        }
    }

    const fn segment(self) -> Option<Segment> {
        match self {
            Self::Udp | Self::Icmp => None,
            Self::Tcp(segment) => Some(segment),
        }
    }

    /// Returns the filter that lets in all replies, and as little else as it can.
    const fn filter(self) -> Filter {
        match self {
            Self::Udp | Self::Icmp => Filter::Icmp,
            Self::Tcp(_) => Filter::IcmpAndAnswers(TCP_PORT),
        }
    }
}

/// Returns what a reply says that the probe met: only a router where its TTL ended leads on.
#[must_use]
pub const fn tell_vertex(reply: &Reply) -> Vertex {
    match (reply.protocol, reply.kind) {
        (ICMP, 11) | (ICMP6, 3) => Vertex::Router(reply.from),
        _ => Vertex::End(reply.from),
    }
}
