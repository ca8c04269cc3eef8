//! From records to results.

use std::io::{self, Write};
use std::net::IpAddr;

use serde::Serialize;

use super::{flows, ping};
use crate::codec::Encode;
use crate::record::{Origin, Record};

/// The version of what probed that results claim: the last one that says all in `fw`.
const FIRMWARE: u32 = 4790;

/// RIPE Atlas's results being written, one a line.
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
        let unsupported = || {
            let what = "RIPE Atlas has no result of this";
            io::Error::new(io::ErrorKind::Unsupported, what)
        };
        match record {
            Record::Trace(trace) => {
                for line in flows::lines(trace).ok_or_else(unsupported)? {
                    write_line(&line, out)?;
                }
                Ok(())
            }
            Record::Ping(ping) => write_line(&ping::line(ping).ok_or_else(unsupported)?, out),
            // Results stand alone.
            Record::List(_)
            | Record::CycleStart(_)
            | Record::CycleDefinition(_)
            | Record::CycleStop { .. } => Ok(()),
            Record::Other(_) => Err(unsupported()),
        }
    }
}

fn write_line(line: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// What all results say of where they come from.
#[derive(Serialize)]
pub(super) struct Ends {
    fw: u32,
    /// How long ago the clock was right, in seconds: that is not known.
    lts: i8,
    af: u8,
    dst_name: String,
    dst_addr: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_addr: Option<IpAddr>,
    from: String,
    msm_id: i64,
    prb_id: i64,
}

impl Ends {
    pub(super) fn new(
        source: Option<IpAddr>,
        destination: IpAddr,
        name: Option<&str>,
        origin: &Origin,
    ) -> Self {
        let from = origin.public_source.or(source);
        Self {
            fw: FIRMWARE,
            lts: -1,
            af: if destination.is_ipv4() { 4 } else { 6 },
            dst_name: name.map_or_else(|| destination.to_string(), str::to_owned),
            dst_addr: destination,
            src_addr: source,
            from: from.map(|it| it.to_string()).unwrap_or_default(),
            msm_id: origin.measurement.map_or(-1, i64::from),
            prb_id: origin.host.map_or(-1, i64::from),
        }
    }
}
