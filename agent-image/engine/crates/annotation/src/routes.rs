//! The prefixes that routes lead to.

use std::io::Read;

use anabranch_prefixes::Prefix;

use crate::error::Fault;
use crate::source::{Format, OF_ROUTES, Source, suggest};
use crate::{mrt, prefix2as};

/// Reads the prefixes of a RIB dump, or of CAIDA's prefix2as: plain, or compressed with gzip or
/// bzip2. A prefix may be there more than once.
///
/// `take` gets each prefix with the number of peers that have a route to it, which prefix2as does
/// not say. It returns why the file can't be used.
///
/// # Errors
/// A [`Fault`] if the file can't be read or used, with the place and the remedy.
pub fn read_routes(
    file: impl Read + 'static,
    mut take: impl FnMut(Prefix, Option<u16>) -> Result<(), String>,
) -> Result<(), Fault> {
    let mut source = Source::new(file)?;
    match source.format {
        Format::Mrt => mrt::read_routes(source, |prefix, peers| take(prefix, Some(peers))),
        Format::Text => prefix2as::read_lines(source, OF_ROUTES, |prefix, _| take(prefix, None)),
        Format::Json | Format::Other => Err(suggest(&source.peek()?, OF_ROUTES)),
    }
}
