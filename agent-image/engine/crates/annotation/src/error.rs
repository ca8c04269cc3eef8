//! Why a file can't be used.

use std::io;
use std::path::{Path, PathBuf};

/// Why the files can't be used, with the name of the one that is to blame.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file can't be read.
    #[error("{}: {error}", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// The file's content can't be used.
    #[error("{}: {reason}", .file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// What is wrong, where, and the remedy.
        reason: String,
    },
}

/// What is wrong with the content of a file, and the remedy; or why it can't be read.
#[derive(Debug)]
pub enum Fault {
    /// The operating system's error.
    Io(io::Error),
    /// What is wrong with the content, where, and the remedy.
    Content(String),
}

impl Fault {
    /// Returns the error about a file.
    pub(crate) fn of(self, file: &Path) -> ReadError {
        let file = file.to_owned();
        match self {
            Self::Io(error) => ReadError::Io { file, error },
            Self::Content(reason) => ReadError::Refused { file, reason },
        }
    }
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self::Content(reason)
    }
}

/// Cuts a long text, which may repeat garbage.
pub fn shorten(text: &str) -> String {
    const KEPT: usize = 160;
    if text.chars().count() <= KEPT {
        return text.to_owned();
    }
    text.chars().take(KEPT).chain(['…']).collect()
}
