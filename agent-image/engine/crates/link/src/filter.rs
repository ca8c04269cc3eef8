//! Filters: which frames the kernel puts into a receiver's ring.

use std::io;
use std::os::fd::OwnedFd;

use nix::libc;

use crate::socket::set_option;

/// The frames that a receiver takes from a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Every frame.
    Everything,
    /// ICMP over IPv4 and `ICMPv6`, without extension headers but for that of a first fragment.
    Icmp,
    /// The same, and TCP segments that answer unasked ones: SYN-ACKs and resets. So a connection of
    /// another program costs a frame or two, if it has such ports at all.
    IcmpAndAnswers {
        /// The port that answers come from.
        from: u16,
        /// The lowest and the highest port that they go to.
        to: (u16, u16),
    },
}

const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_ANY: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
/// An offset from the network header, whatever header the link puts before it.
const NETWORK: u32 = libc::SKF_NET_OFF.cast_unsigned();
/// The bits of a fragment header that say where the fragment begins.
const OFFSET: u32 = 0xfff8;

impl Filter {
    /// Makes the kernel drop all other frames of a socket.
    pub(crate) fn attach(self, socket: &OwnedFd) -> io::Result<()> {
        let mut steps = match self {
            Self::Everything => return Ok(()),
            Self::Icmp => take_icmp().to_vec(),
            Self::IcmpAndAnswers { from, to } => take_answers(from, to).to_vec(),
        };
        let program = libc::sock_fprog {
            len: steps.len() as u16,
            filter: steps.as_mut_ptr(),
        };
        set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }
}

const fn take_icmp() -> [libc::sock_filter; 15] {
    [
        step(LOAD_BYTE, 0, 0, NETWORK),
        step(AND, 0, 0, 0xf0),
        step(IF_EQUAL, 0, 2, 0x40),
        step(LOAD_BYTE, 0, 0, NETWORK + 9),
        step(IF_EQUAL, 8, 9, 1),
        step(IF_EQUAL, 0, 8, 0x60),
        step(LOAD_BYTE, 0, 0, NETWORK + 6),
        step(IF_EQUAL, 5, 0, 58),
        step(IF_EQUAL, 0, 5, 44),
        step(LOAD_WORD, 0, 0, NETWORK + 42),
        step(IF_ANY, 3, 0, OFFSET),
        step(LOAD_BYTE, 0, 0, NETWORK + 40),
        step(IF_EQUAL, 0, 1, 58),
        step(RETURN, 0, 0, u32::MAX),
        step(RETURN, 0, 0, 0),
    ]
}

fn take_answers(from: u16, to: (u16, u16)) -> [libc::sock_filter; 29] {
    const LOAD_BYTE_BEHIND: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_IND) as u16;
    const LOAD_WORD_BEHIND: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_IND) as u16;
    const KEEP_HEADER_LENGTH: u16 = (libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16;
    const KEEP: u16 = (libc::BPF_LDX | libc::BPF_W | libc::BPF_IMM) as u16;
    const IF_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    const IF_ABOVE: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
    const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
    const RESET: u32 = 4;
    const SYN_ACK: u32 = 2 | 16;
    [
        step(LOAD_BYTE, 0, 0, NETWORK),
        step(AND, 0, 0, 0xf0),
        step(IF_EQUAL, 0, 5, 0x40),
        step(LOAD_BYTE, 0, 0, NETWORK + 9),
        step(IF_EQUAL, 22, 0, 1),
        step(IF_EQUAL, 0, 22, 6),
        step(KEEP_HEADER_LENGTH, 0, 0, NETWORK),
        step(JUMP, 0, 0, 10),
        step(IF_EQUAL, 0, 19, 0x60),
        step(LOAD_BYTE, 0, 0, NETWORK + 6),
        step(IF_EQUAL, 16, 0, 58),
        step(IF_EQUAL, 0, 4, 44),
        step(LOAD_WORD, 0, 0, NETWORK + 42),
        step(IF_ANY, 14, 0, OFFSET),
        step(LOAD_BYTE, 0, 0, NETWORK + 40),
        step(IF_EQUAL, 11, 12, 58),
        step(IF_EQUAL, 0, 11, 6),
        step(KEEP, 0, 0, 40),
        // From here on it is TCP, behind a header of the length that was kept.
        step(LOAD_WORD_BEHIND, 0, 0, NETWORK),
        step(IF_EQUAL, 0, 8, u32::from(from)),
        step(LOAD_WORD_BEHIND, 0, 0, NETWORK + 2),
        step(IF_LEAST, 0, 6, u32::from(to.0)),
        step(IF_ABOVE, 5, 0, u32::from(to.1)),
        step(LOAD_BYTE_BEHIND, 0, 0, NETWORK + 13),
        step(IF_ANY, 2, 0, RESET),
        step(AND, 0, 0, SYN_ACK),
        step(IF_EQUAL, 0, 1, SYN_ACK),
        step(RETURN, 0, 0, u32::MAX),
        step(RETURN, 0, 0, 0),
    ]
}

const fn step(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}
