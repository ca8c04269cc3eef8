//! The addresses of both families, and a number for each.

use std::net::IpAddr;

use anabranch_prefixes::{Family, Prefix};

use crate::ranges::{Draft, Ranges};

/// The most ranges or prefixes that a file may have: they take up to 700 MB.
pub const MOST: usize = 1 << 25;

/// A number for each IPv4 and each IPv6 address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl Space {
    /// Makes a space of prefixes and their numbers. The longest prefix holds; of equal ones, the
    /// first.
    pub fn of_prefixes(prefixes: Vec<(Prefix, u32)>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (prefix, number) in prefixes {
            let (first, last) = (prefix.first(), prefix.last());
            match prefix.family() {
                Family::V4 => v4.push((first as u32, last as u32, number)),
                Family::V6 => v6.push((first, last, number)),
            }
        }
        Self {
            v4: Ranges::of_prefixes(v4),
            v6: Ranges::of_prefixes(v6),
        }
    }

    /// Returns the space in which each address has the number that `combine` makes of its numbers
    /// in both.
    pub fn combine(&self, other: &Self, mut combine: impl FnMut(u32, u32) -> u32) -> Self {
        Self {
            v4: self.v4.combine(&other.v4, &mut combine),
            v6: self.v6.combine(&other.v6, &mut combine),
        }
    }

    /// Returns the number of an address.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> u32 {
        match address {
            IpAddr::V4(v4) => self.v4.find(v4.into()),
            IpAddr::V6(v6) => self.v6.find(v6.into()),
        }
    }

    /// Returns the number of an address in 16 bytes, IPv4 as an IPv4-mapped IPv6 address.
    #[must_use]
    pub fn find_mapped(&self, address: u128) -> u32 {
        if address >> 32 == 0xffff {
            self.v4.find(address as u32)
        } else {
            self.v6.find(address)
        }
    }
}

/// A space that is put together from disjoint prefixes, which ascend in each family.
#[derive(Default)]
pub struct SpaceDraft {
    v4: Draft<u32>,
    v6: Draft<u128>,
}

impl SpaceDraft {
    /// Adds the next prefix.
    pub fn push(&mut self, prefix: Prefix, number: u32) {
        let (first, last) = (prefix.first(), prefix.last());
        match prefix.family() {
            Family::V4 => {
                self.v4.start(first as u32, number);
                self.v4.end((last as u32).checked_add(1));
            }
            Family::V6 => {
                self.v6.start(first, number);
                self.v6.end(last.checked_add(1));
            }
        }
    }

    /// Returns how many ranges there are so far.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Returns the space.
    pub fn finish(self) -> Space {
        Space {
            v4: self.v4.finish(),
            v6: self.v6.finish(),
        }
    }
}
