//! libFuzzer over the parser that `PARSER` names: `make fuzz` runs it.

#![no_main]

use std::sync::LazyLock;

use anabranch_hostile::{PARSERS, Parser};
use libfuzzer_sys::fuzz_target;

static PARSER: LazyLock<Parser> = LazyLock::new(|| {
    // libFuzzer's hook ends the process at any panic, even at one that the parser catches. Those
    // that it does not catch end it without a hook, too.
    let _ = std::panic::take_hook();
    let name = std::env::var("PARSER").unwrap_or_default();
    let found = PARSERS.iter().find(|(known, _)| *known == name);
    let (_, parser) = found.unwrap_or_else(|| {
        let known = PARSERS.map(|(known, _)| known).join(", ");
        panic!("PARSER is {name:?}; set it to one of {known}")
    });
    *parser
});

fuzz_target!(|bytes: &[u8]| PARSER(bytes));
