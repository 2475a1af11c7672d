//! What can go wrong around a run folder, with what to do about it where there is something to do.

use std::{
    io,
    path::{Path, PathBuf},
};

/// A fault in reading or writing what a run leaves behind.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder is there, but cannot be used: damaged, of a newer version, or not what it should be.
    #[error("{message}")]
    Unusable {
        /// What is wrong, with the file or folder.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `create the folder`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause, from the operating system.
        source: io::Error,
        /// What to do.
        help: Option<String>,
    },
    /// The database of a run could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Store {
        /// What was tried.
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// The cause, from SQLite.
        source: rusqlite::Error,
    },
    /// Another process is writing to the folder.
    #[error("{} is in use by {holder}", folder.display())]
    Busy {
        /// The folder of the run.
        folder: PathBuf,
        /// Which process.
        holder: String,
    },
    /// A checkpoint cannot be written as a file of tensors.
    #[error(transparent)]
    File(#[from] lyapunov_safetensors::Error),
}

impl Error {
    pub(crate) fn unusable(message: String, help: Option<String>) -> Self {
        Self::Unusable { message, help }
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source, help: None }
    }

    pub(crate) fn store(action: &'static str, path: &Path, source: rusqlite::Error) -> Self {
        Self::Store { action, path: path.to_owned(), source }
    }

    /// What to do about it, where there is something to do.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Unusable { help, .. } | Self::Io { help, .. } => help.as_deref(),
            _ => None,
        }
    }
}

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;
