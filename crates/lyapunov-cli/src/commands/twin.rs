//! `lyapunov twin`: two copies of a run that differ in almost nothing, and how far they part.

use std::{fmt::Write, time::Instant};

use lyapunov::{
    Controller, Descent, Measurement, Objective, Outcome, Purpose, Separation, Stream, TwinRow, UpdateRule, Vector,
    separation, twins,
};
use lyapunov_burn::{Network, Weights};
use serde::Serialize;

use super::{at_least, print};
use crate::{
    config::{self, Overrides, Settings, Subject, WeightsName},
    error::{Error, Result},
    setup::{self, OptimizerVisitor},
    show::plot::{self, Format, TwinCaption},
    terminal::progress::Spinner,
    text::{duration, number, significant},
};
use clap::Args;
use std::path::PathBuf;

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
    /// What the two differ in: weights=SHARE (of the norm of the initial weights, in a random direction), image=NUMBER
    /// (one training image is another) or order=STEP (of the images inside the batch of that training step, which only
    /// changes the rounding)
    #[arg(long, value_name = "WHAT", default_value = "weights=1e-6")]
    pub differ: String,
    /// Steps between two rows [default: a two-hundredth of the run]
    #[arg(long, value_name = "STEPS", value_parser = at_least(1))]
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

/// Rows in which a run is shown, where `--every` says nothing.
const ROWS: u64 = 200;

/// Trains the two and says how they part.
pub fn execute(arguments: &TwinArguments) -> Result<()> {
    let difference = Difference::parse(&arguments.differ)?;
    let TwinArguments { set, data, device, .. } = arguments.clone();
    let overrides = Overrides { set, data, out: None, device };
    let mut settings = config::settings(arguments.file.as_deref(), &overrides)?;
    let format = arguments.plot.as_deref().map(Format::of).transpose()?;
    let (first, subject) = setup::network(&settings)?;
    settings.resolve(&subject)?;
    if settings.config.exponents.weights == WeightsName::Frozen {
        let help = "set `exponents.weights` to \"moving\"".to_owned();
        return Err(Error::usage("twins whose weights are frozen cannot part".to_owned(), Some(help)));
    }
    let second = difference.applied_to(setup::network(&settings)?.0, &settings, &first)?;
    let started = Instant::now();
    let parting = Parting {
        settings: &settings,
        networks: [&first, &second],
        difference,
        every: arguments.every,
        quiet: arguments.json,
    };
    let (rows, outcome) = setup::with_rule(&settings.config, parting)?;
    let mut report = Report::new(&rows, outcome, difference, started.elapsed().as_secs_f64());
    report.kinks = first.has_kinks();
    if let (Some(path), Some(format)) = (&arguments.plot, format) {
        format.write(path, &plot::twin_figure(&rows, &caption(&subject, difference)).to_svg())?;
    }
    if arguments.json { print(report.to_json().as_bytes()) } else { print(report.to_text(&subject).as_bytes()) }
}

/// What the two runs differ in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Difference {
    /// The initial weights, by this share of their norm in a random direction.
    Weights(f64),
    /// One training image.
    Image(usize),
    /// The order of the images inside the batch of one step.
    Order(u64),
}

impl Difference {
    fn parse(text: &str) -> Result<Self> {
        let found = match text.split_once('=') {
            Some(("weights", share)) => {
                let share: Option<f64> = share.parse().ok();
                if let Some(small) = share.filter(|share| *share > 0.0 && *share < LEAST_SHARE) {
                    let message = format!("`--differ weights={small:e}` would be lost in the rounding of the weights");
                    return Err(Error::usage(message, Some(format!("use at least weights={LEAST_SHARE:e}"))));
                }
                share.filter(|share| share.is_finite() && *share > 0.0).map(Self::Weights)
            }
            Some(("image", index)) => index.parse().ok().map(Self::Image),
            Some(("order", step)) => step.parse().ok().map(Self::Order),
            _ => None,
        };
        found.ok_or_else(|| {
            let help =
                "write weights=1e-6 (a share of their norm), image=0 (its number) or order=0 (the training step)";
            Error::usage(format!("`--differ {text}` is no difference between two runs"), Some(help.to_owned()))
        })
    }

    fn applied_to(self, network: Network, settings: &Settings, first: &Network) -> Result<Network> {
        match self {
            Self::Weights(_) => Ok(network),
            Self::Image(index) => Ok(network.with_replaced_image(index)?),
            Self::Order(step) => {
                let steps = settings.config.step_count(first.steps_per_epoch());
                if step >= steps {
                    let message = format!("`--differ order={step}` must name a step of the run, which has {steps}");
                    return Err(Error::usage(message, None));
                }
                Ok(network.with_reversed_batch(step))
            }
        }
    }

    fn sentence(self) -> String {
        match self {
            Self::Weights(share) => format!("in their initial weights, by {share:e} of their norm"),
            Self::Image(index) => format!("in one training image, number {index}"),
            Self::Order(step) => format!("in the order of the images inside the batch of step {step}"),
        }
    }
}

/// The two runs.
struct Parting<'a> {
    settings: &'a Settings,
    networks: [&'a Network; 2],
    difference: Difference,
    every: Option<u64>,
    quiet: bool,
}

impl OptimizerVisitor for Parting<'_> {
    type Output = (Vec<TwinRow>, Outcome);

    fn visit<R: UpdateRule<Weights>>(self, rule: R) -> Result<Self::Output> {
        let config = &self.settings.config;
        if let Some(rule) = config.control.rule {
            let message = format!("twins cannot follow `control.rule = \"{rule}\"`: nothing is measured on the way");
            let help = Some("set `control.rule` to \"none\", and a learning rate".to_owned());
            return Err(Error::Usage { message, help });
        }
        let start = self.networks[0].initial_weights();
        let mut moved = start.clone();
        if let Difference::Weights(share) = self.difference {
            let mut direction = start.zeros_like();
            direction.randomize(&mut Stream::new(config.run.seed, Purpose::Deviation, 0));
            moved.axpy(share * Vector::norm(&start) / Vector::norm(&direction), &direction);
        }
        let mut first = setup::descent(config, self.networks[0], start, rule.clone())?;
        let mut second = setup::descent(config, self.networks[1], moved, rule)?;
        let steps = config.step_count(self.networks[0].steps_per_epoch());
        let every = self.every.unwrap_or((steps / ROWS).max(1));
        let spinner = Spinner::new(self.quiet);
        spinner.begin_of("training two runs", "step", steps);
        let rule = setup::controller(config, first.edge_constant(), steps)?;
        let found = twins(&mut first, &mut second, steps, every, &mut Ticking { rule, spinner: &spinner })?;
        spinner.finish();
        Ok(found)
    }
}

/// A rule that counts its steps.
struct Ticking<'a> {
    rule: Box<dyn Controller>,
    spinner: &'a Spinner,
}

impl Controller for Ticking<'_> {
    fn next(&mut self, measurement: &Measurement) -> lyapunov::Result<f64> {
        self.spinner.tick();
        self.rule.next(measurement)
    }
}

/// What there is to say, and the JSON object of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    diverged_at: Option<u64>,
    difference: String,
    /// Whether the runs differ in their beginning only, and not again and again.
    #[serde(skip)]
    once: bool,
    /// The growth of the distance in nats per step, before it saturates.
    growth: Option<f64>,
    growth_std_error: Option<f64>,
    /// How many times as far apart the two are in the last row as in the first one that counts.
    grown: Option<f64>,
    /// The step up to which it was taken.
    growth_until: Option<u64>,
    /// ‖w − w'‖/‖w‖ where the growth has come to rest.
    saturation: Option<f64>,
    step: Vec<u64>,
    distance: Vec<f64>,
    disagreement: Vec<Option<f64>>,
    loss: Vec<f64>,
    loss_of_twin: Vec<f64>,
    /// Whether the gradient jumps somewhere, as with ReLU and max-pooling.
    kinks: bool,
    wall_seconds: f64,
}

/// Smaller differences of the weights are lost in single precision.
const LEAST_SHARE: f64 = 1e-6;

/// Below this share of the weights, the distance of runs that began alike is rounding that goes on at every step.
const FLOOR: f64 = 1e-6;

/// A difference that was put into the weights is followed down to a tenth of the least.
const FLOOR_OF_WEIGHTS: f64 = 0.1 * LEAST_SHARE;

/// The relative size of what rounding in single precision does in a step.
const ROUNDING: f64 = 6e-8;

impl Report {
    fn new(rows: &[TwinRow], outcome: Outcome, difference: Difference, wall_seconds: f64) -> Self {
        let distances: Vec<(u64, f64)> = rows.iter().map(|row| (row.step, row.distance)).collect();
        let floor = if matches!(difference, Difference::Weights(_)) { FLOOR_OF_WEIGHTS } else { FLOOR };
        let above: Vec<(u64, f64)> = distances.iter().copied().filter(|(_, distance)| *distance >= floor).collect();
        let parted: Option<Separation> = separation(&above);
        let (outcome, diverged_at) = match outcome {
            Outcome::Completed => ("completed", None),
            Outcome::Diverged { step } => ("diverged", Some(step)),
        };
        Self {
            outcome,
            diverged_at,
            difference: difference.sentence(),
            once: !matches!(difference, Difference::Image(_)),
            growth: parted.map(|parted| parted.rate.value),
            growth_std_error: parted.map(|parted| parted.rate.std_error).filter(|error| error.is_finite()),
            grown: above.first().zip(above.last()).map(|((_, first), (_, last))| last / first),
            growth_until: parted.map(|parted| parted.until),
            saturation: parted.and_then(|parted| parted.saturation),
            step: rows.iter().map(|row| row.step).collect(),
            distance: rows.iter().map(|row| row.distance).collect(),
            disagreement: rows.iter().map(|row| row.disagreement).collect(),
            loss: rows.iter().map(|row| row.losses[0]).collect(),
            loss_of_twin: rows.iter().map(|row| row.losses[1]).collect(),
            kinks: false,
            wall_seconds,
        }
    }

    fn to_json(&self) -> String {
        let mut text = serde_json::to_string(self).expect("numbers and texts have a JSON form");
        text.push('\n');
        text
    }

    fn to_text(&self, subject: &Subject) -> String {
        let Subject { model, parameters, data, images, .. } = subject;
        let (parameters, images) = (number(*parameters as f64, 0), number(*images as f64, 0));
        let mut text = format!(
            "Two runs of the {model} ({parameters} weights) on {images} {data} images that differ\n{}, in {}.\n\n",
            self.difference,
            duration(self.wall_seconds)
        );
        text += &self.table();
        text.push('\n');
        text += &self.meaning();
        text
    }

    /// Some ten of the rows.
    fn table(&self) -> String {
        let mut text = format!(
            "{:>8}  {:>12}  {:>12}  {:>10}  {:>10}\n",
            "step", "distance", "disagreement", "loss", "its twin's"
        );
        let last = self.step.len().saturating_sub(1);
        let period = last.div_ceil(10).max(1);
        for i in (0..self.step.len()).filter(|i| i.is_multiple_of(period) || *i == last) {
            let disagreement = self.disagreement[i].map_or(String::new(), |share| format!("{:.1} %", 100.0 * share));
            // Writing into a string cannot fail.
            let _ = writeln!(
                text,
                "{:>8}  {:>12.2e}  {disagreement:>12}  {:>10.4}  {:>10.4}",
                self.step[i], self.distance[i], self.loss[i], self.loss_of_twin[i]
            );
        }
        text
    }

    /// What it says about repeating the run.
    fn meaning(&self) -> String {
        let mut text = String::new();
        if let Some(step) = self.diverged_at {
            let _ = writeln!(text, "A run diverged before step {}.", number(step as f64, 0));
        }
        let Some(growth) = self.growth else {
            let most = self.distance.iter().copied().fold(0.0, f64::max);
            let _ = match most {
                0.0 => writeln!(text, "The two did not part: every row has the same weights."),
                most if most < FLOOR => writeln!(
                    text,
                    "The two are {most:.1e} of their norm apart at most: rounding that has not grown out of rounding."
                ),
                _ => writeln!(text, "Too few rows to say how fast they part: use a smaller `--every`, or more steps."),
            };
            return text;
        };
        if self.kinks {
            text += "ReLU and max-pooling have kinks: where an input crosses one in one run and not in the other, the \
                distance leaps,\n\
                     so its growth lies above the exponents of the run.\n";
        }
        let error = self.growth_std_error.map_or(String::new(), |error| format!(" ± {error:.5}"));
        let until = number(self.growth_until.unwrap_or(0) as f64, 0);
        let _ = writeln!(text, "Growth of the distance: {growth:.5}{error} per step, up to step {until}.");
        if let Some(level) = self.saturation {
            let _ = writeln!(text, "It comes to rest at {level:.2e} of the weights' norm.");
        }
        let disagreement = self.disagreement.iter().rev().flatten().next();
        if let Some(share) = disagreement {
            let _ = writeln!(text, "In the end the two disagree on {:.1} % of the test images.", 100.0 * share);
        }
        let error = self.growth_std_error.unwrap_or(f64::INFINITY);
        let message = match growth {
            _ if growth.abs() <= 2.0 * error => match self.grown {
                Some(grown) if grown >= 10.0 => format!(
                    "The two are {} times as far apart in the end as at first, but not by a steady rate, which lies \
                        within two of\n\
                     its errors of zero: the difference has grown, and how fast it goes on is not known.\n",
                    significant(grown, 2)
                ),
                Some(grown) if grown <= 0.1 => format!(
                    "The two are {} times closer in the end than at first, but not by a steady rate, which lies \
                        within two of its\n\
                     errors of zero: the difference has shrunk, and how fast it goes on is not known.\n",
                    significant(1.0 / grown, 2)
                ),
                _ => "The distance is of the same size in the end as at first: the rate lies within two of its errors \
                    of zero.\n"
                    .to_owned(),
            },
            _ if !self.once => {
                "The other image is met again in every epoch, so the distance does not grow from one small difference \
                    alone.\n"
                    .to_owned()
            }
            growth if growth > 0.0 => format!(
                "A small difference grows e-fold every {:.0} steps. At that rate the rounding of single precision \
                    ({ROUNDING:.0e}) would\n\
                 become 1 % of the weights in about {} steps: beyond them, another order of summation, another \
                 library or\n\
                 another machine gives another network.\n",
                1.0 / growth,
                number(((0.01 / ROUNDING).ln() / growth).round(), 0)
            ),
            _ => "Small differences shrink: another order of summation, another library or another machine gives the \
                same\n\
                  network, up to rounding.\n"
                .to_owned(),
        };
        text.push_str(&message);
        text
    }
}

fn caption(subject: &Subject, difference: Difference) -> TwinCaption {
    let Subject { model, data, images, parameters, .. } = subject;
    let (images, parameters) = (number(*images as f64, 0), number(*parameters as f64, 0));
    TwinCaption {
        title: format!("Two runs of the {model} on {data}"),
        subtitle: format!("{images} training images · {parameters} weights · they differ {}", difference.sentence()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(growth: f64) -> Report {
        let row = |step: u64| TwinRow {
            step,
            distance: (1e-6 * (growth * step as f64).exp()).min(0.4),
            losses: [2.0, 2.0001],
            disagreement: Some(0.125),
        };
        let rows: Vec<TwinRow> = (0..=1000).step_by(10).map(row).collect();
        Report::new(&rows, Outcome::Completed, Difference::Weights(1e-6), 1.5)
    }

    #[test]
    fn differences_are_read_and_others_refused() {
        for (text, difference) in [
            ("weights=1e-6", Difference::Weights(1e-6)),
            ("image=3", Difference::Image(3)),
            ("order=0", Difference::Order(0)),
        ] {
            assert_eq!(Difference::parse(text).unwrap(), difference);
        }
        for text in ["", "weights", "weights=0", "weights=nan", "image=-1", "order=x", "seed=1"] {
            assert!(Difference::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_distance_that_has_grown_unevenly_is_not_called_unknown() {
        // It leaps by 120 at one step of a thousand, and scatters around that by a third.
        let row = |step: u64| TwinRow {
            step,
            distance: if step < 500 { 1e-5 } else { 1.2e-3 } * (1.0 + 0.3 * (step as f64).sin()),
            losses: [2.0, 2.0],
            disagreement: None,
        };
        let rows: Vec<TwinRow> = (0..=1000).step_by(10).map(row).collect();
        let mut report = Report::new(&rows, Outcome::Completed, Difference::Weights(1e-6), 1.5);
        report.growth = Some(0.004);
        report.growth_std_error = Some(0.003);
        let text = report.meaning();
        assert!(
            text.contains("times as far apart in the end as at first") && !text.contains("cannot be decided"),
            "{text}"
        );
        assert!((100.0..200.0).contains(&report.grown.unwrap()));
        // What has not moved at all is said to be so.
        report.grown = Some(1.4);
        assert!(report.meaning().contains("of the same size in the end"));
    }

    #[test]
    fn what_grows_is_reported_with_what_it_means() {
        let text = report(0.02).to_text(&Subject { model: "cnn".to_owned(), ..Subject::default() });
        assert!(text.contains("Growth of the distance: 0.02000") && text.contains("e-fold every 50 steps"), "{text}");
        assert!(text.contains("comes to rest at 4.00e-1") && text.contains("disagree on 12.5 %"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&report(0.02).to_json()).unwrap();
        assert_eq!((&json["step"][1], &json["outcome"]), (&10.into(), &"completed".into()));
        assert!(report(-0.01).meaning().contains("gives the same\nnetwork"));
    }
}
