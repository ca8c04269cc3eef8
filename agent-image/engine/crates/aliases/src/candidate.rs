//! An address whose aliases are looked for, and what its replies have shown.

use std::collections::BTreeSet;
use std::mem::take;

use anabranch_prefixes::Family;

use crate::series::{LEAST_OF_COUNTER, Sample, Series, is_soon_after, least_samples};

/// The Packets Too Big after which a router that cuts no reply is taken for one that never will.
const TRIALS: usize = 3;

/// A reply from a candidate.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its identification, and when it came; None for a packet of IPv6 that was not cut.
    pub sample: Option<Sample>,
    /// The TTL that it arrived with.
    pub ttl: u8,
    /// The MPLS labels that the probe had, outermost first.
    pub labels: Vec<u32>,
}

/// An address of a hop.
#[derive(Clone, Debug)]
pub struct Candidate {
    family: Family,
    /// The address, as a number of its family.
    pub address: u128,
    errors: Vec<Sample>,
    echoes: Vec<Sample>,
    error_ttl: Option<u8>,
    echo_ttl: Option<u8>,
    /// The label stacks of its errors.
    stacks: BTreeSet<Vec<u32>>,
    /// The echo replies that were not cut, and whether the last one was not.
    wholes: usize,
    is_whole: bool,
    /// Whether time has passed since the last error.
    is_paused: bool,
    /// The address that port unreachables about it come from.
    source: Option<u128>,
}

/// How an address is made to reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// By probes to the destination of the trace whose TTL ends there.
    Error,
    /// By echo requests to the address itself. In IPv6 these are so large that the replies can be cut.
    Echo,
}

impl Candidate {
    /// Makes a candidate of an address that has shown nothing yet.
    #[must_use]
    pub const fn new(family: Family, address: u128) -> Self {
        Self {
            family,
            address,
            errors: Vec::new(),
            echoes: Vec::new(),
            error_ttl: None,
            echo_ttl: None,
            stacks: BTreeSet::new(),
            wholes: 0,
            is_whole: false,
            is_paused: false,
            source: None,
        }
    }

    /// Takes a reply from it. Replies come in the order of their probes, but for those in flight at
    /// once.
    pub fn take(&mut self, way: Way, shown: Shown) {
        let (samples, ttl) = match way {
            Way::Error => (&mut self.errors, &mut self.error_ttl),
            Way::Echo => (&mut self.echoes, &mut self.echo_ttl),
        };
        if let Some(sample) = shown.sample {
            if way == Way::Error
                && take(&mut self.is_paused)
                && !is_soon_after(&sample, samples, self.family)
            {
                samples.clear();
            }
            let place = samples.partition_point(|each| each.sent_us <= sample.sent_us);
            samples.insert(place, sample);
        }
        ttl.get_or_insert(shown.ttl);
        if way == Way::Echo && self.family == Family::V6 {
            self.is_whole = shown.sample.is_none();
            self.wholes += usize::from(self.is_whole);
        }
        if way == Way::Error {
            self.stacks.insert(shown.labels);
        }
    }

    /// Returns its family.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Returns whether its last echo reply could have been cut, and was not.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Takes the address that a port unreachable about it came from.
    pub const fn take_source(&mut self, source: u128) {
        self.source = Some(source);
    }

    /// Returns another address than its own that its router replies from, if there is one.
    #[must_use]
    pub fn other_source(&self) -> Option<u128> {
        self.source.filter(|source| *source != self.address)
    }

    /// Notes that time passes before the next probe. Errors from before it count further, unless their
    /// counter is too fast.
    pub const fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Returns when the last probe was sent whose error had an identification.
    #[must_use]
    pub fn last_us(&self) -> Option<u64> {
        self.errors.last().map(|last| last.sent_us)
    }

    /// Returns what the identifications of one way are. Two replies tell the readings of what is known to
    /// be a counter.
    #[must_use]
    pub fn series(&self, way: Way, is_counter: bool) -> Series {
        let samples = match way {
            Way::Error => &self.errors,
            Way::Echo => &self.echoes,
        };
        let cuts_nothing = way == Way::Error || samples.is_empty() && self.wholes > TRIALS;
        if self.family == Family::V6 && cuts_nothing {
            return Series::Absent;
        }
        let least = if is_counter {
            LEAST_OF_COUNTER
        } else {
            least_samples(self.family)
        };
        Series::read(samples, self.family, least)
    }

    /// Returns the initial TTLs of errors and of echo replies, as far as they are known.
    #[must_use]
    pub fn fingerprint(&self) -> [Option<u8>; 2] {
        [self.error_ttl, self.echo_ttl].map(|ttl| Some(initial(ttl?)))
    }

    /// Returns the labels that all its errors show; None if they differ, or there are none.
    #[must_use]
    pub fn labels(&self) -> Option<&[u32]> {
        let mut stacks = self.stacks.iter();
        let only = stacks.next().filter(|stack| !stack.is_empty())?;
        stacks.next().is_none().then_some(only)
    }
}

/// Returns the TTL with which a packet began, from that with which it arrived: systems begin with
/// 32, 64, 128 or 255.
const fn initial(ttl: u8) -> u8 {
    match ttl {
        0..=32 => 32,
        33..=64 => 64,
        65..=128 => 128,
        _ => 255,
    }
}
