//! The address space that is not globally reachable unicast.

use crate::{Family, Prefix, PrefixSet};

/// IPv4 blocks that are not unicast or not globally reachable.
///
/// They come from the IANA IPv4 Special-Purpose Address Registry (RFC 6890 and its updates);
/// multicast (RFC 5771) is added. Whole blocks are listed, even if a few addresses in them are
/// reachable (192.0.0.9).
const V4: [&str; 15] = [
    "0.0.0.0/8",       // this network, RFC 791
    "10.0.0.0/8",      // private use, RFC 1918
    "100.64.0.0/10",   // shared address space, RFC 6598
    "127.0.0.0/8",     // loopback, RFC 1122
    "169.254.0.0/16",  // link local, RFC 3927
    "172.16.0.0/12",   // private use, RFC 1918
    "192.0.0.0/24",    // IETF protocol assignments, RFC 6890
    "192.0.2.0/24",    // documentation, RFC 5737
    "192.88.99.0/24",  // 6to4 relay anycast, withdrawn by RFC 7526
    "192.168.0.0/16",  // private use, RFC 1918
    "198.18.0.0/15",   // benchmarking, RFC 2544
    "198.51.100.0/24", // documentation, RFC 5737
    "203.0.113.0/24",  // documentation, RFC 5737
    "224.0.0.0/4",     // multicast, RFC 5771
    "240.0.0.0/4",     // reserved, RFC 1112; with limited broadcast, RFC 8190
];

/// The IPv6 block that holds all global unicast addresses handed out so far (RFC 4291).
const V6_GLOBAL_UNICAST: &str = "2000::/3";

/// IPv6 blocks inside global unicast that are not globally reachable.
///
/// They come from the IANA IPv6 Special-Purpose Address Registry. Whole blocks are listed, even if
/// parts of them are reachable (`2001:1::1`).
const V6: [&str; 4] = [
    "2001::/23",     // IETF protocol assignments, Teredo among them, RFC 2928
    "2001:db8::/32", // documentation, RFC 3849
    "2002::/16",     // 6to4, RFC 3056
    "3fff::/20",     // documentation, RFC 9637
];

/// Returns the reserved space: special-purpose and multicast IPv4, and all IPv6 except globally
/// reachable unicast.
///
/// # Panics
/// Never: a test reads every entry.
#[must_use]
pub fn reserved() -> PrefixSet {
    let parse = |text: &str| -> Prefix { text.parse().expect("a well-formed entry") };
    let all_v4 = Prefix::containing(Family::V4, 0, 0);
    let outside_v6 = [all_v4, parse(V6_GLOBAL_UNICAST)]
        .into_iter()
        .collect::<PrefixSet>()
        .complement();
    V4.iter()
        .chain(&V6)
        .map(|text| parse(text))
        .collect::<PrefixSet>()
        .union(&outside_v6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_reserved(address: &str) -> bool {
        reserved().holds(&address.parse().unwrap())
    }

    #[test]
    fn private_multicast_and_documentation_space_is_reserved() {
        for address in [
            "10.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "198.19.255.255",
            "192.0.2.1",
        ] {
            assert!(is_reserved(address), "{address}");
        }
        for address in [
            "::1",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "4000::",
        ] {
            assert!(is_reserved(address), "{address}");
        }
    }

    #[test]
    fn public_unicast_is_not_reserved() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "223.255.255.255",
            "2001:4860::1",
            "2620:fe::fe",
        ] {
            assert!(!is_reserved(address), "{address}");
        }
    }
}
