//! A plan reads back from its file as it was written.

use std::num::NonZeroU8;

use anabranch_plan::{Demand, Header, Lists, Mapping, Plan, PlanWriter, Row, count_blocks};
use anabranch_prefixes::{Family, Prefix};
use anabranch_trace::parameters::Parameters;

#[test]
fn each_block_has_its_rows_and_all_have_all() {
    let path = std::env::temp_dir().join(format!("anabranch-plan-{}", std::process::id()));
    let header = Header {
        blocks: 7,
        initial_source_port: 24_000,
        destination_port: 33_434,
        order_seed: 5,
        mapping: Mapping::Interval {
            step: NonZeroU8::new(32).unwrap(),
        },
        segment: None,
        fill_ttl: None,
        tracing: None,
        destination_seed: None,
    };
    let mut rows: Vec<Row> = (0..300_000)
        .map(|i| {
            let prefix = if i % 3 == 0 {
                Prefix::containing(Family::V6, 0x3fff << 112 | u128::from(i) << 64, 64)
            } else {
                Prefix::containing(Family::V4, u128::from(i) << 8, 24)
            };
            Row {
                prefix_index: i,
                prefix,
                protocol: 17,
                min_ttl: 2,
                max_ttl: 32,
                first_flow: 0,
                flow_count: 6,
            }
        })
        .collect();
    let mut writer = PlanWriter::create(&path, header.clone()).unwrap();
    writer.write(&mut rows, &Lists::new()).unwrap();
    assert_eq!(writer.finish().unwrap(), 300_000 * 31 * 6);
    let plan = Plan::open(&path).unwrap();
    assert_eq!(plan.header(), &header);
    assert_eq!(plan.units(), 300_000 * 31 * 6);
    let mut read = Vec::new();
    for block in 0..7 {
        let rows = plan.rows(block).unwrap();
        assert!((40_000..46_000).contains(&rows.len()));
        assert!(rows.iter().all(|row| header.block_of(&row.prefix) == block));
        read.extend(rows);
    }
    assert!(plan.rows(7).is_err());
    rows.sort_unstable();
    read.sort_unstable();
    assert!(read == rows);
    let known = plan.rows(3).unwrap();
    let known = known.iter().find(|row| row.prefix.len() == 24).unwrap();
    let mut demand = Demand {
        prefix_index: known.prefix_index,
        min_ttl: 3,
        max_ttl: 4,
        first_flow: 6,
        flow_count: u32::MAX,
    };
    let asked = plan.ask(3, &[demand]).unwrap();
    // The demand is cut to the flows that there are addresses and source ports for.
    assert_eq!(asked[0].flow_count, 256 + 65_535 - 24_000 - 6);
    assert_eq!((asked[0].prefix, asked[0].min_ttl), (known.prefix, 3));
    demand.first_flow = 256 + 65_535 - 24_000;
    assert!(plan.ask(3, &[demand]).unwrap().is_empty());
    assert!(plan.ask(4, &[demand]).is_err());
    std::fs::write(&path, b"prefix,protocol").unwrap();
    assert!(
        Plan::open(&path)
            .err()
            .unwrap()
            .to_string()
            .starts_with("it is no plan")
    );
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn targets_stand_for_the_addresses_that_were_written() {
    let path = std::env::temp_dir().join(format!("anabranch-lists-{}", std::process::id()));
    let tracing = Parameters {
        algorithm: "singlePath".to_owned(),
        phi: 2,
        failure_probability: 0.05,
        per_packet_test: true,
        gap_limit: 5,
        attempts: 3,
        max_probes: 1,
        wait_s: None,
        alias_rounds: Some(1),
    };
    let header = Header {
        blocks: 1,
        initial_source_port: 24_000,
        destination_port: 33_434,
        order_seed: 5,
        mapping: Mapping::Sequential {},
        segment: None,
        fill_ttl: None,
        tracing: Some(tracing),
        destination_seed: None,
    };
    let firsts = ["240.0.0.1/32", "3fff::1/128", "240.0.0.9/32"].map(|text| text.parse().unwrap());
    let mut rows: Vec<Row> = (0..)
        .zip(firsts)
        .map(|(prefix_index, prefix): (u32, Prefix)| Row {
            prefix_index,
            prefix,
            protocol: if prefix.len() == 32 { 1 } else { 58 },
            min_ttl: 1,
            max_ttl: 64,
            first_flow: 0,
            flow_count: 1,
        })
        .collect();
    let mapped = |text: &str| text.parse::<Prefix>().unwrap().mapped();
    let lists = Lists::from([
        (0, vec![mapped("240.0.0.1/32"), mapped("240.0.0.7/32")]),
        (1, vec![mapped("3fff::1/128")]),
    ]);
    let mut writer = PlanWriter::create(&path, header).unwrap();
    writer.write(&mut rows, &lists).unwrap();
    assert_eq!(writer.finish().unwrap(), 3);
    let read = Plan::open(&path).unwrap().lists(0).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!(read[&0], [0xf000_0001, 0xf000_0007]);
    assert_eq!(read[&1], [0x3fff << 112 | 1]);
}

#[test]
fn a_run_has_a_block_for_each_million_prefixes() {
    assert_eq!(
        [0, 1, 1 << 20, (1 << 20) + 1, 1 << 24].map(count_blocks),
        [1, 1, 1, 2, 16]
    );
}
