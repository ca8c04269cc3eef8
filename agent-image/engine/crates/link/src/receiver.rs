//! Receives a link's packets from a ring that the kernel fills.

use std::io;
use std::mem;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};

use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::filter::Filter;
use crate::socket::{bind, check, open, set_option};

/// Bytes of the ring for each frame and its head: room for any frame of 1,500 bytes.
const FRAME: usize = 2048;
const BLOCK: usize = 1 << 20;
/// Frames that the ring holds until they are read: a tenth of a second at 300,000 a second.
const FRAMES: usize = 1 << 15;

/// The receiving end of a link, in the namespace in which it was opened.
pub struct Receiver {
    socket: OwnedFd,
    ring: NonNull<u8>,
    next: usize,
}

/// A received frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The whole frame, with the link's header if the link has one.
    pub bytes: &'a [u8],
    /// The packet: what follows the link's header.
    pub packet: &'a [u8],
    /// When the kernel received it, in microseconds since 1970.
    pub at_us: u64,
    /// True if its transport has no checksum yet: it comes from this very machine, or from a
    /// virtual one beside it, and no hardware has filled it in.
    pub is_unsummed: bool,
}

impl Receiver {
    /// Opens the link with this name in the calling thread's network namespace.
    ///
    /// # Errors
    /// Those of the kernel.
    ///
    /// # Panics
    /// Never: a ring has frames.
    pub fn open(link: &str, filter: Filter) -> io::Result<Self> {
        let socket = open()?;
        let version = libc::tpacket_versions::TPACKET_V2;
        set_option(&socket, libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        // The receiver must not see what this machine sends.
        set_option(
            &socket,
            libc::SOL_PACKET,
            libc::PACKET_IGNORE_OUTGOING,
            &1i32,
        )?;
        filter.attach(&socket)?;
        let request = libc::tpacket_req {
            tp_block_size: BLOCK as u32,
            tp_block_nr: (FRAMES * FRAME / BLOCK) as u32,
            tp_frame_size: FRAME as u32,
            tp_frame_nr: FRAMES as u32,
        };
        set_option(&socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let length = NonZeroUsize::new(FRAMES * FRAME).expect("a ring has frames");
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, which is unmapped when the receiver is dropped.
        let ring = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &socket, 0)? };
        let receiver = Self {
            socket,
            ring: ring.cast(),
            next: 0,
        };
        bind(&receiver.socket, link, libc::ETH_P_ALL as u16)?;
        Ok(receiver)
    }

    /// Passes the next received frame to `take` and returns its result, or None if no frame waits.
    pub fn receive<T>(&mut self, take: impl FnOnce(Frame<'_>) -> T) -> Option<T> {
        // SAFETY: the ring has FRAMES slots of FRAME bytes, each with a head at its beginning.
        // While the status says so, the slot is ours and the kernel leaves it alone.
        unsafe {
            let slot = self.ring.add(self.next * FRAME);
            let status = slot.cast::<u32>();
            let bits = status.read_volatile();
            if bits & libc::TP_STATUS_USER == 0 {
                return None;
            }
            fence(Ordering::Acquire);
            let head = slot.cast::<libc::tpacket2_hdr>().as_ref();
            let start = slot.add(usize::from(head.tp_mac)).as_ptr();
            let bytes = std::slice::from_raw_parts(start, head.tp_snaplen as usize);
            let link = usize::from(head.tp_net.saturating_sub(head.tp_mac)).min(bytes.len());
            let taken = take(Frame {
                bytes,
                packet: &bytes[link..],
                at_us: u64::from(head.tp_sec) * 1_000_000 + u64::from(head.tp_nsec) / 1_000,
                is_unsummed: bits & libc::TP_STATUS_CSUMNOTREADY != 0,
            });
            fence(Ordering::Release);
            status.write_volatile(libc::TP_STATUS_KERNEL);
            self.next = (self.next + 1) % FRAMES;
            Some(taken)
        }
    }

    /// Returns how many frames were lost to a full ring since the last call.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn take_lost(&self) -> io::Result<u64> {
        // SAFETY: the structure is plain data, for which zeros are valid.
        let mut statistics: libc::tpacket_stats = unsafe { mem::zeroed() };
        let mut length = mem::size_of_val(&statistics) as u32;
        // SAFETY: the kernel writes no more than the length says.
        check(unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut length,
            )
        })?;
        Ok(u64::from(statistics.tp_drops))
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // SAFETY: the mapping is this receiver's, and nothing points into it any more.
        if let Err(error) = unsafe { munmap(self.ring.cast(), FRAMES * FRAME) } {
            unreachable!("a mapping of ours can be unmapped: {error}");
        }
    }
}

// SAFETY: the ring belongs to the receiver alone.
unsafe impl Send for Receiver {}
