//! `lyapunov train`: from a configuration to a run folder.

use std::{path::Path, time::Instant};

use lyapunov::{
    Constant, Descent, Evaluation, Objective, Observer, Outcome, Plan, Product, Sgd, Summary as Course,
    train::{self, Activation, Architecture, Dataset, Network, NetworkOptions, Precision},
};
use toml_edit::Value;

use super::{data, print};
use crate::{
    args::{TrainArguments, TrainFlags},
    config::{
        ActivationName, Config, ControlRule, DataName, LossName, ModelName, OptimizerName, ProductName, ScheduleName,
        name_of,
    },
    draft::{Draft, Settings},
    error::Result,
    folder::{RunFolder, check_writable},
    manifest::{self, Manifest},
    plot::{self, Caption},
    progress::{Observers, Progress},
    store::{self, Store},
    summary::{LambdaMax, Subject, Summary},
};

/// The variable that names the device where no flag does.
const DEVICE_VARIABLE: &str = "BURN_DEVICE";

/// Trains, measures and keeps everything in a new run folder.
pub fn execute(arguments: &TrainArguments) -> Result<()> {
    let mut settings = settings(arguments)?;
    let (network, subject) = network(&settings)?;
    settings.resolve_product();
    let flags = &arguments.flags;
    let summary = Session::open(&settings, &network, subject)?.run(flags.quiet || flags.json)?;
    match flags {
        TrainFlags { json: true, .. } => print(summary.to_json().as_bytes()),
        TrainFlags { quiet: true, .. } => Ok(()),
        _ => print(summary.to_text().as_bytes()),
    }
}

/// The configuration: defaults, then the file, then `--set`, then the other flags.
fn settings(arguments: &TrainArguments) -> Result<Settings> {
    let TrainArguments { file, flags } = arguments;
    let mut draft = Draft::default();
    file.iter().try_for_each(|path| draft.read(path))?;
    flags.set.iter().try_for_each(|assignment| draft.set(assignment))?;
    let text = |path: &Path| Value::from(path.display().to_string());
    if let Some(path) = &flags.data {
        let flag = format!("--data {}", path.display());
        draft.assign("data.name", name_of(&DataName::Cifar10), flag.clone());
        draft.assign("data.path", text(path), flag);
    }
    if let Some(path) = &flags.out {
        draft.assign("run.out", text(path), format!("--out {}", path.display()));
    }
    // A variable that is set to nothing says nothing.
    let variable = || std::env::var(DEVICE_VARIABLE).ok().filter(|name| !name.is_empty());
    if let Some(name) = &flags.device {
        draft.assign("run.device", name, format!("--device {name}"));
    } else if let Some(name) = variable() {
        draft.assign("run.device", &name, format!("{DEVICE_VARIABLE}={name}"));
    }
    draft.finish()
}

/// The network on its data, every fault told where the configuration asked for it.
fn network(settings: &Settings) -> Result<(Network, Subject)> {
    let config = &settings.config;
    let device = train::device(&config.run.device).map_err(|fault| settings.explain(fault))?;
    check_writable(Path::new(&config.run.out))?;
    let dataset = dataset(settings)?;
    let images = dataset.train.len();
    settings.check_sizes(images)?;
    let data = dataset.name.clone();
    let network = Network::new(&network_options(config), dataset, &device).map_err(|fault| settings.explain(fault))?;
    let subject = Subject { model: name_of(&config.model.name), parameters: network.parameters(), data, images };
    Ok((network, subject))
}

fn dataset(settings: &Settings) -> Result<Dataset> {
    let config = &settings.config;
    let whole = match config.data.name {
        DataName::Synthetic => data::built_in()?,
        DataName::Cifar10 => Dataset::read_cifar10(Path::new(&config.data.path))?,
    };
    match config.data.subset {
        0 => Ok(whole),
        size => whole.subset(size, config.run.seed).map_err(|fault| settings.explain(fault)),
    }
}

fn network_options(config: &Config) -> NetworkOptions {
    let widths = config.model.widths.clone();
    NetworkOptions {
        architecture: match config.model.name {
            ModelName::Cnn => Architecture::Cnn { widths },
            ModelName::Mlp => Architecture::Mlp { widths },
        },
        activation: match config.model.activation {
            ActivationName::Relu => Activation::Relu,
            ActivationName::Tanh => Activation::Tanh,
        },
        loss: match config.loss.name {
            LossName::CrossEntropy => train::Loss::CrossEntropy,
        },
        batch_size: config.run.batch_size,
        seed: config.run.seed,
        precision: Precision::Single,
    }
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
}

/// What a run has come to.
struct End {
    course: Course,
    /// Loss and accuracy of the final weights on training and test images; `None` where the run diverged.
    evaluations: Option<(Evaluation, Option<Evaluation>)>,
}

impl<'a> Session<'a> {
    /// Claims the folder and writes what is known before the run.
    fn open(settings: &'a Settings, network: &'a Network, subject: Subject) -> Result<Self> {
        let config = &settings.config;
        let started = Instant::now();
        let manifest = Manifest::at_start(config, &subject, network.steps_per_epoch());
        let folder = RunFolder::claim(Path::new(&config.run.out), &config.identity())?;
        folder.write("config.toml", settings.text().as_bytes())?;
        folder.write("manifest.json", &manifest.to_json())?;
        Ok(Self { config, network, plan: plan(config, network), folder, manifest, subject, started })
    }

    fn run(mut self, silent: bool) -> Result<Summary> {
        let end = self.train(silent);
        self.manifest.finished = Some(manifest::now());
        self.manifest.wall_seconds = Some(self.started.elapsed().as_secs_f64());
        match &end {
            Ok(End { course, evaluations }) => {
                self.manifest.note(course.outcome, course.steps, course.measuring_cost, *evaluations);
            }
            Err(_) => self.manifest.outcome = "failed",
        }
        self.folder.write("manifest.json", &self.manifest.to_json())?;
        let end = end?;
        self.draw()?;
        Ok(self.summary(&end))
    }

    fn train(&self, silent: bool) -> Result<End> {
        let mut store = Store::create(&self.folder.file("run.sqlite"))?;
        let mut progress = Progress::new(self.plan.steps, silent);
        let end = self.descend(&mut Observers(vec![&mut store, &mut progress]));
        progress.finish();
        let end = end?;
        if let Some((train, test)) = end.evaluations {
            store.record_end(end.course.steps, train, test, end.course.measuring_cost * end.course.steps as f64)?;
        }
        store.close()?;
        Ok(end)
    }

    fn descend(&self, observer: &mut dyn Observer) -> Result<End> {
        let learning_rate = self.config.optimizer.learning_rate;
        let OptimizerName::Sgd = self.config.optimizer.name;
        let mut descent = Sgd::new(self.network, self.network.initial_weights(), learning_rate, self.plan.product);
        // The learning rate is constant in time, and nobody changes it.
        let (ScheduleName::Constant, ControlRule::None) = (self.config.schedule.name, self.config.control.rule);
        let course = lyapunov::run(&mut descent, &self.plan, &mut Constant(learning_rate), observer)?;
        let evaluations = match course.outcome {
            Outcome::Completed => {
                let weights = descent.weights();
                Some((self.network.evaluate_training_set(weights)?, self.network.evaluate(weights)?))
            }
            Outcome::Diverged { .. } => None,
        };
        Ok(End { course, evaluations })
    }

    fn draw(&self) -> Result<()> {
        let history = store::read(&self.folder.file("run.sqlite"))?;
        let figure = plot::run_figure(&history, &self.caption());
        self.folder.write("run.svg", figure.to_svg().as_bytes())
    }

    fn caption(&self) -> Caption {
        let Config { optimizer, run, .. } = self.config;
        let Subject { model, data, images, parameters } = &self.subject;
        let (images, parameters) = (plot::number(*images as f64, 0), plot::number(*parameters as f64, 0));
        let (optimizer_name, rate, batch) = (name_of(&optimizer.name), optimizer.learning_rate, run.batch_size);
        Caption {
            title: format!("{model} on {data}, η = {rate}"),
            subtitle: format!(
                "{optimizer_name} on batches of {batch} · {images} training images · {parameters} weights · seed {}",
                run.seed
            ),
            diverged_at: self.manifest.diverged_at,
        }
    }

    fn summary(self, end: &End) -> Summary {
        let course = &end.course;
        let measured = &course.sharpness;
        let batch = measured.iter().find(|found| matches!(found.on, lyapunov::Sample::Mini(_)));
        let last_rate = course.last.as_ref().map(|row| row.learning_rate);
        Summary {
            run: self.folder.path().display().to_string(),
            outcome: self.manifest.outcome,
            diverged_at: self.manifest.diverged_at,
            steps: course.steps,
            train_loss: self.manifest.train_loss,
            test_accuracy: self.manifest.test_accuracy,
            learning_rate: last_rate.unwrap_or(self.config.optimizer.learning_rate),
            lambda_max: batch.or(measured.first()).map(LambdaMax::from),
            measuring_cost: course.measuring_cost,
            wall_seconds: self.started.elapsed().as_secs_f64(),
            subject: self.subject,
        }
    }
}

fn plan(config: &Config, network: &Network) -> Plan {
    let epoch = network.steps_per_epoch();
    Plan {
        steps: config.run.step_count(epoch),
        measure_every: config.measure.every,
        on: config.measure.on.clone(),
        product: match config.measure.product {
            ProductName::Auto | ProductName::Exact => Product::Exact,
            ProductName::GaussNewton => Product::GaussNewton,
            ProductName::Difference => Product::Difference(network.difference()),
        },
        products: config.measure.products,
        evaluate_every: config.run.evaluation_period(epoch),
    }
}
