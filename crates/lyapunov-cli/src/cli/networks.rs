//! The program with networks: it trains, and without a command it does just that.

use clap::{CommandFactory, Parser, Subcommand};

use super::CommonCommand;
use crate::{
    commands::{
        check,
        compare_rates::{self, CompareRatesArguments},
        config,
        data::{self, DataCommand},
        fetch,
        measure::{self, MeasureArguments},
        reproduce::{self, ReproduceArguments},
        scan::{self, ScanArguments},
        suggest_rate::{self, SuggestRateArguments},
        sweep::{self, SweepArguments},
        train::{self, TrainArguments, TrainFlags},
        twin::{self, TwinArguments},
        verify::{self, VerifyCommand},
    },
    error::Result,
};

/// Train a neural network and watch its stability.
///
/// Training is a dynamical system. lyapunov measures it while it runs: the sharpness λ_max (the largest eigenvalue of
/// the Hessian of the loss) and where η·λ_max stands against the thresholds 1 and 2.
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
    /// Every run gets a folder of its own, with its configuration (config.toml), its measurements (run.sqlite), a
    /// picture (run.svg), its final weights (weights.safetensors) and a manifest (manifest.json). A run that diverges
    /// is a result, not a failure: the exit code is 0, and its rows are kept.
    ///
    /// A run that was killed goes on from its last checkpoint by `--resume`, to the bits that it would have reached.
    /// Ctrl-C, SIGTERM, SIGUSR1 and SIGXCPU let a run save itself first; the exit code is then 128 and the number of
    /// the signal, and a second Ctrl-C leaves at once. A run that another process is at is refused with exit code 75.
    Train(TrainArguments),
    /// Train two copies that differ in almost nothing, and see how far they part
    ///
    /// Both see the same batches in the same order. It reports the distance of their weights, the difference of their
    /// losses, the share of test images on which their predictions differ, the rate at which the distance grows with
    /// its standard error, the level at which it comes to rest, and what that means for repeating the run. Nothing is
    /// kept but the picture that `--plot` asks for.
    Twin(TwinArguments),
    /// Put a claim about training to the test
    #[command(subcommand)]
    Verify(VerifyCommand),
    /// Measure the spectrum of the Hessian at the weights of a run
    ///
    /// Measures at fixed weights: the final ones of a run, those of a file, or the initial ones of a configuration.
    /// Every number comes with its error, its cost in gradient-equivalents (one is a forward and a backward pass over a
    /// training batch), the images it speaks of, and the kind of its products with the Hessian. Not to have converged
    /// is a finding, not a failure.
    Measure(MeasureArguments),
    /// Suggest a range of learning rates for an optimizer of one's own
    ///
    /// At the initial weights of a configuration, at those of a run or of a file: measures the sharpness that limits
    /// the learning rate, with errors, and trains for some steps by the rule edge-step, to see where the rate settles.
    /// The trial is thrown away and nothing is changed.
    SuggestRate(SuggestRateArguments),
    /// Compare rules for the learning rate on a suite of problems
    ///
    /// A suite is a file with keys for every run, problems and rules, each a part of a configuration. Every rule trains
    /// on every problem with every seed, one run per core; a rule with a grid is shown at its best value, by the final
    /// loss on the training images. The folder gets the runs, comparison.csv (a line per run), comparison.json and
    /// comparison.svg. Runs that are there already are not made again.
    CompareRates(CompareRatesArguments),
    /// Make every run of a grid of configurations, on all cores or on a cluster
    ///
    /// A run is found again by the hash of its configuration, so that a sweep which is repeated, changed or was
    /// interrupted makes only what is missing, and several processes may work on one folder. A run that fails or
    /// diverges does not stop the others.
    Sweep(SweepArguments),
    /// Draw where a small network can be trained, over two learning rates or their scale
    ///
    /// Trains a network with one hidden layer on random points, in double precision and with all points in every step,
    /// at every place of a plane of two parameters. The picture shows where training converges, where it diverges, and
    /// how fast (Sohl-Dickstein 2024), with the box dimension of the boundary and its error; or the largest Lyapunov
    /// exponent. The folder gets scan.json, rows.f64, values.csv, result.json, picture.png and picture.svg; a scan that
    /// was killed goes on at the row where it stopped, to the same bits.
    Scan(ScanArguments),
    /// Put the paper's claims to the test, on whatever images there are
    ///
    /// Makes the runs of four experiments, as one sweep, and one page (report.html) that shows each claim of Sasdelli
    /// and others (2021) beside what was measured: what the paper says, the numbers with their errors, where it holds
    /// and where not. Repeated, it makes what is missing.
    Reproduce(ReproduceArguments),
    /// Print the default configuration, with comments
    #[command(after_help = "Example:\n  lyapunov config > run.toml")]
    Config,
    /// Download, make or check images to train on
    #[command(subcommand)]
    Data(DataCommand),
    /// Those that need no network.
    #[command(flatten)]
    Common(CommonCommand),
}

impl Arguments {
    /// Carries out a command line.
    pub fn execute(self) -> Result<()> {
        match self.command {
            None => train::execute(&TrainArguments { file: None, flags: self.flags }),
            Some(command) => command.execute(),
        }
    }
}

impl Command {
    fn execute(&self) -> Result<()> {
        match self {
            Self::Train(arguments) => train::execute(arguments),
            Self::Twin(arguments) => twin::execute(arguments),
            Self::Verify(VerifyCommand::ExponentCurvature(arguments)) => verify::execute(arguments),
            Self::Measure(arguments) => measure::execute(arguments),
            Self::SuggestRate(arguments) => suggest_rate::execute(arguments),
            Self::CompareRates(arguments) => compare_rates::execute(arguments),
            Self::Sweep(arguments) => sweep::execute(arguments),
            Self::Scan(arguments) => scan::execute(arguments),
            Self::Reproduce(arguments) => reproduce::execute(arguments),
            Self::Config => config::execute(),
            Self::Data(DataCommand::Synthesize(arguments)) => data::synthesize(arguments),
            Self::Data(DataCommand::Fetch(arguments)) => fetch::execute(arguments),
            Self::Data(DataCommand::Check(arguments)) => check::execute(arguments),
            Self::Common(command) => command.execute(Arguments::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::OF_NETWORKS;

    #[test]
    fn the_program_without_networks_knows_which_commands_it_lacks() {
        let names = |program: &clap::Command| -> Vec<String> {
            program.get_subcommands().map(|command| command.get_name().to_owned()).collect()
        };
        let common = names(&CommonCommand::augment_subcommands(clap::Command::new("lyapunov")));
        let mut own = names(&Arguments::command());
        own.retain(|name| !common.contains(name));
        assert_eq!(own, OF_NETWORKS);
    }
}
