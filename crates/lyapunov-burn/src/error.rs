//! What can go wrong with images, weights in files and devices; faults of the mathematics pass through.

use std::path::PathBuf;

/// A fault of this crate. Fields are typed so that a program can act on them; the message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A data file does not have the expected content.
    #[error("{}: {reason}", path.display())]
    Data {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause, from the operating system.
        source: std::io::Error,
    },
    /// Weights that cannot be read, or that do not fit the network.
    #[error(transparent)]
    Weights(#[from] lyapunov_safetensors::Error),
    /// A device was named that is not there.
    #[error("unknown device {name:?}: this build has {available}")]
    Device {
        /// The name that was given.
        name: String,
        /// The names that would work, separated by commas.
        available: String,
    },
    /// A device that cannot be opened, or that computes wrongly.
    #[error("the device {name:?} {reason}")]
    Unusable {
        /// The name that was given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A fault of the mathematics: an argument out of its domain, a product that is not offered.
    #[error(transparent)]
    Core(#[from] lyapunov::Error),
}

impl Error {
    /// A [`lyapunov::Error::Argument`] from its parts.
    pub(crate) fn argument(name: &'static str, value: impl ToString, reason: impl Into<String>) -> Self {
        lyapunov::Error::argument(name, value, reason).into()
    }
}

/// The result of every fallible call of this crate but those of [`lyapunov::Objective`].
pub type Result<T> = std::result::Result<T, Error>;
