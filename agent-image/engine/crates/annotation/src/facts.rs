//! What is known about an address.

use std::collections::HashMap;
use std::hash::Hash;

use crate::words::{Word, Words};

/// What is known about an address. Texts are places in [`Vocabulary`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// The AS that originates the address's prefix; of several, the first.
    pub asn: Option<u32>,
    /// All origins, if there are several, or if the only one is a set.
    pub origins: Option<Word>,
    /// The name of the AS.
    pub as_name: Option<Word>,
    /// The country: two letters of ISO 3166.
    pub country: Option<Word>,
    /// The Internet exchange point whose peering LAN the address is in.
    pub ixp: Option<Word>,
}

impl Facts {
    fn knows_origin(&self) -> bool {
        self.asn.is_some() || self.origins.is_some()
    }

    /// Fills what is empty with what other facts say. What is said of the AS stays together: the
    /// name of another AS would be wrong.
    fn or(self, other: Self) -> Self {
        let origin = if self.knows_origin() { self } else { other };
        Self {
            asn: origin.asn,
            origins: origin.origins,
            as_name: origin.as_name,
            country: self.country.or(other.country),
            ixp: self.ixp.or(other.ixp),
        }
    }
}

/// The texts of facts, by column.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// Several origins, as CAIDA writes them.
    pub origins: Words,
    /// Names of ASes.
    pub as_names: Words,
    /// Countries.
    pub countries: Words,
    /// Names of Internet exchange points.
    pub ixps: Words,
}

/// Distinct facts with their numbers, while files are read. Number 0 is nothing known.
pub struct Register {
    facts: Vec<Facts>,
    numbers: HashMap<Facts, u32>,
    /// The texts of the facts.
    pub vocabulary: Vocabulary,
    /// The first name that a file gives an AS.
    names: HashMap<u32, Word>,
}

impl Default for Register {
    fn default() -> Self {
        let nothing = Facts::default();
        Self {
            facts: vec![nothing],
            numbers: HashMap::from([(nothing, 0)]),
            vocabulary: Vocabulary::default(),
            names: HashMap::new(),
        }
    }
}

impl Register {
    /// Returns the number of facts.
    pub fn keep(&mut self, facts: Facts) -> u32 {
        if let (Some(asn), Some(name)) = (facts.asn, facts.as_name) {
            self.names.entry(asn).or_insert(name);
        }
        let next = self.facts.len() as u32;
        *self.numbers.entry(facts).or_insert_with(|| {
            self.facts.push(facts);
            next
        })
    }

    /// Returns the number of the facts of one file, filled by those of a later one.
    pub fn combine(&mut self, earlier: u32, later: u32) -> u32 {
        match (earlier, later) {
            (number, 0) | (0, number) => number,
            _ => self.keep(self.facts[earlier as usize].or(self.facts[later as usize])),
        }
    }

    /// Returns all facts by their number, and their texts. An AS without a name gets the first one
    /// that a file gives it.
    pub fn finish(mut self) -> (Vec<Facts>, Vocabulary) {
        for facts in &mut self.facts {
            let known = facts.asn.and_then(|asn| self.names.get(&asn).copied());
            facts.as_name = facts.as_name.or(known);
        }
        (self.facts, self.vocabulary)
    }
}
