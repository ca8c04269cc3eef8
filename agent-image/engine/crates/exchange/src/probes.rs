//! What the row of one probe says: the probe as a record, and whether it ended its path.

use anabranch_formats::record::{Kind, Probe, Reply};

use crate::rows::Row;

/// Flows of a target that is traced again are numbered from the next multiple on.
const FLOWS_A_TRACE: u32 = 1 << 16;

/// Returns whether a reply ends the path of its flow: it is from the target, or no router passed its
/// probe on and sent time exceeded.
pub(crate) fn is_end(row: &Row) -> bool {
    let Some(reply) = &row.reply else {
        return false;
    };
    reply.from == row.destination || row.is_from_target || !is_exceeded(reply)
}

/// Returns whether a reply is from a router where the TTL of its probe ended.
pub(crate) fn is_exceeded(reply: &Reply) -> bool {
    match reply.kind {
        Kind::Icmp(kind, _) if reply.from.is_ipv4() => kind == 11,
        Kind::Icmp(kind, _) => kind == 3,
        Kind::Tcp(_) | Kind::Udp => false,
        Kind::Unknown => true,
    }
}

/// Returns the probe of a row.
pub(crate) fn probe(row: &Row) -> Probe {
    Probe {
        ttl: row.ttl,
        flow: row.flow % FLOWS_A_TRACE,
        attempt: row.attempt.into(),
        id: None,
        sent_us: row.sent_us,
        // Only an error tells the length of the probe that it quotes.
        size: row.reply.as_ref().and_then(|reply| reply.quoted_length),
        replies: row.reply.clone().into_iter().collect(),
    }
}
