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
/// long as the curvature is small.
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
}

impl QuasiNewton {
    /// The rule with σ = `strength`, for an optimizer whose edge is at `edge`/η: [`Edge::threshold`](crate::Edge) at η
    /// = 1.
    ///
    /// # Errors
    /// [`Error::Argument`] for a σ or an edge that is not positive.
    pub fn new(strength: f64, edge: f64) -> Result<Self> {
        Ok(Self { strength: positive("sigma", strength)?, edge: positive("edge", edge)?, rate: None })
    }
}

impl Controller for QuasiNewton {
    fn next(&mut self, measurement: &Measurement) -> Result<f64> {
        let quantity =
            if measurement.edge.preconditioned { Quantity::PreconditionedSharpness } else { Quantity::LambdaMax };
        let reading = measurement.sharpness.iter().find(|found| found.quantity == quantity);
        if let Some(value) = reading.map(|found| found.value.abs()).filter(|value| *value > 0.0) {
            self.rate = Some(0.5 * self.strength * self.edge / value);
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
        archive.optional("rate", &mut self.rate)
    }
}
