//! The one loop: measure if due, decide the learning rate, record one row, step, renormalise.

mod blown_up;
mod course;
mod deviations;
mod follower;
mod parts;
mod probes;
mod refuge;
mod sharpness;
mod snapshot;
mod twins;

pub use blown_up::has_blown_up;
pub use course::{Course, course};
pub use deviations::{Chaos, Deviations, ExponentOptions, Start};
pub use follower::{Estimator, Follower};
pub use parts::ComingStep;
pub use probes::{along, secant};
pub use sharpness::{EdgeReading, Reading, SharpnessMonitor};
pub use twins::{TwinRow, twins};

use crate::{
    control::{Controller, Probes},
    descent::Descent,
    error::{Error, Result},
    krylov::Tracker,
    objective::{Objective, Product, Sample},
    record::{Measurement, Observer, Quantity, RunningExponents, Sharpness},
    system::Outcome,
    vector::Vector,
};

/// Which data a run measures on.
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
    /// Which quantities are measured.
    pub what: Vec<Quantity>,
    /// What λ_max is measured on; the batch sharpness always speaks of the mini-batch.
    pub on: Vec<Target>,
    /// How products with the Hessian are computed for these measurements.
    pub product: Product,
    /// Products per measurement of λ_max; the first measurement takes twice as many.
    pub products: usize,
    /// How eigenvalues are followed: by bursts of so many products whenever a measurement is due, or on the mini-batch
    /// by one product at every step.
    pub estimator: Estimator,
    /// Evaluate on held-out data before steps 0, m, 2m, …; 0 evaluates never.
    pub evaluate_every: u64,
    /// The deviations to carry, if any.
    pub exponents: Option<ExponentOptions>,
}

impl Default for Plan {
    /// 1,000 steps, λ_max of the mini-batch every 100 by five exact products, no deviations.
    fn default() -> Self {
        Self {
            steps: 1000,
            measure_every: 100,
            what: vec![Quantity::LambdaMax],
            on: vec![Target::Batch],
            product: Product::Exact,
            products: 5,
            estimator: Estimator::Burst,
            evaluate_every: 0,
            exponents: None,
        }
    }
}

impl Plan {
    fn monitor<V: Vector>(&self) -> SharpnessMonitor<V> {
        SharpnessMonitor::with_estimator(self.estimator, &self.what, &self.on, self.product, self.products)
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
    /// The last measurements, one per quantity and target that was ever measured.
    pub sharpness: Vec<Sharpness>,
    /// Where the run stood against its edge at its end.
    pub edge: Vec<EdgeReading>,
    /// The Lyapunov exponents, where deviations were carried.
    pub exponents: Option<Chaos>,
    /// What deviations grew in the last steps, after the last row.
    pub grown: Option<RunningExponents>,
    /// The cost of all measurements and deviations, in g-eq per training step.
    pub measuring_cost: f64,
    /// Before which steps the run went back to an earlier state: see [`Guard`](crate::Guard).
    pub returns: Vec<u64>,
}

/// Trains: at every step measures what is due, lets `controller` decide the learning rate, hands one row to `observer`,
/// and steps, with the deviations that the plan asks for.
///
/// Measuring never changes the run: the losses are the same, bit for bit, whatever `plan` measures; only a joint pass
/// ([`ExponentOptions::joint`]) may change the last bits.
///
/// **Cost**: one gradient per step and one at the end, which shows whether the last step blew up; plus the measurements
/// and one product per step and deviation: [`Summary::measuring_cost`].
///
/// # Errors
/// [`Error::Argument`] where the controller decides on a learning rate that is negative or not finite, and for a plan
/// that cannot be carried out; those of the objective and of the observer.
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
    let mut training = Training::new(descent, plan)?;
    training.advance(descent, plan.steps, controller, observer)?;
    training.summary(descent)
}

/// A run in progress: all that it knows beside the optimizer, as plain data.
///
/// With the optimizer and the rule that sets the learning rate it can be saved after any step, and resumed to the bits
/// of a run that was never interrupted: [`Training::save`], [`Training::resume`].
///
/// ```
/// use lyapunov::{ExponentOptions, EdgeStep, Plan, Product, Sgd, System, Training, systems::ScalarNetwork};
/// let fresh = || Sgd::new(ScalarNetwork { target: 2.0 }, vec![0.7, 1.9], 0.1, Product::Exact);
/// let plan = Plan { steps: 40, exponents: Some(ExponentOptions::default()), ..Plan::default() };
/// let (mut descent, mut rule, mut rows) = (fresh(), EdgeStep::new(1.0, 0.0)?, Vec::new());
/// let mut training = Training::new(&mut descent, &plan)?;
/// training.advance(&mut descent, 15, &mut rule, &mut rows)?;
/// let saved = training.save(&mut descent, &mut rule)?;
/// // Gone on elsewhere, from nothing but what was saved.
/// let (mut resumed, mut same_rule) = (fresh(), EdgeStep::new(1.0, 0.0)?);
/// let mut other = Training::resume(&mut resumed, &plan, &mut same_rule, &saved)?;
/// other.advance(&mut resumed, 40, &mut same_rule, &mut rows)?;
/// training.advance(&mut descent, 40, &mut rule, &mut rows)?;
/// assert_eq!(resumed.state(), descent.state());
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Training<S, V> {
    plan: Plan,
    /// The trackers, their findings and costs.
    pub sharpness: SharpnessMonitor<V>,
    /// The deviations, where there are any.
    pub deviations: Option<Deviations<S>>,
    /// What the last step has grown, for the row that follows.
    pub grown: Option<RunningExponents>,
    /// The last recorded row.
    pub last: Option<Measurement>,
    /// The weights before the last step, where the controller asks for its secant.
    pub before: Option<V>,
    /// What follows λ_max of the mini-batch where the controller asks for it.
    tracker: Option<Tracker<V>>,
    /// Where the run may go back to, where its controller has a guard.
    refuge: Option<refuge::Refuge<S>>,
    /// Before which steps it went back.
    pub returns: Vec<u64>,
}

impl<S: Vector, V: Vector> Training<S, V> {
    /// A run by `plan` before the first step of `descent`.
    ///
    /// # Errors
    /// [`Error::Argument`] for more deviations than dimensions; those of the objective, where deviations start at
    /// eigenvectors.
    pub fn new<D>(descent: &mut D, plan: &Plan) -> Result<Self>
    where
        D: Descent<Vector = S>,
        D::Objective: Objective<Vector = V>,
    {
        let mut sharpness = plan.monitor();
        let deviations = match plan.exponents.as_ref().filter(|carry| carry.count > 0) {
            None => None,
            Some(carry) => {
                let (deviations, cost) = Deviations::start(descent, carry)?;
                sharpness.cost += cost;
                Some(deviations)
            }
        };
        Ok(Self::at_start(plan, sharpness, deviations))
    }

    fn at_start(plan: &Plan, sharpness: SharpnessMonitor<V>, deviations: Option<Deviations<S>>) -> Self {
        let (plan, returns, tracker) = (plan.clone(), Vec::new(), None);
        Self { plan, sharpness, deviations, grown: None, last: None, before: None, tracker, refuge: None, returns }
    }

    /// Goes on until `until` steps have been taken.
    ///
    /// # Errors
    /// Those of [`run`].
    pub fn advance<D>(
        &mut self,
        descent: &mut D,
        until: u64,
        controller: &mut dyn Controller,
        observer: &mut dyn Observer,
    ) -> Result<Outcome>
    where
        D: Descent<Vector = S>,
        D::Objective: Objective<Vector = V>,
    {
        while descent.steps_taken() < until {
            let step = descent.steps_taken();
            let Some(mut row) = self.row(descent, controller.wants(step))? else {
                if self.retreat(descent, controller)? {
                    continue;
                }
                self.finish(step);
                if let Some(deviations) = &mut self.deviations {
                    deviations.benettin.diverge(step);
                }
                return Ok(Outcome::Diverged { step });
            };
            descent.set_learning_rate(decide(controller, &mut row)?);
            row.edge = descent.edge();
            self.turn(descent, controller)?;
            self.record(row, controller, observer, || descent.weights().clone())?;
            self.step(descent)?;
        }
        if descent.steps_taken() >= self.plan.steps {
            self.settle(descent, controller)?;
            self.finish(self.plan.steps);
        }
        Ok(Outcome::Completed)
    }

    /// Adds up what the deviations have grown since they were last re-orthonormalised.
    fn finish(&mut self, taken: u64) {
        if let Some(grown) = self.deviations.as_mut().and_then(|deviations| deviations.finish(taken)) {
            self.grown = Some(grown);
        }
    }

    /// How the run stands after the last step of `descent`.
    ///
    /// # Errors
    /// Those of the objective.
    pub fn summary<D>(&self, descent: &mut D) -> Result<Summary>
    where
        D: Descent<Vector = S>,
        D::Objective: Objective<Vector = V>,
    {
        let steps = descent.steps_taken();
        let finite = is_finite(descent.gradient()?);
        Ok(self.ended(steps, if finite { Outcome::Completed } else { Outcome::Diverged { step: steps } }))
    }

    /// The row of the coming step, with learning rate and edge of the one before; `None` where loss or gradient is not
    /// finite.
    fn row<D>(&mut self, descent: &mut D, wanted: Probes) -> Result<Option<Measurement>>
    where
        D: Descent<Vector = S>,
        D::Objective: Objective<Vector = V>,
    {
        let step = descent.steps_taken();
        if let Some(deviations) = self.deviations.as_ref().filter(|_| self.joint()) {
            descent.gradient_along(&deviations.benettin.deviations()[0])?;
        }
        let evaluated = descent.gradient()?;
        if !is_finite(evaluated) {
            return Ok(None);
        }
        let row = Measurement::of_step(step, evaluated.0, evaluated.1.norm());
        let (learning_rate, edge) = (descent.learning_rate(), descent.edge());
        let mut row = Measurement { learning_rate, edge, ..row };
        if due(self.plan.evaluate_every, step) {
            row.evaluation = descent.objective().evaluate(&descent.evaluated())?;
        }
        if !self.is_due(step, wanted) {
            self.book(&mut row);
            return Ok(Some(row));
        }
        let gradient = descent.gradient()?.1.clone();
        let heading = if wanted.along { Some(descent.momentum()?) } else { None };
        let preconditioner = descent.preconditioner()?;
        let coming = ComingStep {
            weights: descent.weights(),
            gradient: &gradient,
            heading: heading.as_ref(),
            preconditioner: preconditioner.as_deref(),
        };
        self.measure(descent.objective(), &coming, wanted, &mut row)?;
        Ok(Some(row))
    }

    fn joint(&self) -> bool {
        self.plan.exponents.as_ref().is_some_and(|carry| carry.joint)
    }

    fn step<D>(&mut self, descent: &mut D) -> Result<()>
    where
        D: Descent<Vector = S>,
        D::Objective: Objective<Vector = V>,
    {
        let (Some(deviations), Some(carry)) = (&mut self.deviations, &self.plan.exponents) else {
            return descent.step(&mut []);
        };
        let on = Sample::Mini(descent.steps_taken());
        self.sharpness.cost += carry.count as f64 * descent.objective().product_cost(descent.product(), on);
        self.grown = deviations.step(descent, carry)?;
        Ok(())
    }
}

/// The controller's learning rate for the coming step, written into its row.
///
/// # Errors
/// [`Error::Argument`] for a learning rate that is negative or not finite; those of the controller.
pub fn decide(controller: &mut dyn Controller, row: &mut Measurement) -> Result<f64> {
    let learning_rate = controller.next(row)?;
    if !(learning_rate.is_finite() && learning_rate >= 0.0) {
        let reason = format!("must be finite and not negative; the controller chose it before step {}", row.step);
        return Err(Error::argument("learning_rate", learning_rate, reason));
    }
    row.learning_rate = learning_rate;
    Ok(learning_rate)
}

fn due(every: u64, step: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}

fn is_finite<V: Vector>((loss, gradient): &(f64, V)) -> bool {
    loss.is_finite() && gradient.norm().is_finite()
}
