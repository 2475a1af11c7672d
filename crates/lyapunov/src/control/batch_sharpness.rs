//! At the edge of mini-batch training: η from the batch sharpness.
//!
//! η = 2σ / BS with BS = E_B[gᵀHg/gᵀg]. Stochastic gradient descent holds the batch sharpness at 2/η by itself
//! (Andreyev and Beneventano 2024), so at σ = 1 the rule meets the run where it would go, and every η is nearly a fixed
//! point.

use super::{Controller, positive};
use crate::{
    error::{Error, Result},
    record::{Measurement, Quantity},
    snapshot::Archive,
};

/// η = 2σ / BS, BS the geometric mean of the readings of single batches with a memory of five readings.
///
/// At initial weights a reading may be negative or near zero, where the rule leaps: so magnitudes count, and no reading
/// counts as less than a third of the mean so far. The first one counts as it is: from initial weights the rule wants a
/// bound ([`Bounded`](super::Bounded)) or a warm-up.
///
/// **Cost**: none beyond the readings that the plan makes.
///
/// ```
/// use lyapunov::{BatchSharpnessRule, Plan, Product, Quantity, Sgd, run, systems::Quadratic};
/// let mut descent = Sgd::new(Quadratic::new(vec![4.0]), vec![1.0], 1.0, Product::Exact);
/// let (mut rows, plan) = (Vec::new(), Plan { steps: 2, what: vec![Quantity::BatchSharpness], ..Plan::default() });
/// run(&mut descent, &plan, &mut BatchSharpnessRule::new(0.5)?, &mut rows)?;
/// assert!((rows[0].learning_rate - 0.25).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchSharpnessRule {
    strength: f64,
    log_mean: Option<f64>,
}

/// How far the mean follows a reading.
const FOLLOWS: f64 = 0.2;

/// The least share of the mean that a reading counts as.
const LEAST: f64 = 1.0 / 3.0;

impl BatchSharpnessRule {
    /// The rule with σ = `strength`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a σ that is not positive.
    pub fn new(strength: f64) -> Result<Self> {
        Ok(Self { strength: positive("sigma", strength)?, log_mean: None })
    }
}

impl Controller for BatchSharpnessRule {
    fn next(&mut self, measurement: &Measurement) -> Result<f64> {
        let (what, step) = (Quantity::BatchSharpness.name(), measurement.step);
        let reading = measurement.batch_sharpness().map(|found| found.value.abs().ln());
        if let Some(log) = reading.filter(|log| log.is_finite()) {
            let mean = self.log_mean.unwrap_or(log);
            self.log_mean = Some(mean + FOLLOWS * (log - mean).max(LEAST.ln()));
        }
        match self.log_mean {
            Some(mean) => Ok(2.0 * self.strength / mean.exp()),
            None if measurement.gradient_norm == 0.0 => Ok(0.0),
            None if reading.is_some() => Err(Error::NoCurvature { rule: "batch-sharpness", what, step }),
            None => Err(Error::Unmeasured { what, step }),
        }
    }

    fn keep(&mut self, archive: &mut Archive<'_>) -> Result<()> {
        archive.optional("log_mean", &mut self.log_mean)
    }
}
