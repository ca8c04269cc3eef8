//! Replies of caracal's: CSV with a line for each, as caracal, Iris and `ClickHouse` write it.

use std::io::{BufRead, Read};
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::codec::ReadError;
use crate::record::Label;

/// The names of the columns, in caracal's order.
const NAMES: [&str; 17] = [
    "capture_timestamp",
    "probe_protocol",
    "probe_src_addr",
    "probe_dst_addr",
    "probe_src_port",
    "probe_dst_port",
    "probe_ttl",
    "quoted_ttl",
    "reply_src_addr",
    "reply_protocol",
    "reply_icmp_type",
    "reply_icmp_code",
    "reply_ttl",
    "reply_size",
    "reply_mpls_labels",
    "rtt",
    "round",
];
/// The longest line, in bytes.
const MOST_BYTES: u64 = 1 << 16;
/// The days from the first of March of the year 0 to 1970.
const DAYS_BEFORE_1970: u32 = 719_468;

/// A reply to a probe of a batch tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// When it came, in seconds since 1970.
    pub at: u32,
    /// The number of the probe's protocol.
    pub protocol: u8,
    /// Where the probe came from.
    pub source: Ipv6Addr,
    /// Where it went to.
    pub destination: Ipv6Addr,
    /// Its ports.
    pub ports: (u16, u16),
    /// Its TTL.
    pub ttl: u8,
    /// The TTL in the quote.
    pub quoted_ttl: u8,
    /// Where the reply came from.
    pub from: Ipv6Addr,
    /// The number of its protocol.
    pub reply_protocol: u8,
    /// Its ICMP type and code.
    pub kind: (u8, u8),
    /// Its TTL on arrival.
    pub reply_ttl: u8,
    /// Its length, in bytes.
    pub size: u16,
    /// Its MPLS labels, outermost first.
    pub labels: Vec<Label>,
    /// The time since the probe was sent, in tenths of milliseconds.
    pub rtt: u16,
    /// The round of the probe.
    pub round: u8,
}

/// Replies being read. It ends at the end of the file, or after its first error.
pub struct Decoder {
    input: Box<dyn BufRead + Send>,
    /// The number of the line that was read last.
    line: u64,
    /// Where the columns are in a line.
    places: [usize; NAMES.len()],
    has_ended: bool,
}

impl Decoder {
    /// Reads from `input`, which is not compressed.
    #[must_use]
    pub fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self {
            input,
            line: 0,
            places: std::array::from_fn(|place| place),
            has_ended: false,
        }
    }

    fn read(&mut self) -> Result<Option<Row>, ReadError> {
        while let Some(line) = self.read_line()? {
            let fields = split(&line).ok_or_else(|| self.damaged("a quote has no end"))?;
            let is_head = fields.iter().any(|field| field == NAMES[3]);
            if is_head && self.line == 1 {
                self.places = self.find_columns(&fields)?;
                continue;
            }
            return self.parse(&fields).map(Some);
        }
        if self.line == 0 {
            let what = "it is empty; caracal's replies begin with the names of their columns";
            self.line = 1;
            return Err(self.damaged(what));
        }
        Ok(None)
    }

    /// Returns the next line that is not blank.
    fn read_line(&mut self) -> Result<Option<String>, ReadError> {
        loop {
            let mut line = Vec::new();
            let mut limited = self.input.by_ref().take(MOST_BYTES);
            if limited.read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if line.len() as u64 == MOST_BYTES {
                return Err(self.damaged("it is too long for a reply"));
            }
            let text = String::from_utf8(line).map_err(|_| self.damaged("it is no text"))?;
            let text = text.trim_start_matches('\u{feff}').trim();
            if !text.is_empty() {
                return Ok(Some(text.to_owned()));
            }
        }
    }

    /// Returns the places of all columns in a line of names.
    fn find_columns(&self, fields: &[String]) -> Result<[usize; NAMES.len()], ReadError> {
        let place = |name: &str| fields.iter().position(|field| field == name);
        let missing: Vec<&str> = NAMES
            .into_iter()
            .filter(|name| place(name).is_none())
            .collect();
        if !missing.is_empty() {
            return Err(self.damaged(&format!("it lacks the columns {}", missing.join(", "))));
        }
        Ok(NAMES.map(|name| place(name).unwrap_or_default()))
    }

    fn parse(&self, fields: &[String]) -> Result<Row, ReadError> {
        let needed = 1 + self.places.iter().max().copied().unwrap_or_default();
        if fields.len() < needed {
            let found = fields.len();
            return Err(self.damaged(&format!("it has {found} fields, and must have {needed}")));
        }
        let text = |column: usize| fields[self.places[column]].as_str();
        let number = |column: usize, most: u32| -> Result<u32, ReadError> {
            let field = text(column);
            let value = field.parse::<u32>().ok().filter(|value| *value <= most);
            value.ok_or_else(|| {
                let name = NAMES[column];
                let what = format!("{name} is {field:?}, and must be a number up to {most}");
                self.damaged(&what)
            })
        };
        let small = |column| number(column, u8::MAX.into()).map(|value| value as u8);
        let medium = |column| number(column, u16::MAX.into()).map(|value| value as u16);
        let wrong = |column: usize, field: &str, what: &str| {
            self.damaged(&format!("{} is {field:?}, and no {what}", NAMES[column]))
        };
        let address = |column| {
            let field = text(column);
            let v4 = || field.parse().map(|v4: Ipv4Addr| v4.to_ipv6_mapped());
            let found = field.parse::<Ipv6Addr>().or_else(|_| v4());
            found.map_err(|_| wrong(column, field, "address"))
        };
        let (at, labels) = (text(0), text(14));
        Ok(Row {
            at: parse_time(at).ok_or_else(|| wrong(0, at, "time"))?,
            protocol: small(1)?,
            source: address(2)?,
            destination: address(3)?,
            ports: (medium(4)?, medium(5)?),
            ttl: small(6)?,
            quoted_ttl: small(7)?,
            from: address(8)?,
            reply_protocol: small(9)?,
            kind: (small(10)?, small(11)?),
            reply_ttl: small(12)?,
            size: medium(13)?,
            labels: parse_labels(labels).ok_or_else(|| wrong(14, labels, "list of labels"))?,
            rtt: medium(15)?,
            round: small(16)?,
        })
    }

    fn damaged(&self, what: &str) -> ReadError {
        ReadError::Damaged {
            place: format!("line {}", self.line),
            what: what.to_owned(),
        }
    }
}

impl Iterator for Decoder {
    type Item = Result<Row, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let row = self.read();
        self.has_ended = !matches!(row, Ok(Some(_)));
        row.transpose()
    }
}

/// Returns the fields of a line, without the quotes around them; None if a quote has no end.
fn split(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::with_capacity(NAMES.len());
    let mut rest = line;
    loop {
        let (field, behind) = if let Some(quoted) = rest.strip_prefix('"') {
            let (field, behind) = quoted.split_once('"')?;
            (field, behind)
        } else {
            rest.split_at(rest.find(',').unwrap_or(rest.len()))
        };
        fields.push(field.to_owned());
        match behind.strip_prefix(',') {
            Some(next) => rest = next,
            None => return behind.is_empty().then_some(fields),
        }
    }
}

/// Returns a time in seconds since 1970: such a number, or a date and a time of UTC.
fn parse_time(text: &str) -> Option<u32> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let (date, time) = text.split_once([' ', 'T'])?;
    let numbers = |text: &str, mark| -> Option<[u32; 3]> {
        let parts: Option<Vec<u32>> = text.split(mark).map(|part| part.parse().ok()).collect();
        parts?.try_into().ok()
    };
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time.trim_end_matches('Z'), ':')?;
    let is_valid = (1970..=2106).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !is_valid {
        return None;
    }
    // Years begin in March here, so that a leap day is the last day of one.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let minutes = (u64::from(days - DAYS_BEFORE_1970) * 24 + u64::from(hour)) * 60;
    u32::try_from((minutes + u64::from(minute)) * 60 + u64::from(second)).ok()
}

/// Returns the labels of `[(label, exp, bottom of stack, ttl), …]`.
fn parse_labels(text: &str) -> Option<Vec<Label>> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let plain = inside.replace(['(', ')', ' '], "");
    if plain.is_empty() {
        return Some(Vec::new());
    }
    let numbers: Option<Vec<u32>> = plain.split(',').map(|part| part.parse().ok()).collect();
    let numbers = numbers?;
    let (entries, rest) = numbers.as_chunks::<4>();
    let label = |&[label, exp, bottom, ttl]: &[u32; 4]| {
        Some(Label {
            label,
            exp: exp.try_into().ok()?,
            bottom: bottom.try_into().ok()?,
            ttl: ttl.try_into().ok()?,
        })
    };
    let labels: Option<Vec<Label>> = entries.iter().map(label).collect();
    labels.filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{parse_labels, parse_time, split};

    #[test]
    fn times_are_seconds_or_dates() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("1638522471", Some(1_638_522_471)),
            ("2021-12-03 09:07:51", Some(1_638_522_471)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800)),
            ("2024-03-01 00:00:00", Some(1_709_251_200)),
            ("2106-02-07 06:28:15", Some(u32::MAX)),
            ("2106-02-07 06:28:16", None),
            ("2021-13-03 09:07:51", None),
            ("2021-12-03", None),
            ("1638522471000000", None),
            ("", None),
        ] {
            assert_eq!(parse_time(text), seconds, "{text}");
        }
    }

    #[test]
    fn fields_may_be_quoted() {
        assert_eq!(
            split("a,\"b,c\",,d"),
            Some(["a", "b,c", "", "d"].map(String::from).to_vec())
        );
        assert_eq!(split("\"a"), None);
        assert_eq!(split("\"a\"b"), None);
    }

    #[test]
    fn labels_have_four_numbers_each() {
        assert_eq!(parse_labels("[]"), Some(Vec::new()));
        let two = parse_labels("[(3, 0, 0, 1),(1048575,7,1,255)]").expect("labels");
        assert_eq!(two.len(), 2);
        assert_eq!(
            (two[1].label, two[1].exp, two[1].bottom, two[1].ttl),
            (1_048_575, 7, 1, 255)
        );
        for bad in ["", "[", "[(3,0,0)]", "[(3,0,0,256)]", "[(a,0,0,1)]"] {
            assert_eq!(parse_labels(bad), None, "{bad}");
        }
    }
}
