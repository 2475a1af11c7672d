//! Extreme eigenvalues of symmetric operators from Krylov spaces, each with its residual and its cost.
//!
//! The files of this folder know vectors and operators, nothing else: no loss, no network, no exponent.

mod density;
mod lanczos;
mod log_average;
mod nearby;
mod power;
mod search;
mod space;
mod trace;
mod tracker;
mod two_samples;

pub use density::{Density, DensityCurve, DensityOptions, density};
pub use lanczos::{Lanczos, lanczos};
pub use log_average::LogAverage;
pub use nearby::{Nearby, NearbyReading, NearbyValue};
pub use power::power_iteration;
pub use trace::{Trace, TraceOptions, trace};
pub use tracker::Tracker;
pub use two_samples::{TwoSamples, lambda_max_of_mean};

use crate::vector::Vector;

/// An approximate eigenpair of a symmetric operator.
#[derive(Clone, Debug)]
pub struct Eigenpair<V> {
    /// The Ritz value θ, an estimate of the eigenvalue.
    pub value: f64,
    /// ‖A v − θ v‖ for the unit vector v, but not less than the rounding of the storage times ‖A‖: some eigenvalue of A
    /// lies within this distance of θ.
    pub residual: f64,
    /// The unit vector v.
    pub vector: V,
}

/// What a Krylov method found. Not having converged is a finding, not an error.
#[derive(Clone, Debug)]
pub struct Ritz<V> {
    /// The algebraically largest eigenvalues that were asked for, largest first.
    pub largest: Vec<Eigenpair<V>>,
    /// The algebraically smallest eigenvalues that were asked for, smallest first.
    pub smallest: Vec<Eigenpair<V>>,
    /// How often the operator was applied: the cost.
    pub applications: usize,
    /// Whether every residual is below the tolerance times the magnitude of its eigenvalue (or a small part of the norm
    /// of the operator: see the method), and nothing was missed.
    pub converged: bool,
}

/// The eigenvalues (largest first) and eigenvectors of a small symmetric matrix; `None` where an entry is not finite.
fn small_eigen(n: usize, entry: impl Fn(usize, usize) -> f64) -> Option<Vec<(f64, Vec<f64>)>> {
    let matrix = nalgebra::DMatrix::from_fn(n, n, |i, j| entry(i.min(j), i.max(j)));
    if matrix.iter().any(|x| !x.is_finite()) {
        return None;
    }
    if n == 0 {
        return Some(Vec::new());
    }
    let eigen = matrix.symmetric_eigen();
    let mut pairs: Vec<(f64, Vec<f64>)> =
        (0..n).map(|k| (eigen.eigenvalues[k], eigen.eigenvectors.column(k).iter().copied().collect())).collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    Some(pairs)
}

/// Σ cᵢ vᵢ.
fn combine<V: Vector>(vectors: &[V], coefficients: &[f64]) -> V {
    let mut sum = vectors[0].zeros_like();
    let count = vectors.len().min(coefficients.len());
    sum.axpys(&coefficients[..count], &vectors[..count]);
    sum
}
