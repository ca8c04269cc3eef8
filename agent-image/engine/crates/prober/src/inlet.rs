//! The inlet: the links by which replies come in. It tells valid replies from all else.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use anabranch_link::receiver::{Frame, Receiver};
use anabranch_link::way::Way;
use anabranch_prefixes::Family;
use anabranch_wire::ip::Packet;
use anabranch_wire::probe::{Seen, Stamp};
use anabranch_wire::reply::Reply;

use crate::control::{Control, Counter};
use crate::outlet::Opening;
use crate::stamps;

/// How long the receiver lets frames gather once it has read all. The kernel records when each
/// arrived, and to wake for each frame would cost more than to read it.
pub(crate) const PAUSE: Duration = Duration::from_millis(1);
/// The most frames to read from a link before anything else is looked at.
pub(crate) const TURN: usize = 256;

pub(crate) struct Inlet<'a> {
    control: &'a Control,
    stamp: &'a Stamp,
    links: Vec<Receiver>,
    /// The ways that probes leave by, and the addresses that they are sent from.
    ways: Vec<Way>,
    sources: HashSet<(Family, u128)>,
}

impl<'a> Inlet<'a> {
    pub fn new(control: &'a Control, stamp: &'a Stamp) -> Self {
        Self {
            control,
            stamp,
            links: Vec::new(),
            ways: Vec::new(),
            sources: HashSet::new(),
        }
    }

    /// The ways that probes leave by, in the order of their numbers.
    pub fn ways(&self) -> &[Way] {
        &self.ways
    }

    /// Receives by what the outlet has opened, too.
    pub fn open(&mut self, opening: Opening) {
        match opening {
            Opening::Link(link) => self.links.push(link),
            Opening::Way(way) => {
                self.sources.insert(way.source_number());
                self.ways.push(way);
            }
        }
    }

    /// Reads up to `TURN` frames from each link, and hands over each valid reply with the time of
    /// its arrival in microseconds since 1970. Returns the largest number read from one link.
    pub fn receive(&mut self, mut take: impl FnMut(&Reply, u64)) -> usize {
        let mut links = std::mem::take(&mut self.links);
        let mut most = 0;
        for link in &mut links {
            let frames = (0..TURN).map_while(|_| {
                link.receive(|frame| {
                    if let Some(reply) = self.validate(&frame) {
                        take(&reply, frame.at_us);
                    }
                })
            });
            most = most.max(frames.count());
        }
        self.links = links;
        most
    }

    /// Counts the packets that the kernel dropped since the last call.
    pub fn count_dropped(&self) -> io::Result<()> {
        for link in &self.links {
            self.control.count(Counter::Dropped, link.take_lost()?);
        }
        Ok(())
    }

    /// Returns the reply in a frame if this prober sent its probe; counts what it is otherwise.
    fn validate(&self, frame: &Frame<'_>) -> Option<Reply> {
        let Some(reply) = self.read(frame) else {
            self.control.count(Counter::Foreign, 1);
            return None;
        };
        if self.stamp.vouches_for(&reply.probe, reply.seen) {
            return Some(reply);
        }
        // What another program is answered by TCP looks like an answer to us.
        let is_foreign = matches!(reply.seen, Seen::Sequence(_)) || stamps::any_vouches_for(&reply);
        let counter = if is_foreign {
            Counter::Foreign
        } else {
            Counter::Forged
        };
        self.control.count(counter, 1);
        None
    }

    fn read(&self, frame: &Frame<'_>) -> Option<Reply> {
        let packet = Packet::parse(frame.packet)?.unsummed(frame.is_unsummed);
        let to = (packet.family(), packet.destination());
        self.sources
            .contains(&to)
            .then(|| self.stamp.read(&packet))?
    }
}
