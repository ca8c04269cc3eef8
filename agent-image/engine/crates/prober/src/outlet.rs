//! The outlet: the ways by which probes leave, under the limits and at the pace of a [`Control`].

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anabranch_link::filter::Filter;
use anabranch_link::receiver::Receiver;
use anabranch_link::sender::Sender;
use anabranch_link::way::{Way, Ways};
use anabranch_link::{check_rights, mtu_of};
use anabranch_prefixes::Family;
use anabranch_wire::probe::{Probe, Stamp};

use crate::clock::{Moment, unix_us};
use crate::control::{Control, Counter, Limits};
use crate::pace::Pace;

/// The longest sleep, and so the longest delay before the sender obeys a stop or a new rate.
pub(crate) const NAP: Duration = Duration::from_millis(50);
/// How often the gateways' Ethernet addresses are brought up to date.
const RENEWAL_NS: u64 = 1_000_000_000;

pub(crate) struct Outlet<'a> {
    control: &'a Control,
    stamp: &'a Stamp,
    links: Vec<(String, Sender)>,
    /// The link of each probe of the next batch.
    batch: Vec<usize>,
    ways: Ways,
    /// The exit of each way, by the way's number.
    exits: Vec<Exit>,
    limits: Option<Arc<Limits>>,
    /// Which frames of a link may be replies.
    filter: Filter,
    changes: Option<u64>,
    pace: Option<Pace>,
    paused: bool,
    start: Instant,
    renewed_ns: u64,
}

/// What the outlet keeps of a way.
struct Exit {
    link: usize,
    mtu: usize,
    head: Vec<u8>,
    source: u128,
}

/// What a probe becomes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A packet of its protocol.
    Usual,
    /// A large echo request.
    Large,
    /// A Packet Too Big about the reply to a large echo request, which arrived with this hop limit.
    TooBig { ttl: u8 },
}

/// What an outlet opened, for those who receive.
pub(crate) enum Opening {
    /// Replies also come in by this link.
    Link(Receiver),
    /// Probes also leave by this way. Ways come in the order of their numbers.
    Way(Way),
}

impl<'a> Outlet<'a> {
    /// Opens an outlet in the calling thread's network namespace, through this link and from these
    /// addresses, if any are given. The filter tells which frames may be replies.
    ///
    /// # Errors
    /// Those of the kernel. A missing right is told here: the first probe may be hours away.
    pub fn open(
        control: &'a Control,
        stamp: &'a Stamp,
        interface: Option<&str>,
        sources: &[IpAddr],
        filter: Filter,
    ) -> io::Result<Self> {
        check_rights()?;
        Ok(Self {
            control,
            stamp,
            links: Vec::new(),
            batch: Vec::new(),
            ways: Ways::open(interface, sources)?,
            exits: Vec::new(),
            limits: None,
            filter,
            changes: None,
            pace: None,
            paused: false,
            start: Instant::now(),
            renewed_ns: 0,
        })
    }

    /// Returns whether no way was found yet.
    pub const fn is_closed(&self) -> bool {
        self.exits.is_empty()
    }

    /// Returns the number of the way to a destination, and tells what it opened for it.
    ///
    /// # Errors
    /// Those of [`Ways::find`], and of opening a link.
    pub fn find_way(
        &mut self,
        destination: IpAddr,
        mut tell: impl FnMut(Opening),
    ) -> io::Result<u16> {
        let number = self.ways.find(destination)?;
        if number == self.exits.len() {
            let way = self.ways.way(number);
            let known = self.links.iter().position(|(name, _)| *name == way.link);
            let link = known.unwrap_or(self.links.len());
            if known.is_none() {
                let receiver = Receiver::open(&way.link, self.filter)?;
                // Nothing is told of a link that can't be sent on: a later look opens it anew.
                let sender = Sender::open(&way.link, false)?;
                tell(Opening::Link(receiver));
                self.links.push((way.link.clone(), sender));
            }
            let (_, source) = way.source_number();
            let head = way.head.clone();
            let mtu = mtu_of(&way.link)?;
            self.exits.push(Exit {
                link,
                mtu,
                head,
                source,
            });
            tell(Opening::Way(way.clone()));
        }
        Ok(number as u16)
    }

    /// Brings the gateways' Ethernet addresses up to date, every `RENEWAL_NS`.
    pub fn renew(&mut self, now_ns: u64) -> io::Result<()> {
        if now_ns < self.renewed_ns + RENEWAL_NS {
            return Ok(());
        }
        self.renewed_ns = now_ns;
        let exits = &mut self.exits;
        self.ways
            .renew(|number, way| exits[number].head.clone_from(&way.head))
    }

    /// Returns how many probes may be sent now, and when to look again.
    pub fn grant(&mut self, now_ns: u64) -> (usize, u64) {
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

    /// Notes that there is nothing to send: what is not sent meanwhile is no stall.
    pub const fn idle(&mut self) {
        self.paused = true;
    }

    /// Returns whether the limits of this moment allow a probe.
    #[inline]
    pub fn allows(&mut self, family: Family, destination: u128, ttl: u8) -> bool {
        if let Some(limits) = self.control.changed_limits(&mut self.changes) {
            self.limits = Some(limits);
        }
        let limits = self.limits.as_ref();
        limits.is_some_and(|limits| limits.allow(family, destination, ttl))
    }

    /// Returns whether packets of this length can leave by a way.
    pub fn fits(&self, way: u16, length: usize) -> bool {
        length <= self.exits[usize::from(way)].mtu
    }

    /// Adds a probe to the next batch.
    #[inline]
    pub fn put(&mut self, way: u16, probe: &Probe) -> io::Result<()> {
        self.put_as(Form::Usual, way, probe)
    }

    /// Adds a probe to the next batch, in a form.
    #[inline]
    pub fn put_as(&mut self, form: Form, way: u16, probe: &Probe) -> io::Result<()> {
        let exit = &self.exits[usize::from(way)];
        let (stamp, source) = (self.stamp, exit.source);
        self.batch.push(exit.link);
        self.links[exit.link].1.send(|out| {
            out.extend_from_slice(&exit.head);
            match form {
                Form::Usual => stamp.write(out, source, probe),
                Form::Large => stamp.write_large(out, source, probe),
                Form::TooBig { ttl } => stamp.write_too_big(out, source, probe, ttl),
            }
        })
    }

    /// Sends the batch, and returns which of its probes the kernel refused: each by its place in it.
    pub fn flush(&mut self) -> io::Result<Vec<usize>> {
        let mut refused = Vec::new();
        for (link, (_, sender)) in self.links.iter_mut().enumerate() {
            sender.flush()?;
            let unsent = sender.take_unsent();
            if !unsent.is_empty() {
                let batch = (0..).zip(&self.batch);
                let frames: Vec<usize> = batch
                    .filter_map(|(place, its)| (*its == link).then_some(place))
                    .collect();
                refused.extend(unsent.into_iter().map(|frame| frames[frame]));
            }
        }
        refused.sort_unstable();
        let taken = self.batch.len();
        self.batch.clear();
        self.control
            .count(Counter::Sent, (taken - refused.len()) as u64);
        self.control.count(Counter::Unsent, refused.len() as u64);
        let now_ns = self.now_ns();
        if let Some(pace) = &mut self.pace {
            pace.sent(taken, now_ns);
        }
        Ok(refused)
    }

    /// Sleeps until a time, but no longer than `NAP`.
    pub fn rest(&self, wake_ns: u64) {
        let wait = Duration::from_nanos(wake_ns.saturating_sub(self.now_ns()));
        sleep(wait.min(NAP));
    }

    /// Nanoseconds since the outlet was opened.
    pub fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// This moment.
    pub fn now(&self) -> Moment {
        Moment {
            ns: self.now_ns(),
            unix_us: unix_us(),
        }
    }
}
