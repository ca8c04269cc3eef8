//! Sockets for whole frames, and calls on links by their names.

use std::ffi::CString;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::libc;

/// Opens a socket for whole frames. It receives nothing yet; sending blocks until there is room.
pub(crate) fn open() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: a plain system call.
    let opened = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) });
    let socket = opened.map_err(|it| explain(&it, "open a packet socket", "CAP_NET_RAW"))?;
    // SAFETY: the descriptor is new, and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

/// Checks that the kernel lets this process open sockets for whole frames.
///
/// # Errors
/// Those of the kernel, with the remedy if a right is missing.
pub fn check_rights() -> io::Result<()> {
    open().map(drop)
}

/// Returns an error that says what can't be done, and which capability that takes if it is missing.
pub(crate) fn explain(error: &io::Error, what: &str, capability: &str) -> io::Error {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("; it takes the capability {capability}: run as root, or grant it")
        }
        _ => String::new(),
    };
    io::Error::new(error.kind(), format!("can't {what}: {error}{remedy}"))
}

/// Binds a socket to a link. It receives the frames of `protocol`, or none if that is 0.
pub(crate) fn bind(socket: &OwnedFd, link: &str, protocol: u16) -> io::Result<()> {
    // SAFETY: the structure is plain data, for which zeros are valid.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = index_of(link)?.cast_signed();
    // SAFETY: the address is a whole sockaddr_ll, as its length says.
    check(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            mem::size_of_val(&address) as u32,
        )
    })?;
    Ok(())
}

/// Turns off a link's hardware offloads, so that packets are whole and have their checksums.
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
        let mut request = ask_about(name);
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // SAFETY: the request names a link and points to the value that ethtool reads.
        check(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) })?;
    }
    Ok(())
}

/// Returns the most bytes of a packet that leaves by a link.
///
/// # Errors
/// If no link has this name.
pub fn mtu_of(name: &str) -> io::Result<usize> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    let mut request = ask_about(name);
    // SAFETY: the request names a link, and has room for the answer.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU, &raw mut request) })?;
    // SAFETY: the kernel has written the MTU there.
    Ok(unsafe { request.ifr_ifru.ifru_mtu }.unsigned_abs() as usize)
}

/// Returns a request about a link, for ioctl.
fn ask_about(name: &str) -> libc::ifreq {
    // SAFETY: the structure is plain data, for which zeros are valid.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        // Signed on x86-64, and not on arm64.
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request
}

/// Returns the index of a link in the calling thread's network namespace.
///
/// # Errors
/// If no link has this name.
pub fn index_of(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: the name ends with a zero.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
}

pub(crate) fn set_option<T>(
    socket: &OwnedFd,
    level: i32,
    option: i32,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the length is the value's.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const *value).cast(),
            mem::size_of::<T>() as u32,
        )
    })?;
    Ok(())
}

pub(crate) fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
