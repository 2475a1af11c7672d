//! Lyapunov exponents of any [`System`], with error bars.
//!
//! [`exponents`] is the one call; [`Benettin`] is the same as a state machine, for loops that have more to do;
//! [`Growth`] is what they accumulate: it can be saved, resumed and merged. [`shadow`] needs no tangent; [`separation`]
//! judges two trajectories. [`covariant_vectors`] gives the directions that belong to the exponents; [`gali`] and
//! [`zero_one_test`] only distinguish regular from chaotic motion.

mod benettin;
mod box_dimension;
mod covariant;
mod error_bars;
mod growth;
mod indicators;
mod separation;
mod shadow;

pub use benettin::{Benettin, Local};
pub use box_dimension::{BoxDimension, box_dimension};
pub use covariant::{Covariant, CovariantVectors, covariant_vectors};
pub use error_bars::Estimate;
pub use growth::Growth;
pub use indicators::{gali, zero_one_test};
pub use separation::{Separation, separation};
pub use shadow::{Shadow, shadow};

use crate::{
    error::{Error, Result},
    system::{Outcome, System},
    vector::Vector,
};

/// How many exponents, and from how many steps.
#[derive(Clone, Debug, PartialEq)]
pub struct SpectrumOptions {
    /// The number k of largest exponents; `None` asks for all n.
    pub count: Option<usize>,
    /// Steps that are measured.
    pub steps: u64,
    /// Steps before them, in which the state finds its attractor and the deviations find their directions.
    pub warm_up: u64,
    /// Most steps between two re-orthonormalisations. Deviations that outgrow the numbers, or are about to become
    /// parallel in them, are renormalised earlier: the exponents do not depend on this number.
    pub every: u64,
    /// The seed of the initial deviations.
    pub seed: u64,
}

impl Default for SpectrumOptions {
    /// All exponents, from 10,000 steps after 1,000 of warm-up, renormalised at every step.
    fn default() -> Self {
        Self { count: None, steps: 10_000, warm_up: 1000, every: 1, seed: 0 }
    }
}

/// Lyapunov exponents as they were found: never without their errors.
///
/// **Units**: nats per step; [`Exponents::per_time`] gives nats per unit of the system's time.
#[derive(Clone, Debug, PartialEq)]
pub struct Exponents {
    /// Λ_1 … Λ_k in the order of the QR factorisation, which is largest first once the deviations are aligned; equal
    /// exponents may trade places within their errors. A direction that is contracted to nothing has −∞.
    pub values: Vec<f64>,
    /// The standard error of each, from the scatter of blocks (see [`Growth::exponents`]), and with it what the steps
    /// of a flow leave out ([`Exponents::discretization`]), as the root of the sum of squares. Infinite where fewer
    /// than two blocks say nothing of it.
    pub std_errors: Vec<f64>,
    /// How much larger each would be with steps that are infinitely short, as steps of half the length say: 16/15 of
    /// what they add to the growth over single steps from the same states. All 0 for maps. What the change of the path
    /// itself does to the averages, of the same order in h, is not seen.
    pub discretization: Vec<f64>,
    /// Whether the averages have settled: see [`Growth::exponents`]. If not, errors are not to be trusted.
    pub aligned: bool,
    /// The steps that were measured.
    pub steps: u64,
    /// The time that these steps took.
    pub time: f64,
    /// Λ_1 + … + Λ_k. Of all n exponents it is the mean of ln|det Df|.
    pub sum: Estimate,
    /// The sum of the positive exponents: the Kolmogorov–Sinai entropy where Pesin's identity holds, and an upper bound
    /// of it everywhere (Ruelle 1978). Only as complete as the exponents that were asked for.
    pub entropy: Estimate,
    /// j + (Λ_1 + … + Λ_j)/|Λ_{j+1}|, j the last index with a non-negative partial sum (Kaplan & Yorke 1979); n where
    /// no partial sum is negative. `None` where the answer lies beyond the k exponents that were measured.
    pub kaplan_yorke: Option<Estimate>,
    /// How the measurement ended. After a divergence the other fields speak of the steps up to it.
    pub outcome: Outcome,
}

impl Exponents {
    /// The same numbers per unit of time. The dimension has no unit and stays.
    ///
    /// ```
    /// use lyapunov::{Product, Sgd, SpectrumOptions, exponents, systems::Quadratic};
    /// let mut descent = Sgd::new(Quadratic::new(vec![-0.5]), vec![0.0], 0.01, Product::Exact);
    /// let per_time = exponents(&mut descent, &SpectrumOptions::default())?.per_time();
    /// // Per unit of training time, the exponent of slow descent is minus the curvature.
    /// assert!((per_time.values[0] - 1.005_f64.ln() / 0.01).abs() < 1e-10);
    /// # Ok::<(), lyapunov::Error>(())
    /// ```
    #[must_use]
    pub fn per_time(&self) -> Self {
        let factor = if self.time > 0.0 { self.steps as f64 / self.time } else { 1.0 };
        let scale = |numbers: &[f64]| numbers.iter().map(|x| x * factor).collect();
        Self {
            values: scale(&self.values),
            std_errors: scale(&self.std_errors),
            discretization: scale(&self.discretization),
            sum: self.sum.scaled(factor),
            entropy: self.entropy.scaled(factor),
            ..self.clone()
        }
    }
}

/// The k largest Lyapunov exponents of `system`, by the method of Benettin and others with QR.
///
/// k random orthonormal deviations move with the state for the warm-up, which is forgotten, and then for the measured
/// steps; every m steps they are re-orthonormalised and ln R_ii is added up. The system is left where the measurement
/// ended. A state that becomes non-finite ends it with [`Outcome::Diverged`] and what was found up to there.
///
/// **Shapes**: `values` and `std_errors` hold k numbers. **Units**: nats per step. **Cost**: (warm-up + steps) steps
/// with k deviations, and k²n/m multiplications per step for the QR. **Memory**: k vectors, and 8 kB per exponent.
///
/// # Errors
/// [`Error::Argument`] for k = 0 or k > n, no steps, or a renormalisation every 0 steps; the system's own errors.
///
/// **Source**: Benettin, Galgani, Giorgilli & Strelcyn, Meccanica 15 (1980) 9; Shimada & Nagashima 1979.
///
/// ```
/// use lyapunov::{SpectrumOptions, exponents, systems::CatMap};
/// let found = exponents(&mut CatMap.system(), &SpectrumOptions { steps: 1000, ..SpectrumOptions::default() })?;
/// let exact = ((3.0 + 5.0_f64.sqrt()) / 2.0).ln();
/// assert!((found.values[0] - exact).abs() < 1e-10 && (found.values[1] + exact).abs() < 1e-10);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn exponents<S: System>(system: &mut S, options: &SpectrumOptions) -> Result<Exponents> {
    let mut benettin = Benettin::warmed_up(system, options)?;
    // A warm-up that blew up is all there is: it is reported, not forgotten.
    if benettin.outcome() == Outcome::Completed {
        benettin.advance(system, options.steps, options.every)?;
    }
    Ok(benettin.exponents())
}

impl SpectrumOptions {
    /// The number of exponents asked for, checked against the dimension `n`.
    fn check(&self, n: usize) -> Result<usize> {
        let count = self.count.unwrap_or(n);
        if self.steps == 0 {
            return Err(Error::argument("steps", 0, "must be at least 1"));
        }
        if self.every == 0 {
            return Err(Error::argument("every", 0, "must be at least 1"));
        }
        check_count(count, n)?;
        Ok(count)
    }
}

/// That 1 ≤ k ≤ n.
fn check_count(count: usize, n: usize) -> Result<()> {
    if count == 0 || count > n {
        return Err(Error::argument("count", count, format!("must be at least 1 and at most the dimension, {n}")));
    }
    Ok(())
}

/// Whether every entry of the state is finite, and the square of its norm too.
fn is_finite<V: Vector>(state: &V) -> bool {
    state.dot(state).is_finite()
}
