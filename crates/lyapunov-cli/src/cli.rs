//! The command line, as it is typed, and what is carried out for it.

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    commands::{
        check,
        compare_rates::{self, CompareRatesArguments},
        completions, config,
        data::{self, DataCommand},
        exponents::{self, ExponentsArguments},
        export::{self, ExportArguments},
        fetch,
        list::{self, ListArguments},
        man,
        measure::{self, MeasureArguments},
        report::{self, ReportArguments},
        reproduce::{self, ReproduceArguments},
        show::{self, ShowArguments},
        suggest_rate::{self, SuggestRateArguments},
        sweep::{self, SweepArguments},
        train::{self, TrainArguments, TrainFlags},
        twin::{self, TwinArguments},
        verify::{self, VerifyCommand},
        watch::{self, WatchArguments},
    },
    error::Result,
};

/// Train a neural network and watch its stability.
///
/// Training is a dynamical system. lyapunov measures it while it runs: the sharpness λ_max (the largest eigenvalue of the
/// Hessian of the loss) and where η·λ_max stands against the thresholds 1 and 2.
///
/// Without a command it trains: the same as `lyapunov train`.
#[derive(Debug, Parser)]
#[command(
    name = "lyapunov",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
        lyapunov                                       train the built-in network on built-in images\n  \
        lyapunov train --set run.epochs=2              the same, with one key changed\n  \
        lyapunov train run.toml --data data/cifar10    a configuration of your own, on real images\n  \
        lyapunov config > run.toml                     every key, with its default and what it does"
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `train`, for a call without a command.
    #[command(flatten)]
    pub flags: TrainFlags,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a network and measure its sharpness on the way
    ///
    /// Every run gets a folder of its own, with its configuration (config.toml), its measurements (run.sqlite), a picture
    /// (run.svg), its final weights (weights.safetensors) and a manifest (manifest.json). A run that diverges is a result,
    /// not a failure: the exit code is 0, and its rows are kept.
    ///
    /// A run that was killed goes on from its last checkpoint by `--resume`, to the bits that it would have reached. Ctrl-C,
    /// SIGTERM, SIGUSR1 and SIGXCPU let a run save itself first; the exit code is then 128 and the number of the signal, and a
    /// second Ctrl-C leaves at once. A run that another process is at is refused with exit code 75.
    Train(TrainArguments),
    /// Train two copies that differ in almost nothing, and see how far they part
    ///
    /// Both see the same batches in the same order. Told are the distance of their weights, the difference of their losses, the
    /// share of test images on which their predictions differ, the rate at which the distance grows with its standard
    /// error, the level at which it comes to rest, and what that means for repeating the run. Nothing is kept but the
    /// picture that `--plot` asks for.
    Twin(TwinArguments),
    /// Put a claim about training to the test
    #[command(subcommand)]
    Verify(VerifyCommand),
    /// Measure the Lyapunov exponents of a classical system
    ///
    /// Exponents come with standard errors, in nats per step for maps and per unit of time for flows, and the values of the
    /// literature beside them. A system that diverges is a result, not a failure: the exponents up to there are
    /// reported.
    Exponents(ExponentsArguments),
    /// Measure the spectrum of the Hessian at the weights of a run
    ///
    /// Measures at fixed weights: the final ones of a run, those of a file, or the initial ones of a configuration. Every
    /// number comes with its error, its cost in gradient-equivalents (one is a forward and a backward pass over a training
    /// batch), the images it speaks of, and the kind of its products with the Hessian. Not to have converged is a finding,
    /// not a failure.
    Measure(MeasureArguments),
    /// Show runs in one page: curves, thresholds, fits and a table
    ///
    /// The page is one HTML file that needs no network and no other file. It shows each run (loss, accuracy, learning rate, the
    /// sharpness against 1/η and the edge of stability, exponents with their errors, cost) and the runs beside each other:
    /// λ_max against 1/η with the fitted slope, exponents against curvature, losses against η, and a table to sort and filter.
    /// A run that cannot be read is named and left out; the exit code is then 1, and the page is written all the same.
    Report(ReportArguments),
    /// Suggest a range of learning rates for an optimizer of one's own
    ///
    /// At the initial weights of a configuration, at those of a run or of a file: measures the sharpness that limits the
    /// learning rate, with errors, and trains for some steps by the rule edge-step, to see where the rate settles. The trial is
    /// thrown away and nothing is changed.
    SuggestRate(SuggestRateArguments),
    /// Compare rules for the learning rate on a suite of problems
    ///
    /// A suite is a file with keys for every run, problems and rules, each a part of a configuration. Every rule trains on every
    /// problem with every seed, one run per core; a rule with a grid is shown at its best value, by the final loss on the training
    /// images. The folder gets the runs, comparison.csv (a line per run), comparison.json and comparison.svg. Runs that are
    /// there already are not made again.
    CompareRates(CompareRatesArguments),
    /// Make every run of a grid of configurations, on all cores or on a cluster
    ///
    /// A run is found again by the hash of its configuration, so that a sweep which is repeated, changed or was interrupted makes only
    /// what is missing, and several processes may work on one folder. A run that fails or diverges does not stop the others.
    Sweep(SweepArguments),
    /// Put the paper's claims to the test, on whatever images there are
    ///
    /// Makes the runs of four experiments, as one sweep, and one page (report.html) that shows each claim of Sasdelli and others (2021) beside
    /// what was measured: what the paper says, the numbers with their errors, where it holds and where not. Repeated, it makes what is
    /// missing.
    Reproduce(ReproduceArguments),
    /// List stored runs, one line each
    ///
    /// Runs are found in and below the folders. A run that is `running` in its manifest and held by no process is `killed`.
    List(ListArguments),
    /// Show everything worth knowing of one stored run
    Show(ShowArguments),
    /// Watch runs as they go on: a dashboard in a terminal, plain lines elsewhere
    Watch(WatchArguments),
    /// Write the rows of stored runs as CSV, JSON lines, Parquet or TensorBoard events
    Export(ExportArguments),
    /// Print the default configuration, with comments
    #[command(after_help = "Example:\n  lyapunov config > run.toml")]
    Config,
    /// Download, make or check images to train on
    #[command(subcommand)]
    Data(DataCommand),
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

impl Arguments {
    /// Carries out a command line.
    pub fn execute(self) -> Result<()> {
        match self.command {
            None => train::execute(&TrainArguments { file: None, flags: self.flags }),
            Some(Command::Train(arguments)) => train::execute(&arguments),
            Some(Command::Twin(arguments)) => twin::execute(&arguments),
            Some(Command::Verify(VerifyCommand::ExponentCurvature(arguments))) => verify::execute(&arguments),
            Some(Command::CompareRates(arguments)) => compare_rates::execute(&arguments),
            Some(Command::Reproduce(arguments)) => reproduce::execute(&arguments),
            Some(Command::Sweep(arguments)) => sweep::execute(&arguments),
            Some(Command::Exponents(arguments)) => exponents::execute(&arguments),
            Some(Command::Measure(arguments)) => measure::execute(&arguments),
            Some(Command::Report(arguments)) => report::execute(&arguments),
            Some(Command::SuggestRate(arguments)) => suggest_rate::execute(&arguments),
            Some(Command::List(arguments)) => list::execute(&arguments),
            Some(Command::Watch(arguments)) => watch::execute(&arguments),
            Some(Command::Show(arguments)) => show::execute(&arguments),
            Some(Command::Export(arguments)) => export::execute(&arguments),
            Some(Command::Config) => config::execute(),
            Some(Command::Data(DataCommand::Synthesize(arguments))) => data::synthesize(&arguments),
            Some(Command::Data(DataCommand::Fetch(arguments))) => fetch::execute(&arguments),
            Some(Command::Data(DataCommand::Check(arguments))) => check::execute(&arguments),
            Some(Command::Completions { shell }) => completions::execute(shell, &mut Self::command()),
            Some(Command::Man) => man::execute(Self::command()),
        }
    }
}
