//! The order in which the probes of a block are sent.
//!
//! A block is sent in passes. Each pass visits every prefix that has probes left once. All passes
//! visit prefixes in the same order, which looks random. So the probes to a prefix are as far apart
//! as they can be.
//!
//! Each pass sends one of a prefix's probes, and the next pass the one a fixed step further on,
//! around the end. The step and the number of the prefix's probes have no common factor, so each
//! probe is sent exactly once.
//!
//! Probe `place` of pass `pass` has the *slot* `pass * prefixes + place`. The slots of prefixes
//! that have no probes left stay empty. A probe determines its slot, and a slot its probe. So a
//! slot is all that a prober needs to go on.
//!
//! If flows go on beyond the last TTL of a row, as replies show that their paths do, then each of
//! these further probes belongs to the slot of the flow's probe at that last TTL.
//!
//! A plan whose targets are traced has a slot for each destination and protocol in the place of
//! probes, in the same order.

mod target;
mod walk;

use anabranch_chance::{Draws, below, mix, scatter};
use anabranch_prefixes::{Family, Prefix, PrefixSet};
use anabranch_wire::ip::{TCP, UDP};
use anabranch_wire::segment;

use crate::destination::draw_address;
use crate::finder::Finder;
use crate::mapper::FlowMapper;
use crate::row::{Header, Row, RowError, sort_and_check};

use target::{Share, Target};
pub use walk::Walk;

/// A block, ready to be sent.
pub struct Block {
    /// The targets, in the order in which a pass visits them.
    targets: Vec<Target>,
    shares: Vec<Share>,
    /// Finds the place of a target by its prefix.
    finder: Finder,
    mapper: FlowMapper,
    initial_source_port: u16,
    destination_port: u16,
    destination_seed: Option<u64>,
    fill_ttl: Option<u8>,
    probes: u64,
    fingerprint: u64,
}

/// A probe to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Its slot.
    pub slot: u64,
    /// The place of its prefix in a pass.
    pub place: u32,
    /// Its protocol's number in the IP header.
    pub protocol: u8,
    /// Its TTL.
    pub ttl: u8,
    /// Its flow.
    pub flow: u32,
}

/// The header fields of a probe that its TTL does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headed {
    /// The address family.
    pub family: Family,
    /// The destination, as a number of the family.
    pub destination: u128,
    /// The protocol's number in the IP header.
    pub protocol: u8,
    /// The source port; for ICMP, the checksum and the identifier.
    pub source_port: u16,
    /// The destination port; 0 for ICMP.
    pub destination_port: u16,
}

/// A destination to trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its slot.
    pub slot: u64,
    /// Its target's prefix.
    pub prefix: Prefix,
    /// The number of its target in the list of targets.
    pub prefix_index: u32,
    /// The address, as a number of the family.
    pub address: u128,
    /// The protocol's number in the IP header.
    pub protocol: u8,
    /// The lowest and the highest TTL.
    pub ttls: (u8, u8),
}

/// The place of a probe in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its slot.
    pub slot: u64,
    /// Its prefix.
    pub prefix: Prefix,
    /// The number of its prefix in the list of targets.
    pub prefix_index: u32,
    /// Its flow.
    pub flow: u32,
    /// Whether the probe goes on beyond the last TTL of its row.
    pub is_further: bool,
    /// The TTL at which the flow goes on if a reply shows that its path does.
    pub next_ttl: Option<u8>,
}

/// The number of a target's probe, and what its row says of it.
struct Numbered {
    number: u32,
    prefix_index: u32,
    last_ttl: u8,
}

impl Block {
    /// Makes a block of rows. The key determines the order of its probes.
    ///
    /// # Errors
    /// For the first row that can't be probed, or that shares a probe with another row.
    pub fn new(mut rows: Vec<Row>, header: &Header, key: u64) -> Result<Self, RowError> {
        let mut mapper = FlowMapper::new(header.mapping);
        sort_and_check(&mut rows, header, &mut mapper)?;
        // All protocols of a prefix share its rate, so they share a target.
        let mut groups: Vec<&[Row]> = rows.chunk_by(|a, b| a.prefix == b.prefix).collect();
        let mut draws = Draws::new(key);
        // The Fisher-Yates shuffle: all orders are equally likely.
        for last in (1..groups.len()).rev() {
            groups.swap(last, below(draws.draw(), last as u32 + 1) as usize);
        }
        let mut shares = Vec::with_capacity(rows.len());
        let mut targets = Vec::with_capacity(groups.len());
        let mut probes = 0;
        for group in groups {
            let (first_share, unit) = (shares.len() as u32, header.unit());
            let target = Target::draw(group, first_share, unit, &mut mapper, &mut draws);
            probes += u64::from(target.probes);
            targets.push(target);
            shares.extend(group.iter().map(|row| Share {
                protocol: row.protocol,
                prefix_index: row.prefix_index,
                min_ttl: row.min_ttl,
                max_ttl: row.max_ttl,
                first_flow: row.first_flow,
                flow_count: row.flow_count,
                slots: row.slots(header.unit()) as u32,
            }));
        }
        Ok(Self {
            finder: Finder::new(targets.iter().map(|target| target.prefix)),
            targets,
            shares,
            mapper,
            initial_source_port: header.initial_source_port,
            destination_port: header.destination_port,
            destination_seed: header.destination_seed,
            fill_ttl: header.fill_ttl,
            probes,
            fingerprint: fingerprint(&rows, header, key),
        })
    }

    /// A hash that identifies the block and the order of its probes.
    #[must_use]
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The number of prefixes, which is also the number of slots in a pass.
    #[must_use]
    pub fn prefixes(&self) -> u64 {
        self.targets.len() as u64
    }

    /// Returns the prefixes in the order of their places.
    pub fn places(&self) -> impl Iterator<Item = &Prefix> {
        self.targets.iter().map(|target| &target.prefix)
    }

    /// The number of probes.
    #[must_use]
    pub const fn probes(&self) -> u64 {
        self.probes
    }

    /// Returns the slot after the last one.
    #[must_use]
    pub fn end(&self) -> u64 {
        let passes = self.targets.iter().map(|target| target.probes).max();
        u64::from(passes.unwrap_or(0)) * self.prefixes()
    }

    /// Returns the probes from a slot on, in order.
    #[must_use]
    pub fn walk(&self, slot: u64) -> Walk<'_> {
        Walk::new(self, slot)
    }

    /// Returns the header fields of a probe.
    #[inline]
    #[must_use]
    pub fn head(&self, draw: &Draw) -> Headed {
        let target = &self.targets[draw.place as usize];
        let (address, port) = self.mapper.offsets(target.space, draw.flow);
        Headed {
            family: target.prefix.family(),
            destination: target.prefix.first() + u128::from(address),
            protocol: draw.protocol,
            // Rows that would need a port above 65535 were refused.
            source_port: self.initial_source_port + port as u16,
            destination_port: self.destination_port_of(draw.protocol),
        }
    }

    /// Returns where a probe is sent to. If a seed chooses addresses, it is one that is not
    /// forbidden, if its target has any.
    #[must_use]
    pub fn address(&self, draw: &Draw, forbidden: &PrefixSet) -> u128 {
        match self.destination_seed {
            None => self.head(draw).destination,
            Some(seed) => draw_address(&self.targets[draw.place as usize].prefix, seed, forbidden),
        }
    }

    /// Returns the destinations from a slot on, in order, if the block's targets are traced.
    /// Addresses that are forbidden count as in [`Self::address`].
    pub fn destinations<'a>(
        &'a self,
        slot: u64,
        forbidden: &'a PrefixSet,
    ) -> impl Iterator<Item = Destination> + 'a {
        self.walk(slot).filter_map(|draw| {
            let target = &self.targets[draw.place as usize];
            let mut shares = self.shares_of(target);
            let share = shares.find(|share| share.protocol == draw.protocol)?;
            Some(Destination {
                slot: draw.slot,
                prefix: target.prefix,
                prefix_index: share.prefix_index,
                address: self.address(&draw, forbidden),
                protocol: draw.protocol,
                ttls: (share.min_ttl, share.max_ttl),
            })
        })
    }

    fn shares_of(&self, target: &Target) -> impl Iterator<Item = &Share> {
        let first = target.first_share as usize;
        self.shares[first..first + target.shares as usize].iter()
    }

    const fn destination_port_of(&self, protocol: u8) -> u16 {
        match protocol {
            UDP => self.destination_port,
            TCP => segment::PORT,
            _ => 0,
        }
    }

    /// Returns whether flows may go on beyond the last TTL of their row.
    #[must_use]
    pub const fn goes_further(&self) -> bool {
        self.fill_ttl.is_some()
    }

    /// Returns the place of the probe that has these header fields and this TTL, if it is in the
    /// block.
    #[must_use]
    pub fn find(&self, headed: &Headed, ttl: u8) -> Option<Found> {
        let prefix_at = |place: u32| self.targets[place as usize].prefix;
        let lens = self.finder.lens(headed.family);
        lens.filter_map(|len| {
            let prefix = Prefix::containing(headed.family, headed.destination, len);
            self.finder.find(&prefix, prefix_at)
        })
        .find_map(|place| self.find_in(place, headed, ttl))
    }

    fn find_in(&self, place: u32, headed: &Headed, ttl: u8) -> Option<Found> {
        let target = &self.targets[place as usize];
        if headed.destination_port != self.destination_port_of(headed.protocol) {
            return None;
        }
        let port = headed.source_port.checked_sub(self.initial_source_port)?;
        let address = u64::try_from(headed.destination - target.prefix.first()).ok()?;
        let flow = self.mapper.flow(target.space, (address, port.into()))?;
        let found = self.number(target, headed.protocol, ttl, flow)?;
        let pass = target.pass_of(found.number);
        let next_ttl = ttl.checked_add(1).filter(|next| {
            let next_of = || self.number(target, headed.protocol, *next, flow);
            // A row may have the next TTL anyway.
            found.last_ttl <= ttl && next_of().is_some_and(|after| after.last_ttl < *next)
        });
        Some(Found {
            slot: u64::from(pass) * self.prefixes() + u64::from(place),
            prefix: target.prefix,
            prefix_index: found.prefix_index,
            flow,
            is_further: found.last_ttl < ttl,
            next_ttl,
        })
    }

    /// Returns the protocol, TTL and flow of a target's probe.
    #[inline]
    fn probe(&self, target: &Target, mut number: u32) -> (u8, u8, u32) {
        for share in self.shares_of(target) {
            if number < share.slots {
                let ttl = share.min_ttl + (number / share.flow_count) as u8;
                let flow = share.first_flow + number % share.flow_count;
                return (share.protocol, ttl, flow);
            }
            number -= share.slots;
        }
        unreachable!("a target's probes are those of its shares")
    }

    /// Returns the number of a target's probe. That of a probe beyond the last TTL of its flow is the
    /// number of the probe there.
    fn number(&self, target: &Target, protocol: u8, ttl: u8, flow: u32) -> Option<Numbered> {
        let (mut before, mut highest) = (0, None);
        for share in self.shares_of(target) {
            let flow = flow.wrapping_sub(share.first_flow);
            if share.protocol == protocol && flow < share.flow_count && share.min_ttl <= ttl {
                let last = ttl.min(share.max_ttl);
                let inside = u32::from(last - share.min_ttl) * share.flow_count + flow;
                let numbered = Numbered {
                    number: before + inside,
                    prefix_index: share.prefix_index,
                    last_ttl: share.max_ttl,
                };
                if ttl <= share.max_ttl {
                    return Some(numbered);
                }
                // Rows of a flow have different TTLs, and come in their order.
                highest = Some(numbered);
            }
            before += share.slots;
        }
        highest.filter(|_| self.fill_ttl.is_some_and(|last| ttl <= last))
    }
}

fn fingerprint(rows: &[Row], header: &Header, key: u64) -> u64 {
    let ports = u64::from(header.initial_source_port) << 16 | u64::from(header.destination_port);
    let tracing = header.tracing.as_ref().map(|given| format!("{given:?}"));
    let drawn = header.destination_seed.map(|seed| seed.to_string());
    let segment = header.segment.map(|segment| format!("{segment:?}"));
    let fill = header.fill_ttl.map(|ttl| format!("to {ttl}"));
    let manner = format!(
        "{:?}{}{}{}{}",
        header.mapping,
        tracing.unwrap_or_default(),
        drawn.unwrap_or_default(),
        segment.unwrap_or_default(),
        fill.unwrap_or_default()
    );
    let seed = manner.bytes().fold(mix(key, scatter(ports)), |seed, byte| {
        mix(seed, scatter(byte.into()))
    });
    rows.iter().fold(seed, |seed, row| {
        let first = row.prefix.first();
        let shape = [row.prefix.len(), row.protocol, row.min_ttl, row.max_ttl];
        let shape = u32::from_be_bytes(shape).into();
        let flows = u64::from(row.first_flow) << 32 | u64::from(row.flow_count);
        [first as u64, (first >> 64) as u64, shape, flows]
            .into_iter()
            .fold(seed, |seed, word| mix(seed, scatter(word)))
    })
}
