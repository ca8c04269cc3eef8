//! A client's netblock: what its traces say of it where its address is not to be kept.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::rows::Target;

/// The bits of a netblock: a /24 of IPv4, a /64 of IPv6, as M-Lab has them.
const BITS: (u32, u32) = (24, 64);

/// Puts the first address of the client's netblock in place of each of its addresses.
///
/// Links inside of the netblock become links of one address to itself, and are left out.
pub fn hide_client(target: &mut Target) {
    let Some(client) = target.rows.first().map(|row| row.destination) else {
        return;
    };
    let shown = find_netblock(client);
    let hide = |address: &mut IpAddr| {
        if find_netblock(*address) == shown {
            *address = shown;
        }
    };
    for row in &mut target.rows {
        hide(&mut row.destination);
        if let Some(reply) = &mut row.reply {
            hide(&mut reply.from);
        }
    }
    if let Some(conclusion) = &mut target.conclusion {
        for (_, near, far) in &mut conclusion.links {
            hide(near);
            hide(far);
        }
        conclusion.links.retain(|(_, near, far)| near != far);
    }
}

/// Returns the first address of the netblock of an address.
#[must_use]
pub fn find_netblock(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            Ipv4Addr::from_bits(address.to_bits() & u32::MAX << (32 - BITS.0)).into()
        }
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & u128::MAX << (128 - BITS.1)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Conclusion, Row};
    use anabranch_formats::record::{Kind, Reply};

    fn row(ttl: u8, from: [u8; 4]) -> Row {
        Row {
            destination: [198, 18, 7, 9].into(),
            source: None,
            ports: (24_000, 0),
            flow: 0,
            ttl,
            attempt: 1,
            sent_us: None,
            reply: Some(Reply {
                from: from.into(),
                name: None,
                received_us: None,
                rtt_us: None,
                kind: Kind::Icmp(11, 0),
                ttl: None,
                size: None,
                tos: None,
                id: None,
                quoted_ttl: None,
                quoted_length: None,
                quoted_tos: None,
                next_mtu: None,
                extensions: Vec::new(),
                flags: None,
                answers: None,
            }),
            is_from_target: false,
        }
    }

    #[test]
    fn no_address_of_the_clients_netblock_stays() {
        let links = vec![
            (1, [198, 18, 1, 1].into(), [198, 18, 7, 1].into()),
            (2, [198, 18, 7, 1].into(), [198, 18, 7, 2].into()),
        ];
        let mut target = Target {
            prefix_index: 0,
            protocol: 1,
            conclusion: Some(Conclusion {
                links,
                ..Conclusion::default()
            }),
            requests: None,
            rows: vec![
                row(1, [198, 18, 1, 1]),
                row(2, [198, 18, 7, 1]),
                row(3, [198, 18, 7, 9]),
            ],
        };
        hide_client(&mut target);
        let shown: IpAddr = [198, 18, 7, 0].into();
        assert!(target.rows.iter().all(|row| row.destination == shown));
        let from: Vec<IpAddr> = target
            .rows
            .iter()
            .filter_map(|row| Some(row.reply.as_ref()?.from))
            .collect();
        assert_eq!(from, [[198, 18, 1, 1].into(), shown, shown]);
        let links = target.conclusion.unwrap().links;
        assert_eq!(links, [(1, [198, 18, 1, 1].into(), shown)]);
    }

    #[test]
    fn a_netblock_is_a_24_of_ipv4_and_a_64_of_ipv6() {
        let pairs = [
            ("198.18.7.9", "198.18.7.0"),
            ("3fff:1:2:3:4::5", "3fff:1:2:3::"),
        ];
        for (address, block) in pairs {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(find_netblock(address).to_string(), block);
        }
    }
}
