//! Stamps: each prober has its own, whose key is drawn at its start and never stored.
//!
//! Every prober of a process hears the replies to all of them. So the process remembers the recent
//! stamps, to tell replies to another prober from forgeries. A reply that quotes only 28 bytes of
//! an IPv4 probe shows 16 bits of its tag: one such forgery in a thousand passes for another's. An
//! answer to a TCP probe shows 8.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{PoisonError, RwLock};

use anabranch_wire::probe::Stamp;
use anabranch_wire::reply::Reply;

/// The most stamps to remember. If more probers run, replies to the oldest count as forged.
const REMEMBERED: usize = 64;
static RECENT: RwLock<VecDeque<Stamp>> = RwLock::new(VecDeque::new());

/// Makes a stamp with a key of its own.
pub(crate) fn draw(contact: &str) -> io::Result<Stamp> {
    let stamp = Stamp::new(draw_key()?, contact);
    let mut recent = RECENT.write().unwrap_or_else(PoisonError::into_inner);
    recent.truncate(REMEMBERED - 1);
    recent.push_front(stamp.clone());
    Ok(stamp)
}

/// Returns whether a reply answers any prober of this process.
pub(crate) fn any_vouches_for(reply: &Reply) -> bool {
    let recent = RECENT.read().unwrap_or_else(PoisonError::into_inner);
    recent
        .iter()
        .any(|stamp| stamp.vouches_for(&reply.probe, reply.seen))
}

fn draw_key() -> io::Result<[u64; 2]> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let word = |at: usize| {
        let bytes = bytes[at..].first_chunk().copied().unwrap_or_default();
        u64::from_ne_bytes(bytes)
    };
    Ok([word(0), word(8)])
}
