//! Runs a command that ends with the simulator, as does all that the command started.

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};

/// The folder where `ip netns` looks for namespaces by name.
const NAMES: &str = "/run/netns";
/// The exit code by which a shell says that it could not run a command.
const NOT_RUN: i32 = 127;

/// A namespace that the command can enter by its name.
pub struct Named<'a> {
    /// The name.
    pub name: &'a str,
    /// The network namespace.
    pub namespace: BorrowedFd<'a>,
}

/// A running command.
pub struct Running(Pid);

/// Starts a command in the first of the namespaces.
///
/// The command runs in a PID and a mount namespace of its own, where the network namespaces have
/// their names. The kernel removes all of this when the calling thread ends, for whatever reason.
///
/// # Errors
/// Those of the kernel.
pub fn start(command: &[OsString], namespaces: &[Named<'_>]) -> io::Result<Running> {
    // Everything that needs memory is made before the process splits.
    let words: Vec<CString> = command
        .iter()
        .map(|word| CString::new(word.clone().into_vec()))
        .collect::<Result<_, _>>()?;
    let binds: Vec<(CString, CString)> = namespaces
        .iter()
        .map(|named| {
            let from = CString::new(format!("/proc/self/fd/{}", named.namespace.as_raw_fd()))?;
            Ok((from, CString::new(format!("{NAMES}/{}", named.name))?))
        })
        .collect::<io::Result<_>>()?;
    std::fs::create_dir_all(NAMES)?;
    let mut pointers: Vec<*const libc::c_char> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let parent = Pid::this();
    if let Some(child) = split(libc::CLONE_NEWPID | libc::CLONE_NEWNS)? {
        return Ok(Running(child));
    }
    let outcome =
        prepare(parent, namespaces[0].namespace, &binds).and_then(|()| be_init(&pointers));
    if let Err(error) = outcome {
        eprintln!("anabranch: can't prepare {:?}: {error}", words[0]);
    }
    leave(NOT_RUN)
}

/// Splits the process as fork does, but calls no handlers: a library may have locks in them that
/// other threads hold. Returns None in the child, which may only make system calls.
fn split(flags: libc::c_int) -> io::Result<Option<Pid>> {
    let flags = i64::from(flags | libc::SIGCHLD);
    // SAFETY: without a stack of its own the child continues on a copy of this one, as after fork.
    match unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => Ok(Some(Pid::from_raw(pid as i32))),
    }
}

/// Ends a child, without what the parent has to do at its end.
fn leave(code: i32) -> ! {
    // SAFETY: a plain system call.
    unsafe { libc::_exit(code) }
}

impl Running {
    /// Waits until the command ends. Returns its exit code, or 128 plus the signal that ended it.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn wait(&self) -> io::Result<i32> {
        loop {
            match waitpid(self.0, None) {
                Ok(WaitStatus::Exited(_, code)) => return Ok(code),
                Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(128 + signal as i32),
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Enters the vantage point's namespace, and makes the mounts that the command sees.
fn prepare(parent: Pid, namespace: BorrowedFd<'_>, binds: &[(CString, CString)]) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    // The parent has the number 0 in this PID namespace, and 1 once init has taken over.
    if getppid() != Pid::from_raw(0) && getppid() != parent {
        leave(NOT_RUN);
    }
    setns(namespace, CloneFlags::CLONE_NEWNET)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("tmpfs"), NAMES, Some("tmpfs"), MsFlags::empty(), none)?;
    for (from, to) in binds {
        nix::fcntl::open(
            to.as_c_str(),
            nix::fcntl::OFlag::O_CREAT,
            nix::sys::stat::Mode::S_IRUSR,
        )?;
        mount(
            Some(from.as_c_str()),
            to.as_c_str(),
            none,
            MsFlags::MS_BIND,
            none,
        )?;
    }
    mount(
        Some("proc"),
        Path::new("/proc"),
        Some("proc"),
        MsFlags::empty(),
        none,
    )?;
    Ok(())
}

/// Runs the command and waits for it. As the first process of a PID namespace must, it also reaps
/// the processes that others leave behind.
///
/// `words` are those of the command, with a null behind the last one.
fn be_init(words: &[*const libc::c_char]) -> io::Result<()> {
    let Some(child) = split(0)? else {
        // SAFETY: the words outlive this call, as they are in memory that `start` holds.
        let error = unsafe {
            libc::execvp(words[0], words.as_ptr());
            io::Error::last_os_error()
        };
        // SAFETY: as above.
        let name = unsafe { CStr::from_ptr(words[0]) };
        eprintln!("anabranch: can't run {name:?}: {error}");
        leave(NOT_RUN)
    };
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => leave(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => leave(128 + signal as i32),
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
