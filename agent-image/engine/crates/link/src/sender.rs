//! Sends frames on a link in batches.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use nix::libc;

use crate::socket::{bind, check, is_full, open, set_option};

/// The most frames that one system call sends.
pub const BATCH: usize = 64;

/// The sending end of a link, in the namespace in which it was opened.
pub struct Sender {
    socket: OwnedFd,
    link: String,
    /// The frames of the next batch, one behind another.
    queue: Vec<u8>,
    /// The end of each frame in the queue.
    ends: Vec<usize>,
    /// How many frames left the queue since `take_unsent`, and which of them were lost.
    flushed: usize,
    unsent: Vec<usize>,
}

impl Sender {
    /// Opens the link with this name in the calling thread's network namespace.
    ///
    /// With `bypass`, frames skip the link's queueing discipline. That is a little faster, but a
    /// capture on the link does not see them.
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
            flushed: 0,
            unsent: Vec::new(),
        })
    }

    /// Queues the frame that `write` appends, and sends the batch once it is full.
    ///
    /// # Errors
    /// Those of `flush`.
    pub fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        write(&mut self.queue);
        self.ends.push(self.queue.len());
        if self.ends.len() == BATCH {
            return self.flush();
        }
        Ok(())
    }

    /// Sends the queued frames. A frame that finds the kernel's queues full is lost and noted, as on
    /// a full link.
    ///
    /// # Errors
    /// Those of the kernel; the rest of the batch is dropped then.
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
                    self.unsent.push(self.flushed + sent);
                    sent += 1;
                }
                Err(error) => {
                    let reason = format!("can't send on {}: {error}; see that it is up", self.link);
                    outcome = Err(io::Error::new(error.kind(), reason));
                    break;
                }
            }
        }
        self.flushed += count;
        self.queue.clear();
        self.ends.clear();
        outcome
    }

    /// Returns which frames were lost to a full queue: each by its place among those that left this
    /// sender's queue since the last call.
    pub fn take_unsent(&mut self) -> Vec<usize> {
        self.flushed = 0;
        mem::take(&mut self.unsent)
    }
}
