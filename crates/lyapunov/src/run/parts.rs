//! The step of a run in parts, for a training loop that somebody else owns.

use super::{Deviations, Follower, Plan, Summary, Training, along, due, secant};
use crate::{
    control::{Controller, Probes},
    descent::ActionRef,
    error::{Error, Result},
    krylov::Tracker,
    noise::{Purpose, Stream},
    objective::{Difference, Hessian, Objective, Product, Sample},
    record::{Measurement, Observer, Quantity, Sharpness},
    system::Outcome,
    vector::Vector,
};

/// What a loop knows when its next step is about to be taken.
#[derive(Clone, Copy)]
pub struct ComingStep<'a, V> {
    /// The weights before the step.
    pub weights: &'a V,
    /// The gradient of the mini-batch of the step at these weights.
    pub gradient: &'a V,
    /// m, where the step is w' = w − η P⁻¹ m: the momentum, or whatever is parallel to it; `None` where it is the
    /// gradient.
    pub heading: Option<&'a V>,
    /// What P^-½ does to a vector, for optimizers with one scale per weight: for Adam the division by (√v̂ + ε)^½.
    pub preconditioner: Option<ActionRef<'a, V>>,
}

impl<'a, V> ComingStep<'a, V> {
    /// A step of plain descent.
    pub fn new(weights: &'a V, gradient: &'a V) -> Self {
        Self { weights, gradient, heading: None, preconditioner: None }
    }
}

impl<V: std::fmt::Debug> std::fmt::Debug for ComingStep<'_, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { weights, gradient, heading, preconditioner } = self;
        f.debug_struct("ComingStep")
            .field("weights", weights)
            .field("gradient", gradient)
            .field("heading", heading)
            .field("preconditioner", &preconditioner.is_some())
            .finish()
    }
}

/// How many readings of the batch sharpness the last fifth of a run has, at least.
const LATE_READINGS: u64 = 30;

/// # A loop of one's own
///
/// [`Training::advance`] owns the step; a loop that owns its step itself goes through the same parts, and gets the same
/// numbers:
///
/// ```
/// use lyapunov::{
///     ComingStep, Controller, EdgeStep, Measurement, Objective, Outcome, Plan, Sample, Training, Vector, decide,
///     systems::Quadratic,
/// };
/// let (bowl, mut weights) = (Quadratic::new(vec![1.0, 3.0]), vec![1.0, 1.0]);
/// let (mut rule, mut rows) = (EdgeStep::new(1.0, 0.0)?, Vec::new());
/// let mut training = Training::of_loop(&Plan { steps: 20, measure_every: 5, ..Plan::default() })?;
/// for step in 0..20 {
///     let (loss, gradient) = bowl.gradient(&weights, Sample::Mini(step))?;
///     let (mut row, wanted) = (Measurement::of_step(step, loss, gradient.norm()), rule.wants(step));
///     training.measure(&bowl, &ComingStep::new(&weights, &gradient), wanted, &mut row)?;
///     let learning_rate = decide(&mut rule, &mut row)?;
///     training.record(row, &mut rule, &mut rows, || weights.clone())?;
///     weights.axpy(-learning_rate, &gradient);
/// }
/// assert!((rows[15].sharpness[0].value - 3.0).abs() < 1e-10);
/// assert!(training.ended(20, Outcome::Completed).measuring_cost > 0.0);
/// # Ok::<(), lyapunov::Error>(())
/// ```
impl<W: Vector> Training<W, W> {
    /// The measurements of `plan` for a loop that takes its steps itself.
    ///
    /// # Errors
    /// [`Error::Argument`] for a plan with deviations: these move by the tangent of the step, which such a loop does
    /// not have. Its step as a [`System`](crate::System) has it.
    pub fn of_loop(plan: &Plan) -> Result<Self> {
        if let Some(carry) = plan.exponents.as_ref().filter(|carry| carry.count > 0) {
            let reason = "must be 0 in a loop of one's own, which has no tangent: make a `System` of its step";
            return Err(Error::argument("count", carry.count, reason));
        }
        Ok(Self::at_start(plan, plan.monitor(), None))
    }
}

impl<S: Vector, V: Vector> Training<S, V> {
    /// Whether [`Training::measure`] has anything to do before step `step`, for a controller that wants this: if not,
    /// weights and gradient need not be gathered.
    pub fn is_due(&self, step: u64, wanted: Probes) -> bool {
        due(self.plan.measure_every, step)
            || self.is_batch_sharpness_due(step)
            || self.is_trajectory_due()
            || wanted != Probes::default()
    }

    /// Whether a nearby trajectory is carried, which moves at every step.
    fn is_trajectory_due(&self) -> bool {
        self.plan.measure_every > 0 && self.sharpness.is_at_every_step()
    }

    /// Whether the batch sharpness is due: with everything else, and in the last fifth of the steps often enough for
    /// some thirty readings, since single batches scatter by half and the end of a run is what it is judged by.
    fn is_batch_sharpness_due(&self, step: u64) -> bool {
        let Plan { steps, measure_every, .. } = self.plan;
        let late = steps - steps / 5;
        let stride = (steps / 5 / LATE_READINGS).max(1);
        measure_every > 0
            && step >= late
            && (step - late).is_multiple_of(stride)
            && self.sharpness.followers.iter().any(|(quantity, ..)| *quantity == Quantity::BatchSharpness)
    }

    /// Fills `row`, the one of the coming step, with what is due by the plan and with what the controller wants; its
    /// loss, gradient norm, learning rate, edge and evaluation are the loop's to say.
    ///
    /// **Cost**: that of the measurements, booked in [`Measurement::measuring_cost`]; none where nothing is due.
    ///
    /// # Errors
    /// Those of the objective.
    pub fn measure<O: Objective<Vector = V>>(
        &mut self,
        objective: &O,
        coming: &ComingStep<'_, V>,
        wanted: Probes,
        row: &mut Measurement,
    ) -> Result<()> {
        let ComingStep { weights, gradient, heading, preconditioner } = *coming;
        let (on, product) = (Sample::Mini(row.step), self.plan.product);
        let (all, batch) = (due(self.plan.measure_every, row.step), self.is_batch_sharpness_due(row.step));
        if all || batch || self.is_trajectory_due() {
            let only = |quantity, follower: &Follower<V>| {
                all || follower.is_at_every_step() || batch && quantity == Quantity::BatchSharpness
            };
            self.sharpness.learning_rate = self.last.as_ref().map(|last| last.learning_rate);
            row.sharpness = self.sharpness.read_these(objective, weights, row.step, gradient, preconditioner, only)?;
            row.nearby = std::mem::take(&mut self.sharpness.nearby);
        }
        if wanted.sharpness > 0 {
            let found = self.burst(objective, weights, row.step, gradient, wanted.sharpness)?;
            // What a rule decides by does not depend on what else is measured.
            row.sharpness.retain(|other| !other.is_batch_lambda_max());
            row.sharpness.extend(found);
        }
        if wanted.along {
            let heading = heading.unwrap_or(gradient);
            row.along = along(objective, weights, on, product, heading, gradient, preconditioner)?;
        }
        let before = self.before.as_ref().filter(|_| wanted.secant);
        row.secant = before.map(|before| secant(objective, before, weights, on, gradient)).transpose()?;
        self.sharpness.cost += row.along.map_or(0.0, |found| found.cost) + row.secant.map_or(0.0, |found| found.cost);
        self.book(row);
        Ok(())
    }

    /// λ_max of the mini-batch of the coming step by a burst of so many products, twice as many the first time, from
    /// the eigenvector that the last one found and the gradient; `None` where a product is not finite.
    fn burst<O: Objective<Vector = V>>(
        &mut self,
        objective: &O,
        at: &V,
        step: u64,
        gradient: &V,
        products: usize,
    ) -> Result<Option<Sharpness>> {
        let (on, product) = (Sample::Mini(step), self.plan.product);
        let mut hint = gradient.clone();
        if gradient.norm() == 0.0 {
            hint.randomize(&mut Stream::new(0, Purpose::Probe, step));
        }
        let tracker = self.tracker.get_or_insert_with(|| Tracker::new(products));
        (tracker.products, tracker.first_products) = (products, 2 * products);
        let central = matches!(product, Product::Difference(Difference { central: true, .. }));
        let hessian = Hessian { objective, at, on, product, gradient: (!central).then_some(gradient) };
        let ritz = tracker.update(&hessian, &hint)?;
        let cost = ritz.applications as f64 * objective.product_cost(product, on);
        self.sharpness.cost += cost;
        let quantity = Quantity::LambdaMax;
        Ok(ritz.largest.first().map(|top| Sharpness {
            quantity,
            value: top.value,
            residual: top.residual,
            on,
            product,
            cost,
        }))
    }

    /// What the last step has grown, and the cost up to this row.
    pub(super) fn book(&mut self, row: &mut Measurement) {
        row.exponents = self.grown.take();
        row.measuring_cost = self.sharpness.cost;
    }

    /// Hands the finished `row` to `observer` and remembers it; after this the loop takes its step. `weights` are those
    /// before the step, and are asked for only where the controller wants the secant of it.
    ///
    /// # Errors
    /// [`Error::Observer`] where the row could not be kept.
    pub fn record(
        &mut self,
        row: Measurement,
        controller: &mut dyn Controller,
        observer: &mut dyn Observer,
        weights: impl FnOnce() -> V,
    ) -> Result<()> {
        let step = row.step;
        self.sharpness.compare(&row);
        observer.record(&row).map_err(|source| Error::Observer { step, source })?;
        self.before = controller.wants(step + 1).secant.then(weights);
        self.last = Some(row);
        Ok(())
    }

    /// How the run stands after `steps` steps that ended like this.
    pub fn ended(&self, steps: u64, outcome: Outcome) -> Summary {
        Summary {
            outcome,
            steps,
            last: self.last.clone(),
            sharpness: self.sharpness.latest.clone(),
            edge: self.sharpness.summary(steps),
            exponents: self.deviations.as_ref().map(Deviations::chaos),
            grown: self.grown.clone(),
            measuring_cost: self.sharpness.cost / steps.max(1) as f64,
            returns: self.returns.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        control::Adgd,
        descent::{Adam, Descent, Moments, Sgd},
        objective::Product,
        record::Quantity,
        run::{Estimator, ExponentOptions, SharpnessMonitor, Target, decide, run},
        systems::ScalarNetwork,
    };

    fn plan(what: Vec<Quantity>) -> Plan {
        Plan { steps: 12, measure_every: 3, what, on: vec![Target::Batch, Target::Full], ..Plan::default() }
    }

    /// Goes through the parts with a loop whose step is that of `descent`.
    fn driven<D>(mut descent: D, plan: &Plan, controller: &mut dyn Controller) -> (Vec<Measurement>, Summary)
    where
        D: Descent<Objective = ScalarNetwork>,
    {
        let (mut training, mut rows) = (Training::of_loop(plan).unwrap(), Vec::new());
        for step in 0..plan.steps {
            let (loss, gradient) = descent.gradient().unwrap().clone();
            let wanted = controller.wants(step);
            let mut row = Measurement::of_step(step, loss, gradient.norm());
            let (heading, root) = (descent.momentum().unwrap(), descent.preconditioner().unwrap());
            let coming = ComingStep {
                heading: Some(&heading),
                preconditioner: root.as_deref(),
                ..ComingStep::new(descent.weights(), &gradient)
            };
            training.measure(descent.objective(), &coming, wanted, &mut row).unwrap();
            descent.set_learning_rate(decide(controller, &mut row).unwrap());
            row.edge = descent.edge();
            training.record(row, controller, &mut rows, || descent.weights().clone()).unwrap();
            descent.step(&mut []).unwrap();
        }
        (rows, training.ended(plan.steps, Outcome::Completed))
    }

    /// Everything that a controller may ask for, with an odd learning rate at every step.
    struct Everything;

    impl Controller for Everything {
        fn wants(&self, _step: u64) -> Probes {
            Probes { along: true, secant: true, sharpness: 2 }
        }
        fn next(&mut self, row: &Measurement) -> Result<f64> {
            Ok(0.01 + 0.001 * row.step as f64)
        }
    }

    #[test]
    fn a_loop_of_ones_own_has_the_bits_of_ours() {
        let start = || vec![0.7, 1.9];
        let network = || ScalarNetwork { target: 2.0 };
        let plain = plan(vec![Quantity::LambdaMax, Quantity::LambdaMin, Quantity::BatchSharpness]);
        let sgd = || Sgd::new(network(), start(), 0.1, Product::Exact);
        let mut rows = Vec::new();
        let summary = run(&mut sgd(), &plain, &mut Adgd::new(1.0).unwrap(), &mut rows).unwrap();
        assert_eq!(driven(sgd(), &plain, &mut Adgd::new(1.0).unwrap()), (rows, summary));

        let trajectory = Plan { estimator: Estimator::from_name("nearby-trajectory").unwrap(), ..plain };
        let mut rows = Vec::new();
        let summary = run(&mut sgd(), &trajectory, &mut Adgd::new(1.0).unwrap(), &mut rows).unwrap();
        assert!(rows.iter().all(|row| row.nearby.len() == 2), "at every step");
        assert_eq!(driven(sgd(), &trajectory, &mut Adgd::new(1.0).unwrap()), (rows, summary));

        let preconditioned = plan(vec![Quantity::PreconditionedSharpness]);
        let adam = || Adam::new(network(), start(), 0.1, Moments::default(), Product::Exact).unwrap();
        let mut rows = Vec::new();
        let summary = run(&mut adam(), &preconditioned, &mut Everything, &mut rows).unwrap();
        assert!(rows[1].secant.is_some() && rows[1].along.is_some() && rows[3].sharpness.len() == 3);
        assert_eq!(driven(adam(), &preconditioned, &mut Everything), (rows, summary));
    }

    #[test]
    fn nothing_is_gathered_where_nothing_is_due() {
        let training: Training<Vec<f64>, Vec<f64>> = Training::of_loop(&plan(vec![Quantity::LambdaMax])).unwrap();
        let none = Probes::default();
        let due: Vec<u64> = (0..7).filter(|step| training.is_due(*step, none)).collect();
        assert_eq!(due, [0, 3, 6]);
        assert!(
            training.is_due(1, Probes { secant: true, ..none }) && training.is_due(1, Probes { along: true, ..none })
        );
    }

    #[test]
    fn the_batch_sharpness_is_read_often_in_the_last_fifth() {
        let what = vec![Quantity::LambdaMax, Quantity::BatchSharpness];
        let plan = Plan { steps: 500, measure_every: 100, what, ..Plan::default() };
        let mut sgd = Sgd::new(ScalarNetwork { target: 2.0 }, vec![0.7, 1.9], 0.01, Product::Exact);
        let mut rows: Vec<Measurement> = Vec::new();
        let summary = run(&mut sgd, &plan, &mut crate::control::Constant(0.01), &mut rows).unwrap();
        let steps = |quantity| -> Vec<u64> {
            let has = |row: &&Measurement| row.sharpness.iter().any(|found| found.quantity == quantity);
            rows.iter().filter(has).map(|row| row.step).collect()
        };
        assert_eq!(steps(Quantity::LambdaMax), [0, 100, 200, 300, 400]);
        let read = steps(Quantity::BatchSharpness);
        assert_eq!(read.iter().filter(|step| **step < 400).count(), 4);
        assert!((30..=40).contains(&(read.len() - 4)), "{read:?}");
        let headline = summary.edge.iter().find(|reading| reading.quantity == Quantity::BatchSharpness).unwrap();
        assert_eq!((headline.count, headline.since, headline.last), (read.len() - 4, 400, read[read.len() - 1]));
        // Without a period nothing is measured, at the end neither.
        let silent = Plan { measure_every: 0, ..plan };
        let training: Training<Vec<f64>, Vec<f64>> = Training::of_loop(&silent).unwrap();
        assert!((0..500).all(|step| !training.is_due(step, Probes::default())));
    }

    #[test]
    fn eigenvalues_are_measured_where_the_gradient_is_zero() {
        let bowl = crate::systems::Quadratic::new(vec![1.0, 3.0, -0.5]);
        let what = [Quantity::LambdaMax, Quantity::LambdaMin, Quantity::BatchSharpness];
        let mut monitor = SharpnessMonitor::new(&what, &[Target::Batch], Product::Exact, 5);
        let found = monitor.read(&bowl, &vec![0.0; 3], 4, &vec![0.0; 3], None).unwrap();
        let values: Vec<(Quantity, f64)> = found.iter().map(|found| (found.quantity, found.value)).collect();
        assert_eq!(values.len(), 2, "a quotient 0/0 is left out: {values:?}");
        assert!((values[0].1 - 3.0).abs() < 1e-10 && (values[1].1 + 0.5).abs() < 1e-10, "{values:?}");
    }

    #[test]
    fn deviations_want_a_system() {
        let plan = Plan { exponents: Some(ExponentOptions::default()), ..Plan::default() };
        let refused = Training::<Vec<f64>, Vec<f64>>::of_loop(&plan).unwrap_err();
        assert!(matches!(refused, Error::Argument { name: "count", .. }), "{refused}");
    }
}
