//! Lists and cycles: records define them, and later records refer to them by their numbers.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;

use super::addresses::read_bytes;
use super::bytes::{Reader, put_text};
use super::header::{self, Type};
use super::parameters::{Block, Parameters};
use crate::codec::ReadError;
use crate::record::{Cycle, List};

/// What the file has defined so far. 0 stands for no list and no cycle.
#[derive(Default)]
pub(super) struct Known {
    lists: HashMap<u32, Arc<List>>,
    cycles: HashMap<u32, Arc<Cycle>>,
    /// Numbered from 1.
    addresses: Vec<IpAddr>,
}

impl Known {
    /// Reads a list.
    pub(super) fn read_list(&mut self, reader: &mut Reader) -> Result<Arc<List>, ReadError> {
        let (number, id) = (reader.word()?, reader.word()?);
        let name = reader.text()?;
        let mut parameters = Parameters::read(reader)?;
        let list = Arc::new(List {
            number,
            id,
            name,
            description: parameters.get(1, Reader::text)?,
            monitor: parameters.get(2, Reader::text)?,
        });
        self.lists.insert(number, Arc::clone(&list));
        Ok(list)
    }

    /// Reads a cycle.
    pub(super) fn read_cycle(&mut self, reader: &mut Reader) -> Result<Arc<Cycle>, ReadError> {
        let number = reader.word()?;
        let list = self.read_list_reference(reader)?;
        let list = list.ok_or_else(|| reader.damaged("a cycle has no list"))?;
        let (id, start) = (reader.word()?, reader.word()?);
        let mut parameters = Parameters::read(reader)?;
        let cycle = Arc::new(Cycle {
            number,
            list,
            id,
            start,
            stop: parameters.get(1, Reader::word)?,
            hostname: parameters.get(2, Reader::text)?,
        });
        self.cycles.insert(number, Arc::clone(&cycle));
        Ok(cycle)
    }

    /// Reads the end of a cycle: which one, and when.
    pub(super) fn read_stop(&self, reader: &mut Reader) -> Result<(Arc<Cycle>, u32), ReadError> {
        let cycle = self.read_cycle_reference(reader)?;
        let cycle = cycle.ok_or_else(|| reader.damaged("no cycle ends here"))?;
        let at = reader.word()?;
        Parameters::read(reader)?;
        Ok((cycle, at))
    }

    /// Reads an address for later records.
    pub(super) fn read_address(&mut self, reader: &mut Reader) -> Result<(), ReadError> {
        let (_, kind) = reader.kind()?;
        let length = reader.len();
        self.addresses.push(read_bytes(reader, kind, length)?);
        Ok(())
    }

    /// Reads a reference to a list.
    pub(super) fn read_list_reference(
        &self,
        reader: &mut Reader,
    ) -> Result<Option<Arc<List>>, ReadError> {
        find(&self.lists, reader, "list")
    }

    /// Reads a reference to a cycle.
    pub(super) fn read_cycle_reference(
        &self,
        reader: &mut Reader,
    ) -> Result<Option<Arc<Cycle>>, ReadError> {
        find(&self.cycles, reader, "cycle")
    }

    /// Reads a reference to an address that has a record of its own.
    pub(super) fn read_address_reference(&self, reader: &mut Reader) -> Result<IpAddr, ReadError> {
        let number = reader.word()?;
        let place = (number as usize).checked_sub(1);
        let address = place.and_then(|place| self.addresses.get(place));
        address
            .copied()
            .ok_or_else(|| missing(reader, "address", number))
    }
}

fn find<T>(
    known: &HashMap<u32, Arc<T>>,
    reader: &mut Reader,
    what: &str,
) -> Result<Option<Arc<T>>, ReadError> {
    let number = reader.word()?;
    if number == 0 {
        return Ok(None);
    }
    let found = known.get(&number).cloned();
    found.map(Some).ok_or_else(|| missing(reader, what, number))
}

#[cold]
fn missing(reader: &Reader, what: &str, number: u32) -> ReadError {
    reader.damaged(format!("the file defines no {what} {number} before this"))
}

/// What was written so far, by the numbers that it has there.
#[derive(Default)]
pub(super) struct Written {
    lists: HashMap<Arc<List>, u32>,
    cycles: HashMap<Arc<Cycle>, u32>,
    /// How many cycles were ever written; those that ended can't be referred to.
    cycle_count: u32,
    content: Vec<u8>,
    block: Block,
}

impl Written {
    /// Returns the number of a list, which it writes unless it has.
    pub(super) fn list(&mut self, list: &Arc<List>, out: &mut dyn Write) -> io::Result<u32> {
        if let Some(number) = self.lists.get(list) {
            return Ok(*number);
        }
        let number = self.lists.len() as u32 + 1;
        self.content.clear();
        self.content.extend(number.to_be_bytes());
        self.content.extend(list.id.to_be_bytes());
        put_text(&mut self.content, &list.name)?;
        self.block.clear();
        self.block.text(1, list.description.as_deref())?;
        self.block.text(2, list.monitor.as_deref())?;
        self.end(Type::List, out)?;
        self.lists.insert(Arc::clone(list), number);
        Ok(number)
    }

    /// Returns the number of a cycle, which it writes as a record of some type unless it has.
    pub(super) fn cycle(
        &mut self,
        cycle: &Arc<Cycle>,
        kind: Type,
        out: &mut dyn Write,
    ) -> io::Result<u32> {
        if let Some(number) = self.cycles.get(cycle) {
            return Ok(*number);
        }
        let list = self.list(&cycle.list, out)?;
        let number = self.cycle_count + 1;
        self.content.clear();
        for field in [number, list, cycle.id, cycle.start] {
            self.content.extend(field.to_be_bytes());
        }
        self.block.clear();
        self.block.word(1, cycle.stop);
        self.block.text(2, cycle.hostname.as_deref())?;
        self.end(kind, out)?;
        self.cycle_count = number;
        self.cycles.insert(Arc::clone(cycle), number);
        Ok(number)
    }

    /// Writes that a cycle has ended. Readers forget it then.
    pub(super) fn stop(
        &mut self,
        cycle: &Arc<Cycle>,
        at: u32,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let number = self.cycle(cycle, Type::CycleDefinition, out)?;
        self.cycles.remove(cycle);
        self.content.clear();
        self.content.extend(number.to_be_bytes());
        self.content.extend(at.to_be_bytes());
        self.block.clear();
        self.end(Type::CycleStop, out)
    }

    fn end(&mut self, kind: Type, out: &mut dyn Write) -> io::Result<()> {
        self.block.end(&mut self.content)?;
        out.write_all(&header::write(kind, self.content.len())?)?;
        out.write_all(&self.content)
    }
}
