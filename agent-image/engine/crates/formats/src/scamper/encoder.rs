//! From records to lines.

use std::io::{self, Write};

use super::text::Text;
use super::{graphline, ping, trace};
use crate::codec::Encode;
use crate::json::quoted;
use crate::record::{Cycle, Found, Record};

/// scamper's JSON being written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Encoder;

impl Encoder {
    /// Returns an encoder.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Encode for Encoder {
    fn write(&mut self, record: &Record, out: &mut dyn Write) -> io::Result<()> {
        let line = match record {
            // Cycles name it.
            Record::List(_) | Record::CycleDefinition(_) => return Ok(()),
            Record::CycleStart(cycle) => Some(cycle_line("start", cycle, cycle.start)),
            Record::CycleStop { cycle, at } => Some(cycle_line("stop", cycle, *at)),
            Record::Trace(trace) => match &trace.found {
                Found::Path { probes, last_ttl } => trace::line(trace, probes, *last_ttl),
                Found::Graph(graph) => graphline::line(trace, graph),
            },
            Record::Ping(ping) => Some(ping::line(ping)),
            Record::Other(_) => None,
        };
        let line = line.ok_or_else(|| {
            let what = "scamper's JSON has no line for this";
            io::Error::new(io::ErrorKind::Unsupported, what)
        })?;
        writeln!(out, "{line}")
    }
}

fn cycle_line(what: &str, cycle: &Cycle, time: u32) -> String {
    let mut text = Text::begin(format!("{{\"type\":\"cycle-{what}\""));
    text.key("list_name", quoted(&cycle.list.name));
    text.key("id", cycle.id);
    text.quote("hostname", cycle.hostname.as_deref());
    text.key(&format!("{what}_time"), time);
    text.push("}");
    text.end()
}
