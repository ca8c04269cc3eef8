//! The origins of a prefix, in the words of CAIDA's prefix2as.
//!
//! `_` joins several origins, the most frequent first. `,` joins the ASes of a set, whose members
//! nobody can tell apart.

use crate::facts::Facts;
use crate::words::Words;

/// Reads origins such as `64500`, `64500_64501` or `64500,64501`; None if they are not so written.
///
/// `asn` is the first origin that is an AS and no set.
pub fn read_origins(text: &str, words: &mut Words) -> Option<Facts> {
    let mut asn = None;
    for origin in text.split('_') {
        let mut members = origin.split(',').map(read_asn);
        let first = members.next()??;
        let mut is_set = false;
        for member in members {
            member?;
            is_set = true;
        }
        if !is_set && asn.is_none() {
            asn = Some(first);
        }
    }
    let is_one = !text.contains(['_', ',']);
    let origins = if is_one { None } else { words.keep(text) };
    Some(Facts {
        asn,
        origins,
        ..Facts::default()
    })
}

/// Reads an AS number, which has digits alone.
pub fn read_asn(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(Option<u32>, Option<String>)> {
        let mut words = Words::default();
        let facts = read_origins(text, &mut words)?;
        let origins = facts.origins.map(|word| words.text(word).to_owned());
        Some((facts.asn, origins))
    }

    #[test]
    fn the_first_origin_that_is_no_set_is_the_as() {
        let many = |text: &str| Some(text.to_owned());
        assert_eq!(read("64500"), Some((Some(64500), None)));
        assert_eq!(read("7_5"), Some((Some(7), many("7_5"))));
        assert_eq!(read("5,7"), Some((None, many("5,7"))));
        assert_eq!(read("5,7_9_3"), Some((Some(9), many("5,7_9_3"))));
        assert_eq!(read("4294967295"), Some((Some(u32::MAX), None)));
    }

    #[test]
    fn what_is_no_number_is_no_origin() {
        for text in ["", "_", "5_", "5,", "AS5", "-5", "+5", "4294967296", "5 7"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
