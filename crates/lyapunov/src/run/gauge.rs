//! Sharpness along a run: which quantity, on which data, by which tracker.

use super::Target;
use crate::{
    descent::Descent,
    error::Result,
    krylov::{Eigenpair, Ritz, Tracker},
    objective::{Difference, Hessian, Objective, Product},
    operator::Operator,
    record::{Measurement, Quantity, Sharpness},
    vector::Vector,
};

/// The trackers of a run, and what they have found so far.
#[derive(Clone, Debug)]
pub struct Gauge<V> {
    /// One for each quantity on each kind of data, in the order in which they are measured.
    pub trackers: Vec<(Quantity, Target, Tracker<V>)>,
    /// How products with the Hessian are computed.
    pub product: Product,
    /// The last of each.
    pub latest: Vec<Sharpness>,
    /// What all measurements have cost, in g-eq.
    pub cost: f64,
    /// Every sharpness that the threshold of stability speaks of, over that threshold: step, what, and share.
    pub shares: Vec<(u64, Quantity, Target, f64)>,
}

/// Where a run stood against its edge: a sharpness over the threshold of stability, over the last fifth of the steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdgeReading {
    /// The sharpness.
    pub quantity: Quantity,
    /// The data it was measured on.
    pub on: Target,
    /// Its mean over the threshold: 1 at the edge.
    pub share: f64,
    /// The standard deviation over the measurements.
    pub spread: f64,
    /// How many measurements these are.
    pub count: usize,
}

impl<V: Vector> Gauge<V> {
    pub(super) fn new(what: &[Quantity], on: &[Target], product: Product, products: usize) -> Self {
        let targets = |quantity: &Quantity| match quantity {
            Quantity::BatchSharpness => vec![Target::Batch],
            _ => on.to_vec(),
        };
        let trackers = what.iter().flat_map(|quantity| {
            targets(quantity).into_iter().map(|target| (*quantity, target, Tracker::new(products)))
        });
        Self { trackers: trackers.collect(), product, latest: Vec::new(), cost: 0.0, shares: Vec::new() }
    }

    /// Measures all of it before the coming step of `descent`. Where the gradient is zero there is nothing to start from.
    pub(super) fn read<D: Descent>(&mut self, descent: &mut D) -> Result<Vec<Sharpness>>
    where
        D::Objective: Objective<Vector = V>,
    {
        let (gradient, step) = (descent.gradient()?.1.clone(), descent.steps_taken());
        if gradient.norm() == 0.0 {
            return Ok(Vec::new());
        }
        let preconditioner = descent.preconditioner()?;
        let (objective, at) = (descent.objective(), descent.weights());
        let mut found = Vec::new();
        for (quantity, target, tracker) in &mut self.trackers {
            let on = target.sample(step);
            // The training step needs the gradient of the mini-batch anyway; that of other data costs extra.
            let forward = matches!(self.product, Product::Difference(Difference { central: false, .. }));
            let (base, base_cost) = match target {
                Target::Batch => (Some(gradient.clone()), 0.0),
                _ if forward => (Some(objective.gradient(at, on)?.1), objective.gradient_cost(on)),
                _ => (None, 0.0),
            };
            let hessian = Hessian { objective, at, on, product: self.product, gradient: base.as_ref() };
            let ritz = match (*quantity, &preconditioner) {
                (Quantity::LambdaMax, _) => tracker.update(&hessian, &gradient)?,
                (Quantity::BatchSharpness, _) => rayleigh(&hessian, &gradient)?,
                (Quantity::PreconditionedSharpness, Some(action)) => {
                    let mut hint = gradient.clone();
                    action(&mut hint);
                    tracker.update(&Congruent { operator: &hessian, action }, &hint)?
                }
                // The optimizer has no preconditioner: nothing to measure.
                (Quantity::PreconditionedSharpness, None) => continue,
            };
            let cost = base_cost + ritz.applications as f64 * objective.product_cost(self.product, on);
            self.cost += cost;
            if let Some(Eigenpair { value, residual, .. }) = ritz.largest.first() {
                let (quantity, product) = (*quantity, self.product);
                found.push(Sharpness { quantity, value: *value, residual: *residual, on, product, cost });
            }
        }
        self.remember(&found);
        Ok(found)
    }

    /// Replaces the latest value of each quantity on each kind of data that was measured now.
    fn remember(&mut self, found: &[Sharpness]) {
        // The name of a sample tells kinds of data apart, not the steps of mini-batches.
        let key = |sharpness: &Sharpness| (sharpness.quantity, sharpness.on.to_string());
        for new in found {
            self.latest.retain(|old| key(old) != key(new));
            self.latest.push(*new);
        }
    }

    /// Books where the sharpness of a finished row stands against the edge.
    pub(super) fn compare(&mut self, row: &Measurement) {
        for found in &row.sharpness {
            let own = |(quantity, target, _): &&(Quantity, Target, _)| {
                *quantity == found.quantity && target.sample(row.step) == found.on
            };
            if let (Some(share), Some((quantity, target, _))) =
                (row.share_of_edge(found), self.trackers.iter().find(own))
            {
                self.shares.push((row.step, *quantity, *target, share));
            }
        }
    }

    /// The readings over the last fifth of `steps` steps, in the order of the trackers.
    pub(super) fn readings(&self, steps: u64) -> Vec<EdgeReading> {
        let from = steps - steps / 5;
        let reading = |(quantity, on, _): &(Quantity, Target, Tracker<V>)| {
            let chosen =
                |share: &&(u64, Quantity, Target, f64)| share.0 >= from && (share.1, share.2) == (*quantity, *on);
            let shares: Vec<f64> = self.shares.iter().filter(chosen).map(|share| share.3).collect();
            let count = shares.len();
            let mean = shares.iter().sum::<f64>() / count as f64;
            let square = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>();
            let spread = if count > 1 { (square / (count - 1) as f64).sqrt() } else { f64::INFINITY };
            (count > 0).then_some(EdgeReading { quantity: *quantity, on: *on, share: mean, spread, count })
        };
        self.trackers.iter().filter_map(reading).collect()
    }
}

/// The Rayleigh quotient of `operator` at `direction`, as if it were a Ritz value.
fn rayleigh<V: Vector>(operator: &impl Operator<V>, direction: &V) -> Result<Ritz<V>> {
    let mut largest = Vec::new();
    if let Some(vector) = direction.unit() {
        let mut image = operator.apply(&vector)?;
        let value = vector.dot(&image);
        image.axpy(-value, &vector);
        largest.extend(value.is_finite().then(|| Eigenpair { value, residual: image.norm(), vector }));
    }
    Ok(Ritz { largest, smallest: Vec::new(), applications: 1, converged: false })
}

/// M A M for a symmetric M that is known by its action.
struct Congruent<'a, A, F> {
    operator: &'a A,
    action: F,
}

impl<V: Vector, A: Operator<V>, F: Fn(&mut V)> Operator<V> for Congruent<'_, A, F> {
    fn apply(&self, v: &V) -> Result<V> {
        let mut moved = v.clone();
        (self.action)(&mut moved);
        let mut image = self.operator.apply(&moved)?;
        (self.action)(&mut image);
        Ok(image)
    }
}
