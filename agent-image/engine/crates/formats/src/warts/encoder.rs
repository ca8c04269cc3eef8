//! A file that is being written, record by record.

use std::io::{self, Write};
use std::sync::Arc;

use super::addresses::Table;
use super::definitions::Written;
use super::header::{self, Type};
use super::parameters::Block;
use super::{ping, trace, tracelb};
use crate::codec::Encode;
use crate::record::{Cycle, Found, List, Record};

/// Writes records as scamper does. Lists and cycles that they are of come before them by themselves.
#[derive(Default)]
pub struct Encoder {
    written: Written,
    content: Vec<u8>,
    block: Block,
    table: Table,
}

impl Encoder {
    /// Returns an encoder of a file that has nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the numbers of a list and a cycle, which it writes unless they are written; 0 for none.
    fn refer(
        &mut self,
        list: Option<&Arc<List>>,
        cycle: Option<&Arc<Cycle>>,
        out: &mut dyn Write,
    ) -> io::Result<(u32, u32)> {
        let list = list.map(|list| self.written.list(list, out)).transpose()?;
        let cycle = cycle.map(|cycle| self.written.cycle(cycle, Type::CycleDefinition, out));
        Ok((list.unwrap_or(0), cycle.transpose()?.unwrap_or(0)))
    }
}

impl Encode for Encoder {
    fn write(&mut self, record: &Record, out: &mut dyn Write) -> io::Result<()> {
        self.content.clear();
        self.block.clear();
        self.table.clear();
        let kind = match record {
            Record::List(list) => return self.written.list(list, out).map(drop),
            Record::CycleStart(cycle) => {
                return self.written.cycle(cycle, Type::CycleStart, out).map(drop);
            }
            Record::CycleDefinition(cycle) => {
                return self
                    .written
                    .cycle(cycle, Type::CycleDefinition, out)
                    .map(drop);
            }
            Record::CycleStop { cycle, at } => return self.written.stop(cycle, *at, out),
            Record::Other(_) => return Ok(()),
            Record::Trace(this) => {
                let ids = self.refer(this.list.as_ref(), this.cycle.as_ref(), out)?;
                let (content, block, table) = (&mut self.content, &mut self.block, &mut self.table);
                match &this.found {
                    Found::Path { probes, last_ttl } => {
                        trace::write(this, (probes, *last_ttl), ids, content, block, table)?;
                        Type::Trace
                    }
                    Found::Graph(graph) => {
                        tracelb::write(this, graph, ids, content, block, table)?;
                        Type::Tracelb
                    }
                }
            }
            Record::Ping(this) => {
                let ids = self.refer(this.list.as_ref(), this.cycle.as_ref(), out)?;
                let (content, block, table) = (&mut self.content, &mut self.block, &mut self.table);
                ping::write(this, ids, content, block, table)?;
                Type::Ping
            }
        };
        out.write_all(&header::write(kind, self.content.len())?)?;
        out.write_all(&self.content)
    }
}
