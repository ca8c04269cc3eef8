//! Every probe of a block is sent once, in passes, and its slot can be told from it.

use std::collections::{BTreeMap, BTreeSet};

use anabranch_plan::{Block, Header, Mapping, Row};
use anabranch_prefixes::{Family, Prefix};
use anabranch_wire::probe::Segment;
use proptest::prelude::*;

const HEADER: Header = Header {
    blocks: 1,
    initial_source_port: 24_000,
    destination_port: 33_434,
    order_seed: 0,
    mapping: Mapping::Random { seed: 42 },
    segment: Some(Segment::Ack),
    fill_ttl: None,
    tracing: None,
    destination_seed: None,
};

/// Makes some prefixes from /24 to /28, and some IPv6 /64s, with a few rows each, by UDP or TCP.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (1u8..6, 0u8..4, 0u32..300, 1u32..9);
    let target = (any::<bool>(), proptest::collection::vec(row, 1..4));
    proptest::collection::vec(target, 1..30).prop_map(|targets| {
        let rows = targets.into_iter().enumerate();
        rows.flat_map(|(i, (v6, rows))| {
            let prefix = if v6 {
                Prefix::containing(Family::V6, 0x3fff << 112 | (i as u128) << 64, 64)
            } else {
                Prefix::containing(
                    Family::V4,
                    0xf000_0000 + ((i as u128) << 8),
                    24 + i as u8 % 5,
                )
            };
            rows.into_iter()
                .enumerate()
                .map(move |(j, (ttl, more, first, count))| Row {
                    prefix_index: i as u32,
                    prefix,
                    protocol: if i % 2 == 0 { 17 } else { 6 },
                    min_ttl: ttl + 10 * j as u8,
                    max_ttl: ttl + 10 * j as u8 + more,
                    first_flow: first,
                    flow_count: count,
                })
        })
        .collect()
    })
}

fn wanted(rows: &[Row]) -> BTreeSet<(u32, u8, u32)> {
    let all = rows.iter().flat_map(|row| {
        (row.min_ttl..=row.max_ttl).flat_map(move |ttl| {
            (row.first_flow..row.first_flow + row.flow_count)
                .map(move |flow| (row.prefix_index, ttl, flow))
        })
    });
    all.collect()
}

proptest! {
    #[test]
    fn each_probe_comes_once_whatever_the_cuts(
        rows in rows(), key in any::<u64>(), cuts in proptest::collection::vec(0u64..1_000, 0..5)
    ) {
        let block = Block::new(rows.clone(), &HEADER, key).unwrap();
        let mut slots: Vec<u64> = cuts.iter().map(|cut| cut * block.end() / 1_000).collect();
        slots.extend([0, block.end()]);
        slots.sort_unstable();
        let mut sent = BTreeSet::new();
        for pair in slots.windows(2) {
            for draw in block.walk(pair[0]).take_while(|draw| draw.slot < pair[1]) {
                let found = block.find(&block.head(&draw), draw.ttl).unwrap();
                prop_assert_eq!((found.slot, found.flow), (draw.slot, draw.flow));
                prop_assert!(sent.insert((found.prefix_index, draw.ttl, draw.flow)));
            }
        }
        prop_assert_eq!(sent, wanted(&rows));
        prop_assert_eq!(block.probes(), wanted(&rows).len() as u64);
    }

    #[test]
    fn further_probes_belong_to_the_slot_of_the_last_one_of_their_flow(
        rows in rows(), key in any::<u64>(), fill_ttl in 1u8..60
    ) {
        let header = Header { fill_ttl: Some(fill_ttl), ..HEADER };
        let block = Block::new(rows.clone(), &header, key).unwrap();
        let planned = wanted(&rows);
        for draw in block.walk(0) {
            let head = block.head(&draw);
            let found = block.find(&head, draw.ttl).unwrap();
            prop_assert!(!found.is_further);
            let flow = |ttl: u8| (found.prefix_index, ttl, found.flow);
            let mut last = (found.slot, draw.ttl);
            for ttl in draw.ttl + 1..=70 {
                if planned.contains(&flow(ttl)) {
                    break; // where the flow is probed anyway
                }
                let (slot, from) = last;
                let Some(further) = block.find(&head, ttl) else {
                    prop_assert!(ttl > fill_ttl);
                    break;
                };
                prop_assert!(ttl <= fill_ttl && further.is_further);
                prop_assert_eq!(further.slot, slot);
                if from == draw.ttl {
                    prop_assert_eq!(found.next_ttl, Some(ttl));
                }
                let goes_on = ttl < fill_ttl && !planned.contains(&flow(ttl + 1));
                prop_assert_eq!(further.next_ttl, goes_on.then(|| ttl + 1));
                last = (slot, ttl);
            }
        }
    }

    #[test]
    fn a_pass_visits_each_prefix_once_and_always_in_the_same_order(
        rows in rows(), key in any::<u64>()
    ) {
        let block = Block::new(rows, &HEADER, key).unwrap();
        let mut passes: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        let mut last = None;
        for draw in block.walk(0) {
            prop_assert!(last < Some(draw.slot));
            last = Some(draw.slot);
            passes.entry(draw.slot / block.prefixes()).or_default().push(draw.place);
        }
        prop_assert!(passes.values().all(|places| places.is_sorted()));
        let all: Vec<_> = passes.values().collect();
        prop_assert!(all.windows(2).all(|pair| pair[1].iter().all(|p| pair[0].contains(p))));
    }

    #[test]
    fn what_a_block_does_not_send_it_does_not_find(
        rows in rows(), address in any::<u8>(), ttl in any::<u8>(), port in any::<u16>()
    ) {
        let block = Block::new(rows.clone(), &HEADER, 1).unwrap();
        let draw = block.walk(0).next().unwrap();
        let mut head = block.head(&draw);
        head.destination = head.destination & !0xff | u128::from(address);
        head.source_port = port;
        if let Some(found) = block.find(&head, ttl) {
            prop_assert!(wanted(&rows).contains(&(found.prefix_index, ttl, found.flow)));
        }
        head.protocol = 1;
        prop_assert_eq!(block.find(&head, ttl), None);
    }
}

#[test]
fn tcp_goes_to_a_port_of_its_own() {
    let rows = [17, 6, 1].map(|protocol| Row {
        protocol,
        ..row("240.0.0.0/24")
    });
    let block = Block::new(rows.to_vec(), &HEADER, 1).unwrap();
    let ports: BTreeSet<_> = block
        .walk(0)
        .map(|draw| block.head(&draw))
        .map(|head| (head.protocol, head.destination_port))
        .collect();
    assert_eq!(ports, BTreeSet::from([(1, 0), (6, 80), (17, 33_434)]));
}

#[test]
fn syns_and_acks_are_two_plans() {
    let rows = vec![Row {
        protocol: 6,
        ..row("240.0.0.0/24")
    }];
    let with = |segment| Block::new(rows.clone(), &Header { segment, ..HEADER }, 1);
    let [syn, ack] = [Segment::Syn, Segment::Ack].map(|segment| with(Some(segment)).unwrap());
    assert_ne!(syn.fingerprint(), ack.fingerprint());
    let refused = with(None).err().unwrap();
    assert!(refused.to_string().contains("SYNs or ACKs"), "{refused}");
}

#[test]
fn another_key_gives_another_order() {
    let rows: Vec<Row> = (0..50).map(|i| row(&format!("240.0.{i}.0/24"))).collect();
    let order = |key| {
        let block = Block::new(rows.clone(), &HEADER, key).unwrap();
        let heads = block.walk(0).map(|draw| block.head(&draw).destination);
        heads.collect::<Vec<_>>()
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}

fn row(prefix: &str) -> Row {
    Row {
        prefix_index: 0,
        prefix: prefix.parse().unwrap(),
        protocol: 17,
        min_ttl: 1,
        max_ttl: 30,
        first_flow: 0,
        flow_count: 6,
    }
}

fn refusal(rows: &[Row], mapping: Mapping) -> String {
    let header = Header { mapping, ..HEADER };
    Block::new(rows.to_vec(), &header, 1)
        .err()
        .unwrap()
        .to_string()
}

#[test]
fn rows_that_can_not_be_probed_are_refused() {
    let good = row("240.0.0.0/24");
    let mapping = HEADER.mapping;
    let icmp6 = Row {
        protocol: 58,
        ..good
    };
    assert!(refusal(&[icmp6], mapping).contains("240.0.0.0/24: the protocol 58 must be 17"));
    assert!(refusal(&[Row { min_ttl: 0, ..good }], mapping).contains("must be at least 1"));
    assert!(refusal(&[Row { max_ttl: 0, ..good }], mapping).contains("must be at least 1"));
    assert!(
        refusal(
            &[Row {
                flow_count: 0,
                ..good
            }],
            mapping
        )
        .contains("too few")
    );
    let many = Row {
        first_flow: u32::MAX,
        ..good
    };
    assert!(refusal(&[many], mapping).contains("too many"));
    let high = Row {
        first_flow: 42_000,
        ..good
    };
    assert!(refusal(&[high], mapping).contains("source port above 65535"));
    let step = std::num::NonZeroU8::new(6).unwrap();
    let interval = Mapping::Interval { step };
    assert!(refusal(&[good], interval).contains("powers of 2"));
    assert!(refusal(&[good, good], mapping).contains("hold the same probe"));
    let part = Row {
        first_flow: 5,
        min_ttl: 30,
        max_ttl: 31,
        ..good
    };
    assert!(refusal(&[good, part], mapping).contains("hold the same probe"));
    let inner = row("240.0.0.128/25");
    assert!(refusal(&[good, inner], mapping).contains("lies in another prefix"));
}
