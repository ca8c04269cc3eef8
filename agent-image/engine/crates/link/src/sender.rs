//! Frames sent on a link in batches.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use nix::libc;

use crate::socket::{bind, check, is_full, open, set_option};

/// Frames sent by one system call.
pub const BATCH: usize = 64;

/// A link's sending end, in the namespace in which it was opened.
pub struct Sender {
    socket: OwnedFd,
    link: String,
    /// Frames that wait for the batch to be full, one behind another.
    queue: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    unsent: u64,
}

impl Sender {
    /// Opens the link of this name in the calling thread's network namespace. Frames that bypass
    /// its queue are sent a little faster, and nobody who captures on the link sees them.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn open(link: &str, bypass: bool) -> io::Result<Self> {
        let socket = open()?;
        let bypass = i32::from(bypass);
        set_option(
            &socket,
            libc::SOL_PACKET,
            libc::PACKET_QDISC_BYPASS,
            &bypass,
        )?;
        bind(&socket, link, 0)?;
        Ok(Self {
            socket,
            link: link.to_owned(),
            queue: Vec::new(),
            ends: Vec::with_capacity(BATCH),
            unsent: 0,
        })
    }

    /// Takes a frame, which `write` appends, to send with the next batch.
    ///
    /// # Errors
    /// Those of sending, when a batch is full.
    pub fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        write(&mut self.queue);
        self.ends.push(self.queue.len());
        if self.ends.len() == BATCH {
            return self.flush();
        }
        Ok(())
    }

    /// Sends what was taken. What does not fit into the kernel's queues is lost and counted, as on
    /// a full link.
    ///
    /// # Errors
    /// Those of the kernel; what was taken is dropped then.
    pub fn flush(&mut self) -> io::Result<()> {
        let count = self.ends.len();
        // SAFETY: the structures are plain data, for which zeros are valid.
        let mut parts: [libc::iovec; BATCH] = unsafe { mem::zeroed() };
        // SAFETY: the same.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        let mut start = 0;
        for (i, end) in self.ends.iter().enumerate() {
            parts[i].iov_base = self.queue[start..].as_mut_ptr().cast();
            parts[i].iov_len = end - start;
            start = *end;
            messages[i].msg_hdr.msg_iov = ptr::from_mut(&mut parts[i]);
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        let mut sent = 0;
        let mut outcome = Ok(());
        while sent < count {
            let rest = &mut messages[sent..count];
            // SAFETY: each message points to one part, each part into the queue; all live until the
            // end of this function.
            let done = unsafe {
                let fd = self.socket.as_raw_fd();
                libc::sendmmsg(fd, rest.as_mut_ptr(), rest.len() as u32, 0)
            };
            match check(done) {
                Ok(done) => sent += done.unsigned_abs() as usize,
                Err(error) if is_full(&error) => {
                    self.unsent += 1;
                    sent += 1;
                }
                Err(error) => {
                    let reason = format!("can't send on {}: {error}; see that it is up", self.link);
                    outcome = Err(io::Error::new(error.kind(), reason));
                    break;
                }
            }
        }
        self.queue.clear();
        self.ends.clear();
        outcome
    }

    /// Frames that were lost because a queue was full, since this was last asked.
    pub const fn take_unsent(&mut self) -> u64 {
        mem::replace(&mut self.unsent, 0)
    }
}
