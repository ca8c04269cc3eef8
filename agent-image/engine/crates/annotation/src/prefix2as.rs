//! CAIDA's prefix2as: lines of prefix, length and origins.

use std::io::{BufRead, Read};

use anabranch_prefixes::Prefix;

use crate::error::{Fault, shorten};
use crate::facts::Register;
use crate::origins::read_origins;
use crate::source::{OF_ADDRESSES, Source};
use crate::space::{MOST, Space};

/// The longest line that is read, in bytes; an origin may be a set of many.
const MOST_OF_LINE: u64 = 1 << 16;

/// Reads the origins of prefixes. Of equal prefixes, the first counts.
pub fn read(source: Source, register: &mut Register) -> Result<Space, Fault> {
    let mut prefixes = Vec::new();
    read_lines(source, OF_ADDRESSES, |prefix, origins| {
        let facts = read_origins(origins, &mut register.vocabulary.origins).ok_or_else(|| {
            let origins = shorten(origins);
            format!("{origins:?} are no ASes such as 64500, 64500_64501 or 64500,64501")
        })?;
        prefixes.push((prefix, register.keep(facts)));
        Ok(())
    })?;
    Ok(Space::of_prefixes(prefixes))
}

/// Reads lines of prefix, length and origins, separated by blanks; lines that begin with `#` and
/// empty ones are passed over. `take` gets the prefix and the origins of each, and says what is
/// wrong with them. `readable` is what else could be read.
pub fn read_lines(
    mut source: Source,
    readable: &str,
    mut take: impl FnMut(Prefix, &str) -> Result<(), String>,
) -> Result<(), Fault> {
    let mut count = 0;
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
        read_line(text, readable)
            .and_then(|(prefix, origins)| take(prefix, origins))
            .map_err(|reason| format!("line {number}: {reason}"))?;
        count += 1;
        if count > MOST {
            return Err(format!("line {number}: more than {MOST} prefixes").into());
        }
    }
    if count == 0 {
        return Err("has no prefix; download it again".to_owned().into());
    }
    Ok(())
}

fn read_line<'a>(text: &'a str, readable: &str) -> Result<(Prefix, &'a str), String> {
    let mut fields = text.split_ascii_whitespace();
    let (Some(address), Some(len), Some(origins), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(format!(
            "{:?} is not PREFIX, LENGTH and ASES of CAIDA's prefix2as, with tabs between them; \
             name {readable}",
            shorten(text)
        ));
    };
    let prefix =
        Prefix::parse(&format!("{address}/{len}")).map_err(|error| shorten(&error.to_string()))?;
    Ok((prefix.0, origins))
}
