//! `lyapunov exponents`: the exponents of a named system, beside what is known of them.

use std::{fmt::Write, path::Path, time::Instant};

use lyapunov::{
    Benettin, Estimate, Exponents, Outcome, SpectrumOptions, System,
    systems::{Choice, Entry, Known, Literature, SystemVisitor, catalogue},
};
use serde::Serialize;
use serde_json::{Map, Value};

mod scan;

use super::print;
use crate::{
    error::{Error, Result},
    show::plot::{self, Format},
    text::{aligned, number},
};
use clap::Args;
use std::path::PathBuf;

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

/// Points of a running estimate.
const HISTORY: usize = 160;

/// Measures, or lists what can be measured.
pub fn execute(arguments: &ExponentsArguments) -> Result<()> {
    let Some(name) = arguments.system.as_deref().filter(|_| !arguments.list) else {
        return print(listing().as_bytes());
    };
    let choice = choice(name, arguments)?;
    let format = arguments.plot.as_deref().map(Format::of).transpose()?;
    if !arguments.scan.is_empty() {
        return scan::execute(&choice, arguments, format);
    }
    let options = options(arguments, 100_000);
    let found = choice.visit(Measure { options: &options, history: format.is_some() })?;
    let report = Report { choice: &choice, options: &options, found: &found };
    if let (Some(path), Some(format)) = (&arguments.plot, format) {
        format.write(path, &report.figure().to_svg())?;
    }
    if arguments.json {
        print(report.json().as_bytes())
    } else {
        print(report.text(arguments.plot.as_deref()).as_bytes())
    }
}

/// The system with its parameters.
fn choice(name: &str, arguments: &ExponentsArguments) -> Result<Choice> {
    let mut choice = Choice::named(name)?;
    choice.set_seed(arguments.seed);
    for assignment in &arguments.set {
        let (name, value) = assignment.split_once('=').ok_or_else(|| misshapen("--set", assignment, "a=1.4"))?;
        choice.set(name.trim(), parse(value, "--set", assignment)?)?;
    }
    Ok(choice)
}

/// A number in an argument.
pub(super) fn parse(value: &str, flag: &str, argument: &str) -> Result<f64> {
    let number = value.trim().parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| Error::Usage { message: format!("{flag} {argument}: {value:?} is not a number"), help: None })
}

/// An argument that has not the form of `example`.
pub(super) fn misshapen(flag: &str, argument: &str, example: &str) -> Error {
    Error::Usage {
        message: format!("{flag} {argument} cannot be read"),
        help: Some(format!("write `{flag} {example}`")),
    }
}

pub(super) fn options(arguments: &ExponentsArguments, steps: u64) -> SpectrumOptions {
    SpectrumOptions {
        count: arguments.count,
        steps: arguments.steps.unwrap_or(steps),
        warm_up: arguments.warm_up,
        every: arguments.every,
        seed: arguments.seed,
    }
}

/// In the units of the system: per time for flows.
pub(super) fn in_units(found: Exponents, entry: &Entry) -> Exponents {
    if entry.per_time { found.per_time() } else { found }
}

/// `per unit of time` or `per step`.
pub(super) fn unit(entry: &Entry) -> &'static str {
    if entry.per_time { "per unit of time" } else { "per step" }
}

/// `a = 1.4, b = 0.3`.
pub(super) fn parameters(choice: &Choice) -> String {
    let texts: Vec<String> =
        choice.parameters().map(|(parameter, value)| format!("{} = {}", parameter.name, short(value))).collect();
    texts.join(", ")
}

/// A number as it was given, but not with the sixteen digits of a third.
pub(super) fn short(value: f64) -> String {
    let text = value.to_string();
    let text = if text.len() <= 8 { text } else { format!("{value:.6}").trim_end_matches('0').to_owned() };
    text.replace('-', "−")
}

/// What the system is, as a headline.
pub(super) fn heading(entry: &Entry) -> String {
    let mut letters = entry.about.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// The measurement, with its time and perhaps its course.
struct MeasuredExponents {
    exponents: Exponents,
    history: Vec<Exponents>,
    seconds: f64,
    /// Whether the state diverged before the first step that counts.
    in_warm_up: bool,
}

struct Measure<'a> {
    options: &'a SpectrumOptions,
    history: bool,
}

impl SystemVisitor for Measure<'_> {
    type Output = lyapunov::Result<MeasuredExponents>;

    fn visit<S: System + Clone>(self, mut system: S) -> Self::Output {
        let mut benettin = Benettin::warmed_up(&mut system, self.options)?;
        let started = Instant::now();
        let in_warm_up = benettin.outcome() != Outcome::Completed;
        if !in_warm_up {
            benettin.advance(&mut system, self.options.steps, self.options.every)?;
        }
        let seconds = started.elapsed().as_secs_f64();
        let history = if self.history { benettin.growth().history(HISTORY) } else { Vec::new() };
        Ok(MeasuredExponents { exponents: benettin.exponents(), history, seconds, in_warm_up })
    }
}

/// What is said of a measurement.
struct Report<'a> {
    choice: &'a Choice,
    options: &'a SpectrumOptions,
    found: &'a MeasuredExponents,
}

/// The JSON object of `exponents --json`. What is not a number is `null`.
#[derive(Serialize)]
struct Json<'a> {
    system: &'a str,
    parameters: Map<String, Value>,
    exponents: &'a [f64],
    std_errors: &'a [f64],
    unit: &'a str,
    /// The part of the errors that the time step of a flow is responsible for.
    step_errors: Vec<f64>,
    aligned: bool,
    outcome: &'a str,
    /// Whether it diverged within the warm-up: then everything speaks of steps of the warm-up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    diverged_in_warm_up: bool,
    steps: u64,
    time: f64,
    kaplan_yorke: Option<f64>,
    kaplan_yorke_std_error: Option<f64>,
    sum: f64,
    sum_std_error: f64,
    entropy: f64,
    /// The sum in closed form, where there is one.
    exact_sum: Option<f64>,
    literature: Option<Vec<f64>>,
    /// How the literature knows: exactly, measured or asymptotically.
    #[serde(skip_serializing_if = "Option::is_none")]
    literature_is: Option<&'a str>,
    steps_per_second: f64,
}

impl Report<'_> {
    fn exponents(&self) -> Exponents {
        in_units(self.found.exponents.clone(), self.choice.entry())
    }

    /// The sum in closed form, where all exponents were measured.
    fn sum(&self) -> Option<f64> {
        self.choice.exact_sum().filter(|_| self.options.count.is_none())
    }

    fn steps_per_second(&self) -> f64 {
        self.found.exponents.steps as f64 / self.found.seconds.max(1e-9)
    }

    fn json(&self) -> String {
        let found = self.exponents();
        let parameters =
            self.choice.parameters().map(|(parameter, value)| (parameter.name.to_owned(), Value::from(value)));
        let json = Json {
            system: self.choice.entry().name,
            parameters: parameters.collect(),
            exponents: &found.values,
            std_errors: &found.std_errors,
            unit: unit(self.choice.entry()),
            step_errors: found.discretization.iter().map(|off| off.abs()).collect(),
            aligned: found.aligned,
            diverged_in_warm_up: self.found.in_warm_up,
            outcome: if found.outcome == Outcome::Completed { "completed" } else { "diverged" },
            steps: found.steps,
            time: found.time,
            kaplan_yorke: found.kaplan_yorke.map(|dimension| dimension.value),
            kaplan_yorke_std_error: found.kaplan_yorke.map(|dimension| dimension.std_error),
            sum: found.sum.value,
            sum_std_error: found.sum.std_error,
            entropy: found.entropy.value,
            exact_sum: self.sum().filter(|sum| sum.is_finite()),
            literature_is: self.choice.literature().map(|literature| match literature.known {
                Known::Exactly => "exact",
                Known::Measured => "measured",
                Known::Asymptotically => "asymptotic",
            }),
            literature: self.choice.literature().map(|literature| literature.values),
            steps_per_second: self.steps_per_second(),
        };
        let mut text = serde_json::to_string(&json).expect("numbers and texts have a JSON form");
        text.push('\n');
        text
    }

    fn text(&self, picture: Option<&Path>) -> String {
        let (entry, found) = (self.choice.entry(), self.exponents());
        let mut text = format!("{}: {}\n", entry.name, entry.about);
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{}\n", self.course());
        text.push_str(&table(&found, self.choice.literature().as_ref(), self.sum()));
        let _ = writeln!(text, "\nNats {}. Literature: {}.", unit(entry), entry.source);
        let off = found.discretization.iter().fold(0.0, |most: f64, off| most.max(off.abs()));
        if off > 0.0 {
            let off = Estimate { value: 0.0, std_error: off };
            let _ = writeln!(text, "The errors include the time step: at most {} of it.", digits(off)[1]);
        }
        if let Some(dimension) = found.kaplan_yorke {
            let _ = writeln!(text, "Kaplan–Yorke dimension {}", estimate(dimension));
        }
        if found.entropy.value > 0.0 {
            let _ = writeln!(text, "Entropy, the sum of the positive exponents {}", estimate(found.entropy));
        }
        let _ = writeln!(text, "{}", verdict(&found, self.found.in_warm_up));
        if let Some(path) = picture {
            let _ = writeln!(text, "Picture: {}", path.display());
        }
        text
    }

    fn course(&self) -> String {
        let steps = number(self.found.exponents.steps as f64, 0);
        let speed = match self.steps_per_second() {
            fast if fast >= 1e6 => format!("{:.1} million", fast / 1e6),
            slow => number(slow, 0),
        };
        let warm_up = number(self.options.warm_up as f64, 0);
        let parameters = parameters(self.choice);
        let parameters = if parameters.is_empty() { String::new() } else { format!("{parameters}\n") };
        if self.found.in_warm_up {
            return format!("{parameters}{steps} steps of the warm-up of {warm_up}");
        }
        format!("{parameters}{steps} steps after {warm_up} of warm-up, {speed} steps per second")
    }

    fn figure(&self) -> plot::Figure {
        let entry = self.choice.entry();
        let found = self.exponents();
        let title = heading(entry);
        let what = format!("Lyapunov exponents, nats {}", unit(entry));
        let parameters = Some(parameters(self.choice)).filter(|text| !text.is_empty());
        let subtitle = parameters.map_or(what.clone(), |parameters| format!("{parameters} · {what}"));
        let known = self.choice.literature().map(|literature| literature.values).unwrap_or_default();
        if found.values.len() > 6 {
            plot::spectrum_figure(title, subtitle, &found, &known)
        } else {
            let history: Vec<Exponents> = self.found.history.iter().map(|at| in_units(at.clone(), entry)).collect();
            plot::running_figure(title, subtitle, &history, &known)
        }
    }
}

/// One line per exponent, and their sum.
fn table(found: &Exponents, literature: Option<&Literature>, exact_sum: Option<f64>) -> String {
    let sign = literature.map_or("", |literature| if literature.known == Known::Asymptotically { "≈ " } else { "" });
    let known = |i: usize| {
        let value = literature.and_then(|literature| literature.values.get(i));
        value.map_or(String::new(), |value| format!("{sign}{}", finite(*value)))
    };
    let mut rows = vec![[String::new(), "exponent".to_owned(), "± std. error".to_owned(), "literature".to_owned()]];
    for (i, (value, error)) in found.values.iter().zip(&found.std_errors).enumerate() {
        let [value, error] = digits(Estimate { value: *value, std_error: *error });
        rows.push([format!("Λ{}", i + 1), value, error, known(i)]);
    }
    let [value, error] = digits(found.sum);
    // The digits of single exponents end before those of their sum do: only a closed form stands beside it.
    rows.push(["sum".to_owned(), value, error, exact_sum.map_or(String::new(), finite)]);
    let table = aligned(&rows, &[0, 1, 2, 3]);
    table.lines().flat_map(|line| ["  ", line, "\n"]).collect()
}

fn finite(value: f64) -> String {
    if value.is_finite() { number(value, 5) } else { "−∞".to_owned() }
}

/// A number and its error, with as many decimals as the error has to say.
fn digits(estimate: Estimate) -> [String; 2] {
    let Estimate { value, std_error } = estimate;
    if !value.is_finite() {
        return ["−∞".to_owned(), "exact".to_owned()];
    }
    if !std_error.is_finite() {
        return [number(value, 5), "unknown".to_owned()];
    }
    if std_error < 1e-10 {
        return [number(value, 10), "below 1e-10".to_owned()];
    }
    let decimals = (1.0 - std_error.log10().floor()).clamp(2.0, 10.0) as usize;
    [number(value, decimals), number(std_error, decimals)]
}

fn estimate(estimate: Estimate) -> String {
    let [value, error] = digits(estimate);
    if error.starts_with(|first: char| first.is_ascii_digit()) { format!("{value} ± {error}") } else { value }
}

fn verdict(found: &Exponents, in_warm_up: bool) -> String {
    match found.outcome {
        Outcome::Diverged { step } if in_warm_up => {
            let step = number(step as f64, 0);
            format!(
                "The state diverged at step {step} of the warm-up: nothing was measured; this is the growth up to \
                    there."
            )
        }
        Outcome::Diverged { step } => {
            format!("The state diverged at step {}: these are the exponents up to there.", number(step as f64, 0))
        }
        Outcome::Completed if found.aligned => "Settled: the last two quarters of the run agree.".to_owned(),
        Outcome::Completed => {
            "Not settled: the run is too short, still drifts, or remembers for as long as it lasts, as area-preserving \
             maps do; do not trust these errors. Try more --steps."
                .to_owned()
        }
    }
}

/// The systems with their parameters and what is known of them.
fn listing() -> String {
    let mut text = String::new();
    for entry in catalogue() {
        let _ = writeln!(text, "{:18}{}", entry.name, entry.about);
        for parameter in entry.parameters {
            let kind = if parameter.whole { "whole, " } else { "" };
            let range = format!("{kind}{} to {}", parameter.minimum, parameter.maximum);
            let _ = writeln!(
                text,
                "{:18}  {} = {}: {} ({range})",
                "",
                parameter.name,
                short(parameter.default),
                parameter.about
            );
        }
        let known = Choice::named(entry.name).ok().and_then(|choice| choice.literature());
        let values = known.map(|literature| {
            let values: Vec<String> = literature.values.iter().take(5).map(|value| number(*value, 4)).collect();
            let more = if literature.values.len() > 5 { " …" } else { "" };
            let about = if literature.known == Known::Asymptotically { "about " } else { "" };
            format!("{about}{}{more} {}: ", values.join(", "), unit(entry))
        });
        let _ = writeln!(text, "{:18}  known: {}{}", "", values.unwrap_or_default(), entry.source);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_decimals_of_their_errors() {
        let digits = |value, std_error| digits(Estimate { value, std_error });
        assert_eq!(digits(0.419_223_4, 0.000_87), ["0.41922", "0.00087"]);
        assert_eq!(digits(-14.5712, 0.012), ["−14.571", "0.012"]);
        assert_eq!(digits(f64::NEG_INFINITY, 0.0), ["−∞", "exact"]);
        assert_eq!(digits(1.0, f64::INFINITY), ["1.00000", "unknown"]);
        assert_eq!(digits(0.5, 1e-17), ["0.5000000000", "below 1e-10"]);
    }
}
