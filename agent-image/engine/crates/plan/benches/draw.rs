//! Measures how many probes a second one core draws from a plan, in order and with destinations.

use std::hint::black_box;
use std::time::Instant;

use anabranch_chance::scatter;
use anabranch_plan::{Block, Header, Mapping, Row};
use anabranch_prefixes::{Family, Prefix};

const PREFIXES: u32 = 1 << 20;
const PROBES: usize = 50_000_000;

fn main() {
    let header = Header {
        blocks: 1,
        initial_source_port: 24_000,
        destination_port: 33_434,
        order_seed: 1,
        mapping: Mapping::Random { seed: 42 },
        segment: None,
        fill_ttl: None,
        tracing: None,
        destination_seed: None,
    };
    let prefix = |i: u32| Prefix::containing(Family::V4, u128::from(i) << 8, 24);
    let equal = (0..PREFIXES)
        .map(|i| row(i, prefix(i), 2, 32, 0, 6))
        .collect();
    let unequal = (0..PREFIXES)
        .flat_map(|i| {
            let ttls = 2 + scatter(i.into()) as u8 % 12;
            (ttls..ttls + 4).map(move |ttl| {
                let flows = 1 + scatter(u64::from(i) << 8 | u64::from(ttl)) as u32 % 60;
                row(i, prefix(i), ttl, ttl, 6, flows)
            })
        })
        .collect();
    for (name, rows) in [("equal rows", equal), ("unequal rows", unequal)] {
        measure(name, rows, &header);
    }
}

fn row(
    prefix_index: u32,
    prefix: Prefix,
    min_ttl: u8,
    max_ttl: u8,
    first_flow: u32,
    flow_count: u32,
) -> Row {
    Row {
        prefix_index,
        prefix,
        protocol: 17,
        min_ttl,
        max_ttl,
        first_flow,
        flow_count,
    }
}

fn measure(name: &str, rows: Vec<Row>, header: &Header) {
    let count = rows.len();
    let start = Instant::now();
    let block = Block::new(rows, header, 7).expect("rows that fit");
    let made = start.elapsed();
    let start = Instant::now();
    let mut drawn = 0u32;
    for draw in block.walk(0).take(PROBES) {
        black_box(block.head(&draw));
        drawn += 1;
    }
    let rate = f64::from(drawn) / start.elapsed().as_secs_f64() / 1e6;
    println!(
        "{name}: {count} rows made ready in {:.2} s; {drawn} probes, {rate:.1} M/s",
        made.as_secs_f64()
    );
}
