//! `lyapunov verify exponent-curvature`: the claim that the largest exponent of descent, per unit of training time, is
//! minus the most negative eigenvalue of the Hessian, put to the test on a small network.
//!
//! Frozen weights: the map is δ' = (I − ηH)δ with one H, and Λ = max ln|1 − ηλᵢ| exactly; the claim is its limit for
//! small η, up to the switch to the sharp end at ηλ_max = 2 + η|λ_min|. Moving weights: the deviation has to follow a
//! bottom of the spectrum that turns, and what it sees is −⟨vᵀHv⟩.

use std::{fmt::Write, time::Instant};

use super::{at_least, print};
use crate::{
    config::{self, Config, Overrides, Subject},
    error::{Error, Result},
    measure::verify::{Experiment, Moving, Report, Switch},
    setup,
    show::plot::{Format, verify_figure},
    terminal::progress::Spinner,
    text::{duration, number},
};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The claims.
#[derive(Debug, Subcommand)]
pub enum VerifyCommand {
    /// That the largest exponent of descent per unit of training time is minus the smallest eigenvalue of the Hessian
    ///
    /// A small smooth network is trained for a while; from there one deviation is carried along gradient descent, at
    /// learning rates over two decades, with the weights frozen and with the weights moving. It reports the exponent
    /// beside what theory has for it, −⟨λ_min⟩ and −⟨vᵀHv⟩, and where the claim holds (Sasdelli and others 2021). Takes
    /// some minutes.
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
    #[arg(long, value_name = "STEPS", default_value_t = 300, value_parser = at_least(10))]
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

/// The network of the experiment: small, so that it takes minutes, and smooth.
const NETWORK: [&str; 7] = [
    "model.name=cnn",
    "model.widths=[3, 3, 3, 3, 3]",
    "model.activation=tanh",
    "model.pooling=average",
    "data.subset=64",
    "run.batch_size=64",
    "optimizer.learning_rate=0.1",
];

/// Within this share of each other two numbers count as equal.
const EQUAL: f64 = 0.1;

/// Carries out the experiment.
pub fn execute(arguments: &VerifyArguments) -> Result<()> {
    let VerifyArguments { set, data, device, .. } = arguments.clone();
    let set = NETWORK.iter().map(ToString::to_string).chain(set).collect();
    let mut settings = config::settings(None, &Overrides { set, data, out: None, device })?;
    let format = arguments.plot.as_deref().map(Format::of).transpose()?;
    let (network, subject) = setup::network(&settings)?;
    settings.resolve(&subject)?;
    check(&settings.config, arguments, subject.images)?;
    let spinner = Spinner::new(arguments.json);
    let rate = settings.config.optimizer.learning_rate;
    let experiment = Experiment::new(&network, arguments.steps, &spinner);
    let started = Instant::now();
    let mut report = experiment.report(rate, arguments.train)?;
    spinner.finish();
    report.wall_seconds = started.elapsed().as_secs_f64();
    if let (Some(path), Some(format)) = (&arguments.plot, format) {
        format.write(path, &verify_figure(&report, &heading(&subject)).to_svg())?;
    }
    if arguments.json { print(report.to_json().as_bytes()) } else { print(report.to_text(&subject).as_bytes()) }
}

/// Refuses what the experiment would not look at, and what it does not stand.
fn check(config: &Config, arguments: &VerifyArguments, images: usize) -> Result<()> {
    const LOOKED_AT: [&str; 6] = ["data.", "model.", "loss.", "run.seed", "run.batch_size", "optimizer.learning_rate"];
    let ignored = |set: &&String| !LOOKED_AT.iter().any(|known| set.trim_start().starts_with(known));
    if let Some(set) = arguments.set.iter().find(ignored) {
        let help = "it is plain gradient descent: data, model, loss, run.seed and optimizer.learning_rate can be set"
            .to_owned();
        return Err(Error::usage(format!("`--set {set}` has no place in the experiment"), Some(help)));
    }
    if config.run.batch_size != images {
        let help = format!("add `--set run.batch_size={images}`");
        return Err(Error::usage(format!("the experiment takes all {images} images at every step"), Some(help)));
    }
    if config.data.augment || config.model.dropout > 0.0 {
        let message = "the experiment needs the same map at every step: no augmentation, no dropout".to_owned();
        return Err(Error::usage(message, None));
    }
    Ok(())
}

impl Report {
    fn to_json(&self) -> String {
        let mut text = serde_json::to_string(self).expect("numbers have a JSON form");
        text.push('\n');
        text
    }

    fn to_text(&self, subject: &Subject) -> String {
        let Subject { model, data, images, .. } = subject;
        let mut text = format!(
            "The {model} ({} weights) on all {images} {data} images at every step, in {}.\nλ_max = {:.4}, λ_min = \
                {:.4} where it begins.\n\n",
            number(self.parameters as f64, 0),
            duration(self.wall_seconds),
            self.lambda_max,
            self.lambda_min
        );
        text += &self.frozen_table();
        text += &self.moving_table();
        text += &self.verdict();
        text
    }

    fn frozen_table(&self) -> String {
        let mut text = format!(
            "Frozen weights, per step:\n{:>10}  {:>8}  {:>12}  {:>16}  {:>8}\n",
            "η", "η·λ_max", "Λ", "max ln|1 − ηλᵢ|", "error"
        );
        for row in &self.frozen {
            let error = 100.0 * (row.exponent / row.exact - 1.0).abs();
            // Writing into a string cannot fail.
            let _ = writeln!(
                text,
                "{:>10.5}  {:>8.3}  {:>12.6}  {:>16.6}  {error:>6.2} %",
                row.learning_rate, row.scaled, row.exponent, row.exact
            );
        }
        if let Some(Switch { predicted, found }) = self.switch {
            let off = 100.0 * (found / predicted - 1.0).abs();
            let _ = writeln!(
                text,
                "The sharp end takes over at η·λ_max = {found:.3}; 2 + η|λ_min| is {predicted:.3} there ({off:.1} % \
                    off)."
            );
        }
        text.push('\n');
        text
    }

    fn moving_table(&self) -> String {
        let mut text = format!(
            "Moving weights, {} steps, per unit of training time:\n{:>9}  {:>16}  {:>9}  {:>8}  {:>9}  {:>9}  {:>14}  \
                {:>14}\n",
            self.steps, "η", "η·λ_max, at most", "Λ/η", "±", "−⟨vᵀHv⟩", "−⟨λ_min⟩", "Λ/η ÷ −⟨vᵀHv⟩", "Λ/η ÷ −⟨λ_min⟩"
        );
        for row in &self.moving {
            let shown = |x: Option<f64>, decimals: usize| x.map_or("—".to_owned(), |x| format!("{x:.decimals$}"));
            let _ = writeln!(
                text,
                "{:>9.5}  {:>7.3}  {:>7.3}  {:>9}  {:>8}  {:>9}  {:>9}  {:>14}  {:>14}",
                row.learning_rate,
                row.scaled,
                row.scaled_most,
                shown(row.exponent_per_time, 5),
                shown(row.std_error, 5),
                shown(row.negative_rayleigh, 5),
                shown(row.negative_lambda_min, 5),
                shown(row.identity(), 3),
                shown(row.claim(), 3)
            );
        }
        text.push('\n');
        text
    }

    /// Where the claim holds, in words.
    fn verdict(&self) -> String {
        let list = |rows: Vec<&Moving>| {
            let names: Vec<String> = rows.iter().map(|row| short(row.scaled)).collect();
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        };
        let holds = |row: &&Moving| row.claim().is_some_and(|ratio| (ratio - 1.0).abs() <= EQUAL);
        let known = self.moving.iter().filter(|row| row.claim().is_some());
        let (good, bad): (Vec<&Moving>, Vec<&Moving>) = known.partition(holds);
        let slow: Vec<&Moving> = self.moving.iter().filter(|row| row.scaled_most < 0.7).collect();
        let worst = slow.iter().filter_map(|row| row.identity()).map(|ratio| (ratio - 1.0).abs()).fold(0.0, f64::max);
        let mut text = String::new();
        let _ =
            writeln!(text, "The claim Λ/η = −λ_min holds within {:.0} % at η·λ_max = {}.", 100.0 * EQUAL, list(good));
        if !bad.is_empty() {
            let ratios: Vec<f64> = bad.iter().filter_map(|row| row.claim()).collect();
            let (least, most) =
                ratios.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(*x), b.max(*x)));
            let _ = writeln!(
                text,
                "It fails at η·λ_max = {}: there Λ/η is {least:.2} to {most:.2} of −⟨λ_min⟩.",
                list(bad)
            );
        }
        if slow.is_empty() {
            text += "η·λ_max stays below 0.7 in no row.\n";
            return text;
        }
        let _ = writeln!(
            text,
            "Λ/η = −⟨vᵀHv⟩ holds within {:.1} % where η·λ_max stays below 0.7: the deviation sees the curvature of \
                its own direction, which\nneed not be the bottom of a spectrum that turns.",
            100.0 * worst
        );
        text
    }
}

/// A number without needless decimals.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn heading(subject: &Subject) -> (String, String) {
    let Subject { model, data, images, parameters, .. } = subject;
    let subtitle = format!("{model} with {parameters} weights · {images} {data} images, all of them at every step");
    ("The largest exponent of gradient descent beside the curvature".to_owned(), subtitle)
}
