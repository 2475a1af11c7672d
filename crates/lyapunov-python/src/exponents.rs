//! Lyapunov exponents as Python sees them.

use lyapunov::{Estimate, Outcome};
use pyo3::pyclass;

/// What [`lyapunov::Exponents`] holds, estimates as (value, standard error).
#[pyclass(frozen, get_all)]
pub struct Exponents {
    /// Λ_1 … Λ_k, in nats per step.
    values: Vec<f64>,
    /// The standard error of each.
    std_errors: Vec<f64>,
    /// Whether the averages have settled.
    settled: bool,
    /// Steps that were measured.
    steps: u64,
    /// The time that they took.
    time: f64,
    /// Λ_1 + … + Λ_k.
    sum: (f64, f64),
    /// The sum of the positive ones.
    entropy: (f64, f64),
    /// The Kaplan–Yorke dimension; `None` where it lies beyond the exponents that were measured.
    kaplan_yorke: Option<(f64, f64)>,
    /// The step before which numbers were not finite.
    diverged: Option<u64>,
}

fn pair(estimate: Estimate) -> (f64, f64) {
    (estimate.value, estimate.std_error)
}

impl Exponents {
    pub fn of(found: &lyapunov::Exponents) -> Self {
        Self {
            values: found.values.clone(),
            std_errors: found.std_errors.clone(),
            settled: found.aligned,
            steps: found.steps,
            time: found.time,
            sum: pair(found.sum),
            entropy: pair(found.entropy),
            kaplan_yorke: found.kaplan_yorke.map(pair),
            diverged: match found.outcome {
                Outcome::Completed => None,
                Outcome::Diverged { step } => Some(step),
            },
        }
    }
}
