//! The course of a run on standard error: a bar on a terminal, a line per tenth elsewhere.

use std::{
    error::Error as StdError,
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lyapunov::{Evaluation, Measurement, Observer, Quantity, Sharpness};
use lyapunov_runs::columns::quantity;

use crate::text::compact;

/// Shows the course of a run.
pub struct Progress {
    display: Display,
    steps: u64,
    seen: Seen,
}

enum Display {
    Bar(ProgressBar),
    Lines,
    Silent,
}

/// The last that was known of everything.
#[derive(Default)]
struct Seen {
    loss: Option<f64>,
    evaluation: Option<Evaluation>,
    /// With η and the step of the measurement, and the steps since the one before it.
    sharpness: Option<(Sharpness, f64, u64, u64)>,
    exponent: Option<f64>,
    cost: f64,
    steps: u64,
}

impl Progress {
    /// Shows a run of `steps` steps; nothing if `quiet`.
    pub fn new(steps: u64, quiet: bool) -> Self {
        let display = match quiet {
            true => Display::Silent,
            false if io::stderr().is_terminal() => Display::Bar(bar(steps)),
            false => Display::Lines,
        };
        Self { display, steps, seen: Seen::default() }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
    }

    /// Whether a line is due: at the first step, and at each new tenth of the steps.
    fn due(&self, step: u64) -> bool {
        let tenth = |step: u64| step.saturating_mul(10) / self.steps.max(1);
        step == 0 || tenth(step) > tenth(step - 1)
    }
}

fn bar(steps: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr_with_hz(10));
    // Two lines, since one of 80 columns does not hold it all.
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {eta} left\n{wide_msg}") {
        bar.set_style(style.progress_chars("━╸ "));
    }
    bar
}

impl Seen {
    fn update(&mut self, row: &Measurement) {
        self.loss = Some(row.loss);
        self.evaluation = row.evaluation.or(self.evaluation);
        let lambda_max = |found: &&Sharpness| found.quantity == Quantity::LambdaMax;
        let shown = row.batch_lambda_max().or(row.sharpness.iter().find(lambda_max)).or(row.sharpness.first());
        // What is read more often than the quantity that is shown does not take its place.
        let shown = shown.filter(|found| self.sharpness.is_none_or(|(old, ..)| old.quantity == found.quantity));
        let before = self.sharpness.map_or(row.step, |(_, _, step, _)| step);
        let measured = shown.map(|found| (*found, row.learning_rate, row.step, row.step - before));
        self.sharpness = measured.or(self.sharpness);
        let exponent = row.exponents.as_ref().and_then(|grown| grown.values.first().copied());
        self.exponent = exponent.filter(|value| value.is_finite()).or(self.exponent);
        self.cost = row.measuring_cost;
        self.steps = row.step + 1;
    }

    fn sentence(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.loss.map(|loss| format!("loss {}", compact(loss, 3))));
        parts.extend(self.evaluation.map(|test| format!("accuracy {:.1} %", 100.0 * test.accuracy)));
        parts.extend(self.sharpness.map(|(found, learning_rate, step, period)| {
            // A quotient along the gradient belongs to no eigenvalue.
            let mark = if found.converged() || found.quantity == Quantity::BatchSharpness { "" } else { "?" };
            let name = found.quantity.name();
            let name = quantity(name).map_or(name, |(_, words)| words.symbol);
            let (value, scaled) = (compact(found.value, 1), compact(learning_rate * found.value, 2));
            // Where it was due again and is not there, it says of when it is.
            let stale = period > 0 && self.steps > step + period + 1;
            let when = if stale { format!(" (of step {step})") } else { String::new() };
            format!("{name} {value}{mark}  η·{name} {scaled}{mark}{when}")
        }));
        parts.extend(self.exponent.map(|value| format!("Λ₁ {value:.5}")));
        parts.push(format!("cost {:.2} g-eq/step", self.cost / self.steps.max(1) as f64));
        parts.join("  ")
    }
}

impl Observer for Progress {
    fn record(&mut self, measurement: &Measurement) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self.seen.update(measurement);
        let step = measurement.step;
        match &self.display {
            Display::Bar(bar) => {
                bar.set_position(step);
                bar.set_message(self.seen.sentence());
            }
            Display::Lines if self.due(step) => {
                let width = self.steps.to_string().len();
                // Where standard error is closed, nobody is left to watch; the run goes on.
                let _ = writeln!(io::stderr(), "step {step:>width$}/{}  {}", self.steps, self.seen.sentence());
            }
            Display::Lines | Display::Silent => {}
        }
        Ok(())
    }
}

/// Shows on a terminal that a measurement goes on, and how far it has come.
pub struct Spinner(ProgressBar);

impl Spinner {
    /// A spinner at rest; nothing is ever shown if `quiet`, or where there is no terminal.
    pub fn new(quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(10) };
        let spinner = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {pos} products, {elapsed}") {
            spinner.set_style(style);
        }
        Self(spinner)
    }

    /// Begins with the products for `what`.
    pub fn begin(&self, what: &str) {
        self.0.reset();
        self.0.set_message(what.to_owned());
    }

    /// One product more.
    pub fn tick(&self) {
        self.0.inc(1);
    }

    /// Takes the spinner away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// Several observers in the place of one; each sees every row, in this order.
pub struct Observers<'a>(pub Vec<&'a mut dyn Observer>);

impl Observer for Observers<'_> {
    fn record(&mut self, measurement: &Measurement) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self.0.iter_mut().try_for_each(|observer| observer.record(measurement))
    }
}

/// The course of many runs on standard error: on a terminal a bar for each that is being made and one for all, with the time
/// left; elsewhere a line for each that is done.
pub struct Board {
    bars: Option<(MultiProgress, ProgressBar)>,
    runs: u64,
    done: AtomicU64,
    silent: bool,
}

/// The bar of one run, which disappears with it.
pub struct Line(Option<ProgressBar>);

impl Board {
    /// Shows the course of so many `runs`, of which some are `done`; nothing if `silent`.
    pub fn new(runs: u64, done: u64, silent: bool) -> Self {
        let bars = (!silent && io::stderr().is_terminal()).then(|| {
            let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5));
            let all = bars.add(ProgressBar::new(runs));
            all.set_style(style("{bar:30} {pos}/{len} runs, {eta} left"));
            all.set_position(done);
            all.reset_eta();
            all.enable_steady_tick(Duration::from_secs(1));
            (bars, all)
        });
        Self { bars, runs, done: AtomicU64::new(done), silent }
    }

    /// The bar of a run of so many `steps`.
    pub fn line(&self, label: &str, steps: u64) -> Line {
        Line(self.bars.as_ref().map(|(bars, all)| {
            let line = bars.insert_before(all, ProgressBar::new(steps));
            line.set_style(style("{bar:30} {pos}/{len}  {msg}"));
            line.set_message(label.to_owned());
            line
        }))
    }

    /// That one more run is done, and how it has ended.
    pub fn tell(&self, label: &str, end: &str) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        match &self.bars {
            Some((bars, all)) => {
                let _ = bars.println(format!("{label}: {end}"));
                all.inc(1);
            }
            None if self.silent => (),
            // Where standard error is closed, nobody is left to tell.
            None => drop(writeln!(io::stderr(), "{done}/{} {label}: {end}", self.runs)),
        }
    }

    /// Takes the bars away.
    pub fn finish(&self) {
        self.bars.iter().for_each(|(_, all)| all.finish_and_clear());
    }
}

impl Line {
    /// The run has come to this step.
    pub fn move_to(&self, step: u64) {
        self.0.iter().for_each(|bar| bar.set_position(step));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.iter().for_each(ProgressBar::finish_and_clear);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸ ")
}

#[cfg(test)]
mod tests {
    use lyapunov::{Edge, Product, RunningExponents, Sample};

    use super::*;

    fn row(step: u64) -> Measurement {
        Measurement {
            step,
            loss: 1.25,
            gradient_norm: 1.0,
            learning_rate: 0.1,
            edge: Edge { threshold: 20.0, preconditioned: false, holds_batch_sharpness: true },
            evaluation: None,
            sharpness: Vec::new(),
            along: None,
            secant: None,
            exponents: None,
            measuring_cost: 10.0,
        }
    }

    fn sharpness(residual: f64, on: Sample) -> Sharpness {
        Sharpness { quantity: Quantity::LambdaMax, value: 12.0, residual, on, product: Product::Exact, cost: 10.0 }
    }

    #[test]
    fn the_running_exponent_is_shown() {
        let mut seen = Seen::default();
        let (local, std_errors) = (vec![0.2], vec![0.1]);
        let grown = RunningExponents { local, values: vec![0.012_345], std_errors, aligned: false, rayleigh: 0.0 };
        seen.update(&Measurement { exponents: Some(grown), ..row(0) });
        seen.update(&row(1));
        assert!(seen.sentence().contains("Λ₁ 0.01235"), "{}", seen.sentence());
    }

    #[test]
    fn what_was_not_measured_again_is_still_shown() {
        let mut seen = Seen::default();
        let found = sharpness(0.1, Sample::Mini(0));
        seen.update(&Measurement { sharpness: vec![found], ..row(0) });
        seen.update(&row(4));
        assert_eq!(seen.sentence(), "loss 1.250  λ_max 12.0  η·λ_max 1.20  cost 2.00 g-eq/step");
    }

    #[test]
    fn a_value_that_was_due_again_and_is_not_there_says_of_when_it_is() {
        let mut seen = Seen::default();
        let found = |step| sharpness(0.1, Sample::Mini(step));
        for step in 0..=20 {
            let sharpness = if step == 0 || step == 10 { vec![found(step)] } else { Vec::new() };
            seen.update(&Measurement { sharpness, ..row(step) });
            assert_eq!(seen.sentence().contains("(of step 10)"), step > 20, "{step}: {}", seen.sentence());
        }
        seen.update(&row(21));
        assert!(seen.sentence().contains("η·λ_max 1.20 (of step 10)"), "{}", seen.sentence());
    }

    #[test]
    fn a_value_that_has_not_converged_carries_a_mark() {
        let mut seen = Seen::default();
        let found = sharpness(3.0, Sample::Full);
        seen.update(&Measurement { sharpness: vec![found], ..row(0) });
        assert!(seen.sentence().contains("λ_max 12.0?  η·λ_max 1.20?"));
    }

    #[test]
    fn lines_come_at_each_tenth() {
        let progress = |steps| Progress { display: Display::Silent, steps, seen: Seen::default() };
        let count = |steps: u64| (0..steps).filter(|step| progress(steps).due(*step)).count();
        assert_eq!((count(1000), count(395), count(3)), (10, 10, 3));
    }

    #[test]
    fn every_observer_sees_every_row() {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        Observers(vec![&mut first, &mut second]).record(&row(7)).unwrap();
        assert_eq!((first.len(), second.len()), (1, 1));
    }
}
