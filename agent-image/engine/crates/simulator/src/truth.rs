//! Writes the ground truth of a simulated Internet to Parquet files.

use std::collections::BTreeSet;
use std::fs::{File, create_dir_all};
use std::io;
use std::path::Path;
use std::sync::Arc;

use anabranch_fakeroute::internet::Internet;
use anabranch_fakeroute::level::Level;
use anabranch_fakeroute::network::Network;
use anabranch_fakeroute::truth::Diamond;
use anabranch_prefixes::Family;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, StringArray, UInt32Array, UInt64Array};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// The number of rows to hold in memory.
const BATCH: usize = 1 << 16;

/// Writes `interfaces.parquet`, `links.parquet` and `diamonds.parquet` to a folder.
///
/// The files cover both families, before and after a route change; addresses are text. Silent
/// routers of measured paths have no address, and are left out.
///
/// # Errors
/// Those of writing.
pub fn write_truth(network: &Network, folder: &Path) -> io::Result<()> {
    create_dir_all(folder)?;
    let topologies = network.topologies().all();
    let measured = network.measured();
    let internets = [Family::V4, Family::V6].map(|family| network.internet(family));
    let pieces = || {
        internets.iter().flat_map(|internet| {
            let after_change = internet
                .all(1)
                .filter(|piece| piece.level == Level::Core && network.changes_routes());
            let all = internet.all(0).chain(after_change);
            all.map(move |piece| (*internet, piece))
        })
    };

    let mut interfaces = Table::create(folder, "interfaces")?;
    for (internet, piece) in pieces() {
        for interface in network.interfaces(internet, piece) {
            let address = text(internet, interface.address);
            interfaces.push((address, interface.router, interface.answers))?;
        }
    }
    interfaces.extend(topologies.iter().flat_map(|topology| {
        let internet = network.internet(topology.family());
        topology.interfaces().map(|vertex| {
            let interface = network.interface_in(topology, vertex);
            let address = text(internet, interface.address);
            (address, interface.router, interface.answers)
        })
    }))?;
    interfaces.extend(measured.addresses().map(|(family, address)| {
        let interface = network.interface_at(address);
        let address = text(network.internet(family), address);
        (address, interface.router, interface.answers)
    }))?;
    interfaces.finish()?;

    let mut links = Table::create(folder, "links")?;
    for (internet, piece) in pieces() {
        let mut outcome = Ok(());
        internet.links(&piece, |near, far| {
            if outcome.is_ok() {
                outcome = links.push((text(internet, near), text(internet, far)));
            }
        });
        outcome?;
    }
    links.extend(topologies.iter().flat_map(|topology| {
        let internet = network.internet(topology.family());
        let address = |vertex| text(internet, topology.address(vertex));
        topology
            .links()
            .map(move |(near, far)| (address(near), address(far)))
    }))?;
    links.extend(measured.links().into_iter().map(|(family, near, far)| {
        let internet = network.internet(family);
        (text(internet, near), text(internet, far))
    }))?;
    links.finish()?;

    let mut diamonds = Table::create(folder, "diamonds")?;
    for (internet, piece) in pieces() {
        let mut outcome = Ok(());
        internet.diamonds(&piece, |diamond| {
            if outcome.is_ok() {
                outcome = diamonds.push(row_of(internet, diamond));
            }
        });
        outcome?;
    }
    diamonds.extend(topologies.iter().flat_map(|topology| {
        let internet = network.internet(topology.family());
        let all = topology.diamonds().into_iter();
        all.map(|diamond| row_of(internet, diamond))
    }))?;
    diamonds.extend(measured.routes().flat_map(|route| {
        let internet = network.internet(route.family());
        let all = route.diamonds().into_iter();
        all.map(|diamond| row_of(internet, diamond))
    }))?;
    diamonds.finish()
}

fn row_of(internet: &Internet, diamond: Diamond) -> (String, String, (u32, u32)) {
    let [divergence, convergence] =
        [diamond.divergence, diamond.convergence].map(|end| text(internet, end));
    let sizes = (diamond.max_width, diamond.max_length);
    (divergence, convergence, sizes)
}

fn text(internet: &Internet, address: u128) -> String {
    internet.address(address).to_string()
}

/// A row of a table.
trait Row: Ord + Sized {
    /// Returns the columns of rows, with their names.
    fn columns(rows: &[Self]) -> Vec<(&'static str, ArrayRef)>;
}

impl Row for (String, u64, bool) {
    fn columns(rows: &[Self]) -> Vec<(&'static str, ArrayRef)> {
        let addresses = StringArray::from_iter_values(rows.iter().map(|row| &row.0));
        let routers = UInt64Array::from_iter_values(rows.iter().map(|row| row.1));
        let answers: BooleanArray = rows.iter().map(|row| Some(row.2)).collect();
        vec![
            ("address", Arc::new(addresses)),
            ("router", Arc::new(routers)),
            ("answers", Arc::new(answers)),
        ]
    }
}

impl Row for (String, String) {
    fn columns(rows: &[Self]) -> Vec<(&'static str, ArrayRef)> {
        let near = StringArray::from_iter_values(rows.iter().map(|row| &row.0));
        let far = StringArray::from_iter_values(rows.iter().map(|row| &row.1));
        vec![("near_addr", Arc::new(near)), ("far_addr", Arc::new(far))]
    }
}

impl Row for (String, String, (u32, u32)) {
    fn columns(rows: &[Self]) -> Vec<(&'static str, ArrayRef)> {
        let divergence = StringArray::from_iter_values(rows.iter().map(|row| &row.0));
        let convergence = StringArray::from_iter_values(rows.iter().map(|row| &row.1));
        let widths = UInt32Array::from_iter_values(rows.iter().map(|row| row.2.0));
        let lengths = UInt32Array::from_iter_values(rows.iter().map(|row| row.2.1));
        vec![
            ("divergence_addr", Arc::new(divergence)),
            ("convergence_addr", Arc::new(convergence)),
            ("max_width", Arc::new(widths)),
            ("max_length", Arc::new(lengths)),
        ]
    }
}

/// A Parquet file that is written row by row.
struct Table<R> {
    rows: Vec<R>,
    writer: ArrowWriter<File>,
}

impl<R: Row> Table<R> {
    fn create(folder: &Path, name: &str) -> io::Result<Self> {
        let file = File::create(folder.join(format!("{name}.parquet")))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let writer = ArrowWriter::try_new(file, Self::batch(&[])?.schema(), Some(properties))?;
        Ok(Self {
            rows: Vec::with_capacity(BATCH),
            writer,
        })
    }

    fn push(&mut self, row: R) -> io::Result<()> {
        self.rows.push(row);
        if self.rows.len() == BATCH {
            self.flush()?;
        }
        Ok(())
    }

    /// Adds rows, each once.
    fn extend(&mut self, rows: impl Iterator<Item = R>) -> io::Result<()> {
        rows.collect::<BTreeSet<R>>()
            .into_iter()
            .try_for_each(|row| self.push(row))
    }

    fn flush(&mut self) -> io::Result<()> {
        let batch = Self::batch(&self.rows)?;
        self.rows.clear();
        Ok(self.writer.write(&batch)?)
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.writer.close()?;
        Ok(())
    }

    fn batch(rows: &[R]) -> io::Result<RecordBatch> {
        RecordBatch::try_from_iter(R::columns(rows)).map_err(io::Error::other)
    }
}
