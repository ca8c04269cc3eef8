//! The network to probe from.

use std::io;
use std::path::Path;

use anabranch_link::namespace;

/// Moves the calling thread into the network namespace to probe from.
pub(crate) fn enter(network: Option<&Path>) -> io::Result<()> {
    if let Some(file) = network {
        namespace::join(file).map_err(|error| {
            let reason = format!("can't enter the namespace {}: {error}", file.display());
            io::Error::new(error.kind(), reason)
        })?;
    }
    Ok(())
}
