//! `lyapunov suggest-rate`: sensible learning rates at given weights, for those who keep their own optimizer.
//!
//! Nothing is changed: the network is a pure function of its weights, and the trial is thrown away.

use std::time::Instant;

use lyapunov::{
    Descent, EdgeStep, Hessian, Lanczos, Measurement, Objective, Outcome, Plan, Preconditioned, Product, Rule,
    RuleOptions, Sample, SpectralTarget, UpdateRule, batch_sharpness, lanczos,
};
use lyapunov_burn::{Network, Weights};
use serde::Serialize;

use super::{at_least, measure, print};
use crate::{
    config::{Config, OptimizerName, Overrides, WeightsName, optimizers},
    error::{Error, Result},
    measure::findings::INITIAL,
    setup::{self, OptimizerVisitor},
    terminal::progress::Spinner,
    text::{aligned, significant, statistics::mean_and_spread},
};
use clap::Args;
use std::path::PathBuf;

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
    #[arg(long, value_name = "STEPS", default_value_t = 60, value_parser = at_least(20))]
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

/// Images on which the sharpness is measured, where there are more.
const SUBSET: usize = 1000;

/// Mini-batches whose spread is shown.
const BATCHES: u64 = 5;

/// Steps with frozen weights that fill momentum and moments before anything is measured.
const WARM_UP: u64 = 20;

/// How far a search for an eigenvalue goes.
const SEARCH: Lanczos = Lanczos { largest: 1, smallest: 0, tolerance: 1e-2, max_applications: 60, max_basis: 60 };

/// Measures, tries, and says what came out.
pub fn execute(arguments: &SuggestRateArguments) -> Result<()> {
    let SuggestRateArguments { file, run, weights, set, data, device, .. } = arguments;
    let overrides = Overrides { set: set.clone(), data: data.clone(), device: device.clone(), out: None };
    let (settings, weights_file) = measure::source(run.as_deref(), file.as_deref(), weights.as_deref(), &overrides)?;
    let config = &settings.config;
    if !optimizers(Rule::EdgeStep).contains(&config.optimizer.name) {
        let message = format!("\"{}\" finds its own learning rate: there is none to suggest", config.optimizer.name);
        return Err(Error::usage(
            message,
            Some("set `optimizer.name` to \"sgd\", \"heavy-ball\", \"nesterov\" or \"adam\"".to_owned()),
        ));
    }
    let (network, subject) = setup::network(&settings)?;
    let at = measure::weights(&network, weights_file.as_deref())?;
    let spinner = Spinner::new(arguments.json);
    let images = subject.images;
    let inquiry = Inquiry { config, network: &network, at, images, trial: arguments.trial, spinner: &spinner };
    let started = Instant::now();
    let mut suggestion = setup::with_rule(config, inquiry)?;
    spinner.finish();
    suggestion.weights = weights_file.map_or(INITIAL.to_owned(), |path| path.display().to_string());
    suggestion.model = subject.model;
    suggestion.wall_seconds = started.elapsed().as_secs_f64();
    print(if arguments.json { suggestion.to_json() } else { suggestion.to_text() }.as_bytes())
}

/// What there is to say, and the JSON object of `--json`.
#[derive(Debug, Serialize)]
struct Suggestion {
    weights: String,
    model: String,
    optimizer: String,
    batch_size: usize,
    /// The range to try: from half of the trial's tenth percentile to its ninetieth, or to the largest stable rate if
    /// that is less.
    suggested: [f64; 2],
    /// The learning rate at which the trial ended.
    trial_rate: f64,
    /// The tenth and the ninetieth percentile of the rates that the second half of the trial would have set.
    trial_range: [f64; 2],
    trial_steps: u64,
    /// The smallest of the limits.
    largest_stable: f64,
    /// Its name.
    limited_by: String,
    limits: Vec<Limit>,
    /// In gradient-equivalents.
    cost: f64,
    wall_seconds: f64,
}

/// A learning rate above which something grows.
#[derive(Clone, Debug, Serialize)]
struct Limit {
    name: String,
    rate: f64,
    /// How far it may be off: from the residual, or the standard deviation over mini-batches.
    error: f64,
    /// The curvature behind it.
    curvature: f64,
}

impl Limit {
    /// The rate `edge` / curvature, with the curvature's error carried over.
    fn new(name: &str, edge: f64, curvature: f64, error: f64) -> Option<Self> {
        let rate = edge / curvature;
        (curvature > 0.0).then(|| Self { name: name.to_owned(), rate, error: rate * error / curvature, curvature })
    }
}

struct Inquiry<'a> {
    config: &'a Config,
    network: &'a Network,
    at: Weights,
    images: usize,
    trial: u64,
    spinner: &'a Spinner,
}

impl OptimizerVisitor for Inquiry<'_> {
    type Output = Suggestion;

    fn visit<R: UpdateRule<Weights>>(self, rule: R) -> Result<Suggestion> {
        let Self { config, network, ref at, spinner, .. } = self;
        let product = setup::product(config.measure.product, network, SpectralTarget::Largest)?;
        spinner.begin("filling the moments");
        let mut descent = setup::descent(config, network, at.clone(), rule.clone())?.frozen();
        let mut cost = WARM_UP as f64;
        for _ in 0..WARM_UP {
            lyapunov::System::step(&mut descent, &mut [])?;
        }
        spinner.begin("measuring the sharpness");
        let mut limits = Vec::new();
        let subset = if self.images > SUBSET { Sample::Subset(SUBSET) } else { Sample::Full };
        let (value, error, spent) = largest(&mut descent, subset, product)?;
        cost += spent;
        let edge = descent.edge_constant();
        limits.extend(Limit::new(&format!("the sharpness of {} images", self.images.min(SUBSET)), edge, value, error));
        let (mut values, first) = (Vec::new(), descent.steps_taken());
        for step in first..first + BATCHES {
            let (value, _, spent) = largest(&mut descent, Sample::Mini(step), product)?;
            values.push(value);
            cost += spent;
        }
        if let Some((mean, Some(spread))) = mean_and_spread(&values) {
            limits.extend(Limit::new(&format!("the sharpness of {BATCHES} mini-batches"), edge, mean, spread));
        }
        if config.optimizer.name == OptimizerName::Sgd {
            let found = batch_sharpness(network, product, at, (0..20).map(Sample::Mini))?;
            cost += found.map_or(0.0, |found| found.cost);
            limits
                .extend(found.and_then(|found| Limit::new("the batch sharpness", edge, found.value, found.std_error)));
        }
        spinner.begin("trying");
        let trial = self.trial_run(rule, product)?;
        let least = limits.iter().min_by(|a, b| a.rate.total_cmp(&b.rate));
        let (largest_stable, limited_by) = least
            .map_or((f64::INFINITY, "nothing: no curvature is positive".to_owned()), |limit| {
                (limit.rate, limit.name.clone())
            });
        // On a plateau the trial may allow what the sharpness of the whole forbids.
        let high = trial.range[1].min(largest_stable);
        let low = (trial.range[0] / 2.0).min(high / 2.0);
        Ok(Suggestion {
            weights: String::new(),
            model: String::new(),
            optimizer: config.optimizer.name.name().to_owned(),
            batch_size: config.run.batch_size,
            suggested: [low, high],
            trial_rate: trial.rate,
            trial_range: trial.range,
            trial_steps: self.trial,
            largest_stable,
            limited_by,
            limits,
            cost: cost + trial.cost,
            wall_seconds: 0.0,
        })
    }
}

/// What a trial has come to.
struct Trial {
    rate: f64,
    range: [f64; 2],
    cost: f64,
}

impl Inquiry<'_> {
    /// Trains by `edge-step` from these weights, and throws the weights away.
    fn trial_run<R: UpdateRule<Weights>>(&self, rule: R, product: Product) -> Result<Trial> {
        let mut moving = self.config.clone();
        moving.exponents.count = 0;
        moving.exponents.weights = WeightsName::Moving;
        let mut descent = setup::descent(&moving, self.network, self.at.clone(), rule)?;
        let edge = descent.edge_constant();
        let usual = RuleOptions::of(Rule::EdgeStep);
        let options = setup::rule_options(&moving, edge);
        let options = RuleOptions { strength: usual.strength, period: usual.period, ..options };
        let mut controller = EdgeStep::of(&options)?;
        let plan = Plan { steps: self.trial, measure_every: 0, product, ..Plan::default() };
        let mut rows: Vec<Measurement> = Vec::new();
        let course = lyapunov::run(&mut descent, &plan, &mut controller, &mut rows)?;
        if let Outcome::Diverged { step } = course.outcome {
            let message = format!("the trial diverged at step {step}: at these weights no rate of edge-step is stable");
            return Err(Error::usage(message, Some("look at the data and at the initial weights".to_owned())));
        }
        let late = &rows[rows.len() / 2..];
        let mut readings: Vec<f64> = late
            .iter()
            .filter_map(|row| Some(controller.allowed(row.along?.product_norm)))
            .filter(|rate| rate.is_finite())
            .collect();
        readings.sort_by(f64::total_cmp);
        let Some(rate) = rows.last().map(|row| row.learning_rate).filter(|_| !readings.is_empty()) else {
            let gradient = rows.last().map_or(f64::NAN, |row| row.gradient_norm);
            let message = if gradient == 0.0 {
                "the trial measured nothing: the gradient is zero at these weights".to_owned()
            } else {
                format!("the trial measured no curvature, though its gradient has the norm {gradient:.3e}")
            };
            return Err(Error::usage(message, None));
        };
        let at = |share: f64| readings[((readings.len() - 1) as f64 * share).round() as usize];
        let cost = self.trial as f64 * (1.0 + course.measuring_cost);
        Ok(Trial { rate, range: [at(0.1), at(0.9)], cost })
    }
}

/// The largest eigenvalue that the edge of `descent` speaks of, its residual, and the cost.
fn largest<D: Descent>(descent: &mut D, on: Sample, product: Product) -> Result<(f64, f64, f64)>
where
    D::Objective: Objective,
{
    let hint = descent.gradient()?.1.clone();
    let root = descent.preconditioner()?;
    let (objective, at) = (descent.objective(), descent.weights());
    let hessian = Hessian { objective, at, on, product, gradient: None };
    let ritz = match &root {
        Some(root) => lanczos(&Preconditioned { operator: &hessian, root }, &hint, &SEARCH)?,
        None => lanczos(&hessian, &hint, &SEARCH)?,
    };
    let cost = ritz.applications as f64 * objective.product_cost(product, on);
    Ok(ritz.largest.first().map_or((0.0, 0.0, cost), |top| (top.value, top.residual, cost)))
}

impl Suggestion {
    fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and texts have a JSON form") + "\n"
    }

    fn to_text(&self) -> String {
        let [low, high] = self.suggested.map(|rate| significant(rate, 2));
        let [from, to] = self.trial_range.map(|rate| significant(rate, 2));
        let (stable, rate) = (significant(self.largest_stable, 2), significant(self.trial_rate, 2));
        let weights = if self.weights == INITIAL { "its initial weights" } else { &self.weights };
        let limit = |limit: &Limit| {
            let (rate, error) = (significant(limit.rate, 3), significant(limit.error, 1));
            [format!("{rate} ± {error}"), format!("by {}, {}", limit.name, significant(limit.curvature, 3))]
        };
        let limits = aligned(&self.limits.iter().map(limit).collect::<Vec<_>>(), &[]);
        let head = [
            format!("Suggested learning rate: {low} to {high}"),
            format!(
                "  for {} on batches of {}, for the {} at {}",
                self.optimizer, self.batch_size, self.model, weights
            ),
            format!(
                "  a trial of {} steps by edge-step ended at {rate}; eight of ten of its readings allowed {from} to \
                    {to}",
                self.trial_steps
            ),
            format!("Largest stable one at these weights: {stable}, limited by {}", self.limited_by),
        ];
        let cost = format!(
            "Cost: {:.0} g-eq, {:.1} s; the trial was thrown away, nothing was changed",
            self.cost, self.wall_seconds
        );
        head.into_iter()
            .chain(limits.lines().map(|line| format!("  {line}")))
            .chain([cost, String::new()])
            .collect::<Vec<_>>()
            .join("\n")
    }
}
