//! The one loop: measure if due, decide the learning rate, record one row, step.

use crate::{
    control::Controller,
    descent::Descent,
    error::{Error, Result},
    krylov::{Eigenpair, Tracker},
    objective::{Difference, Hessian, Objective, Product, Sample},
    record::{Measurement, Observer, Sharpness},
    system::Outcome,
    vector::Vector,
};

/// Which data a run measures λ_max on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The mini-batch of the coming step.
    Batch,
    /// A fixed random subset of this size.
    Subset(usize),
    /// The whole training set.
    Full,
}

impl Target {
    fn sample(self, step: u64) -> Sample {
        match self {
            Self::Batch => Sample::Mini(step),
            Self::Subset(size) => Sample::Subset(size),
            Self::Full => Sample::Full,
        }
    }
}

/// What a run does, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Training steps to take.
    pub steps: u64,
    /// Measure before steps 0, m, 2m, …; 0 measures never.
    pub measure_every: u64,
    /// What λ_max is measured on.
    pub on: Vec<Target>,
    /// How products with the Hessian are computed.
    pub product: Product,
    /// Products per measurement of λ_max; the first measurement takes twice as many.
    pub products: usize,
    /// Evaluate on held-out data before steps 0, m, 2m, …; 0 evaluates never.
    pub evaluate_every: u64,
}

impl Default for Plan {
    /// 1,000 steps, λ_max of the mini-batch every 100 by five exact products.
    fn default() -> Self {
        Self {
            steps: 1000,
            measure_every: 100,
            on: vec![Target::Batch],
            product: Product::Exact,
            products: 5,
            evaluate_every: 0,
        }
    }
}

/// What is left to say when the loop has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// How it ended.
    pub outcome: Outcome,
    /// Training steps that were taken.
    pub steps: u64,
    /// The last recorded row; `None` where not even the first loss was finite.
    pub last: Option<Measurement>,
    /// The last measurements of λ_max, one per target that was ever measured.
    pub sharpness: Vec<Sharpness>,
    /// The cost of all measurements, in g-eq per training step.
    pub measuring_cost: f64,
}

/// Trains: at every step measures what is due, lets `controller` decide the learning rate, hands one row to `observer`,
/// and steps.
///
/// Measuring never changes the run: the losses are the same, bit for bit, whatever `plan` measures.
///
/// **Cost**: one gradient per step and one at the end, which tells whether the last step blew up; plus the measurements:
/// [`Summary::measuring_cost`].
///
/// # Errors
/// [`Error::Argument`] where the controller decides on a learning rate that is negative or not finite; those of the
/// objective and of the observer.
///
/// ```
/// use lyapunov::{Constant, Outcome, Plan, Product, Sgd, run, systems::Quadratic};
/// let mut descent = Sgd::new(Quadratic::new(vec![1.0, 3.0]), vec![1.0, 1.0], 0.0, Product::Exact);
/// let mut rows = Vec::new();
/// let summary = run(&mut descent, &Plan { steps: 20, ..Plan::default() }, &mut Constant(0.5), &mut rows)?;
/// assert_eq!(summary.outcome, Outcome::Completed);
/// assert!((rows[0].sharpness[0].value - 3.0).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn run<D: Descent>(
    descent: &mut D,
    plan: &Plan,
    controller: &mut dyn Controller,
    observer: &mut dyn Observer,
) -> Result<Summary> {
    let mut gauge = Gauge::new(plan);
    let mut last = None;
    let mut outcome = Outcome::Completed;
    while descent.steps_taken() < plan.steps {
        let step = descent.steps_taken();
        let Some(mut row) = measure(descent, plan, &mut gauge)? else {
            outcome = Outcome::Diverged { step };
            break;
        };
        row.learning_rate = decide(controller, &row)?;
        observer.record(&row).map_err(|source| Error::Observer { step, source })?;
        descent.set_learning_rate(row.learning_rate);
        descent.step(&mut [])?;
        last = Some(row);
    }
    if outcome == Outcome::Completed && !is_finite(descent.gradient()?) {
        outcome = Outcome::Diverged { step: plan.steps };
    }
    let steps = descent.steps_taken();
    let measuring_cost = gauge.cost / steps.max(1) as f64;
    Ok(Summary { outcome, steps, last, sharpness: gauge.latest, measuring_cost })
}

/// The controller's learning rate for the coming step.
fn decide(controller: &mut dyn Controller, row: &Measurement) -> Result<f64> {
    let learning_rate = controller.next(row);
    if learning_rate.is_finite() && learning_rate >= 0.0 {
        return Ok(learning_rate);
    }
    let reason = format!("must be finite and not negative; the controller chose it before step {}", row.step);
    Err(Error::argument("learning_rate", learning_rate, reason))
}

fn is_finite<V: Vector>((loss, gradient): &(f64, V)) -> bool {
    loss.is_finite() && gradient.norm().is_finite()
}

/// The row of the coming step, with the learning rate of the one before; `None` where loss or gradient is not finite.
fn measure<D: Descent>(
    descent: &mut D,
    plan: &Plan,
    gauge: &mut Gauge<<D::Objective as Objective>::Vector>,
) -> Result<Option<Measurement>> {
    let step = descent.steps_taken();
    let evaluated = descent.gradient()?;
    if !is_finite(evaluated) {
        return Ok(None);
    }
    let (loss, gradient) = evaluated.clone();
    let due = |every: u64| every > 0 && step.is_multiple_of(every);
    let evaluation = if due(plan.evaluate_every) { descent.objective().evaluate(descent.weights())? } else { None };
    let sharpness = if due(plan.measure_every) {
        gauge.read(descent.objective(), descent.weights(), &gradient, step)?
    } else {
        Vec::new()
    };
    Ok(Some(Measurement {
        step,
        loss,
        gradient_norm: gradient.norm(),
        learning_rate: descent.learning_rate(),
        evaluation,
        sharpness,
        measuring_cost: gauge.cost,
    }))
}

/// Measures λ_max on each target, each with a tracker of its own.
struct Gauge<V> {
    trackers: Vec<(Target, Tracker<V>)>,
    product: Product,
    latest: Vec<Sharpness>,
    cost: f64,
}

impl<V: Vector> Gauge<V> {
    fn new(plan: &Plan) -> Self {
        Self {
            trackers: plan.on.iter().map(|target| (*target, Tracker::new(plan.products))).collect(),
            product: plan.product,
            latest: Vec::new(),
            cost: 0.0,
        }
    }

    fn read<O: Objective<Vector = V>>(
        &mut self,
        objective: &O,
        at: &V,
        gradient: &V,
        step: u64,
    ) -> Result<Vec<Sharpness>> {
        if gradient.norm() == 0.0 {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for (target, tracker) in &mut self.trackers {
            let on = target.sample(step);
            // The training step needs the gradient of the mini-batch anyway; that of other data costs extra.
            let forward = matches!(self.product, Product::Difference(Difference { central: false, .. }));
            let (base, base_cost) = match target {
                Target::Batch => (Some(gradient.clone()), 0.0),
                _ if forward => (Some(objective.gradient(at, on)?.1), objective.gradient_cost(on)),
                _ => (None, 0.0),
            };
            let hessian = Hessian { objective, at, on, product: self.product, gradient: base.as_ref() };
            let ritz = tracker.update(&hessian, gradient)?;
            let cost = base_cost + ritz.applications as f64 * objective.product_cost(self.product, on);
            self.cost += cost;
            if let Some(Eigenpair { value, residual, .. }) = ritz.largest.first() {
                found.push(Sharpness { value: *value, residual: *residual, on, product: self.product, cost });
            }
        }
        self.remember(&found);
        Ok(found)
    }

    /// Replaces the latest value on each kind of data that was measured now.
    fn remember(&mut self, found: &[Sharpness]) {
        for new in found {
            // The name of a sample tells kinds of data apart, not the steps of mini-batches.
            self.latest.retain(|old| old.on.to_string() != new.on.to_string());
            self.latest.push(*new);
        }
    }
}
