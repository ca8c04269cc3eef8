//! Why a prober failed.

use std::io;
use std::path::PathBuf;

use anabranch_plan::PlanError;

/// The reason why a prober failed, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ProberError {
    /// The plan can't be used.
    #[error("{path}: {error}")]
    Plan {
        /// The plan's file.
        path: PathBuf,
        /// What is wrong with it.
        error: PlanError,
    },
    /// An option can't be used.
    #[error("{0}")]
    Option(String),
    /// The system refused an operation.
    #[error(transparent)]
    Io(#[from] io::Error),
}
