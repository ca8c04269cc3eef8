//! The messages from the sender to the receiver.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anabranch_plan::Block;
use anabranch_plan::block::Headed;

use crate::outlet::Opening;

/// A message from the sender to the receiver.
pub(crate) enum Event {
    /// Probes also leave by this, and replies come in.
    Opening(Opening),
    /// The sender begins a block at this slot.
    Block(Arc<Running>, u64),
    /// The current range of a block ends before this slot, with so many probes sent. The next range
    /// begins at the slot. The fields are the block, the slot and the probes.
    Range(u32, u64, u64),
    /// All probes of a block before this slot are sent. The fields are the block and the slot.
    Mark(u32, u64),
    /// A probe beyond the last TTL of its slot is about to be sent. The fields are the block, the slot
    /// and the TTL.
    Further(u32, u64, u8),
    /// It was not sent after all: the limits forbid it, or the kernel refused it.
    Unsent(u32, u64, u8),
    /// Nothing more is sent.
    End,
}

/// What the receiver asks the sender for: a probe of the current block beyond the last TTL of its
/// flow, since a reply shows that the path goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// The slot of the flow's probe at its last TTL.
    pub slot: u64,
    /// The header fields of the flow.
    pub headed: Headed,
    /// The TTL.
    pub ttl: u8,
}

/// A block that is being sent.
pub(crate) struct Running {
    /// The fingerprint of the plan's block and of the order of its probes.
    pub plan: u64,
    /// The number of the block.
    pub number: u32,
    /// Its probes.
    pub block: Block,
    /// All probes before this slot are sent, or about to be.
    pub position: AtomicU64,
    /// The replies to all slots before this one are in parts.
    pub settled: AtomicU64,
    /// The number of the way to each prefix, by its place; None for a prefix without a route.
    pub exits: Vec<Option<u16>>,
    /// The number of prefixes without a route.
    pub unroutable: u64,
}

impl Running {
    /// Returns the number of the way that a slot's probe leaves by; None if there is no route.
    pub fn exit(&self, slot: u64) -> Option<u16> {
        self.exits[(slot % self.block.prefixes()) as usize]
    }
}
