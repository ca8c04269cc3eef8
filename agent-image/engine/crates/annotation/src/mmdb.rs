//! MMDB: the database format of `MaxMind`, with the records of theirs, of DB-IP, `IPinfo` and others.

use std::collections::HashMap;
use std::net::IpAddr;

use anabranch_prefixes::{Family, Prefix, number_of};
use maxminddb::{MaxMindDbError, Metadata, Reader, WithinOptions};
use serde::Deserialize;

use crate::error::Fault;
use crate::facts::{Facts, Register};
use crate::origins::read_asn;
use crate::source::{OF_ADDRESSES, suggest};
use crate::space::{MOST, Space, SpaceDraft};

/// How a database's metadata begin.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// How many bits of an IPv6 address lead to the node where IPv4 begins.
const V4_DEPTH: u8 = 96;

/// What a record may say, by the names that databases give it.
#[derive(Deserialize)]
struct Record<'a> {
    // MaxMind, DB-IP.
    autonomous_system_number: Option<u32>,
    #[serde(borrow)]
    autonomous_system_organization: Option<&'a str>,
    // IPinfo.
    #[serde(borrow)]
    asn: Option<Asn<'a>>,
    #[serde(borrow)]
    as_name: Option<&'a str>,
    #[serde(borrow)]
    name: Option<Value<'a>>,
    #[serde(borrow)]
    country_code: Option<&'a str>,
    // A map in MaxMind's databases, a text in IPinfo's.
    #[serde(borrow)]
    country: Option<Country<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Asn<'a> {
    Number(u32),
    Text(&'a str),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Country<'a> {
    Text(&'a str),
    Place {
        #[serde(borrow)]
        iso_code: Option<&'a str>,
    },
}

/// A value that is used if it is a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Value<'a> {
    Text(&'a str),
    Other(serde::de::IgnoredAny),
}

impl Record<'_> {
    fn facts(&self, register: &mut Register) -> Facts {
        let asn = self.autonomous_system_number.or(match &self.asn {
            Some(Asn::Number(number)) => Some(*number),
            Some(Asn::Text(text)) => read_asn(text.strip_prefix("AS").unwrap_or(text)),
            None => None,
        });
        let name = match &self.name {
            // The name of an AS, where there is one.
            Some(Value::Text(text)) if self.asn.is_some() => Some(*text),
            _ => None,
        };
        let country = self.country_code.or(match &self.country {
            Some(Country::Text(text)) => Some(*text),
            Some(Country::Place { iso_code }) => *iso_code,
            None => None,
        });
        let words = &mut register.vocabulary;
        let as_name = self
            .autonomous_system_organization
            .or(self.as_name)
            .or(name);
        Facts {
            asn,
            as_name: asn.and(as_name).and_then(|text| words.as_names.keep(text)),
            // Some have the country's name in this place.
            country: country
                .filter(|text| text.len() == 2)
                .and_then(|text| words.countries.keep(text)),
            ..Facts::default()
        }
    }
}

/// Reads a database.
pub fn read(content: &[u8], register: &mut Register) -> Result<Space, Fault> {
    if !content
        .windows(MARKER.len())
        .rev()
        .any(|bytes| bytes == MARKER)
    {
        return Err(suggest(content, OF_ADDRESSES));
    }
    let reader = Reader::from_source(content).map_err(|error| damaged(&error))?;
    let metadata = reader.metadata();
    if !is_tree(content, metadata) {
        return Err("the MMDB leads to a node by two ways; download it again"
            .to_owned()
            .into());
    }
    let most = MOST.max(metadata.node_count as usize + 1);
    let networks = reader
        .networks(WithinOptions::default().include_networks_without_data())
        .map_err(|error| damaged(&error))?;
    let mut draft = SpaceDraft::default();
    let mut known: HashMap<usize, u32> = HashMap::new();
    for (count, network) in networks.enumerate() {
        let network = network.map_err(|error| damaged(&error))?;
        if count >= most || draft.len() > MOST {
            return Err(format!("has more than {most} networks; name a smaller one").into());
        }
        let Some(offset) = network.offset() else {
            continue;
        };
        let number = if let Some(number) = known.get(&offset) {
            *number
        } else {
            let record: Option<Record<'_>> = network.decode().map_err(|error| damaged(&error))?;
            let facts = record.map(|record| record.facts(register));
            let number = register.keep(facts.unwrap_or_default());
            known.insert(offset, number);
            number
        };
        let prefix = network.network().map_err(|error| damaged(&error))?;
        draft.push(convert(prefix.ip(), prefix.prefix()), number);
    }
    if known.values().all(|number| *number == 0) {
        let kind = &metadata.database_type;
        let reason = format!(
            "is an MMDB of the type {kind:?}, which names neither AS nor country; name one of \
             ASes, countries or cities"
        );
        return Err(reason.into());
    }
    Ok(draft.finish())
}

/// Returns whether the nodes are a tree, so that it takes one step a node to visit all of them.
///
/// By several ways, databases lead only to the node where IPv4 begins. The library passes over all
/// of these ways but one.
fn is_tree(content: &[u8], metadata: &Metadata) -> bool {
    let nodes = metadata.node_count as usize;
    let size = usize::from(metadata.record_size) / 4;
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |all, byte| all << 8 | usize::from(*byte))
    };
    let children = |node: usize| {
        // The reader has checked that the file has all nodes.
        let bytes = &content[size * node..][..size];
        let (left, right) = (&bytes[..size / 2], &bytes[size.div_ceil(2)..]);
        // The byte in the middle of seven holds the highest bits of both.
        let middle = if size % 2 == 1 {
            usize::from(bytes[size / 2])
        } else {
            0
        };
        [
            (middle >> 4) << 24 | number(left),
            (middle & 15) << 24 | number(right),
        ]
    };
    // A database of IPv4 alone has no such node.
    let mut v4 = if metadata.ip_version == 6 { 0 } else { nodes };
    for _ in 0..V4_DEPTH {
        if v4 < nodes {
            v4 = children(v4)[0];
        }
    }
    let mut led = vec![false; nodes];
    led[0] = true;
    (0..nodes)
        .flat_map(children)
        .all(|child| child >= nodes || child == v4 || !std::mem::replace(&mut led[child], true))
}

fn convert(address: IpAddr, len: u8) -> Prefix {
    let (family, number) = number_of(address);
    debug_assert!(len <= Family::bits(family));
    Prefix::containing(family, number, len)
}

fn damaged(error: &MaxMindDbError) -> Fault {
    Fault::Content(format!(
        "the MMDB is damaged or cut short ({error}); download it again"
    ))
}
