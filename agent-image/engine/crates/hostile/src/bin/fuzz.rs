//! libFuzzer over the parser that `PARSER` names: `make fuzz` runs it.

#![no_main]

use std::sync::LazyLock;

use anabranch_hostile::{PARSERS, Parser};
use libfuzzer_sys::fuzz_target;

static PARSER: LazyLock<Parser> = LazyLock::new(|| {
    let name = std::env::var("PARSER").unwrap_or_default();
    let found = PARSERS.iter().find(|(known, _)| *known == name);
    let (_, parser) = found.unwrap_or_else(|| {
        let known = PARSERS.map(|(known, _)| known).join(", ");
        panic!("PARSER is {name:?}; set it to one of {known}")
    });
    *parser
});

fuzz_target!(|bytes: &[u8]| PARSER(bytes));
