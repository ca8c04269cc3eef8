//! One IPv4 or IPv6 prefix.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address family. IPv4 sorts before IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// 32-bit addresses.
    V4,
    /// 128-bit addresses.
    V6,
}

impl Family {
    /// Bits in an address: 32 or 128.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The highest address, as a number.
    #[must_use]
    pub const fn last(self) -> u128 {
        match self {
            Self::V4 => u32::MAX as u128,
            Self::V6 => u128::MAX,
        }
    }
}

/// Returns the family of an address, and the address as a number of the family.
#[must_use]
pub fn number_of(address: IpAddr) -> (Family, u128) {
    match address {
        IpAddr::V4(v4) => (Family::V4, u128::from(u32::from(v4))),
        IpAddr::V6(v6) => (Family::V6, u128::from(v6)),
    }
}

/// The addresses of one family that share their first `len` bits.
///
/// Addresses are numbers in the family's own range, so that `::/0` says nothing about IPv4.
/// Prefixes sort by family, first address and length: a prefix comes before all that it contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    family: Family,
    // Big-endian bytes sort as the number does. With them a prefix takes 18 bytes instead of 48,
    // and lists hold millions of prefixes.
    first: [u8; 16],
    len: u8,
}

/// Why a text is not a prefix, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// The text is neither an address nor `address/length`.
    #[error(
        "{0:?} is not an IP address or prefix; write one such as 192.0.2.0/24 or 2001:db8::/48"
    )]
    Syntax(String),
    /// The length is not a number that the family has.
    #[error("the prefix length of {text:?} must be a whole number from 0 to {max}")]
    Length {
        /// What was read.
        text: String,
        /// The family's number of bits.
        max: u8,
    },
    /// Bits after the prefix length are set.
    #[error("{text} has host bits set; write {prefix} for the prefix or {address} for the address")]
    HostBits {
        /// What was read.
        text: String,
        /// The prefix that contains it.
        prefix: Prefix,
        /// The address as a prefix of full length.
        address: Prefix,
    },
    /// The text is IPv4 in IPv6 notation.
    #[error("{text} is IPv4 in IPv6 notation; write it as IPv4: {remedy}")]
    Mapped {
        /// What was read.
        text: String,
        /// The same in IPv4 notation.
        remedy: String,
    },
}

impl Prefix {
    /// Returns the prefix of `len` bits that contains `address`, a number in the family's range.
    ///
    /// # Panics
    /// If `len` or `address` is out of the family's range.
    #[must_use]
    pub fn containing(family: Family, address: u128, len: u8) -> Self {
        assert!(len <= family.bits() && address <= family.last());
        let host = host_mask(family, len);
        Self {
            family,
            first: (address & !host).to_be_bytes(),
            len,
        }
    }

    /// The address family.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// The first address, as a number.
    #[must_use]
    pub const fn first(&self) -> u128 {
        u128::from_be_bytes(self.first)
    }

    /// The last address, as a number.
    #[must_use]
    pub const fn last(&self) -> u128 {
        self.first() | host_mask(self.family, self.len)
    }

    /// The number of leading bits that are fixed.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // a prefix length, not a count of things
    pub const fn len(&self) -> u8 {
        self.len
    }

    /// The first address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::from(self.first() as u32)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from(self.first)),
        }
    }

    /// The first address in 16 bytes, IPv4 as an IPv4-mapped IPv6 address.
    #[must_use]
    pub fn mapped(&self) -> [u8; 16] {
        match self.address() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        }
    }

    /// Reads a prefix, and returns it with whether the text is an address without a length.
    ///
    /// # Errors
    /// A [`PrefixError`] that says what to write instead.
    pub fn parse(text: &str) -> Result<(Self, bool), PrefixError> {
        let (head, len) = match text.split_once('/') {
            Some((head, len)) => (head, Some(len)),
            None => (text, None),
        };
        let address: IpAddr = head
            .parse()
            .map_err(|_| PrefixError::Syntax(text.to_owned()))?;
        let (family, number) = match address {
            IpAddr::V4(v4) => (Family::V4, u128::from(u32::from(v4))),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => return Err(is_mapped(text, v4, len)),
                None => (Family::V6, u128::from(v6)),
            },
        };
        let max = family.bits();
        let bits = match len {
            None => max,
            Some(digits) => parse_len(digits, max).ok_or_else(|| PrefixError::Length {
                text: text.to_owned(),
                max,
            })?,
        };
        let prefix = Self::containing(family, number, bits);
        if prefix.first() != number {
            return Err(PrefixError::HostBits {
                text: text.to_owned(),
                prefix,
                address: Self::containing(family, number, max),
            });
        }
        Ok((prefix, len.is_none()))
    }
}

/// The number of leading bits that all IPv4-mapped addresses share.
const MAPPED_LEN: u8 = 96;

fn is_mapped(text: &str, v4: Ipv4Addr, len: Option<&str>) -> PrefixError {
    let bits = len.and_then(|digits| parse_len(digits, Family::V6.bits()));
    let remedy = match bits.and_then(|bits| bits.checked_sub(MAPPED_LEN)) {
        Some(bits) => format!("{v4}/{bits}"),
        None => v4.to_string(),
    };
    PrefixError::Mapped {
        text: text.to_owned(),
        remedy,
    }
}

/// Reads a length from its digits. Signs and leading zeros are not allowed.
fn parse_len(digits: &str, max: u8) -> Option<u8> {
    let plain =
        digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|len| plain && *len <= max)
}

const fn host_mask(family: Family, len: u8) -> u128 {
    match family.last().checked_shr(len as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        Self::parse(text).map(|(prefix, _)| prefix)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_prefix_of_full_length() {
        assert_eq!(
            Prefix::parse("192.0.2.1").unwrap(),
            ("192.0.2.1/32".parse().unwrap(), true)
        );
        assert_eq!(
            Prefix::parse("2001:db8::1").unwrap(),
            ("2001:db8::1/128".parse().unwrap(), true)
        );
    }

    #[test]
    fn a_prefix_knows_its_first_and_last_address() {
        let all: Prefix = "0.0.0.0/0".parse().unwrap();
        assert_eq!((all.first(), all.last()), (0, u128::from(u32::MAX)));
        let all: Prefix = "::/0".parse().unwrap();
        assert_eq!((all.first(), all.last()), (0, u128::MAX));
        let one: Prefix = "::1/128".parse().unwrap();
        assert_eq!((one.first(), one.last()), (1, 1));
    }

    #[test]
    fn each_mistake_names_its_remedy() {
        let says = |text: &str| text.parse::<Prefix>().unwrap_err().to_string();
        assert!(says("8.8.8").contains("write one such as"));
        assert!(says("8.8.8.0/33").contains("from 0 to 32"));
        assert!(says("8.8.8.0/+8").contains("from 0 to 32"));
        assert!(says("8.8.8.0/08").contains("from 0 to 32"));
        assert!(says("8.8.8.0/").contains("from 0 to 32"));
        assert!(says("2001:db8::/129").contains("from 0 to 128"));
        assert!(says("8.8.8.1/24").contains("8.8.8.0/24 for the prefix or 8.8.8.1/32"));
        assert!(says("::ffff:8.8.8.8").ends_with("write it as IPv4: 8.8.8.8"));
        assert!(says("::ffff:8.8.8.0/120").ends_with("write it as IPv4: 8.8.8.0/24"));
    }

    #[test]
    fn a_prefix_sorts_before_what_it_contains() {
        let outer: Prefix = "10.0.0.0/8".parse().unwrap();
        let inner: Prefix = "10.0.0.0/24".parse().unwrap();
        assert!(outer < inner);
    }
}
