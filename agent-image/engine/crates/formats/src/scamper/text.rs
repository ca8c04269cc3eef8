//! The words and numbers of scamper's lines.

use std::fmt::{Display, Write};

use crate::json::quoted;
use crate::record::{Method, Stop};

/// An object of a line being written.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    /// Returns an object that begins with this.
    pub(super) fn begin(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Adds it as it is.
    pub(super) fn push(&mut self, text: &str) {
        self.0.push_str(text);
    }

    /// Adds a key and its value.
    pub(super) fn key(&mut self, name: &str, value: impl Display) {
        // Strings take all that is written into them.
        let _ = write!(self.0, ", \"{name}\":{value}");
    }

    /// Adds a key and its number, which is 0 if nobody says it.
    pub(super) fn number(&mut self, name: &str, value: Option<impl Into<u64>>) {
        self.key(name, value.map_or(0, Into::into));
    }

    /// Adds a key if there is a value.
    pub(super) fn maybe(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.key(name, value);
        }
    }

    /// Adds a key and its text, if there is one.
    pub(super) fn quote(&mut self, name: &str, value: Option<impl ToString>) {
        self.maybe(name, value.map(|value| quoted(&value.to_string())));
    }

    /// Adds a key and its time, if there is one.
    pub(super) fn time(&mut self, name: &str, micros: Option<u64>) {
        self.maybe(name, micros.map(shown_time));
    }

    /// Adds the time at which it began, in UTC, once for programs and once for people.
    pub(super) fn start(&mut self, micros: Option<u64>) {
        let micros = micros.unwrap_or_default();
        let (sec, usec, date) = (
            micros / 1_000_000,
            micros % 1_000_000,
            date(micros / 1_000_000),
        );
        let shown = format!("{{\"sec\":{sec}, \"usec\":{usec}, \"ftime\":\"{date}\"}}");
        self.key("start", shown);
    }

    /// Adds a list of objects.
    pub(super) fn list(&mut self, objects: &[String]) {
        self.push("[");
        self.push(&objects.join(","));
        self.push("]");
    }

    /// Returns what was written.
    pub(super) fn end(self) -> String {
        self.0
    }
}

/// Returns a time as an object.
pub(super) fn shown_time(micros: u64) -> String {
    format!(
        "{{\"sec\":{}, \"usec\":{}}}",
        micros / 1_000_000,
        micros % 1_000_000
    )
}

/// Returns seconds since 1970 as a date and time of day in UTC.
fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March have their leap day at their end. Day 0 is the first of March of year 0.
    let day = days + 719_468;
    let era = day / 146_097;
    let day_of_era = day % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year_of_era + next;
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day_of_month:02} {hour:02}:{minute:02}:{second:02}")
}

/// Returns the method of a trace of one path.
pub(super) fn path_method(name: &str) -> Option<Method> {
    Some(match name {
        "icmp-echo" => Method::IcmpEcho,
        "icmp-echo-paris" => Method::IcmpEchoParis,
        "udp" => Method::Udp,
        "udp-paris" => Method::UdpParis,
        "tcp" => Method::Tcp,
        "tcp-ack" => Method::TcpAck,
        _ => return None,
    })
}

/// Returns the name of the method of a trace of one path: of one flow, if a method has flows.
pub(super) fn path_name(method: Method) -> Option<&'static str> {
    Some(match method {
        Method::IcmpEcho => "icmp-echo",
        Method::IcmpEchoParis => "icmp-echo-paris",
        Method::Udp => "udp",
        Method::UdpParis | Method::UdpDestinationPort | Method::UdpSourcePort => "udp-paris",
        Method::Tcp | Method::TcpSourcePort => "tcp",
        Method::TcpAck | Method::TcpAckSourcePort => "tcp-ack",
        Method::IcmpTimestamp | Method::TcpSynAck | Method::TcpReset => return None,
    })
}

/// Returns the method of a trace of several paths.
pub(super) fn graph_method(name: &str) -> Option<Method> {
    Some(match name {
        "icmp-echo" => Method::IcmpEchoParis,
        "udp-dport" => Method::UdpDestinationPort,
        "udp-sport" => Method::UdpSourcePort,
        "tcp-sport" => Method::TcpSourcePort,
        "tcp-ack-sport" => Method::TcpAckSourcePort,
        _ => return None,
    })
}

/// Returns the name of the method of a trace of several paths.
pub(super) fn graph_name(method: Method) -> Option<&'static str> {
    Some(match method {
        Method::IcmpEcho | Method::IcmpEchoParis => "icmp-echo",
        Method::Udp | Method::UdpParis | Method::UdpDestinationPort => "udp-dport",
        Method::UdpSourcePort => "udp-sport",
        Method::Tcp | Method::TcpSourcePort => "tcp-sport",
        Method::TcpAck | Method::TcpAckSourcePort => "tcp-ack-sport",
        Method::IcmpTimestamp | Method::TcpSynAck | Method::TcpReset => return None,
    })
}

/// Returns the method of a ping.
pub(super) fn ping_method(name: &str) -> Option<Method> {
    Some(match name {
        "icmp-echo" => Method::IcmpEcho,
        "icmp-time" => Method::IcmpTimestamp,
        "tcp-ack" => Method::TcpAck,
        "tcp-ack-sport" => Method::TcpAckSourcePort,
        "tcp-rst" => Method::TcpReset,
        "tcp-syn" => Method::Tcp,
        "tcp-syn-sport" => Method::TcpSourcePort,
        "tcp-synack" => Method::TcpSynAck,
        "udp" => Method::UdpParis,
        "udp-dport" => Method::UdpDestinationPort,
        "udp-sport" => Method::UdpSourcePort,
        _ => return None,
    })
}

/// Returns the name of the method of a ping.
pub(super) fn ping_name(method: Method) -> &'static str {
    match method {
        Method::IcmpEcho | Method::IcmpEchoParis => "icmp-echo",
        Method::IcmpTimestamp => "icmp-time",
        Method::TcpAck => "tcp-ack",
        Method::TcpAckSourcePort => "tcp-ack-sport",
        Method::TcpReset => "tcp-rst",
        Method::Tcp => "tcp-syn",
        Method::TcpSourcePort => "tcp-syn-sport",
        Method::TcpSynAck => "tcp-synack",
        Method::Udp | Method::UdpParis => "udp",
        Method::UdpDestinationPort => "udp-dport",
        Method::UdpSourcePort => "udp-sport",
    }
}

/// Returns why a trace stopped. A reason of a later version counts as none.
pub(super) fn stop(reason: Option<&str>, data: u8) -> Stop {
    match reason {
        Some("COMPLETED") => Stop::Completed,
        Some("UNREACH") => Stop::Unreachable(data),
        Some("ICMP") => Stop::Icmp(data),
        Some("LOOP") => Stop::Loop(data),
        Some("GAPLIMIT") => Stop::GapLimit(data),
        Some("ERROR") => Stop::Error(data),
        Some("HOPLIMIT") => Stop::HopLimit,
        Some("GSS") => Stop::StopSet,
        Some("HALTED") => Stop::Halted,
        Some("INPROGRESS") => Stop::InProgress,
        _ => Stop::None,
    }
}

/// Returns the reason for which a trace stopped, and what is said of it.
pub(super) fn stop_words(stop: Stop) -> (&'static str, u8) {
    match stop {
        Stop::None => ("NONE", 0),
        Stop::Completed => ("COMPLETED", 0),
        Stop::Unreachable(code) => ("UNREACH", code),
        Stop::Icmp(kind) => ("ICMP", kind),
        Stop::Loop(length) => ("LOOP", length),
        Stop::GapLimit(hops) => ("GAPLIMIT", hops),
        Stop::Error(number) => ("ERROR", number),
        Stop::HopLimit => ("HOPLIMIT", 0),
        Stop::StopSet => ("GSS", 0),
        Stop::Halted => ("HALTED", 0),
        Stop::InProgress => ("INPROGRESS", 0),
    }
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, shown) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_645_576_055, "2022-02-23 00:27:35"),
            (4_107_542_399, "2100-02-28 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
            (4_294_967_295, "2106-02-07 06:28:15"),
        ] {
            assert_eq!(date(seconds), shown);
        }
    }
}
