//! The paper's rule read early and held: the learning rate rises until λ_max stops it, and stays where λ_max has
//! settled.
//!
//! A rule that follows the curvature all along closes a loop: as the learning rate falls the network sharpens, and the
//! rate falls further. A rate that is *held* leaves the sharpening to stop by itself at the edge of stability. What has
//! to be found is the moment: initial weights lie on a plateau, or are much sharper than anything that follows.
//!
//! Source: this project; Sasdelli and others 2021 for σ over the largest eigenvalue.

use super::{Controller, Probes, loss_watch::LossWatch, positive};
use crate::{
    error::{Error, Result},
    record::Measurement,
    snapshot::Archive,
};

/// η = σ (c/2)/λ̄, λ̄ the geometric mean of three readings of λ_max of the mini-batch, c/η the edge of the optimizer:
/// for Schedule-Free σ/((1 − β) λ̄), where σ = 2 is the edge.
///
/// - **Rise**: from a twentieth of what the first reading allows, by 5 % per step, and by 15 % once the loss has fallen
///   below nine tenths of its first value; at most to twice the rate of the last reading, and never above what the
///   largest of the last three readings allows. So the weights leave a plateau, or the sharp place that they began at,
///   with small steps, and one flat batch does not set the rate.
/// - Until it is held, η ≤ 2c L/‖g‖² where L is positive: in a bowl that ends at zero this is nowhere below the edge.
///   Where the first batch happens to be flat it is what bounds the step.
/// - **Readings** come before steps 0, 4, 8, … and later at ever longer intervals, each after 1.45 times as many steps
///   as the last: their number grows as the logarithm of the steps.
/// - **Hold**: when the rate has come up against a reading, the last three readings differ by less than a factor of 2,
///   which spans a doubling of the steps, and the loss has fallen below nine tenths of its first value: a plateau has
///   been left, and λ_max no longer jumps. Until all three are so the rate follows the readings.
/// - A loss that goes up, as for [`EdgeStep`](super::EdgeStep), is answered by a new reading before the next step, and
///   by following until the rate may be held again; after a wait that doubles each time.
/// - A reading that is not finite halves η and is repeated before the next step.
///
/// A constant rate needs an optimizer that averages: the rule is for [`ScheduleFree`](crate::ScheduleFree), and the
/// length of the run need not be known.
///
/// - A reading is ‖H_B v‖ for the unit vector v that a burst has found: λ_max where it has converged, and a lower bound
///   of the largest |eigenvalue| that is closer than the Ritz value where it has not.
///
/// **Cost**: six products for the first reading, three for each other. **Units**: λ_max in loss per weight².
///
/// ```
/// use lyapunov::{Descent, EdgeHold, Plan, Product, ScheduleFree, run, systems::Quadratic};
/// let bowl = Quadratic::new(vec![1.0, 5.0]);
/// let mut descent = ScheduleFree::new(bowl, vec![1.0, 1.0], 1.0, 0.9, Product::Exact)?;
/// let mut rule = EdgeHold::new(1.5, descent.edge_constant())?;
/// let mut rows = Vec::new();
/// run(&mut descent, &Plan { steps: 200, measure_every: 0, ..Plan::default() }, &mut rule, &mut rows)?;
/// // σ/((1 − β) λ_max), read on the way and held.
/// assert!((rows[199].learning_rate - 1.5 / (0.1 * 5.0)).abs() < 1e-9);
/// assert!(rows[100..].iter().all(|row| row.sharpness.is_empty()));
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdgeHold {
    strength: f64,
    edge: f64,
    rate: f64,
    /// The rate at the last reading.
    read_at: f64,
    /// ln λ of the last readings, the newest first, and how many there have been.
    logs: [f64; 3],
    readings: u64,
    /// The step of the next reading; `None` while the rate is held.
    next: Option<u64>,
    /// Whether a reading has ever stopped the rate.
    stopped: bool,
    /// The mean of the first losses, an average of the last ones, and how many there have been.
    first: f64,
    recent: f64,
    losses: u64,
    /// Before which step a rising loss asks for no reading, and how long the next such wait is.
    quiet: u64,
    wait: u64,
    watch: LossWatch,
}

/// The first learning rate, as a share of what the first reading allows.
const FIRST: f64 = 0.05;

/// How fast the learning rate may rise per step on a plateau and elsewhere, and between two readings.
const RISE_ON_PLATEAU: f64 = 1.05;
const RISE: f64 = 1.15;
const RISE_UNREAD: f64 = 2.0;

/// The products of a reading.
const PRODUCTS: usize = 3;

/// The wait for the next reading: this share of the steps so far, at least so many.
const SPACING: f64 = 0.45;
const LEAST_GAP: f64 = 4.0;

/// How far apart the last three readings may be for the rate to be held.
const SETTLED: f64 = 2.0;

/// Below this share of the first loss a plateau has been left.
const LEFT: f64 = 0.9;

/// A curvature below this is none: its square is no number any more.
const FLAT: f64 = 1e-150;

/// The losses that make the first one, and how far the average follows a loss.
const LOSSES: u64 = 5;
const FOLLOWS: f64 = 0.1;

impl EdgeHold {
    /// The rule with σ = `strength`, for an optimizer whose edge is at `edge`/η: for Schedule-Free 2/(1 − β).
    ///
    /// # Errors
    /// [`Error::Argument`] for a σ or an edge that is not positive.
    pub fn new(strength: f64, edge: f64) -> Result<Self> {
        Ok(Self {
            strength: positive("sigma", strength)?,
            edge: positive("edge", edge)?,
            rate: 0.0,
            read_at: 0.0,
            logs: [0.0; 3],
            readings: 0,
            next: Some(0),
            stopped: false,
            first: 0.0,
            recent: 0.0,
            losses: 0,
            quiet: 0,
            wait: 5,
            watch: LossWatch::default(),
        })
    }

    /// The readings that count.
    fn latest(&self) -> &[f64] {
        &self.logs[..self.readings.min(3) as usize]
    }

    /// ln λ of the largest and of the smallest of them.
    fn range(&self) -> (f64, f64) {
        let bound = |(most, least): (f64, f64), log: &f64| (most.max(*log), least.min(*log));
        self.latest().iter().fold((f64::NEG_INFINITY, f64::INFINITY), bound)
    }

    /// The learning rate that λ allows, of which this is the logarithm.
    fn allowed(&self, log: f64) -> f64 {
        0.5 * self.strength * self.edge / log.exp()
    }

    /// Takes a reading before step `step`, and holds the rate where all is settled.
    fn read(&mut self, log: f64, step: u64) {
        let [a, b, _] = self.logs;
        (self.logs, self.readings) = ([log, a, b], self.readings + 1);
        if self.readings == 1 {
            self.rate = FIRST * self.allowed(log);
        }
        self.read_at = self.rate;
        self.rise(1.0);
        self.read_at = self.rate;
        let gap = (SPACING * step as f64).floor().max(LEAST_GAP);
        self.next = Some(step + gap as u64);
        if self.stopped && self.has_settled() && self.has_left() {
            self.rate = self.allowed(self.logs.iter().sum::<f64>() / 3.0);
            self.next = None;
        }
    }

    /// Whether the last three readings are about the same.
    fn has_settled(&self) -> bool {
        let (most, least) = self.range();
        self.readings >= 3 && most - least < SETTLED.ln()
    }

    /// Whether the loss has left its plateau.
    fn has_left(&self) -> bool {
        self.recent < LEFT * self.first
    }

    /// Raises the rate by this factor, as far as the readings allow.
    fn rise(&mut self, factor: f64) {
        let rate = (factor * self.rate).min(RISE_UNREAD * self.read_at);
        let most = self.allowed(self.range().0);
        self.stopped |= rate >= most;
        self.rate = rate.min(most);
    }

    /// What the loss allows: a step that promises to lower it by several times itself has left where its slope holds.
    fn promise(&self, row: &Measurement) -> f64 {
        let rate = 2.0 * self.edge * row.loss / row.gradient_norm.powi(2);
        if rate > 0.0 { rate } else { f64::INFINITY }
    }

    /// Takes a loss into the averages, and asks for a reading where it goes up.
    fn hear(&mut self, loss: f64, step: u64) {
        if self.losses < LOSSES {
            self.losses += 1;
            self.first += (loss - self.first) / self.losses as f64;
            self.recent = self.first;
        } else {
            self.recent += FOLLOWS * (loss - self.recent);
        }
        self.watch.see(loss);
        if self.watch.alarmed && step >= self.quiet {
            (self.quiet, self.wait) = (step + self.wait, 2 * self.wait);
            self.next = Some(step + 1);
        }
    }
}

impl Controller for EdgeHold {
    fn wants(&self, step: u64) -> Probes {
        let due = self.next.is_some_and(|next| step >= next);
        Probes { sharpness: if due { PRODUCTS } else { 0 }, ..Probes::default() }
    }

    fn next(&mut self, measurement: &Measurement) -> Result<f64> {
        let step = measurement.step;
        let due = self.wants(step).sharpness > 0;
        let found = measurement.batch_lambda_max().filter(|_| due);
        if self.readings > 0 && self.next.is_some() {
            self.rise(if self.has_left() { RISE } else { RISE_ON_PLATEAU });
        }
        match found.map(|found| found.value.hypot(found.residual)) {
            Some(curvature) if curvature > FLAT && curvature.is_finite() => self.read(curvature.ln(), step),
            // Along planes nothing bounds the step: there is nothing to learn from them.
            Some(_) if self.readings > 0 => self.next = Some(step + 1),
            Some(_) => return Err(Error::NoCurvature { rule: "edge-hold", what: "lambda_max", step }),
            None if due && self.readings == 0 => return Err(Error::Unmeasured { what: "lambda_max", step }),
            None if due => self.rate *= 0.5,
            None => (),
        }
        if self.next.is_some() {
            self.rate = self.rate.min(self.promise(measurement));
        }
        self.hear(measurement.loss, step);
        Ok(self.rate)
    }

    fn keep(&mut self, archive: &mut Archive<'_>) -> Result<()> {
        archive.number("rate", &mut self.rate)?;
        archive.number("read_at", &mut self.read_at)?;
        archive.array("logs", &mut self.logs)?;
        let mut losses = [self.first, self.recent];
        archive.array("losses", &mut losses)?;
        [self.first, self.recent] = losses;
        for (name, count) in [
            ("readings", &mut self.readings),
            ("losses_seen", &mut self.losses),
            ("quiet", &mut self.quiet),
            ("wait", &mut self.wait),
        ] {
            archive.count(name, count)?;
        }
        let mut flags = [f64::from(u8::from(self.stopped)), self.next.map_or(-1.0, |step| step as f64)];
        archive.array("next", &mut flags)?;
        (self.stopped, self.next) = (flags[0] == 1.0, (flags[1] >= 0.0).then_some(flags[1] as u64));
        archive.within("watch", |archive| self.watch.keep(archive))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        descent::{Descent, ScheduleFree},
        objective::{Product, Sample},
        record::{Quantity, Sharpness},
        run::{Plan, run},
        systems::Quadratic,
    };

    fn rates(curvatures: Vec<f64>, start: Vec<f64>, steps: u64) -> Vec<f64> {
        let mut descent = ScheduleFree::new(Quadratic::new(curvatures), start, 1.0, 0.9, Product::Exact).unwrap();
        let mut rule = EdgeHold::new(1.5, descent.edge_constant()).unwrap();
        let mut rows: Vec<Measurement> = Vec::new();
        run(&mut descent, &Plan { steps, measure_every: 0, ..Plan::default() }, &mut rule, &mut rows).unwrap();
        rows.iter().map(|row| row.learning_rate).collect()
    }

    #[test]
    fn on_a_quadratic_the_rate_rises_to_its_formula_and_is_held() {
        let found = rates(vec![4.0, 1.0, 0.25], vec![1.0, 1.0, 1.0], 150);
        let held = 1.5 / (0.1 * 4.0);
        assert!((found[0] / held - 0.05).abs() < 0.01, "{}", found[0]);
        assert!(found.windows(2).all(|pair| pair[1] <= 1.15 * pair[0] * (1.0 + 1e-9)), "{found:?}");
        assert!(found[60..].iter().all(|rate| (rate / held - 1.0).abs() < 1e-9), "{found:?}");
    }

    #[test]
    fn the_scale_of_the_loss_divides_the_rate() {
        let at = |scale: f64| rates(vec![4.0 * scale, scale], vec![1.0, 1.0], 80);
        let pairs = at(1.0).into_iter().zip(at(1e6));
        pairs.for_each(|(one, large)| assert!((one / large * 1e-6 - 1.0).abs() < 1e-9, "{one}, {large}"));
    }

    #[test]
    fn at_a_minimum_the_rate_is_positive() {
        let found = rates(vec![4.0, 1.0], vec![0.0, 0.0], 40);
        assert!(found.iter().all(|rate| *rate > 0.0 && *rate <= 1.5 / (0.1 * 4.0) + 1e-9), "{found:?}");
    }

    /// The rates along these curvatures and losses, and the steps that were read.
    fn along(curvature: impl Fn(u64) -> f64, loss: impl Fn(u64) -> f64) -> (Vec<f64>, Vec<u64>) {
        let (mut rule, mut read) = (EdgeHold::new(1.0, 2.0).unwrap(), Vec::new());
        let rates = (0..400).map(|step| {
            let mut row = Measurement::of_step(step, loss(step), 1.0);
            if rule.wants(step).sharpness > 0 {
                read.push(step);
                let (quantity, on, product) = (Quantity::LambdaMax, Sample::Mini(step), Product::Exact);
                row.sharpness =
                    vec![Sharpness { quantity, value: curvature(step), residual: 0.0, on, product, cost: 1.0 }];
            }
            rule.next(&row).unwrap()
        });
        (rates.collect(), read)
    }

    #[test]
    fn a_batch_that_is_flat_by_chance_is_no_reason_for_a_leap() {
        let (rates, _) = along(|step| if step == 0 { 1e-20 } else { 1.0 }, |_| 2.0);
        // The gradient is 1, the loss 2, c = 2.
        assert!(rates[0] == 8.0 && rates.iter().all(|rate| *rate <= 8.0), "{rates:?}");
        assert_eq!(rates[4], 1.0);
    }

    #[test]
    fn a_plateau_and_a_jump_are_waited_for() {
        let falling = |step: u64| 2.0 * (-(step as f64) / 100.0).exp();
        // Flat and then sharp: what is held is what it has become.
        let (rates, read) = along(|step| if step < 30 { 1.0 } else { 20.0 }, falling);
        assert!((rates[399] - 1.0 / 20.0).abs() < 1e-12 && read.len() < 20, "{} after {read:?}", rates[399]);
        // Much sharper at first than later.
        let (rates, _) = along(|step| 2.0 + 50.0 * (-(step as f64) / 4.0).exp(), falling);
        assert!(rates[60] > 0.03 && (0.45..=0.5 + 1e-12).contains(&rates[399]), "{} and {}", rates[60], rates[399]);
        // As long as the loss has not moved, nothing is held.
        let (_, read) = along(|_| 1.0, |_| 2.0);
        assert!(*read.last().unwrap() > 200 && read.len() < 20, "{read:?}");
        let (_, read) = along(|_| 1.0, falling);
        assert!(*read.last().unwrap() < 100, "{read:?}");
    }

    #[test]
    fn a_loss_that_goes_up_is_answered_by_a_reading() {
        let curvature = |step| if step < 200 { 1.0 } else { 50.0 };
        let (rates, read) =
            along(curvature, |step| if step < 200 { 2.0 * (-(step as f64) / 100.0).exp() } else { 4.0 });
        assert!((rates[199] - 1.0).abs() < 1e-12 && rates[399] < 0.03, "{} and {}", rates[199], rates[399]);
        assert!(read.iter().any(|step| (201..215).contains(step)), "{read:?}");
    }

    #[test]
    fn readings_that_are_missing_halve_the_rate_and_planes_are_refused_at_first_only() {
        let row = |step, value: Option<f64>| {
            let (quantity, on, product) = (Quantity::LambdaMax, Sample::Mini(step), Product::Exact);
            let of = |value| Sharpness { quantity, value, residual: 0.0, on, product, cost: 1.0 };
            Measurement { sharpness: value.map(of).into_iter().collect(), ..Measurement::of_step(step, 1.0, 1.0) }
        };
        let mut rule = EdgeHold::new(1.0, 2.0).unwrap();
        assert!(matches!(rule.next(&row(0, None)), Err(Error::Unmeasured { step: 0, .. })));
        assert!(matches!(rule.next(&row(0, Some(0.0))), Err(Error::NoCurvature { step: 0, .. })));
        let first = rule.next(&row(0, Some(2.0))).unwrap();
        assert!((first - 0.05 * 0.5).abs() < 1e-15);
        assert_eq!(rule.next(&row(1, None)).unwrap(), 1.05 * first, "not due");
        let _ = (rule.next(&row(2, None)).unwrap(), rule.next(&row(3, None)).unwrap());
        assert_eq!(rule.next(&row(4, None)).unwrap(), 1.05_f64.powi(4) * first * 0.5, "due and not finite");
        assert!(rule.wants(5).sharpness > 0);
        assert!(rule.next(&row(5, Some(0.0))).unwrap() > 0.0);
    }
}
