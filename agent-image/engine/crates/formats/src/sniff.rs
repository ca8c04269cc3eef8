//! Which format a file is of, by its first bytes.

use std::net::IpAddr;

/// A format of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// scamper's warts.
    Warts,
    /// scamper's JSON.
    Scamper,
    /// RIPE Atlas's results.
    Atlas,
    /// M-Lab's files of traceroute-caller.
    Mlab,
    /// M-Lab's files of paris-traceroute.
    Paris,
    /// caracal's replies: CSV.
    Caracal,
    /// yarrp's output.
    Yarrp,
    /// A tar archive of files.
    Archive,
}

/// The types of scamper's lines.
const SCAMPER_TYPES: [&str; 13] = [
    "cycle-start",
    "cycle-stop",
    "trace",
    "tracelb",
    "ping",
    "dealias",
    "host",
    "http",
    "neighbourdisc",
    "owamp",
    "sniff",
    "sting",
    "udpprobe",
];
/// The number of fields of a reply of caracal's, and of yarrp's.
const CARACAL_FIELDS: usize = 17;
const YARRP_FIELDS: usize = 15;

/// Returns the format of a file that begins so, if it is one of them.
///
/// Some kilobytes are enough. The file is not compressed.
#[must_use]
pub fn recognise(first: &[u8]) -> Option<Format> {
    if first.starts_with(&[0x12, 0x05]) {
        return Some(Format::Warts);
    }
    if first.get(257..262) == Some(b"ustar") {
        return Some(Format::Archive);
    }
    let text = String::from_utf8_lossy(first);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with(['{', '[']) {
        return recognise_json(text);
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    if text.starts_with('#') {
        let comments = text.lines().take_while(|line| line.starts_with('#'));
        let mut comments = comments.map(str::to_lowercase);
        if comments.any(|comment| comment.contains("yarrp")) {
            return Some(Format::Yarrp);
        }
    }
    recognise_line(lines.find(|line| !line.starts_with('#'))?)
}

/// Returns the format of a line that is no comment.
fn recognise_line(line: &str) -> Option<Format> {
    if line.starts_with("traceroute [(") {
        return Some(Format::Paris);
    }
    if line.contains("probe_dst_addr") && line.contains("reply_src_addr") {
        return Some(Format::Caracal);
    }
    let is_address = |text: Option<&&str>| text.is_some_and(|text| text.parse::<IpAddr>().is_ok());
    let is_number = |text: Option<&&str>| text.is_some_and(|text| text.parse::<f64>().is_ok());
    // The labels are the one field that may have commas, and quotes if it has.
    let fields: Vec<&str> = line.split(',').collect();
    if fields.len() >= CARACAL_FIELDS
        && is_number(fields.first())
        && is_address(fields.get(2))
        && is_address(fields.get(3))
        && is_address(fields.get(8))
    {
        return Some(Format::Caracal);
    }
    let fields: Vec<&str> = line.split_whitespace().collect();
    let yarrp = fields.len() == YARRP_FIELDS
        && is_address(fields.first())
        && (1..6).all(|field| is_number(fields.get(field)))
        && is_address(fields.get(6));
    yarrp.then_some(Format::Yarrp)
}

/// Returns the format of JSON by the keys of its first object.
fn recognise_json(text: &str) -> Option<Format> {
    let keys = Keys::of(text);
    let has = |key: &str| keys.names.contains(&key);
    if has("UUID") || has("Metadata") {
        Some(Format::Mlab)
    } else if has("prb_id") || has("msm_id") || has("fw") {
        Some(Format::Atlas)
    } else {
        let kind = keys.kind?;
        SCAMPER_TYPES.contains(&kind).then_some(Format::Scamper)
    }
}

/// The keys of the first object of a text, as far as the text goes.
#[derive(Default)]
struct Keys<'a> {
    names: Vec<&'a str>,
    /// What its key `type` says.
    kind: Option<&'a str>,
}

impl<'a> Keys<'a> {
    fn of(text: &'a str) -> Self {
        let mut keys = Self::default();
        let (mut depth, mut at) = (0_u32, text.find('{').unwrap_or(text.len()));
        while let Some(byte) = text.as_bytes().get(at) {
            at += 1;
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth <= 1 => break,
                b'}' | b']' => depth -= 1,
                b'"' => {
                    let Some(length) = length_of_string(&text[at..]) else {
                        break;
                    };
                    let string = &text[at..at + length];
                    at += length + 1;
                    if depth == 1 && text[at..].trim_start().starts_with(':') {
                        keys.names.push(string);
                    } else if depth == 1 && keys.names.last() == Some(&"type") {
                        keys.kind.get_or_insert(string);
                    }
                }
                _ => {}
            }
        }
        keys
    }
}

/// Returns the number of bytes before the quote that ends a string.
fn length_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        end
    })
}

#[cfg(test)]
mod tests {
    use super::{Format, recognise};

    #[test]
    fn formats_are_told_by_how_files_begin() {
        let label = "\"[(3, 0, 1, 1)]\"";
        let caracal = format!(
            "1638522471,1,::ffff:198.18.0.2,::ffff:240.0.0.9,24000,33434,3,1,::ffff:198.18.0.9,1,11,0,\
             250,56,{label},12,1\n"
        );
        for (first, format) in [
            ("\u{12}\u{5}\0\u{1}", Some(Format::Warts)),
            (
                "{\"type\":\"cycle-start\", \"list_name\":\"def",
                Some(Format::Scamper),
            ),
            (
                " [{\"version\":\"0.1\", \"type\":\"tracelb\"",
                Some(Format::Scamper),
            ),
            (
                "{\"a\":{\"fw\":[\"UUID\"]}, \"type\":\"trace\"}",
                Some(Format::Scamper),
            ),
            (
                "{\"type\":\"ping\", \"version\":\"0.4\"",
                Some(Format::Scamper),
            ),
            ("{\"type\":\"ping\", \"fw\":4790", Some(Format::Atlas)),
            ("[\n {\n  \"af\": 4,\n  \"fw\": 5080", Some(Format::Atlas)),
            ("{\"UUID\": \"0000\"}\n{\"type\":", Some(Format::Mlab)),
            ("{\"Metadata\":{\"UUID\":\"0\"},", Some(Format::Mlab)),
            (
                "traceroute [(198.18.0.2:1) -> (240.0.0.9:2)], ",
                Some(Format::Paris),
            ),
            (
                "# Bandwidth, sent = 2 pkt/s\ntraceroute [(198",
                Some(Format::Paris),
            ),
            (
                "capture_timestamp,probe_protocol,probe_src_addr,probe_dst_addr,probe_src_port,\
              probe_dst_port,probe_ttl,quoted_ttl,reply_src_addr\n",
                Some(Format::Caracal),
            ),
            (&caracal, Some(Format::Caracal)),
            ("# yarrp v0.7\n# Targets: 1\n", Some(Format::Yarrp)),
            (
                "# a\n240.0.0.9 1 2 11 0 3 198.18.0.9 120 1 40 56 250 0 0 0\n",
                Some(Format::Yarrp),
            ),
            ("{\"type\":\"dns\"}", None),
            ("{\"type\":3}", None),
            ("{\"type", None),
            ("\"", None),
            ("a,b\n", None),
            ("", None),
        ] {
            assert_eq!(recognise(first.as_bytes()), format, "{first}");
        }
    }
}
