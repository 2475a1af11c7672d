//! The course of a run on standard error: a bar on a terminal, a line per tenth elsewhere.

use std::{
    cell::{Cell, RefCell},
    error::Error as StdError,
    io::{self, IsTerminal, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lyapunov::{Evaluation, Measurement, Observer, Quantity, Sharpness};
use lyapunov_runs::columns::quantity;

use super::pulse::{self, Pulse};
use crate::text::{compact, counted, duration};

/// Shows the course of a run.
pub struct Progress {
    display: Display,
    steps: u64,
    seen: Seen,
    /// When the first row came after which steps are timed, and its step; `None` once the outlook has been given.
    timed: Option<(Instant, u64)>,
    foreseen: bool,
    /// When the last line was written.
    message: Instant,
}

/// The outlook is given after so many steps, or after the first that ends so late.
const TIMED: u64 = 5;
const LATE: Duration = Duration::from_secs(2);

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
        Self { display, steps, seen: Seen::default(), timed: None, foreseen: false, message: Instant::now() }
    }

    /// Says once how long a step takes, and so how long the run will. The first step is left out: all is measured
    /// there.
    fn foresee(&mut self, step: u64) {
        let Some((began, first)) = self.timed.filter(|_| !self.foreseen) else {
            self.timed.get_or_insert((Instant::now(), step));
            return;
        };
        let (taken, elapsed) = (step - first, began.elapsed());
        if taken < TIMED && elapsed < LATE {
            return;
        }
        self.foreseen = true;
        let each = elapsed / u32::try_from(taken.max(1)).unwrap_or(u32::MAX);
        let text = pulse::outlook(each, self.steps.saturating_sub(step));
        match &self.display {
            Display::Bar(bar) => bar.println(text),
            // What is over at once needs no outlook.
            Display::Lines if each * u32::try_from(self.steps).unwrap_or(u32::MAX) >= LATE => {
                drop(writeln!(io::stderr(), "{text}"));
            }
            Display::Lines | Display::Silent => {}
        }
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
        if step > 0 {
            self.foresee(step);
        }
        let silent = self.message.elapsed() >= pulse::PERIOD;
        match &self.display {
            Display::Bar(bar) => {
                bar.set_position(step);
                bar.set_message(self.seen.sentence());
            }
            Display::Lines if self.due(step) || silent => {
                self.message = Instant::now();
                let width = self.steps.to_string().len();
                // Where standard error is closed, nobody is left to watch; the run goes on.
                let _ = writeln!(io::stderr(), "step {step:>width$}/{}  {}", self.steps, self.seen.sentence());
            }
            Display::Lines | Display::Silent => {}
        }
        Ok(())
    }
}

/// Shows that a measurement goes on, and how far it has come: on a terminal a spinner, or a bar with the time left
/// where it is known how much there is to do; elsewhere a line every half minute.
pub struct Spinner {
    bar: ProgressBar,
    pulse: RefCell<Option<Pulse>>,
    quiet: bool,
}

impl Spinner {
    /// A spinner at rest; nothing is ever shown if `quiet`.
    pub fn new(quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(10) };
        Self { bar: ProgressBar::with_draw_target(None, target), pulse: RefCell::new(None), quiet }
    }

    /// Begins with the products for `what`, of which nobody knows how many it will be.
    pub fn begin(&self, what: &str) {
        self.bar.unset_length();
        self.show("{spinner} {wide_msg} {pos} products, {elapsed}", what, "product", None);
    }

    /// Begins with so many `unit`s, `step`s or `product`s.
    pub fn begin_of(&self, what: &str, unit: &'static str, total: u64) {
        self.bar.set_length(total);
        let template = format!("{{wide_bar}} {{pos}}/{{len}} {unit}s, {{eta}} left\n{{wide_msg}}");
        self.show(&template, what, unit, Some(total));
    }

    fn show(&self, template: &str, what: &str, unit: &'static str, total: Option<u64>) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("━╸ "));
        }
        self.bar.reset();
        self.bar.set_message(what.to_owned());
        let piped = !self.quiet && !io::stderr().is_terminal();
        *self.pulse.borrow_mut() = piped.then(|| Pulse::new(what, unit, total));
    }

    /// One more.
    pub fn tick(&self) {
        self.bar.inc(1);
        self.pulse.borrow().iter().for_each(|pulse| pulse.add(1));
    }

    /// Takes the spinner away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Several observers in the place of one; each sees every row, in this order.
pub struct Observers<'a>(pub Vec<&'a mut dyn Observer>);

impl Observer for Observers<'_> {
    fn record(&mut self, measurement: &Measurement) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self.0.iter_mut().try_for_each(|observer| observer.record(measurement))
    }
}

/// The course of many runs on standard error: on a terminal a bar for each that is being made and one for all, with the
/// time left; elsewhere a line for each that is done.
pub struct Board {
    bars: Option<(MultiProgress, ProgressBar)>,
    runs: u64,
    done: AtomicU64,
    silent: bool,
    pulse: Arc<Mutex<SweepPulse>>,
}

/// The bar of one run, which disappears with it.
pub struct Line {
    bar: Option<ProgressBar>,
    /// The step that it has come to.
    at: Cell<u64>,
    /// Where nobody sees bars.
    pulse: Option<Arc<Mutex<SweepPulse>>>,
}

/// The steps that all runs of a sweep have taken.
struct SweepPulse {
    began: Instant,
    message: Instant,
    steps: u64,
    done: u64,
    before: u64,
    runs: u64,
}

impl SweepPulse {
    fn new(runs: u64, done: u64) -> Self {
        Self { began: Instant::now(), message: Instant::now(), steps: 0, done, before: done, runs }
    }

    /// A line, where the last one is half a minute old.
    fn tell(&mut self) {
        if self.message.elapsed() >= pulse::PERIOD {
            self.message = Instant::now();
            // Where standard error is closed, nobody is left to read it.
            let _ = writeln!(io::stderr(), "{}", self.line(self.began.elapsed()));
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let (seconds, made) = (elapsed.as_secs_f64(), self.done - self.before);
        let left = (made > 0).then(|| (self.runs - self.done) as f64 * seconds / made as f64);
        let left = left.map(|left| format!(", about {} left", duration(left))).unwrap_or_default();
        let of = counted(usize::try_from(self.runs).unwrap_or(usize::MAX), "run");
        format!("{} of {of}, {} steps per second{left}", self.done, compact(self.steps as f64 / seconds.max(1e-9), 0))
    }
}

impl Board {
    /// Shows the course of so many `runs`, of which some are `done`; nothing if `silent`.
    pub fn new(runs: u64, done: u64, silent: bool) -> Self {
        let bars = (!silent && io::stderr().is_terminal()).then(|| {
            let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5));
            let all = bars.add(ProgressBar::new(runs));
            all.set_style(style("{bar:12} {pos}/{len} runs, {eta} left"));
            all.set_position(done);
            all.reset_eta();
            all.enable_steady_tick(Duration::from_secs(1));
            (bars, all)
        });
        let pulse = Arc::new(Mutex::new(SweepPulse::new(runs, done)));
        Self { bars, runs, done: AtomicU64::new(done), silent, pulse }
    }

    /// The bar of a run of so many `steps`.
    pub fn line(&self, label: &str, steps: u64) -> Line {
        let bar = self.bars.as_ref().map(|(bars, all)| {
            let line = bars.insert_before(all, ProgressBar::new(steps));
            line.set_style(style("{bar:12} {pos}/{len}  {wide_msg}"));
            line.set_message(label.to_owned());
            line
        });
        let pulse = (bar.is_none() && !self.silent).then(|| Arc::clone(&self.pulse));
        Line { bar, at: Cell::new(0), pulse }
    }

    /// That one more run is done, and how it has ended.
    pub fn tell(&self, label: &str, end: &str) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Ok(mut pulse) = self.pulse.lock() {
            (pulse.done, pulse.message) = (done, Instant::now());
        }
        match &self.bars {
            Some((bars, all)) => {
                let _ = bars.println(format!("{label}: {end}"));
                all.inc(1);
            }
            None if self.silent => (),
            // Where standard error is closed, nobody is left to read it.
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
        self.bar.iter().for_each(|bar| bar.set_position(step));
        let taken = step.saturating_sub(self.at.replace(step.max(self.at.get())));
        if let Some(Ok(mut pulse)) = self.pulse.as_ref().map(|pulse| pulse.lock()) {
            pulse.steps += taken;
            pulse.tell();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
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
            nearby: Vec::new(),
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
        let progress = |steps| Progress { display: Display::Silent, ..Progress::new(steps, true) };
        let count = |steps: u64| (0..steps).filter(|step| progress(steps).due(*step)).count();
        assert_eq!((count(1000), count(395), count(3)), (10, 10, 3));
    }

    #[test]
    fn a_sweep_in_a_pipe_says_how_far_it_is() {
        let pulse = SweepPulse { steps: 9000, done: 12, before: 2, runs: 30, ..SweepPulse::new(30, 2) };
        assert_eq!(pulse.line(Duration::from_secs(100)), "12 of 30 runs, 90 steps per second, about 3 min 0 s left");
        let board = Board::new(1, 0, false);
        let line = board.line("a run", 10);
        (0..5).for_each(|step| line.move_to(step));
        line.move_to(2);
        if line.pulse.is_some() {
            assert_eq!(board.pulse.lock().unwrap().steps, 4);
        }
    }

    #[test]
    fn every_observer_sees_every_row() {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        Observers(vec![&mut first, &mut second]).record(&row(7)).unwrap();
        assert_eq!((first.len(), second.len()), (1, 1));
    }
}
