//! The command line, as it is typed, and what is carried out for it.

#[cfg(feature = "networks")]
#[path = "cli/networks.rs"]
mod program;
#[cfg(not(feature = "networks"))]
#[path = "cli/plain.rs"]
mod program;

use clap::{Command, Subcommand};
use clap_complete::Shell;

pub use program::Arguments;

use crate::{
    commands::{
        completions,
        exponents::{self, ExponentsArguments},
        export::{self, ExportArguments},
        list::{self, ListArguments},
        man,
        report::{self, ReportArguments},
        show::{self, ShowArguments},
        watch::{self, WatchArguments},
    },
    error::Result,
};

/// The commands of a build with networks; the other one knows their names.
#[cfg(any(test, not(feature = "networks")))]
const OF_NETWORKS: [&str; 11] = [
    "train",
    "twin",
    "verify",
    "measure",
    "suggest-rate",
    "compare-rates",
    "sweep",
    "scan",
    "reproduce",
    "config",
    "data",
];

/// The commands that need no network.
#[derive(Debug, Subcommand)]
pub enum CommonCommand {
    /// Measure the Lyapunov exponents of a classical system
    ///
    /// Exponents come with standard errors, in nats per step for maps and per unit of time for flows, and the values of
    /// the literature beside them. A system that diverges is a result, not a failure: the exponents up to there are
    /// reported.
    Exponents(ExponentsArguments),
    /// Show runs in one page: curves, thresholds, fits and a table
    ///
    /// The page is one HTML file that needs no network and no other file. It shows each run (loss, accuracy, learning
    /// rate, the sharpness against 1/η and the edge of stability, exponents with their errors, cost) and the runs
    /// beside each other: λ_max against 1/η with the fitted slope, exponents against curvature, losses against η, and a
    /// table to sort and filter. A run that cannot be read is named and left out; the exit code is then 1, and the page
    /// is written all the same.
    Report(ReportArguments),
    /// List stored runs, one line each
    ///
    /// Runs are found in and below the folders. A run that is `running` in its manifest and held by no process is
    /// `killed`.
    List(ListArguments),
    /// Show everything worth knowing of one stored run
    Show(ShowArguments),
    /// Watch runs as they go on: a dashboard in a terminal, plain lines elsewhere
    Watch(WatchArguments),
    /// Write the rows of stored runs as CSV, JSON lines, Parquet or TensorBoard events
    Export(ExportArguments),
    /// Print the completion script of a shell
    #[command(
        after_help = "Example:\n  lyapunov completions bash > ~/.local/share/bash-completion/completions/lyapunov"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example:\n  lyapunov man | man -l -")]
    Man,
}

impl CommonCommand {
    /// Carries it out; `program` is the whole command line.
    pub fn execute(&self, program: Command) -> Result<()> {
        match self {
            Self::Exponents(arguments) => exponents::execute(arguments),
            Self::Report(arguments) => report::execute(arguments),
            Self::List(arguments) => list::execute(arguments),
            Self::Show(arguments) => show::execute(arguments),
            Self::Watch(arguments) => watch::execute(arguments),
            Self::Export(arguments) => export::execute(arguments),
            Self::Completions { shell } => completions::execute(*shell, program),
            Self::Man => man::execute(program),
        }
    }
}
