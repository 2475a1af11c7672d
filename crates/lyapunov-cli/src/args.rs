//! The command line, as it is typed.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    commands::{report::ReportArguments, reproduce::ReproduceArguments, sweep::SweepArguments},
    config::ProductName,
    data::published::Published,
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
    /// literature beside them. A system that leaves the numbers is a result, not a failure: the exponents up to there are
    /// told.
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
    /// problem with every seed, one run per core; a rule with a grid is told at its best value, by the final loss on the training
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
    List(crate::commands::list::ListArguments),
    /// Show everything worth knowing of one stored run
    Show(crate::commands::show::ShowArguments),
    /// Watch runs as they go on: a dashboard in a terminal, plain lines elsewhere
    Watch(crate::commands::watch::WatchArguments),
    /// Write the rows of stored runs as CSV, JSON lines, Parquet or TensorBoard events
    Export(crate::commands::export::ExportArguments),
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

/// What to train, and how.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
        lyapunov train\n  \
        lyapunov train run.toml --out experiments\n  \
        lyapunov train --data data/cifar10 --set model.name=mlp --set optimizer.learning_rate=0.1\n  \
        lyapunov train --set 'measure.on=[\"batch\", \"subset=1000\"]' --set measure.every=10\n  \
        lyapunov train --json | jq .lambda_max.value\n  \
        lyapunov train --resume runs/cnn-sgd-0123abcd")]
pub struct TrainArguments {
    /// The configuration; without it, the defaults that `lyapunov config` prints
    #[arg(value_name = "RUN.toml", conflicts_with = "resume")]
    pub file: Option<PathBuf>,
    /// The flags.
    #[command(flatten)]
    pub flags: TrainFlags,
}

/// What overrides the configuration, and how a run talks.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Training")]
pub struct TrainFlags {
    /// Override one key of the configuration, such as optimizer.learning_rate=0.1; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Train on the images in this folder or .tar.gz archive: CIFAR-10, CIFAR-100 or MNIST
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// The folder that receives one folder per run
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The device to compute on: flex, the processor, in this build [env: BURN_DEVICE]
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// Go on with the run in this folder, which was killed or interrupted, from its last checkpoint, to the same bits
    #[arg(long, value_name = "DIR", conflicts_with_all = ["set", "data", "out", "device"])]
    pub resume: Option<PathBuf>,
    /// Print one JSON object about the finished run, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
    /// Show no progress and no summary
    #[arg(long, short)]
    pub quiet: bool,
    /// Also write a file of events into the run folder while it trains, for `tensorboard --logdir`
    #[arg(long)]
    pub tensorboard: bool,
}

/// At which weights, and how long to try.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
        lyapunov suggest-rate run.toml\n  \
        lyapunov suggest-rate --run runs/cnn-sgd-0123abcd\n  \
        lyapunov suggest-rate --set optimizer.name=adam --json | jq .suggested")]
pub struct SuggestRateArguments {
    /// The configuration; without it, the defaults that `lyapunov config` prints
    #[arg(value_name = "RUN.toml", conflicts_with = "run")]
    pub file: Option<PathBuf>,
    /// The folder of a run: its configuration and its final weights
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Begin at the weights in this file
    #[arg(long, value_name = "FILE.safetensors")]
    pub weights: Option<PathBuf>,
    /// Steps of the trial
    #[arg(long, value_name = "STEPS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(20..))]
    pub trial: u64,
    /// Override one key of the configuration; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Use the images in this folder or .tar.gz archive
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// The device to compute on [env: BURN_DEVICE]
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// Print one JSON object, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
}

/// What to compare, and where to keep it.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
        lyapunov compare-rates suites/synthetic.toml\n  \
        lyapunov compare-rates suites/cifar10-5k.toml --data cifar-10-batches-bin --out comparison\n  \
        lyapunov compare-rates suite.toml --json | jq '.lines[] | [.problem, .rule, .of_reference]'")]
pub struct CompareRatesArguments {
    /// The suite
    #[arg(value_name = "SUITE.toml")]
    pub file: PathBuf,
    /// Override one key of every configuration; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Train on the images in this folder or .tar.gz archive
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// The folder that receives the runs and the comparison
    #[arg(long, value_name = "DIR", default_value = "comparison")]
    pub out: PathBuf,
    /// How many runs to make at a time [default: one per core]
    #[arg(long, value_name = "COUNT")]
    pub jobs: Option<usize>,
    /// Print one JSON object, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
}

/// What to train twice, and what the two differ in.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
        lyapunov twin\n  \
        lyapunov twin run.toml --differ image=17 --plot twin.svg\n  \
        lyapunov twin --differ order=0 --set run.epochs=5\n  \
        lyapunov twin --json | jq .growth")]
pub struct TwinArguments {
    /// The configuration; without it, the defaults that `lyapunov config` prints
    #[arg(value_name = "RUN.toml")]
    pub file: Option<PathBuf>,
    /// What the two differ in: weights=SHARE (of the norm of the initial weights, in a random direction), image=NUMBER (one
    /// training image is another) or order=STEP (of the images inside the batch of that training step, which only changes
    /// the rounding)
    #[arg(long, value_name = "WHAT", default_value = "weights=1e-6")]
    pub differ: String,
    /// Steps between two rows [default: a two-hundredth of the run]
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    pub every: Option<u64>,
    /// Override one key of the configuration; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Train on the images in this folder or .tar.gz archive: CIFAR-10, CIFAR-100 or MNIST
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// The device to compute on [env: BURN_DEVICE]
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// Print one JSON object, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
    /// Draw a picture: a .svg or .png file
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

/// The claims.
#[derive(Debug, Subcommand)]
pub enum VerifyCommand {
    /// That the largest exponent of descent per unit of training time is minus the smallest eigenvalue of the Hessian
    ///
    /// A small smooth network is trained for a while; from there one deviation is carried along gradient descent, at learning
    /// rates over two decades, with the weights frozen and with the weights moving. Told is the exponent beside what theory
    /// has for it, −⟨λ_min⟩ and −⟨vᵀHv⟩, and where the claim holds (Sasdelli and others 2021). Takes some minutes.
    #[command(after_help = "Examples:\n  \
        lyapunov verify exponent-curvature --plot claim.svg\n  \
        lyapunov verify exponent-curvature --data data/cifar10 --set run.seed=1")]
    ExponentCurvature(VerifyArguments),
}

/// How the experiment is carried out.
#[derive(Args, Clone, Debug)]
pub struct VerifyArguments {
    /// Steps of training, at optimizer.learning_rate, to the weights where the experiment begins
    #[arg(long, value_name = "STEPS", default_value_t = 300)]
    pub train: u64,
    /// Steps of every run with moving weights
    #[arg(long, value_name = "STEPS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(10..))]
    pub steps: u64,
    /// Override one key of the configuration; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Use the images in this folder or .tar.gz archive
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// The device to compute on [env: BURN_DEVICE]
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// Print one JSON object, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
    /// Draw a picture: a .svg or .png file
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

/// What to measure, and for how long.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
        lyapunov exponents henon\n  \
        lyapunov exponents lorenz63 --set rho=30 --steps 500000 --plot lorenz.svg\n  \
        lyapunov exponents logistic --scan r=2.5:4:2000 --plot logistic.png\n  \
        lyapunov exponents henon --scan a=0.9:1.5:400 --scan b=-0.4:0.4:300 --plot henon.png\n  \
        lyapunov exponents --list")]
pub struct ExponentsArguments {
    /// The system; --list names them
    #[arg(value_name = "SYSTEM", required_unless_present = "list")]
    pub system: Option<String>,
    /// List the systems, with their parameters and what is known of them
    #[arg(long)]
    pub list: bool,
    /// Set a parameter of the system, such as a=1.2; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Vary a parameter, such as r=2.5:4:2000; one --scan gives a curve, two give a heat map
    #[arg(long, value_name = "NAME=FROM:TO:COUNT")]
    pub scan: Vec<String>,
    /// Steps to measure [default: 100000, in a scan 5000, in a scan of two parameters 1000]
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// Steps before them, which are forgotten [default: 1000]
    #[arg(long, value_name = "N", default_value_t = 1000, hide_default_value = true)]
    pub warm_up: u64,
    /// How many of the largest exponents [default: all, in a scan of two parameters 1]
    #[arg(long, value_name = "K")]
    pub count: Option<usize>,
    /// Steps between two re-orthonormalisations
    #[arg(long, value_name = "M", default_value_t = 1)]
    pub every: u64,
    /// Decides the start, the noise and the first deviations
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Print one JSON object, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
    /// Draw a picture: a .svg or .png file
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

/// What to measure, and where.
#[derive(Args, Debug)]
#[command(
    group(ArgGroup::new("network").args(["run", "config"]).required(true)),
    after_help = "Quantities:\n  \
        lambda_max       the algebraically largest eigenvalue, with its residual\n  \
        lambda_min       the algebraically smallest one\n  \
        lambda_max_full  an estimate of the largest one for all images, from two disjoint parts of them\n  \
        top=COUNT        the largest ones\n  \
        layers           the largest one of each layer's diagonal block\n  \
        batch_sharpness  the mean of gᵀHg / gᵀg over 20 mini-batches, or batch_sharpness=COUNT of them\n  \
        trace            the sum of all, with its standard error (Hutch++, 60 products)\n  \
        density          how they are spread, with its standard error (stochastic Lanczos, 160 products)\n\n\
        Weights are named and laid out as torch.nn.Sequential has them: `0.weight` [outputs, inputs] and so on.\n\n\
        Examples:\n  \
        lyapunov measure --run runs/cnn-sgd-0123abcd\n  \
        lyapunov measure --run runs/cnn-sgd-0123abcd --what top=10,trace --on full --product gauss-newton\n  \
        lyapunov measure --run runs/cnn-sgd-0123abcd --what layers,batch_sharpness\n  \
        lyapunov measure --run runs/cnn-sgd-0123abcd --what density --plot spectrum.svg\n  \
        lyapunov measure --config run.toml --weights weights.safetensors --json | jq .lambda_max.value"
)]
pub struct MeasureArguments {
    /// The folder of a run: its configuration and its final weights
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// A configuration, instead of a run; without `--weights`, at its initial weights
    #[arg(long, value_name = "RUN.toml")]
    pub config: Option<PathBuf>,
    /// Measure at the weights in this file
    #[arg(long, value_name = "FILE.safetensors")]
    pub weights: Option<PathBuf>,
    /// Measure on the images in this folder or .tar.gz archive
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Override one key of the configuration; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The device to compute on: flex, the processor, in this build [env: BURN_DEVICE]
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// The quantities, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "lambda_max,lambda_min")]
    pub what: Vec<String>,
    /// The images: full, subset=COUNT (fixed, drawn by the run's seed) or batch=STEP (the mini-batch of that training step)
    /// [default: subset=1000, or full where there are fewer]
    #[arg(long, value_name = "IMAGES")]
    pub on: Option<String>,
    /// How products with the Hessian are computed; auto is the best that the network offers, here exact
    #[arg(long, value_enum, default_value_t = ProductName::Auto, hide_possible_values = true, value_name = "auto|exact|gauss-newton|difference")]
    pub product: ProductName,
    /// Search until every residual is at most this share of its eigenvalue
    #[arg(long, value_name = "SHARE", default_value_t = 1e-3, allow_negative_numbers = true)]
    pub tolerance: f64,
    /// Or until this many products have been spent on one quantity
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    pub max_products: usize,
    /// Decides the random vectors of the search
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print one JSON object, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
    /// Draw the density: a .svg or .png file
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Write the images as the network sees them, their labels and the network's outputs, in training and in evaluation, for other programs
    #[arg(long, value_name = "FILE.safetensors")]
    pub export: Option<PathBuf>,
}

/// The commands for images.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Write made-up images in the binary layout of CIFAR-10
    ///
    /// Ten classes of 32×32 colour images, the ones that `train` uses by default, in the files data_batch_1.bin …
    /// data_batch_5.bin and test_batch.bin. Nothing is overwritten.
    #[command(after_help = "Example:\n  lyapunov data synthesize images && lyapunov train --data images")]
    Synthesize(SynthesizeArguments),
    /// Download CIFAR-10 or CIFAR-100
    ///
    /// Downloads the published archive, checks its MD5, and unpacks the images into DIR/cifar10 or DIR/cifar100, which appears
    /// whole or not at all. A download that was cut, or killed, goes on where it ended. No other command opens a connection.
    #[command(after_help = "Examples:\n  \
        lyapunov data fetch cifar10 && lyapunov train --data data/cifar10\n  \
        lyapunov data fetch cifar100 --dir images --mirror https://example.org/cifar-100-binary.tar.gz")]
    Fetch(FetchArguments),
    /// Look at the files of images: sizes, labels, fingerprints, and whether they can be used
    ///
    /// The SHA-256 of a set is that of its unpacked files one after another, training before test. Where `data fetch` has written one
    /// down (SHA256SUMS), the two must agree. The exit code is 1 where the files cannot be used.
    #[command(after_help = "Examples:\n  \
        lyapunov data check data/cifar10\n  \
        lyapunov data check cifar-10-binary.tar.gz --json | jq .verdict")]
    Check(CheckArguments),
}

/// What to download, and from where.
#[derive(Args, Debug)]
pub struct FetchArguments {
    /// The set
    #[arg(value_enum)]
    pub set: Published,
    /// The folder that receives the folder of the set
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub dir: PathBuf,
    /// Download from this address instead of the authors'; may be repeated, to be tried in turn
    #[arg(long, value_name = "URL")]
    pub mirror: Vec<String>,
    /// Expect this MD5 instead of the published one, for an archive of your own
    #[arg(long, value_name = "HEX", value_parser = crate::commands::md5)]
    pub md5: Option<String>,
    /// Give an address up that says nothing for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
    /// Show no progress and no summary
    #[arg(long, short)]
    pub quiet: bool,
}

/// What to look at.
#[derive(Args, Debug)]
pub struct CheckArguments {
    /// A folder of images, or a .tar.gz archive
    #[arg(value_name = "DIR|ARCHIVE")]
    pub path: PathBuf,
    /// Print one JSON object, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
}

/// What to make, and where.
#[derive(Args, Debug)]
pub struct SynthesizeArguments {
    /// The folder to make; it must not exist, or be empty
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Decides every pixel
    #[arg(long, default_value_t = crate::commands::data::SEED)]
    pub seed: u64,
    /// Training images, spread over five files
    #[arg(long, value_name = "COUNT", default_value_t = crate::commands::data::TRAINING_IMAGES)]
    pub train: usize,
    /// Test images
    #[arg(long, value_name = "COUNT", default_value_t = crate::commands::data::TEST_IMAGES)]
    pub test: usize,
}
