//! What can go wrong in the program, said in a sentence, with the place it was written and a hint.

use std::{
    error::Error as StdError,
    io,
    path::{Path, PathBuf},
};

use miette::{Diagnostic, NamedSource, SourceSpan};

use crate::{
    terminal::interrupt::Signal,
    text::{counted, nearest},
};

/// A fault that ends the program.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// The configuration asks for something that cannot be done.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Configuration(Box<Misconfiguration>),
    /// A command was called with an argument that cannot be used.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// A part of the work failed; the rest is done.
    #[error("{message}")]
    Failed {
        /// What failed.
        message: String,
        /// What to do.
        #[help]
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
        #[help]
        help: Option<String>,
    },
    /// A file of weights cannot be used.
    #[error("cannot use the weights in {}: {source}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// What a run has left could not be read or written.
    #[error(transparent)]
    Runs(lyapunov_runs::Error),
    /// A file could not be downloaded.
    #[error("{message}")]
    Download {
        /// What happened at which address.
        message: String,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// Some of the runs that were named could not be read; the others have been shown.
    #[error("{left_out} of {} could not be read, left out here:{listed}", counted(*of, "run"))]
    Unread {
        /// How many.
        left_out: usize,
        /// Of how many.
        of: usize,
        /// Each, on a line of its own.
        listed: String,
    },
    /// Files of images are not what they should be, as standard output says.
    #[error("{} cannot be used", .0.display())]
    Images(PathBuf),
    /// Another process is at what this one wants.
    #[error("{} is in use by {holder}", folder.display())]
    #[diagnostic(help("wait until it has ended, or stop it"))]
    Busy {
        /// The folder of the run.
        folder: PathBuf,
        /// Who is at it.
        holder: String,
    },
    /// A signal asked the program to leave, and the run has saved itself.
    #[error("{} was interrupted by {signal} after {step} steps, and has saved itself", folder.display())]
    #[diagnostic(help("go on with `lyapunov train --resume {}`", folder.display()))]
    Interrupted {
        /// The folder of the run.
        folder: PathBuf,
        /// Steps that were taken.
        step: u64,
        /// The signal.
        signal: Signal,
    },
    /// A signal asked a sweep to leave; its runs have saved themselves.
    #[error("the sweep was interrupted by {signal}")]
    #[diagnostic(help("the same command goes on; `lyapunov sweep status {}` shows how far it is", folder.display()))]
    SweepInterrupted {
        /// The folder of the sweep.
        folder: PathBuf,
        /// The signal.
        signal: Signal,
    },
    /// Writing to standard output failed.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// A fault of the libraries below.
    #[error("{source}")]
    Library {
        /// The fault.
        source: Box<dyn StdError + Send + Sync>,
        /// What to do.
        #[help]
        help: Option<String>,
    },
}

/// A fault in the configuration, shown where it was written.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
pub struct Misconfiguration {
    /// What is wrong, with the key and what is allowed.
    pub message: String,
    /// What to do.
    #[help]
    pub help: Option<String>,
    /// The file, where a file is to blame.
    #[source_code]
    pub file: Option<NamedSource<String>>,
    /// The place in the file.
    #[label]
    pub place: Option<SourceSpan>,
}

impl From<Misconfiguration> for Error {
    fn from(fault: Misconfiguration) -> Self {
        Self::Configuration(Box::new(fault))
    }
}

impl From<lyapunov::Error> for Error {
    fn from(source: lyapunov::Error) -> Self {
        let help = match &source {
            lyapunov::Error::Unknown { kind, name, known } => Some(among(kind, name, known)),
            lyapunov::Error::Argument { .. } => None,
            lyapunov::Error::NoCurvature { .. } => return Self::library(source, Some(NO_CURVATURE_HELP.to_owned())),
            _ => return Self::library(source, None),
        };
        Self::Usage { message: source.to_string(), help }
    }
}

impl From<lyapunov_safetensors::Error> for Error {
    fn from(source: lyapunov_safetensors::Error) -> Self {
        Self::library(source, None)
    }
}

impl From<lyapunov_runs::Error> for Error {
    fn from(fault: lyapunov_runs::Error) -> Self {
        match fault {
            lyapunov_runs::Error::Unusable { message, help } => Self::Usage { message, help },
            lyapunov_runs::Error::Io { action, path, source, help } => Self::Io { action, path, source, help },
            lyapunov_runs::Error::Busy { folder, holder } => Self::Busy { folder, holder },
            lyapunov_runs::Error::File(source) => source.into(),
            store @ lyapunov_runs::Error::Store { .. } => Self::Runs(store),
        }
    }
}

/// The name that was meant, or else those that there are.
fn among(kind: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => format!("this system has no {kind}s"),
        None => format!("the {kind}s are {}", known.join(", ")),
    }
}

const NO_CURVATURE_HELP: &str = "set `control.rule` to \"none\" and a learning rate of your own \
    (`optimizer.learning_rate`), or choose a loss that \
                                 bends, such as `loss.name = \"cross-entropy\"`";

impl Error {
    /// A fault of the command line.
    pub fn usage(message: String, help: Option<String>) -> Self {
        Self::Usage { message, help }
    }

    /// A fault of a library below.
    pub fn library(source: impl Into<Box<dyn StdError + Send + Sync>>, help: Option<String>) -> Self {
        Self::Library { source: source.into(), help }
    }

    /// A fault of the operating system at `path`.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source, help: None }
    }

    /// Whether the reader of standard output has gone away, which is no fault at all.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(cause) if cause.kind() == io::ErrorKind::BrokenPipe)
    }

    /// 2 where the command or the configuration is wrong, 1 where the work failed; 75 where another process is at it,
    /// as `sysexits.h` calls what may be tried again; 128 and the number of the signal after a signal, as shells have
    /// it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Busy { .. } => 75,
            Self::Interrupted { signal, .. } | Self::SweepInterrupted { signal, .. } => signal.exit_code(),
            Self::Configuration(_) | Self::Usage { .. } => 2,
            _ => 1,
        }
    }
}

/// The result of every fallible call of the program.
pub type Result<T> = std::result::Result<T, Error>;
