//! CAIDA's prefix2as: lines of prefix, length and origins.

use std::io::{BufRead, Read};

use anabranch_prefixes::Prefix;

use crate::error::{Fault, shorten};
use crate::facts::Register;
use crate::origins::read_origins;
use crate::source::Source;
use crate::space::{MOST, Space};

/// The longest line that is read, in bytes; an origin may be a set of many.
const MOST_OF_LINE: u64 = 1 << 16;

/// Reads lines of prefix, length and origins, separated by blanks; lines that begin with `#` and
/// empty ones are passed over.
pub fn read(mut source: Source, register: &mut Register) -> Result<Space, Fault> {
    let mut prefixes = Vec::new();
    let mut bytes = Vec::new();
    for number in 1_u64.. {
        bytes.clear();
        let line = source
            .by_ref()
            .take(MOST_OF_LINE)
            .read_until(b'\n', &mut bytes);
        if let Err(error) = line {
            return Err(source.explain(&error));
        }
        if bytes.is_empty() {
            break;
        }
        let text = str::from_utf8(&bytes).unwrap_or_default();
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.starts_with('#') || bytes.trim_ascii().is_empty() {
            continue;
        }
        let entry = read_line(text, register);
        prefixes.push(entry.map_err(|reason| format!("line {number}: {reason}"))?);
        if prefixes.len() > MOST {
            return Err(format!("line {number}: more than {MOST} prefixes").into());
        }
    }
    if prefixes.is_empty() {
        return Err("has no prefix; download it again".to_owned().into());
    }
    Ok(Space::of_prefixes(prefixes))
}

fn read_line(text: &str, register: &mut Register) -> Result<(Prefix, u32), String> {
    let mut fields = text.split_ascii_whitespace();
    let (Some(address), Some(len), Some(origins), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(format!(
            "{:?} is not PREFIX, LENGTH and ASES of CAIDA's prefix2as, with tabs between them; \
             name a file of it, an MMDB, an MRT RIB dump, or PeeringDB's JSON",
            shorten(text)
        ));
    };
    let prefix =
        Prefix::parse(&format!("{address}/{len}")).map_err(|error| shorten(&error.to_string()))?;
    let facts = read_origins(origins, &mut register.vocabulary.origins).ok_or_else(|| {
        let origins = shorten(origins);
        format!("{origins:?} are no ASes such as 64500, 64500_64501 or 64500,64501")
    })?;
    Ok((prefix.0, register.keep(facts)))
}
