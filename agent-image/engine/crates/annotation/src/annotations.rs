//! What several files say together.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::error::{Fault, ReadError};
use crate::facts::{Facts, Register, Vocabulary};
use crate::peeringdb::Exchanges;
use crate::source::{Format, Source};
use crate::space::Space;
use crate::words::Words;
use crate::{mmdb, mrt, prefix2as};

/// What files say about addresses: an immutable table of both families.
///
/// In a file, the longest prefix that holds an address says what is known about it. Each file fills
/// what the files before it left empty; AS, origins and name stay together.
#[derive(Clone, Debug)]
pub struct Annotations {
    space: Space,
    facts: Vec<Facts>,
    vocabulary: Vocabulary,
}

impl Annotations {
    /// Reads files, the most trusted first.
    ///
    /// # Errors
    /// A [`ReadError`] about the first file that can't be used.
    pub fn read(files: &[PathBuf]) -> Result<Self, ReadError> {
        let mut register = Register::default();
        let mut exchanges = Exchanges::default();
        let mut space = Space::of_prefixes(Vec::new());
        let mut last_exchanges: Option<&Path> = None;
        for file in files {
            let layer = read_file(file, &mut register, &mut exchanges);
            match layer.map_err(|fault| fault.of(file))? {
                Some(layer) => space = space.combine(&layer, |a, b| register.combine(a, b)),
                None => last_exchanges = Some(file),
            }
        }
        if let Some(file) = last_exchanges {
            let layer = exchanges.finish(&mut register);
            if let Some(layer) = layer.map_err(|fault| fault.of(file))? {
                space = space.combine(&layer, |a, b| register.combine(a, b));
            }
        }
        let (facts, vocabulary) = register.finish();
        Ok(Self {
            space,
            facts,
            vocabulary,
        })
    }

    /// Returns what is known about an address.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> &Facts {
        &self.facts[self.space.find(address) as usize]
    }

    /// Returns what is known about an address in 16 bytes, IPv4 as an IPv4-mapped IPv6 address.
    #[must_use]
    pub fn find_mapped(&self, address: u128) -> &Facts {
        &self.facts[self.space.find_mapped(address) as usize]
    }

    /// The texts of several origins.
    #[must_use]
    pub fn origins(&self) -> &Words {
        &self.vocabulary.origins
    }

    /// The names of ASes.
    #[must_use]
    pub fn as_names(&self) -> &Words {
        &self.vocabulary.as_names
    }

    /// The countries.
    #[must_use]
    pub fn countries(&self) -> &Words {
        &self.vocabulary.countries
    }

    /// The names of Internet exchange points.
    #[must_use]
    pub fn ixps(&self) -> &Words {
        &self.vocabulary.ixps
    }
}

/// Reads a file; what `PeeringDB` says goes to the exchanges, until all of it is read.
fn read_file(
    file: &Path,
    register: &mut Register,
    exchanges: &mut Exchanges,
) -> Result<Option<Space>, Fault> {
    let source = Source::open(file)?;
    match source.format {
        Format::Json => exchanges.read(&source.read_whole()?).map(|()| None),
        Format::Mrt => mrt::read(source, register).map(Some),
        Format::Text => prefix2as::read(source, register).map(Some),
        Format::Other => mmdb::read(&source.read_whole()?, register).map(Some),
    }
}
