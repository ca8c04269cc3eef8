//! The JSON of `PeeringDB`: the prefixes of Internet exchange points.
//!
//! A prefix (`ixpfx`) belongs to a LAN (`ixlan`), and that to an exchange point (`ix`). They may be
//! in one file, nested or apart, or in several.

use std::collections::HashMap;

use anabranch_prefixes::Prefix;
use serde::Deserialize;

use crate::error::{Fault, shorten};
use crate::facts::{Facts, Register};
use crate::space::{MOST, Space};

/// A file: an answer of the API, or a dump with a section for each kind.
#[derive(Deserialize)]
struct Document {
    data: Option<Vec<Object>>,
    ixpfx: Option<Section>,
    ixlan: Option<Section>,
    ix: Option<Section>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Section {
    Answer { data: Vec<Object> },
    Objects(Vec<Object>),
}

impl Section {
    fn objects(self) -> Vec<Object> {
        match self {
            Self::Answer { data: objects } | Self::Objects(objects) => objects,
        }
    }
}

/// An object of any kind, with the fields that tell its kind and what it says.
#[derive(Deserialize)]
struct Object {
    id: Option<u64>,
    status: Option<String>,
    name: Option<String>,
    // Of a prefix.
    prefix: Option<String>,
    ixlan_id: Option<u64>,
    ixlan: Option<Nested>,
    // Of a LAN.
    ix_id: Option<u64>,
    ix: Option<Nested>,
    ixpfx_set: Option<Vec<Nested>>,
    // Of an exchange point.
    media: Option<String>,
    ixlan_set: Option<Vec<Nested>>,
    // Of others: networks, and who is at which exchange point or facility.
    asn: Option<u64>,
    fac_id: Option<u64>,
}

/// What an object refers to: its number alone, or all of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Nested {
    Number(u64),
    Object(Box<Object>),
}

/// The prefixes of exchange points, until all files are read.
#[derive(Default)]
pub struct Exchanges {
    prefixes: Vec<(Prefix, u64)>,
    exchange_of_lan: HashMap<u64, u64>,
    names: HashMap<u64, String>,
}

impl Exchanges {
    /// Takes what a file says.
    pub fn read(&mut self, content: &[u8]) -> Result<(), Fault> {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let document: Document = serde_json::from_slice(content).map_err(|error| {
            format!(
                "is not PeeringDB's JSON ({}); name an answer of /api/ixpfx, /api/ixlan or \
                 /api/ix, or a dump of all",
                shorten(&error.to_string())
            )
        })?;
        let sections = [document.ixpfx, document.ixlan, document.ix];
        let objects = sections.into_iter().flatten().flat_map(Section::objects);
        let before = self.len();
        for object in objects.chain(document.data.into_iter().flatten()) {
            self.take(object, None)?;
        }
        if self.prefixes.len() > MOST {
            return Err(format!("has more than {MOST} prefixes").into());
        }
        if self.len() == before {
            let reason = "has no exchange point, LAN or prefix; name an answer of PeeringDB's \
                          /api/ixpfx, /api/ixlan or /api/ix, or a dump of all";
            return Err(reason.to_owned().into());
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.prefixes.len() + self.exchange_of_lan.len() + self.names.len()
    }

    /// Takes an object, and those nested in it. `parent` is the number of the object around it.
    fn take(&mut self, object: Object, parent: Option<u64>) -> Result<(), String> {
        let is_gone = object.status.is_some_and(|status| status != "ok");
        if is_gone || object.asn.is_some() || object.fac_id.is_some() {
            return Ok(());
        }
        if let Some(prefix) = object.prefix {
            let lan = object.ixlan_id.or(parent);
            let Some(lan) = lan.or(object.ixlan.as_ref().and_then(Nested::number)) else {
                let prefix = shorten(&prefix);
                return Err(format!(
                    "the prefix {prefix:?} has no ixlan_id; download it again"
                ));
            };
            let parsed = prefix.trim().parse::<Prefix>();
            let parsed = parsed.map_err(|error| shorten(&error.to_string()))?;
            self.prefixes.push((parsed, lan));
            return self.take_nested(object.ixlan, None);
        }
        let Some(id) = object.id else {
            return Ok(());
        };
        let exchange = object.ix_id.or(object.ix.as_ref().and_then(Nested::number));
        if let Some(exchange) = exchange.or(parent) {
            self.exchange_of_lan.insert(id, exchange);
            self.take_nested(object.ix, None)?;
        } else if object.media.is_some() || object.ixlan_set.is_some() {
            self.names.insert(id, object.name.unwrap_or_default());
        }
        let nested = object.ixpfx_set.into_iter().chain(object.ixlan_set);
        for each in nested.flatten() {
            self.take_nested(Some(each), Some(id))?;
        }
        Ok(())
    }

    fn take_nested(&mut self, nested: Option<Nested>, parent: Option<u64>) -> Result<(), String> {
        match nested {
            Some(Nested::Object(object)) => self.take(*object, parent),
            Some(Nested::Number(_)) | None => Ok(()),
        }
    }

    /// Returns what is known of addresses, or None without prefixes.
    ///
    /// Prefixes without a name are left out; that there is none with a name is an error.
    pub fn finish(self, register: &mut Register) -> Result<Option<Space>, Fault> {
        let Some((prefix, lan)) = self.prefixes.first().copied() else {
            return if self.len() == 0 {
                Ok(None)
            } else {
                let reason = "names exchange points, but none of their prefixes; name PeeringDB's \
                              /api/ixpfx, too";
                Err(reason.to_owned().into())
            };
        };
        let mut known = Vec::with_capacity(self.prefixes.len());
        for (prefix, lan) in self.prefixes {
            let exchange = self.exchange_of_lan.get(&lan);
            let name = exchange.and_then(|exchange| self.names.get(exchange));
            let ixp = name.and_then(|name| register.vocabulary.ixps.keep(name));
            if ixp.is_some() {
                let facts = Facts {
                    ixp,
                    ..Facts::default()
                };
                known.push((prefix, register.keep(facts)));
            }
        }
        if known.is_empty() {
            let reason = format!(
                "the exchange point of {prefix} (ixlan {lan}) has no name, nor have others; name \
                 PeeringDB's /api/ixlan and /api/ix, too"
            );
            return Err(reason.into());
        }
        Ok(Some(Space::of_prefixes(known)))
    }
}

impl Nested {
    fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Object(object) => object.id,
        }
    }
}
