//! Flow mappers, which turn the number of a prefix's flow into an address and a source port.
//!
//! For the same seed, they give the same results as those of diamond-miner 1.1.8. The first flows
//! use the addresses of the prefix. Further flows use the last address, with other source ports.

use std::collections::HashMap;
use std::num::NonZeroU8;

use anabranch_prefixes::Prefix;
use serde::{Deserialize, Serialize};

use crate::permutation::Permutation;
use crate::twister::Twister;

/// The kinds of mappers, by diamond-miner's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "flow_mapper", content = "flow_mapper_kwargs")]
pub enum Mapping {
    /// Address by address.
    #[serde(rename = "SequentialFlowMapper")]
    Sequential {},
    /// Every `step`th address, then those between.
    #[serde(rename = "IntervalFlowMapper")]
    Interval {
        /// The distance from one flow's address to that of the next flow.
        step: NonZeroU8,
    },
    /// In prefixes of 256 addresses, the last byte counts up with its bits reversed. In other
    /// prefixes, address by address.
    #[serde(rename = "ReverseByteFlowMapper")]
    ReverseByte {},
    /// In an order that looks random. There are several orders, and each prefix has one of them.
    #[serde(rename = "RandomFlowMapper")]
    Random {
        /// The seed of the orders.
        seed: u64,
    },
}

/// The number of orders that a random mapper has for prefixes of one size. A prefix's first address
/// modulo this number chooses its order.
const ORDERS: u64 = 1024;
/// The number of an order's first flows whose addresses are looked up rather than computed.
const CACHED: u64 = 1 << 12;

/// A mapper for the prefixes of a block.
#[derive(Clone, Debug)]
pub struct FlowMapper {
    mapping: Mapping,
    seeds: Vec<u64>,
    orders: Vec<Order>,
    /// The index of an order, by the number of host bits and the index of the seed.
    places: HashMap<(u8, u64), u16>,
}

/// A random order of a prefix's addresses.
#[derive(Clone, Debug)]
struct Order {
    permutation: Permutation,
    first: Box<[u64]>,
}

/// The size of a prefix, and how a mapper chooses its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    host_bits: u8,
    way: Way,
}

/// How the addresses of a prefix are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Sequential,
    Interval(u8),
    ReverseByte,
    Random(u16),
}

impl Space {
    /// The number of addresses, less one; at most 2^64 - 2, as in diamond-miner.
    #[inline]
    const fn last(self) -> u64 {
        if self.host_bits < 64 {
            (1 << self.host_bits) - 1
        } else {
            u64::MAX - 1
        }
    }

    /// Returns the number of flows, with `ports` source ports above the initial one; at most
    /// [`u32::MAX`].
    pub fn flows(self, ports: u32) -> u32 {
        let most = self.last().saturating_add(u64::from(ports) + 1);
        most.min(u64::from(u32::MAX)) as u32
    }

    /// Returns whether flows can pass the end of the prefix and start again at its beginning.
    #[inline]
    const fn wraps(self, step: u8) -> bool {
        self.last() <= u32::MAX as u64 * step as u64
    }
}

impl FlowMapper {
    /// Makes a mapper.
    #[must_use]
    pub fn new(mapping: Mapping) -> Self {
        let seeds = match mapping {
            Mapping::Random { seed } => {
                let mut twister = Twister::new(seed);
                (0..ORDERS).map(|_| twister.word()).collect()
            }
            _ => Vec::new(),
        };
        Self {
            mapping,
            seeds,
            orders: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// Returns the size of a prefix, and how this mapper chooses its addresses.
    pub fn space(&mut self, prefix: &Prefix) -> Space {
        let host_bits = prefix.family().bits() - prefix.len();
        let way = match self.mapping {
            Mapping::Interval { step } => Way::Interval(step.get()),
            Mapping::ReverseByte {} if host_bits == 8 => Way::ReverseByte,
            Mapping::Sequential {} | Mapping::ReverseByte {} => Way::Sequential,
            Mapping::Random { .. } => {
                let number = prefix.first() as u64 % ORDERS;
                let orders = &mut self.orders;
                Way::Random(*self.places.entry((host_bits, number)).or_insert_with(|| {
                    orders.push(Order::new(host_bits, self.seeds[number as usize]));
                    (orders.len() - 1) as u16
                }))
            }
        };
        Space { host_bits, way }
    }

    /// Returns whether all flows of a prefix differ in address or port.
    #[must_use]
    pub fn tells_apart(space: Space) -> bool {
        match space.way {
            Way::Interval(step) if space.wraps(step) && space.last() > 0 => {
                invert(u64::from(step), space.last()).is_some()
            }
            _ => true,
        }
    }

    /// Returns the offset of a flow's address from the prefix's first one, and that of its source
    /// port from the initial one.
    #[inline]
    #[must_use]
    pub fn offsets(&self, space: Space, flow: u32) -> (u64, u32) {
        let (number, last) = (u64::from(flow), space.last());
        if number > last {
            return (last, (number - last) as u32);
        }
        let address = match space.way {
            Way::Sequential => number,
            Way::Interval(_) | Way::ReverseByte if number == last => 0,
            Way::Interval(step) => multiply(number, u64::from(step), last) + 1,
            Way::ReverseByte => u64::from((flow as u8).reverse_bits()) + 1,
            Way::Random(order) => {
                let order = &self.orders[usize::from(order)];
                match order.first.get(flow as usize) {
                    Some(address) => *address,
                    None => order.permutation.place(number),
                }
            }
        };
        (address, 0)
    }

    /// Returns the flow that has these offsets, if there is one.
    #[inline]
    #[must_use]
    pub fn flow(&self, space: Space, (address, port): (u64, u32)) -> Option<u32> {
        let last = space.last();
        if address > last {
            return None;
        }
        let number = match space.way {
            _ if port > 0 => (address == last).then(|| last.checked_add(u64::from(port)))??,
            Way::Sequential => address,
            Way::Interval(_) | Way::ReverseByte if address == 0 => last,
            Way::Interval(step) if space.wraps(step) => {
                multiply(address - 1, invert(u64::from(step), last)?, last)
            }
            Way::Interval(step) => {
                let step = u64::from(step);
                ((address - 1) % step == 0).then(|| (address - 1) / step)?
            }
            Way::ReverseByte => u64::from((address as u8 - 1).reverse_bits()),
            Way::Random(order) => self.orders[usize::from(order)].permutation.number(address),
        };
        u32::try_from(number).ok()
    }
}

impl Order {
    fn new(host_bits: u8, seed: u64) -> Self {
        let way = Way::Sequential;
        let size = Space { host_bits, way }.last() + 1;
        let permutation = Permutation::new(size, seed);
        let first = (0..size.min(CACHED)).map(|number| permutation.place(number));
        Self {
            first: first.collect(),
            permutation,
        }
    }
}

fn multiply(a: u64, b: u64, modulus: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(modulus)) as u64
}

/// Returns the inverse of a number modulo `modulus`, or None if the two have a common factor
/// (Knuth, TAOCP 4.5.2, algorithm X).
pub(crate) fn invert(number: u64, modulus: u64) -> Option<u64> {
    let (mut a, mut b) = (i128::from(modulus), i128::from(number % modulus));
    let (mut x, mut y) = (0, 1);
    while b != 0 {
        let quotient = a / b;
        (a, b) = (b, a - quotient * b);
        (x, y) = (y, x - quotient * y);
    }
    (a == 1).then(|| x.rem_euclid(i128::from(modulus)) as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn interval(step: u8) -> Mapping {
        let step = NonZeroU8::new(step).unwrap();
        Mapping::Interval { step }
    }

    fn mappings() -> impl Strategy<Value = Mapping> {
        prop_oneof![
            Just(Mapping::Sequential {}),
            (0u8..7).prop_map(|bits| interval(1 << bits)),
            Just(Mapping::ReverseByte {}),
            any::<u64>().prop_map(|seed| Mapping::Random { seed }),
        ]
    }

    proptest! {
        #[test]
        fn each_flow_is_told_by_its_address_and_port(
            mapping in mappings(), len in 20u8..=32, first in any::<u32>(), start in 0u32..100_000
        ) {
            let mut mapper = FlowMapper::new(mapping);
            let prefix = Prefix::containing(anabranch_prefixes::Family::V4, first.into(), len);
            let space = mapper.space(&prefix);
            prop_assert!(FlowMapper::tells_apart(space));
            for flow in (0..300).chain(start..start + 100) {
                let offsets = mapper.offsets(space, flow);
                prop_assert!(offsets.0 < 1 << (32 - len));
                prop_assert_eq!(mapper.flow(space, offsets), Some(flow));
            }
        }

        #[test]
        fn so_it_is_in_ipv6(mapping in mappings(), len in 48u8..=128, start in any::<u32>()) {
            let mut mapper = FlowMapper::new(mapping);
            let prefix = Prefix::containing(anabranch_prefixes::Family::V6, 0x3fff << 112, len);
            let space = mapper.space(&prefix);
            for flow in start..start.saturating_add(50) {
                let offsets = mapper.offsets(space, flow);
                prop_assert_eq!(mapper.flow(space, offsets), Some(flow));
            }
        }
    }

    #[test]
    fn a_step_that_shares_a_factor_with_the_round_mixes_flows_up() {
        let prefix = "240.0.0.0/24".parse().unwrap();
        for (step, expected) in [(32, true), (3, false), (34, false), (7, true)] {
            let mut mapper = FlowMapper::new(interval(step));
            let space = mapper.space(&prefix);
            let all: BTreeSet<_> = (0..400).map(|flow| mapper.offsets(space, flow)).collect();
            assert_eq!(FlowMapper::tells_apart(space), expected);
            assert_eq!(all.len() == 400, expected);
        }
    }
}
