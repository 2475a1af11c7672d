//! The paper's rule: a step of σ over the largest eigenvalue.
//!
//! η = σ · (c/2) / λ_max, where c/η is the edge of stability of the optimizer: for gradient descent c = 2 and η =
//! σ/λ_max. At σ = 1 each step of a run on the whole set stops at the minimum of its sharpest direction; σ = 2 is the
//! edge.
//!
//! Source: Sasdelli and others 2021, claim C4: the learning rate from the estimate of the largest eigenvalue. The
//! method section is not public; this is the rule as its abstract states it.

use super::{Controller, positive};
use crate::{
    error::{Error, Result},
    record::{Measurement, Quantity},
    snapshot::Archive,
};

/// η = σ (c/2) / λ_max with the last reading, whichever data it was measured on first; under Adam of the preconditioned
/// sharpness.
///
/// Between readings the learning rate stays. Where the reading is not positive its magnitude counts: the step is as
/// long as the curvature is small. With a smoothing of k the mean of the magnitudes counts, in which a reading has the
/// weight 1/k, and each of the first k readings the same.
///
/// **Cost**: none beyond the readings that the plan makes.
///
/// ```
/// use lyapunov::{Descent, Plan, Product, QuasiNewton, Sgd, run, systems::Quadratic};
/// let mut descent = Sgd::new(Quadratic::new(vec![1.0, 4.0]), vec![1.0, 1.0], 1.0, Product::Exact);
/// let mut rows = Vec::new();
/// run(&mut descent, &Plan { steps: 3, ..Plan::default() }, &mut QuasiNewton::new(1.0, 2.0)?, &mut rows)?;
/// assert!((rows[0].learning_rate - 0.25).abs() < 1e-12);
/// // The sharp direction is gone in the first step.
/// assert!(descent.weights()[1].abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuasiNewton {
    strength: f64,
    edge: f64,
    rate: Option<f64>,
    smoothing: u64,
    mean: f64,
    count: u64,
}

impl QuasiNewton {
    /// The rule with σ = `strength`, for an optimizer whose edge is at `edge`/η: [`Edge::threshold`](crate::Edge) at η
    /// = 1.
    ///
    /// # Errors
    /// [`Error::Argument`] for a σ or an edge that is not positive.
    pub fn new(strength: f64, edge: f64) -> Result<Self> {
        let (strength, edge) = (positive("sigma", strength)?, positive("edge", edge)?);
        Ok(Self { strength, edge, rate: None, smoothing: 1, mean: 0.0, count: 0 })
    }

    /// The same by the mean over about so many readings; 1, or 0, by each alone.
    #[must_use]
    pub fn with_smoothing(self, smoothing: u64) -> Self {
        Self { smoothing: smoothing.max(1), ..self }
    }

    /// The mean of the magnitudes with one more.
    fn smoothed(&mut self, value: f64) -> f64 {
        self.count = self.smoothing.min(self.count + 1);
        // To the bit where each reading counts alone.
        let before = if self.count == 1 { value } else { self.mean };
        self.mean = before + (value - before) / self.count as f64;
        self.mean
    }
}

impl Controller for QuasiNewton {
    fn next(&mut self, measurement: &Measurement) -> Result<f64> {
        let quantity =
            if measurement.edge.preconditioned { Quantity::PreconditionedSharpness } else { Quantity::LambdaMax };
        let reading = measurement.sharpness.iter().find(|found| found.quantity == quantity);
        if let Some(value) = reading.map(|found| found.value.abs()).filter(|value| *value > 0.0) {
            self.rate = Some(0.5 * self.strength * self.edge / self.smoothed(value));
        }
        // Without a gradient there is no reading, and no step either.
        if measurement.gradient_norm == 0.0 {
            return Ok(self.rate.unwrap_or(0.0));
        }
        let (what, step) = (quantity.name(), measurement.step);
        let missing = || match reading {
            Some(_) => Error::NoCurvature { rule: "quasi-newton", what, step },
            None => Error::Unmeasured { what, step },
        };
        self.rate.ok_or_else(missing)
    }

    fn keep(&mut self, archive: &mut Archive<'_>) -> Result<()> {
        archive.optional("rate", &mut self.rate)?;
        archive.number("mean", &mut self.mean)?;
        archive.count("count", &mut self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        objective::{Product, Sample},
        record::Sharpness,
    };

    fn rates(smoothing: u64, readings: &[f64]) -> Vec<f64> {
        let mut rule = QuasiNewton::new(1.0, 2.0).unwrap().with_smoothing(smoothing);
        let row = |step: usize, value: f64| {
            let mut row = Measurement::of_step(step as u64, 1.0, 1.0);
            let (quantity, product, on) = (Quantity::LambdaMax, Product::Exact, Sample::Mini(step as u64));
            row.sharpness.push(Sharpness { quantity, value, residual: 0.0, on, product, cost: 1.0 });
            row
        };
        readings.iter().enumerate().map(|(step, value)| rule.next(&row(step, *value)).unwrap()).collect()
    }

    #[test]
    fn alone_each_reading_decides_and_smoothed_the_mean_of_their_magnitudes() {
        let readings = [2.0, -4.0, 8.0, 1.0];
        // Without a mean the rates are the reciprocals to the bit.
        assert_eq!(rates(1, &readings), [0.5, 0.25, 0.125, 1.0]);
        assert_eq!(rates(0, &readings), rates(1, &readings));
        let means = [2.0, 3.0, 14.0 / 3.0, 15.0 / 4.0];
        for (rate, mean) in rates(10, &readings).into_iter().zip(means) {
            assert!((rate * mean - 1.0).abs() < 1e-14, "{rate} for {mean}");
        }
        // After k readings the weight is 1/k: a jump decays by 1 − 1/k per step.
        let mut jump = vec![5.0; 4];
        jump.extend([1.0; 3]);
        for (rate, mean) in rates(4, &jump)[4..].iter().zip([4.0, 3.25, 2.6875]) {
            assert!((rate * mean - 1.0).abs() < 1e-14, "{rate} for {mean}");
        }
    }
}
