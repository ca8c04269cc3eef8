//! The Internet checksum (RFC 1071).

use anabranch_prefixes::Family;

/// A sum of 16-bit words in one's complement, not yet folded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds bytes. If their number is odd, a zero byte is added at the end.
    #[must_use]
    pub fn with(mut self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<4>();
        for word in words {
            self.0 += u64::from(u32::from_be_bytes(*word));
        }
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        self.0 += u64::from(u32::from_be_bytes(last));
        self
    }

    /// Adds the pseudo-header of a transport protocol (RFC 768, RFC 8200 section 8.1).
    #[must_use]
    pub fn with_pseudo_header(
        self,
        family: Family,
        source: u128,
        destination: u128,
        protocol: u8,
        length: usize,
    ) -> Self {
        let ends = match family {
            Family::V4 => self
                .with(&(source as u32).to_be_bytes())
                .with(&(destination as u32).to_be_bytes()),
            Family::V6 => self
                .with(&source.to_be_bytes())
                .with(&destination.to_be_bytes()),
        };
        Self(ends.0 + u64::from(protocol) + length as u64)
    }

    /// Returns the checksum, which makes the checksum over all the bytes 0 once it is among them.
    #[must_use]
    pub const fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }
}

/// Returns the checksum of bytes.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    Sum::default().with(bytes).finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_rfc_1071_comes_out() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&bytes), !0xddf2);
    }

    proptest! {
        #[test]
        fn it_is_the_sum_of_words(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut sum = 0u32;
            for pair in bytes.chunks(2) {
                sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            }
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            prop_assert_eq!(checksum(&bytes), !(sum as u16));
        }

        #[test]
        fn parts_add_up_where_they_are_even(bytes in proptest::collection::vec(any::<u8>(), 8..80)) {
            let (head, tail) = bytes.split_at(4);
            prop_assert_eq!(Sum::default().with(head).with(tail).finish(), checksum(&bytes));
        }
    }
}
