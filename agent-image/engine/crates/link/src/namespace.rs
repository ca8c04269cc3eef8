//! Network namespaces without a name: the kernel removes each with the last process that holds it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace. It stays alive at least as long as this value.
pub struct Namespace(File);

impl Namespace {
    /// Makes a new, empty namespace.
    ///
    /// # Errors
    /// Those of the kernel; `PermissionDenied` if the process may not make namespaces.
    pub fn create() -> io::Result<Self> {
        on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net").map(Self)
        })
    }

    /// Opens the namespace of a file: one in `/run/netns`, or `/proc/PID/ns/net`.
    ///
    /// # Errors
    /// Those of opening the file.
    pub fn open(file: &Path) -> io::Result<Self> {
        File::open(file).map(Self)
    }

    /// Runs `act` inside the namespace, on a thread of its own: the caller's thread does not move.
    ///
    /// # Errors
    /// Those of entering the namespace, and those of `act`.
    pub fn enter<T: Send>(&self, act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        on_thread(|| {
            setns(&self.0, CloneFlags::CLONE_NEWNET)?;
            act()
        })
    }
}

/// Moves the calling thread into the namespace of a file, such as one in `/run/netns`.
///
/// # Errors
/// Those of the kernel.
pub fn join(file: &Path) -> io::Result<()> {
    Ok(setns(File::open(file)?, CloneFlags::CLONE_NEWNET)?)
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn on_thread<T: Send>(act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(act);
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
