//! CDAT: the learning rate at which the loss, to second order, neither rises nor falls along the step.
//!
//! Along the update direction d (w' = w − ηd) the loss of the batch is L − η gᵀd + ½η² dᵀHd: it is lowest at η =
//! gᵀd/dᵀHd and back where it was at twice that. η = σ · max(gᵀd, 0)/|dᵀHd|, numerator and denominator averaged over
//! steps: σ = 2 is on the edge.
//!
//! Source: Roulet and others, *Stepping on the edge: curvature aware learning rate tuners* (2024), with their average
//! of 0.9.

use super::{Controller, Probes, positive};
use crate::{
    error::{Error, Result},
    record::Measurement,
    snapshot::Archive,
};

/// η = σ n̄/d̄ with n = max(gᵀd, 0), d = |dᵀHd|, each averaged with a memory of 0.9 per probe.
///
/// **Cost**: one product every `every` steps.
///
/// ```
/// use lyapunov::{OnEdge, Plan, Product, Sgd, run, systems::Quadratic};
/// let mut descent = Sgd::new(Quadratic::new(vec![4.0]), vec![1.0], 1.0, Product::Exact);
/// let mut rows = Vec::new();
/// run(&mut descent, &Plan { steps: 2, ..Plan::default() }, &mut OnEdge::new(1.0, 1)?, &mut rows)?;
/// assert!((rows[0].learning_rate - 0.25).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnEdge {
    strength: f64,
    every: u64,
    fall: f64,
    bend: f64,
}

/// The memory of the averages.
const MEMORY: f64 = 0.9;

impl OnEdge {
    /// The rule with σ = `strength` and a probe before steps 0, m, 2m, … with m = `every`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a σ or a period that is not positive.
    pub fn new(strength: f64, every: u64) -> Result<Self> {
        positive("every", every as f64)?;
        Ok(Self { strength: positive("sigma", strength)?, every, fall: 0.0, bend: 0.0 })
    }
}

impl Controller for OnEdge {
    fn wants(&self, step: u64) -> Probes {
        Probes { along: step.is_multiple_of(self.every), secant: false, ..Probes::default() }
    }

    fn next(&mut self, measurement: &Measurement) -> Result<f64> {
        if let Some(along) = measurement.along {
            // Both averages start at zero, so that their quotient is that of weighted sums.
            self.fall = MEMORY * self.fall + (1.0 - MEMORY) * along.slope.max(0.0) * along.direction_norm;
            self.bend = MEMORY * self.bend
                + (1.0 - MEMORY) * along.curvature.abs() * along.direction_norm * along.direction_norm;
        }
        match self.bend > 0.0 {
            true => Ok(self.strength * self.fall / self.bend),
            // Without a gradient there is nowhere to go.
            false if measurement.gradient_norm == 0.0 => Ok(0.0),
            false if measurement.along.is_some() => {
                Err(Error::NoCurvature { rule: "on-edge", what: "curvature along the step", step: measurement.step })
            }
            false => Err(Error::Unmeasured { what: "curvature along the step", step: measurement.step }),
        }
    }

    fn keep(&mut self, archive: &mut Archive<'_>) -> Result<()> {
        archive.number("fall", &mut self.fall)?;
        archive.number("bend", &mut self.bend)
    }
}
