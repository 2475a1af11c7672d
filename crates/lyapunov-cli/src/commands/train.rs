//! `lyapunov train`: from a configuration to a run folder, and on from a checkpoint.

mod descend;
mod resume;

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use lyapunov::{Plan, Product, Quantity, Summary as Course};
use lyapunov_burn::Network;

use self::{
    descend::{Descend, End, Left},
    resume::Past,
};
use super::print;
use crate::{
    config::{self, Config, Overrides, Settings, Subject, WeightsName},
    error::{Error, Result},
    export::{Wide, tensorboard::Live},
    folder::{CONFIG, MANIFEST, PICTURE, ROWS, RunFolder, WEIGHTS, check_writable},
    manifest::{self, Manifest},
    measure::summary::{ChaosFound, EdgeFound, LambdaMax, Stand, Summary, TrainingTime},
    seal, setup,
    show::plot::{self, Caption},
    store::{self, Journal, Store},
    terminal::{interrupt, progress::Progress},
    text::number,
};
use clap::Args;
use std::path::PathBuf;

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
    /// The device to compute on: flex, the processor; wgpu, the fastest graphics adapter, where the program was built
    /// with that feature; any other name lists what there is [env: BURN_DEVICE]
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

/// Trains, measures and keeps everything in a run folder: a new one, or that of a run that goes on.
pub fn execute(arguments: &TrainArguments) -> Result<()> {
    let TrainArguments { file, flags } = arguments;
    let TrainFlags { set, data, out, device, resume, tensorboard, json, quiet } = flags.clone();
    if let Some(folder) = resume {
        return resume::execute(&folder, tensorboard, json, quiet);
    }
    let mut settings = config::settings(file.as_deref(), &Overrides { set, data, out, device })?;
    check_writable(Path::new(&settings.config.run.out))?;
    let (network, subject) = setup::network(&settings)?;
    settings.resolve(&subject)?;
    let folder = RunFolder::claim(Path::new(&settings.config.run.out), &settings.config.identity())?;
    let mut session = TrainingRun::open(folder, &settings, &network, subject)?;
    session.tensorboard = tensorboard;
    tell(&session.run(quiet || json)?, json, quiet)
}

/// Prints what a run has come to.
fn tell(summary: &Summary, json: bool, quiet: bool) -> Result<()> {
    match (json, quiet) {
        (true, _) => print(summary.to_json().as_bytes()),
        (_, true) => Ok(()),
        _ => print(summary.to_text().as_bytes()),
    }
}

/// Trains `network` by resolved `settings` in a folder that is ours. Where it holds a run of these settings that has
/// not ended, that run goes on from its last checkpoint; whatever else it holds is removed.
pub fn run_in(
    folder: RunFolder,
    settings: &Settings,
    network: &Network,
    subject: Subject,
    silent: bool,
) -> Result<Summary> {
    let session = if resume::can_go_on(&folder, settings) {
        TrainingRun::go_on(folder, settings, network, subject)?
    } else {
        folder.clear()?;
        TrainingRun::open(folder, settings, network, subject)?
    };
    session.run(silent)
}

/// The journal for a database in `folder`: what the file system wants, or what `LYAPUNOV_JOURNAL` says.
fn journal(folder: &Path) -> Journal {
    match std::env::var("LYAPUNOV_JOURNAL").as_deref() {
        Ok("rollback") => Journal::Rollback,
        Ok("wal") => Journal::Wal,
        _ => Journal::suited_to(folder).0,
    }
}

/// How long a run waits for a database that somebody else holds: half an hour, or so many seconds as
/// `LYAPUNOV_PATIENCE` says.
fn patience() -> Result<Duration> {
    let Ok(text) = std::env::var("LYAPUNOV_PATIENCE") else { return Ok(store::LIMIT) };
    let seconds = text.trim().parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| {
        let message = format!("LYAPUNOV_PATIENCE is {text:?}, which is no number of seconds");
        Error::usage(message, Some("set it to a number such as 1800, or leave it out".to_owned()))
    })
}

/// A run from its folder to its summary.
struct TrainingRun<'a> {
    config: &'a Config,
    network: &'a Network,
    plan: Plan,
    folder: RunFolder,
    manifest: Manifest,
    subject: Subject,
    started: Instant,
    /// Where the run goes on from.
    past: Past,
    /// Whether TensorBoard may watch.
    tensorboard: bool,
}

impl<'a> TrainingRun<'a> {
    /// Writes what is known before the run.
    fn open(folder: RunFolder, settings: &'a Settings, network: &'a Network, subject: Subject) -> Result<Self> {
        let config = &settings.config;
        let journal = journal(folder.path());
        let manifest = Manifest { journal: Some(journal), ..at_start(config, &subject, network.steps_per_epoch()) };
        folder.write(CONFIG, settings.text().as_bytes())?;
        folder.write(MANIFEST, &manifest.to_json())?;
        let past = Past::none(Store::create_with(&folder.file(ROWS), journal)?);
        Self::new(folder, config, network, (manifest, subject), past)
    }

    fn new(
        folder: RunFolder,
        config: &'a Config,
        network: &'a Network,
        (manifest, subject): (Manifest, Subject),
        past: Past,
    ) -> Result<Self> {
        interrupt::watch();
        let plan = setup::plan(config, network)?;
        Ok(Self { config, network, plan, folder, manifest, subject, started: Instant::now(), past, tensorboard: false })
    }

    /// How long the steps have taken so far, those before an interruption included.
    fn seconds(&self) -> f64 {
        self.past.seconds + self.started.elapsed().as_secs_f64()
    }

    fn run(mut self, silent: bool) -> Result<Summary> {
        let end = self.train(silent);
        self.manifest.finished = Some(manifest::now());
        self.manifest.wall_seconds = Some(self.seconds());
        match &end {
            Ok(Left::Ended(end)) => {
                let End { course, evaluations, .. } = end.as_ref();
                self.manifest.note(course.outcome, course.steps, course.measuring_cost, *evaluations);
            }
            Ok(Left::Interrupted { step, .. }) => {
                self.manifest.outcome = manifest::Outcome::Interrupted;
                self.manifest.steps = Some(*step);
            }
            Err(fault) => {
                self.manifest.outcome = manifest::Outcome::Failed;
                self.manifest.fault = Some(fault.to_string());
            }
        }
        // The manifest comes last: a run that says that it has ended has all its files.
        let drawn = if matches!(end, Ok(Left::Ended(_))) { self.judge_and_draw() } else { Ok(()) };
        if let Err(fault) = &drawn {
            self.manifest.outcome = manifest::Outcome::Failed;
            self.manifest.fault = Some(fault.to_string());
        }
        let summary = match &end {
            Ok(Left::Ended(end)) if drawn.is_ok() => Some(self.summary(end)),
            _ => None,
        };
        self.manifest.summary = summary.as_ref().map(Summary::without_folder);
        let written = self.folder.write(MANIFEST, &self.manifest.to_json());
        let end = end?;
        drawn?;
        written?;
        match (end, summary) {
            (Left::Interrupted { step, signal }, _) => {
                Err(Error::Interrupted { folder: self.folder.path().to_owned(), step, signal })
            }
            (Left::Ended(_), summary) => Ok(summary.expect("it was drawn, and so it was made")),
        }
    }

    fn train(&mut self, silent: bool) -> Result<Left> {
        let mut store = self.past.store.take().expect("a session trains once");
        store.set_patience(patience()?);
        let from = self.past.saved.take();
        let mut progress = Progress::new(self.plan.steps, silent);
        let mut events = self.events(from.is_some())?;
        let descend = Descend { session: self, store: &mut store, progress: &mut progress, events: &mut events, from };
        let left = setup::with_rule(self.config, descend);
        progress.finish();
        let left = left?;
        let Left::Ended(end) = &left else {
            // A signal does not wait for somebody else: what is not in the database is beside it.
            if store.held_for().is_none() {
                store.close()?;
            }
            return Ok(left);
        };
        store.take_up_aside()?;
        if let Some(evaluations) = end.evaluations {
            let Course { steps, measuring_cost, grown, .. } = &end.course;
            store.record_end(*steps, evaluations, grown.as_ref(), measuring_cost * *steps as f64)?;
            events.record_end(*steps, evaluations, grown.as_ref(), measuring_cost * *steps as f64)?;
        }
        store.close()?;
        if let Some(weights) = &end.weights {
            self.folder.write(WEIGHTS, weights)?;
        }
        seal::seal(&self.folder)?;
        Ok(left)
    }

    /// The events for TensorBoard; those of a run that goes on are made anew from its rows.
    fn events(&self, goes_on: bool) -> Result<Live> {
        let folder = self.folder.path();
        if self.tensorboard && goes_on {
            return Ok(Live::resume(folder, &Wide::of(&store::read(&self.folder.file(ROWS))?))?);
        }
        Ok(Live::begin(self.tensorboard.then_some(folder))?)
    }

    fn judge_and_draw(&mut self) -> Result<()> {
        let history = store::read(&self.folder.file(ROWS))?;
        self.manifest.judge(history.rows.iter().filter_map(|row| row.loss));
        let figure = plot::run_figure(&history, &self.caption());
        Ok(self.folder.write(PICTURE, figure.to_svg().as_bytes())?)
    }

    fn caption(&self) -> Caption {
        let Config { optimizer, run, .. } = self.config;
        let Subject { model, data, images, parameters, .. } = &self.subject;
        let (images, parameters) = (number(*images as f64, 0), number(*parameters as f64, 0));
        let (optimizer_name, rate, batch) = (optimizer.name, optimizer.learning_rate, run.batch_size);
        let rate = match self.config.control.rule {
            None => format!("η = {rate}"),
            Some(rule) => format!("η by {rule}"),
        };
        Caption {
            title: format!("{model} on {data}, {rate}"),
            subtitle: format!(
                "{optimizer_name} on batches of {batch} · {images} training images · {parameters} weights · seed {}",
                run.seed
            ),
            diverged_at: self.manifest.diverged_at,
        }
    }

    fn summary(&self, end: &End) -> Summary {
        let course = &end.course;
        let stable = self.manifest.outcome == manifest::Outcome::Completed;
        let last_rate = course.last.as_ref().map(|row| row.learning_rate);
        Summary {
            run: self.folder.path().display().to_string(),
            outcome: self.manifest.outcome.name(),
            diverged_at: self.manifest.diverged_at,
            steps: course.steps,
            training_time: (self.config.run.time > 0.0)
                .then(|| TrainingTime { asked: self.config.run.time, cut_to: self.config.time_cut_to() }),
            data: self.subject.data.clone(),
            training_images: self.subject.images,
            classes: self.subject.classes,
            train_loss: self.manifest.train_loss,
            test_accuracy: self.manifest.test_accuracy,
            learning_rate: last_rate.unwrap_or(self.config.optimizer.learning_rate),
            lambda_max: LambdaMax::of(course),
            backed_off: (end.back_off < 1.0).then_some(end.back_off),
            went_back: course.returns.clone(),
            weights_frozen: self.config.exponents.weights == WeightsName::Frozen,
            // Of a run that has blown up, finite or not, there is no saying how stable it was.
            stand: Stand::of(course).filter(|_| stable),
            batch_sharpness: EdgeFound::of(course, Quantity::BatchSharpness).filter(|_| stable),
            edge: EdgeFound::headline(course).filter(|_| stable),
            chaos: course.exponents.as_ref().map(|chaos| {
                ChaosFound::new(chaos, self.config.exponents.product.map_or("auto", Product::name).to_owned())
            }),
            measuring_cost: course.measuring_cost,
            wall_seconds: self.manifest.wall_seconds.unwrap_or_else(|| self.seconds()),
            subject: self.subject.clone(),
        }
    }
}

/// What is known when the run starts.
fn at_start(config: &Config, subject: &Subject, steps_per_epoch: u64) -> Manifest {
    Manifest {
        seed: config.run.seed,
        device: config.run.device.clone(),
        git_commit: git_commit(),
        data: subject.data.clone(),
        training_images: subject.images,
        classes: subject.classes,
        parameters: subject.parameters,
        steps_per_epoch,
        ..Manifest::starting()
    }
}

/// The commit of the working directory, if there is one and git is installed.
fn git_commit() -> Option<String> {
    let arguments = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"];
    let output = Command::new("git").args(arguments).output().ok()?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !commit.is_empty()).then_some(commit)
}
