//! An Ethernet link's packets: received from a ring that the kernel fills, sent in batches.

use std::ffi::CString;
use std::io;
use std::mem;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};

use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// Bytes for each received frame with its head: room for any frame of 1,500 bytes.
const FRAME: usize = 2048;
const BLOCK: usize = 1 << 20;
/// Frames that may wait to be read: a tenth of a second at 300,000 a second.
const FRAMES: usize = 1 << 15;
/// Frames sent by one system call.
const BATCH: usize = 64;

/// A link's end, in the namespace in which it was opened.
pub struct Port {
    socket: OwnedFd,
    ring: NonNull<u8>,
    next: usize,
    queue: Vec<u8>,
    lengths: Vec<usize>,
    unsent: u64,
}

impl Port {
    /// Opens the link of this name in the calling thread's network namespace.
    ///
    /// # Errors
    /// Those of the kernel.
    ///
    /// # Panics
    /// Never: a ring has frames.
    pub fn open(name: &str) -> io::Result<Self> {
        let everything = libc::ETH_P_ALL as u16;
        // SAFETY: a plain system call; the descriptor is owned at once.
        let socket = unsafe {
            let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
            OwnedFd::from_raw_fd(check(libc::socket(libc::AF_PACKET, kind, 0))?)
        };
        set_option(
            &socket,
            libc::PACKET_VERSION,
            &libc::tpacket_versions::TPACKET_V2,
        )?;
        // Replies need no queueing discipline, and what is sent here is not to come back.
        set_option(&socket, libc::PACKET_QDISC_BYPASS, &1i32)?;
        set_option(&socket, libc::PACKET_IGNORE_OUTGOING, &1i32)?;
        let request = libc::tpacket_req {
            tp_block_size: BLOCK as u32,
            tp_block_nr: (FRAMES * FRAME / BLOCK) as u32,
            tp_frame_size: FRAME as u32,
            tp_frame_nr: FRAMES as u32,
        };
        set_option(&socket, libc::PACKET_RX_RING, &request)?;
        let length = NonZeroUsize::new(FRAMES * FRAME).expect("a ring has frames");
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, which is unmapped when the port is dropped.
        let ring = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &socket, 0)? };
        let port = Self {
            socket,
            ring: ring.cast(),
            next: 0,
            queue: Vec::with_capacity(BATCH * FRAME),
            lengths: Vec::with_capacity(BATCH),
            unsent: 0,
        };
        // SAFETY: the structure is plain data, for which zeros are valid.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = everything.to_be();
        address.sll_ifindex = index_of(name)?.cast_signed();
        // SAFETY: the address is a whole sockaddr_ll, as its length says.
        check(unsafe {
            libc::bind(
                port.socket.as_raw_fd(),
                (&raw const address).cast(),
                mem::size_of_val(&address) as u32,
            )
        })?;
        Ok(port)
    }

    /// Hands over a received frame, if there is one.
    pub fn receive<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> Option<T> {
        // SAFETY: the ring has FRAMES slots of FRAME bytes, each with a head at its beginning; while
        // the status says so the slot is ours and the kernel leaves it alone.
        unsafe {
            let slot = self.ring.add(self.next * FRAME);
            let status = slot.cast::<u32>();
            if status.read_volatile() & libc::TP_STATUS_USER == 0 {
                return None;
            }
            fence(Ordering::Acquire);
            let head = slot.cast::<libc::tpacket2_hdr>().as_ref();
            let start = slot.add(usize::from(head.tp_mac)).as_ptr();
            let taken = take(std::slice::from_raw_parts(start, head.tp_snaplen as usize));
            fence(Ordering::Release);
            status.write_volatile(libc::TP_STATUS_KERNEL);
            self.next = (self.next + 1) % FRAMES;
            Some(taken)
        }
    }

    /// Takes a frame to send with the next batch.
    ///
    /// # Errors
    /// Those of sending, when a batch is full.
    pub fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.queue.extend_from_slice(frame);
        self.lengths.push(frame.len());
        if self.lengths.len() == BATCH {
            return self.flush();
        }
        Ok(())
    }

    /// Sends what was taken. What does not fit into the kernel's queues is lost and counted, as on
    /// a full link.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.lengths.is_empty() {
            return Ok(());
        }
        let mut parts: Vec<libc::iovec> = Vec::with_capacity(self.lengths.len());
        let mut start = 0;
        for len in &self.lengths {
            parts.push(libc::iovec {
                iov_base: self.queue[start..].as_mut_ptr().cast(),
                iov_len: *len,
            });
            start += len;
        }
        let mut messages: Vec<libc::mmsghdr> = parts
            .iter_mut()
            .map(|part| {
                // SAFETY: the structure is plain data, for which zeros are valid.
                let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
                message.msg_hdr.msg_iov = part;
                message.msg_hdr.msg_iovlen = 1;
                message
            })
            .collect();
        let mut sent = 0;
        let mut outcome = Ok(());
        while sent < messages.len() {
            let rest = &mut messages[sent..];
            // SAFETY: each message points to one part, each part into the queue; all live until the
            // end of this function.
            let count = unsafe {
                let fd = self.socket.as_raw_fd();
                libc::sendmmsg(fd, rest.as_mut_ptr(), rest.len() as u32, 0)
            };
            match check(count) {
                Ok(count) => sent += count.unsigned_abs() as usize,
                Err(error) if is_full(&error) => {
                    self.unsent += 1;
                    sent += 1;
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        self.queue.clear();
        self.lengths.clear();
        outcome
    }

    /// Frames that were lost because a queue was full: those not sent, and those not received
    /// since this was last asked.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn lost(&self) -> io::Result<(u64, u64)> {
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
        Ok((self.unsent, u64::from(statistics.tp_drops)))
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // SAFETY: the mapping is this port's, and nothing points into it any more.
        if let Err(error) = unsafe { munmap(self.ring.cast(), FRAMES * FRAME) } {
            unreachable!("a mapping of ours can be unmapped: {error}");
        }
    }
}

// SAFETY: the ring belongs to the port alone.
unsafe impl Send for Port {}

/// Turns off what a link leaves to hardware, so that packets are whole and have their checksums.
///
/// # Errors
/// Those of the kernel.
pub fn turn_off_offloads(name: &str) -> io::Result<()> {
    const SIOCETHTOOL: libc::c_ulong = 0x8946;
    // ETHTOOL_STXCSUM, ETHTOOL_STSO and ETHTOOL_SGSO of linux/ethtool.h.
    const OFF: [u32; 3] = [0x17, 0x1f, 0x24];
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    for command in OFF {
        let mut value = Value { command, data: 0 };
        // SAFETY: the structure is plain data, for which zeros are valid.
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from.cast_signed();
        }
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // SAFETY: the request names a link and points to the value that ethtool reads.
        check(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) })?;
    }
    Ok(())
}

/// The index of a link in the calling thread's network namespace.
///
/// # Errors
/// When there is none of this name.
pub fn index_of(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: the name ends with a zero.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EAGAIN))
}

fn set_option<T>(socket: &OwnedFd, option: i32, value: &T) -> io::Result<()> {
    // SAFETY: the length is the value's.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            (&raw const *value).cast(),
            mem::size_of::<T>() as u32,
        )
    })?;
    Ok(())
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
