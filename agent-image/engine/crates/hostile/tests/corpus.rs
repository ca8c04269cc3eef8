//! Bytes that once broke a parser, or that lead far into one, break none.

use std::fs;
use std::path::Path;

use anabranch_hostile::PARSERS;

/// Each parser gets what was kept for it, and for any other: whole, cut off, and damaged.
#[test]
fn no_parser_breaks_by_what_is_in_the_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, parser) in PARSERS {
        let mut kept = 0;
        for folder in fs::read_dir(&corpus).expect("there is a corpus") {
            let folder = folder.expect("it can be read");
            let is_own = folder.file_name() == name;
            for file in fs::read_dir(folder.path()).expect("a folder for each parser") {
                let bytes = fs::read(file.expect("it can be read").path()).expect("a file");
                kept += usize::from(is_own);
                parser(&bytes);
                if is_own {
                    parser(&bytes[..bytes.len() / 2]);
                    for place in 0..bytes.len().min(64) {
                        let mut damaged = bytes.clone();
                        damaged[place] ^= 0xff;
                        parser(&damaged);
                    }
                }
            }
        }
        assert!(kept > 0, "{name} has nothing in {}", corpus.display());
    }
}
