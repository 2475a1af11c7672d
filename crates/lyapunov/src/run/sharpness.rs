//! Sharpness along a run: which quantity, on which data, by which tracker.

use super::{Estimator, Follower, Target, follower::Followed};
use crate::{
    descent::ActionRef,
    error::Result,
    noise::{Purpose, Stream},
    objective::{Difference, Hessian, Objective, Product},
    operator::{Operator, Preconditioned},
    record::{Measurement, Quantity, Sharpness, Trajectory},
    vector::Vector,
};

/// The eigenvalues that a run follows, and what was found so far.
#[derive(Clone, Debug)]
pub struct SharpnessMonitor<V> {
    /// One for each quantity on each kind of data, in the order in which they are measured.
    pub followers: Vec<(Quantity, Target, Follower<V>)>,
    /// How products with the Hessian are computed.
    pub product: Product,
    /// The last of each.
    pub latest: Vec<Sharpness>,
    /// What all measurements have cost, in g-eq.
    pub cost: f64,
    /// Every sharpness that was measured.
    pub readings: Vec<Reading>,
    /// What nearby trajectories showed at the last measurement.
    pub nearby: Vec<Trajectory>,
    /// η of the last step, by which nearby trajectories move; `None` before the first.
    pub learning_rate: Option<f64>,
}

/// One measurement of a sharpness, and where it stood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The step that came next.
    pub step: u64,
    /// The sharpness.
    pub quantity: Quantity,
    /// The data it was measured on.
    pub on: Target,
    /// Its value.
    pub value: f64,
    /// Its value over the threshold of stability of the moment, where that speaks of it.
    pub share: Option<f64>,
    /// η of that step.
    pub learning_rate: f64,
}

/// A sharpness at the end of a run: over the last fifth of the steps, or, where nothing was measured in these, the last
/// time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdgeReading {
    /// The sharpness.
    pub quantity: Quantity,
    /// The data it was measured on.
    pub on: Target,
    /// Its mean.
    pub value: f64,
    /// Its standard deviation over the measurements; infinite for a single one.
    pub value_spread: f64,
    /// Its mean over the threshold of stability, 1 at the edge; `None` where that does not speak of it.
    pub share: Option<f64>,
    /// The standard deviation of that.
    pub spread: f64,
    /// How many measurements these are.
    pub count: usize,
    /// The step of the first of them.
    pub since: u64,
    /// The step of the last of them.
    pub last: u64,
    /// η at the last of them.
    pub learning_rate: f64,
}

impl<V: Vector> SharpnessMonitor<V> {
    /// Nothing measured yet: these quantities on these kinds of data, by bursts of this many products.
    pub fn new(what: &[Quantity], on: &[Target], product: Product, products: usize) -> Self {
        Self::with_estimator(Estimator::Burst, what, on, product, products)
    }

    /// The same by an estimator of one's choice.
    pub fn with_estimator(
        estimator: Estimator,
        what: &[Quantity],
        on: &[Target],
        product: Product,
        products: usize,
    ) -> Self {
        let targets = |quantity: &Quantity| match quantity {
            Quantity::BatchSharpness => vec![Target::Batch],
            _ => on.to_vec(),
        };
        let follower = |quantity: Quantity, target| match target {
            Target::Batch if quantity != Quantity::BatchSharpness => Follower::new(estimator, products),
            _ => Follower::new(Estimator::Burst, products),
        };
        let followers = what.iter().flat_map(|quantity| {
            targets(quantity).into_iter().map(|target| (*quantity, target, follower(*quantity, target)))
        });
        Self {
            followers: followers.collect(),
            product,
            latest: Vec::new(),
            cost: 0.0,
            readings: Vec::new(),
            nearby: Vec::new(),
            learning_rate: None,
        }
    }

    /// Whether something is followed at every step.
    pub fn is_at_every_step(&self) -> bool {
        self.followers.iter().any(|(.., follower)| follower.is_at_every_step())
    }

    /// Measures all of it at the weights `at` before step `step`, whose mini-batch has this `gradient` there;
    /// `preconditioner` is what P^-½ of the optimizer does to a vector, where there is one: without it there is no
    /// preconditioned sharpness. Where the gradient is zero eigenvalues are looked for from where they were last, or
    /// from a random direction: they are measured all the same. The batch sharpness is a quotient 0/0 there, and left
    /// out.
    ///
    /// **Cost**: a burst of products for each quantity and kind of data, booked in [`SharpnessMonitor::cost`].
    ///
    /// # Errors
    /// Those of the objective.
    ///
    /// ```
    /// use lyapunov::{SharpnessMonitor, Product, Quantity, Target, systems::Quadratic};
    /// let (bowl, at, gradient) = (Quadratic::new(vec![1.0, 3.0]), vec![1.0, 1.0], vec![1.0, 3.0]);
    /// let mut monitor = SharpnessMonitor::new(&[Quantity::LambdaMax], &[Target::Batch], Product::Exact, 5);
    /// let found = monitor.read(&bowl, &at, 7, &gradient, None)?;
    /// assert!((found[0].value - 3.0).abs() < 1e-12);
    /// # Ok::<(), lyapunov::Error>(())
    /// ```
    pub fn read<O: Objective<Vector = V>>(
        &mut self,
        objective: &O,
        at: &V,
        step: u64,
        gradient: &V,
        preconditioner: Option<ActionRef<'_, V>>,
    ) -> Result<Vec<Sharpness>> {
        self.read_these(objective, at, step, gradient, preconditioner, |_, _| true)
    }

    /// [`SharpnessMonitor::read`] of what is `wanted`.
    pub(super) fn read_these<O: Objective<Vector = V>>(
        &mut self,
        objective: &O,
        at: &V,
        step: u64,
        gradient: &V,
        preconditioner: Option<ActionRef<'_, V>>,
        wanted: impl Fn(Quantity, &Follower<V>) -> bool,
    ) -> Result<Vec<Sharpness>> {
        let mut hint = gradient.clone();
        if gradient.norm() == 0.0 {
            hint.randomize(&mut Stream::new(0, Purpose::Probe, step));
        }
        let mut found = Vec::new();
        self.nearby.clear();
        for (quantity, target, follower) in &mut self.followers {
            if !wanted(*quantity, follower) {
                continue;
            }
            let on = target.sample(step);
            // The training step needs the gradient of the mini-batch anyway; that of other data costs extra.
            let forward = matches!(self.product, Product::Difference(Difference { central: false, .. }));
            let (base, base_cost) = match target {
                Target::Batch => (Some(gradient.clone()), 0.0),
                _ if forward => (Some(objective.gradient(at, on)?.1), objective.gradient_cost(on)),
                _ => (None, 0.0),
            };
            let hessian = Hessian { objective, at, on, product: self.product, gradient: base.as_ref() };
            let rate = self.learning_rate;
            let followed = match (*quantity, preconditioner) {
                (Quantity::LambdaMax, _) => follower.update(&hessian, &hint, false, rate)?,
                (Quantity::LambdaMin, _) => follower.update(&hessian, &hint, true, rate)?,
                (Quantity::BatchSharpness, _) => rayleigh(&hessian, gradient)?,
                (Quantity::PreconditionedSharpness, Some(action)) => {
                    let mut hint = hint.clone();
                    action(&mut hint);
                    follower.update(&Preconditioned { operator: &hessian, root: action }, &hint, false, rate)?
                }
                // The optimizer has no preconditioner: nothing to measure.
                (Quantity::PreconditionedSharpness, None) => continue,
            };
            let cost = base_cost + followed.applications as f64 * objective.product_cost(self.product, on);
            self.cost += cost;
            let (quantity, product) = (*quantity, self.product);
            if let Some((value, residual)) = followed.found {
                found.push(Sharpness { quantity, value, residual, on, product, cost });
            }
            self.nearby.extend(followed.reading.map(|(factor, reading)| Trajectory {
                quantity,
                factor,
                growth: reading.growth,
                from_growth: reading.from_growth,
                rayleigh: reading.rayleigh,
                image_norm: reading.image_norm,
            }));
        }
        self.remember(&found);
        Ok(found)
    }

    /// Replaces the latest value of each quantity on each kind of data that was measured now.
    fn remember(&mut self, found: &[Sharpness]) {
        // The name of a sample distinguishes kinds of data, not the steps of mini-batches.
        let key = |sharpness: &Sharpness| (sharpness.quantity, sharpness.on.to_string());
        for new in found {
            self.latest.retain(|old| key(old) != key(new));
            self.latest.push(*new);
        }
    }

    /// Books where the sharpness of a finished row stands against the edge.
    pub fn compare(&mut self, row: &Measurement) {
        for found in &row.sharpness {
            let own = |(quantity, target, _): &&(Quantity, Target, _)| {
                *quantity == found.quantity && target.sample(row.step) == found.on
            };
            if let Some((quantity, on, _)) = self.followers.iter().find(own) {
                let share = row.share_of_edge(found);
                let (step, learning_rate) = (row.step, row.learning_rate);
                let reading = Reading { step, quantity: *quantity, on: *on, value: found.value, share, learning_rate };
                self.readings.push(reading);
            }
        }
    }

    /// The readings at the end of `steps` steps, in the order in which they are measured.
    pub fn summary(&self, steps: u64) -> Vec<EdgeReading> {
        let summarise = |(quantity, on, _): &(Quantity, Target, Follower<V>)| {
            let own: Vec<&Reading> =
                self.readings.iter().filter(|reading| (reading.quantity, reading.on) == (*quantity, *on)).collect();
            let late = own.iter().position(|reading| reading.step >= steps - steps / 5);
            let chosen = &own[late.unwrap_or(own.len().checked_sub(1)?)..];
            let (value, value_spread) =
                mean_and_spread(&chosen.iter().map(|reading| reading.value).collect::<Vec<_>>());
            let shares: Option<Vec<f64>> = chosen.iter().map(|reading| reading.share).collect();
            let share = shares.as_deref().map(mean_and_spread);
            Some(EdgeReading {
                quantity: *quantity,
                on: *on,
                value,
                value_spread,
                share: share.map(|(mean, _)| mean),
                spread: share.map_or(f64::INFINITY, |(_, spread)| spread),
                count: chosen.len(),
                since: chosen[0].step,
                last: chosen[chosen.len() - 1].step,
                learning_rate: chosen[chosen.len() - 1].learning_rate,
            })
        };
        self.followers.iter().filter_map(summarise).collect()
    }
}

/// The mean and the standard deviation, which is infinite for a single number.
fn mean_and_spread(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, if values.len() > 1 { (square / (count - 1.0)).sqrt() } else { f64::INFINITY })
}

/// The Rayleigh quotient of `operator` at `direction`, as if it were an eigenvalue.
fn rayleigh<V: Vector>(operator: &impl Operator<V>, direction: &V) -> Result<Followed> {
    let mut followed = Followed { found: None, applications: 0, reading: None };
    if let Some(vector) = direction.unit() {
        let mut image = operator.apply(&vector)?;
        followed.applications = 1;
        let value = vector.dot(&image);
        image.axpy(-value, &vector);
        followed.found = value.is_finite().then(|| (value, image.norm()));
    }
    Ok(followed)
}
