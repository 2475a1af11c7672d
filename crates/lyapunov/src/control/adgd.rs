//! Adaptive gradient descent: the learning rate from the secant of the last step.
//!
//! η_t = min(√(1 + θ) η_(t−1), ½σ ‖w_t − w_(t−1)‖/‖g_B(w_t) − g_B(w_(t−1))‖), θ = η_(t−1)/η_(t−2), both gradients on
//! the batch of step t. On a convex loss it converges without any constant (σ = 1); the first step is taken by the
//! curvature along the gradient.
//!
//! Source: Malitsky and Mishchenko, *Adaptive gradient descent without descent* (2020), algorithm 1 and its stochastic
//! form.

use super::{Controller, Probes, positive};
use crate::{
    error::{Error, Result},
    record::Measurement,
    snapshot::Archive,
};

/// Half the secant's step length, growing by at most √(1 + θ) per step; for plain gradient descent.
///
/// **Cost**: one gradient per step, and one product before the first.
///
/// ```
/// use lyapunov::{Adgd, Plan, Product, Sgd, run, systems::Quadratic};
/// let mut descent = Sgd::new(Quadratic::new(vec![4.0]), vec![1.0], 1.0, Product::Exact);
/// let mut rows = Vec::new();
/// run(&mut descent, &Plan { steps: 5, ..Plan::default() }, &mut Adgd::new(1.0)?, &mut rows)?;
/// // ½ · 1/4 throughout: the curvature is the same everywhere.
/// assert!(rows.iter().all(|row| (row.learning_rate - 0.125).abs() < 1e-12));
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adgd {
    strength: f64,
    rate: Option<f64>,
    ratio: f64,
}

impl Adgd {
    /// The rule with σ = `strength`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a σ that is not positive.
    pub fn new(strength: f64) -> Result<Self> {
        Ok(Self { strength: positive("sigma", strength)?, rate: None, ratio: f64::INFINITY })
    }

    /// The first step: half the inverse of ‖Hu‖ along the gradient.
    fn first(&self, measurement: &Measurement) -> Result<f64> {
        match measurement.along {
            Some(along) if along.product_norm > 0.0 => Ok(0.5 * self.strength / along.product_norm),
            None if measurement.gradient_norm > 0.0 => {
                Err(Error::Unmeasured { what: "curvature along the step", step: measurement.step })
            }
            Some(along) if along.product_norm == 0.0 && measurement.gradient_norm > 0.0 => {
                Err(Error::NoCurvature { rule: "adgd", what: "product along the gradient", step: measurement.step })
            }
            // Without a gradient there is nowhere to go.
            _ => Ok(0.0),
        }
    }
}

impl Controller for Adgd {
    fn wants(&self, _step: u64) -> Probes {
        let moves = self.rate.is_some_and(|rate| rate > 0.0);
        Probes { along: !moves, secant: moves, ..Probes::default() }
    }

    fn next(&mut self, measurement: &Measurement) -> Result<f64> {
        let Some(rate) = self.rate.filter(|rate| *rate > 0.0) else {
            let rate = self.first(measurement)?;
            self.rate = Some(rate);
            return Ok(rate);
        };
        // θ is infinite at the beginning, as in the paper: nothing bounds the first growth.
        let grown = (1.0 + self.ratio).sqrt() * rate;
        let bound = measurement.secant.filter(|secant| {
            secant.step_norm > 0.0
                && secant.gradient_change > 0.0
                && (secant.step_norm / secant.gradient_change).is_finite()
                && secant.gradient_change.is_finite()
        });
        let next =
            bound.map_or(rate, |secant| grown.min(0.5 * self.strength * secant.step_norm / secant.gradient_change));
        self.ratio = next / rate;
        self.rate = Some(next);
        Ok(next)
    }

    fn keep(&mut self, archive: &mut Archive<'_>) -> Result<()> {
        archive.optional("rate", &mut self.rate)?;
        archive.number("ratio", &mut self.ratio)
    }
}
