//! `lyapunov train`: from a configuration to a run folder.

use std::{path::Path, time::Instant};

use lyapunov::{
    Descent, Evaluation, Objective, Observer, Outcome, Plan, Quantity, Rule, Summary as Course, Vector,
    train::{Network, Tensor},
};

use super::print;
use crate::{
    args::{TrainArguments, TrainFlags},
    config::{Config, ControlRule, WeightsName, name_of},
    draft::Settings,
    error::Result,
    experiment::{self, Overrides, Study},
    export::tensorboard::Live,
    folder::{CONFIG, MANIFEST, PICTURE, ROWS, RunFolder, WEIGHTS, check_writable},
    manifest::{self, Manifest},
    plot::{self, Caption},
    progress::{Observers, Progress},
    store::{self, Store},
    summary::{ChaosFound, EdgeFound, LambdaMax, Stand, Subject, Summary},
};

/// Trains, measures and keeps everything in a new run folder.
pub fn execute(arguments: &TrainArguments) -> Result<()> {
    let TrainArguments { file, flags } = arguments;
    let TrainFlags { set, data, out, device, .. } = flags.clone();
    let mut settings = experiment::settings(file.as_deref(), &Overrides { set, data, out, device })?;
    check_writable(Path::new(&settings.config.run.out))?;
    let (network, subject) = experiment::network(&settings)?;
    settings.resolve(&subject)?;
    let out = settings.config.run.out.clone();
    let folder = RunFolder::claim(Path::new(&out), &settings.config.identity())?;
    let mut session = Session::open(folder, &settings, &network, subject)?;
    session.tensorboard = flags.tensorboard;
    let summary = session.run(flags.quiet || flags.json)?;
    match flags {
        TrainFlags { json: true, .. } => print(summary.to_json().as_bytes()),
        TrainFlags { quiet: true, .. } => Ok(()),
        _ => print(summary.to_text().as_bytes()),
    }
}

/// Trains `network` by resolved `settings` in a new run folder below `out`.
pub fn run(settings: &Settings, network: &Network, subject: Subject, out: &Path, silent: bool) -> Result<Summary> {
    let folder = RunFolder::claim(out, &settings.config.identity())?;
    run_in(folder, settings, network, subject, silent)
}

/// The same in an empty folder.
pub fn run_in(
    folder: RunFolder,
    settings: &Settings,
    network: &Network,
    subject: Subject,
    silent: bool,
) -> Result<Summary> {
    Session::open(folder, settings, network, subject)?.run(silent)
}

/// A run from its folder to its summary.
struct Session<'a> {
    config: &'a Config,
    network: &'a Network,
    plan: Plan,
    folder: RunFolder,
    manifest: Manifest,
    subject: Subject,
    started: Instant,
    tensorboard: bool,
}

/// What a run has come to.
struct End {
    course: Course,
    /// Loss and accuracy of the final weights on training and test images; `None` where the run diverged.
    evaluations: Option<(Evaluation, Option<Evaluation>)>,
    /// The final weights as a file; `None` where the run diverged: there, loss or gradient is not finite, and nothing can
    /// be measured.
    weights: Option<Vec<u8>>,
}

impl<'a> Session<'a> {
    /// Writes what is known before the run.
    fn open(folder: RunFolder, settings: &'a Settings, network: &'a Network, subject: Subject) -> Result<Self> {
        let config = &settings.config;
        let started = Instant::now();
        let manifest = Manifest::at_start(config, &subject, network.steps_per_epoch());
        folder.write(CONFIG, settings.text().as_bytes())?;
        folder.write(MANIFEST, &manifest.to_json())?;
        let plan = experiment::plan(config, network)?;
        Ok(Self { config, network, plan, folder, manifest, subject, started, tensorboard: false })
    }

    fn run(mut self, silent: bool) -> Result<Summary> {
        let end = self.train(silent);
        self.manifest.finished = Some(manifest::now());
        self.manifest.wall_seconds = Some(self.started.elapsed().as_secs_f64());
        match &end {
            Ok(End { course, evaluations, .. }) => {
                self.manifest.note(course.outcome, course.steps, course.measuring_cost, *evaluations);
            }
            Err(fault) => {
                self.manifest.outcome = manifest::Outcome::Failed;
                self.manifest.fault = Some(fault.to_string());
            }
        }
        self.folder.write(MANIFEST, &self.manifest.to_json())?;
        let end = end?;
        self.draw()?;
        Ok(self.summary(&end))
    }

    fn train(&self, silent: bool) -> Result<End> {
        let mut store = Store::create(&self.folder.file(ROWS))?;
        let mut progress = Progress::new(self.plan.steps, silent);
        let mut events = Live::begin(self.tensorboard.then(|| self.folder.path()))?;
        let mut observers = Observers(vec![&mut store, &mut progress, &mut events]);
        let end = experiment::with_rule(self.config, Descend { session: self, observer: &mut observers });
        progress.finish();
        let end = end?;
        if let Some(evaluations) = end.evaluations {
            let Course { steps, measuring_cost, grown, .. } = &end.course;
            store.record_end(*steps, evaluations, grown.as_ref(), measuring_cost * *steps as f64)?;
            events.record_end(*steps, evaluations, grown.as_ref(), measuring_cost * *steps as f64)?;
        }
        store.close()?;
        if let Some(weights) = &end.weights {
            self.folder.write(WEIGHTS, weights)?;
        }
        Ok(end)
    }

    fn draw(&self) -> Result<()> {
        let history = store::read(&self.folder.file(ROWS))?;
        let figure = plot::run_figure(&history, &self.caption());
        self.folder.write(PICTURE, figure.to_svg().as_bytes())
    }

    fn caption(&self) -> Caption {
        let Config { optimizer, run, .. } = self.config;
        let Subject { model, data, images, parameters, .. } = &self.subject;
        let (images, parameters) = (plot::number(*images as f64, 0), plot::number(*parameters as f64, 0));
        let (optimizer_name, rate, batch) = (name_of(&optimizer.name), optimizer.learning_rate, run.batch_size);
        let rate = match self.config.control.rule {
            ControlRule::None => format!("η = {rate}"),
            rule => format!("η by {}", name_of(&rule)),
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

    fn summary(self, end: &End) -> Summary {
        let course = &end.course;
        let last_rate = course.last.as_ref().map(|row| row.learning_rate);
        Summary {
            run: self.folder.path().display().to_string(),
            outcome: self.manifest.outcome.name(),
            diverged_at: self.manifest.diverged_at,
            steps: course.steps,
            data: self.subject.data.clone(),
            training_images: self.subject.images,
            classes: self.subject.classes,
            train_loss: self.manifest.train_loss,
            test_accuracy: self.manifest.test_accuracy,
            learning_rate: last_rate.unwrap_or(self.config.optimizer.learning_rate),
            lambda_max: LambdaMax::of(course),
            weights_frozen: self.config.exponents.weights == WeightsName::Frozen,
            stand: Stand::of(course),
            batch_sharpness: EdgeFound::of(course, Quantity::BatchSharpness),
            edge: EdgeFound::headline(course),
            chaos: course
                .exponents
                .as_ref()
                .map(|chaos| ChaosFound::new(chaos, name_of(&self.config.exponents.product))),
            measuring_cost: course.measuring_cost,
            wall_seconds: self.started.elapsed().as_secs_f64(),
            subject: self.subject,
        }
    }
}

/// The training itself, by whichever optimizer.
struct Descend<'a, 'b> {
    session: &'a Session<'a>,
    observer: &'b mut dyn Observer,
}

impl Study for Descend<'_, '_> {
    type Found = End;

    fn study<R: Rule<Tensor<1>>>(self, rule: R) -> Result<End> {
        let Session { config, network, plan, .. } = self.session;
        let mut descent = experiment::descent(config, network, network.initial_weights(), rule)?;
        let mut controller = experiment::controller(config, descent.edge_constant(), plan.steps)?;
        let course = lyapunov::run(&mut descent, plan, controller.as_mut(), self.observer)?;
        if let Outcome::Diverged { .. } = course.outcome {
            return Ok(End { course, evaluations: None, weights: None });
        }
        let weights = &descent.evaluated();
        let evaluations = Some((network.evaluate_training_set(weights)?, network.evaluate(weights)?));
        // The last step of a run may be the one that blows up.
        let finite = weights.norm().is_finite();
        Ok(End { course, evaluations, weights: finite.then(|| network.weights_to_safetensors(weights)) })
    }
}
