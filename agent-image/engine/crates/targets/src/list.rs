//! A list in its canonical form.

use std::fmt::Write as _;
use std::io::{self, Write};

use sha2::{Digest, Sha256};

use crate::Entry;

/// The distinct entries of a list, sorted.
///
/// A list does not depend on the order, the repetitions, the comments and the spelling of its
/// source: two sources that name the same entries give equal lists and equal digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetList(Vec<Entry>);

impl TargetList {
    /// Makes a list of the distinct entries. Entries that differ only in their intent become one,
    /// which asks for what each of them asks for.
    #[must_use]
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable();
        entries.dedup_by(|repeated, kept| {
            let same = repeated.key() == kept.key();
            if same {
                kept.intent = kept.intent.union(repeated.intent);
            }
            same
        });
        Self(entries)
    }

    /// The entries, sorted by protocol and prefix.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// Returns the entries, so that more can be added.
    pub(crate) fn into_entries(self) -> Vec<Entry> {
        self.0
    }

    /// Writes the entries as CSV, a line each, without a header.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_csv(&self, mut out: impl Write) -> io::Result<()> {
        let mut block = String::new();
        for entries in self.0.chunks(4096) {
            block.clear();
            for entry in entries {
                writeln!(block, "{entry}").map_err(io::Error::other)?;
            }
            out.write_all(block.as_bytes())?;
        }
        Ok(())
    }

    /// Returns the SHA-256 of the canonical CSV, as `sha256:` and 64 hexadecimal digits.
    ///
    /// # Panics
    /// Never: hashing takes any bytes.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256Writer(Sha256::new());
        self.write_csv(&mut hash).expect("hashing takes any bytes");
        hash.0
            .finalize()
            .iter()
            .fold("sha256:".to_owned(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
    }
}

struct Sha256Writer(Sha256);

impl Write for Sha256Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lines: &[&str]) -> TargetList {
        TargetList::new(lines.iter().map(|l| Entry::parse(l).unwrap()).collect())
    }

    #[test]
    fn the_digest_is_that_of_the_canonical_text() {
        // sha256sum of "10.0.0.0/24,udp,2,32,6\n"
        assert_eq!(
            list(&["10.0.0.0/24,udp,2,32,6"]).digest(),
            "sha256:d8670f6ff81057d1c268c86eeee39e8056c813c4d18d95c2757d63d6b88b62ca"
        );
    }

    #[test]
    fn order_and_repetition_leave_no_trace() {
        let (a, b) = ("10.0.0.0/24,udp,2,32,6", "10.0.1.0/24,udp,2,32,6");
        assert_eq!(list(&[a, b]), list(&[b, a, b]));
        assert_ne!(list(&[a]).digest(), list(&[a, b]).digest());
    }

    #[test]
    fn entries_of_one_target_ask_together_for_what_each_asks() {
        assert_eq!(
            list(&["10.0.0.0/24,udp,2,10,6", "10.0.0.0/24,udp,5,32,1"]),
            list(&["10.0.0.0/24,udp,2,32,6"])
        );
    }

    #[test]
    fn another_protocol_or_a_bare_address_is_another_target() {
        let lines = [
            "10.0.0.1,udp,2,9,1",
            "10.0.0.1/32,udp,2,9,1",
            "10.0.0.1,icmp,2,9,1",
        ];
        assert_eq!(list(&lines).entries().len(), 3);
    }
}
