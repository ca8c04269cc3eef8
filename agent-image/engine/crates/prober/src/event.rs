//! What the sender tells the receiver.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anabranch_link::receiver::Receiver;
use anabranch_link::way::Way;
use anabranch_plan::Block;

/// What the receiver has to know.
pub(crate) enum Event {
    /// Replies come by this link too.
    Link(Receiver),
    /// Probes leave by this way too; ways are told in the order of their numbers.
    Way(Way),
    /// A block is to be sent, from a slot on.
    Block(Arc<Running>, u64),
    /// The range that is being sent ends before this slot, with so many probes sent; another one
    /// begins there.
    Range(u32, u64, u64),
    /// What comes before this slot of a block is out by now.
    Mark(u32, u64),
    /// Nothing more is sent.
    End,
}

/// A block that is being sent.
pub(crate) struct Running {
    /// What tells it, and its order, from others.
    pub plan: u64,
    /// Its number.
    pub number: u32,
    /// Its probes.
    pub block: Block,
    /// The slot before which all is sent, or about to be.
    pub position: AtomicU64,
    /// The number of the way to each prefix, by its place; none where no route leads.
    pub exits: Vec<Option<u16>>,
    /// The number of prefixes that no route leads to.
    pub unroutable: u64,
}

impl Running {
    /// The number of the way that the probe of a slot leaves by; none where no route leads.
    pub fn exit(&self, slot: u64) -> Option<u16> {
        self.exits[(slot % self.block.prefixes()) as usize]
    }
}
