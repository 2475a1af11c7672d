//! The largest eigenvalue of a mean of matrices, from two independent samples of it.
//!
//! With A = mean of A_S over samples S, λ_max(A_S) lies above λ_max(A) in expectation (λ_max is convex), and vᵀA_S'v, v
//! the top eigenvector of A_S and S' independent of S, lies below it (a Rayleigh quotient of A). Their geometric mean
//!
//! √( λ_max(A_S) · vᵀA_S'v )
//!
//! leaves out most of both. For a sample covariance with one large eigenvalue ℓ over a bulk at 1 (n dimensions, m
//! samples, γ = n/m, ℓ > 1 + √γ) it is exactly right in the limit: λ_max(A_S) → ℓ(1 + γ/(ℓ − 1)) and vᵀA_S'v → ℓ / (1 +
//! γ/(ℓ − 1)).
//!
//! Source: the first limit, and the angle of v that gives the second, are those of Paul, *Asymptotics of sample
//! eigenstructure for a large dimensional spiked covariance model* (2007); the product of the two is ours.

use super::{Lanczos, lanczos};
use crate::{
    error::Result,
    operator::{Operator, rayleigh_quotient},
    vector::Vector,
};

/// λ_max of a mean, seen through two samples of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwoSamples {
    /// λ_max of the first sample: too large in expectation.
    pub inside: f64,
    /// The residual of that eigenpair.
    pub residual: f64,
    /// The Rayleigh quotient of the second sample at the same vector: too small in expectation.
    pub outside: f64,
    /// How often the first operator was applied; the second was applied once.
    pub applications: usize,
    /// Whether the eigenpair of the first sample has converged.
    pub converged: bool,
}

impl TwoSamples {
    /// The geometric mean; `None` where one of the two is not positive.
    pub fn value(&self) -> Option<f64> {
        (self.inside > 0.0 && self.outside > 0.0).then(|| (self.inside * self.outside).sqrt())
    }

    /// Half the distance between the two, which bracket λ_max of the mean in expectation.
    pub fn half_bracket(&self) -> f64 {
        0.5 * (self.inside - self.outside).abs()
    }
}

/// Estimates λ_max of the mean that the symmetric operators `inside` and `outside` are independent samples of.
///
/// `None` where the search found nothing, because an image was not finite.
///
/// **Cost**: that of [`lanczos`] on `inside`, and one application of `outside`.
///
/// # Errors
/// Those of [`lanczos`] and of the operators.
///
/// ```
/// use lyapunov::{Dense, Lanczos, lambda_max_of_mean};
/// let (inside, outside) = (Dense::diagonal(&[9.0, 1.0]), Dense::diagonal(&[4.0, 5.0]));
/// let found = lambda_max_of_mean(&inside, &outside, &vec![1.0, 1.0], &Lanczos::default())?.expect("all is finite");
/// assert!((found.value().expect("both are positive") - 6.0).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn lambda_max_of_mean<V: Vector>(
    inside: &impl Operator<V>,
    outside: &impl Operator<V>,
    start: &V,
    options: &Lanczos,
) -> Result<Option<TwoSamples>> {
    let ritz = lanczos(inside, start, &Lanczos { largest: 1, smallest: 0, ..options.clone() })?;
    let Some(top) = ritz.largest.first() else { return Ok(None) };
    let quotient = rayleigh_quotient(outside, &top.vector)?;
    Ok(quotient.map(|outside| TwoSamples {
        inside: top.value,
        residual: top.residual,
        outside,
        applications: ritz.applications,
        converged: ritz.converged,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{Purpose, Stream};

    const N: usize = 80;
    const TOP: f64 = 4.0;

    /// (1/m) Σ x xᵀ over normal vectors x of covariance diag(4, 1, 1, …).
    struct Covariance(Vec<Vec<f64>>);

    impl Covariance {
        fn sampled(m: usize, seed: u64) -> Self {
            let mut stream = Stream::new(seed, Purpose::Probe, 0);
            let mut draw = || {
                let mut x = vec![0.0; N];
                x.randomize(&mut stream);
                x[0] *= TOP.sqrt();
                x
            };
            Self((0..m).map(|_| draw()).collect())
        }
    }

    impl Operator<Vec<f64>> for Covariance {
        fn apply(&self, v: &Vec<f64>) -> Result<Vec<f64>> {
            let mut image = v.zeros_like();
            for x in &self.0 {
                image.axpy(x.dot(v) / self.0.len() as f64, x);
            }
            Ok(image)
        }
    }

    #[test]
    fn the_two_are_biased_as_theory_says_and_their_geometric_mean_is_not() {
        let (runs, m) = (40, 160);
        let found: Vec<TwoSamples> = (0..runs)
            .map(|seed| {
                let (inside, outside) = (Covariance::sampled(m, 2 * seed), Covariance::sampled(m, 2 * seed + 1));
                let options = Lanczos { tolerance: 1e-6, ..Lanczos::default() };
                lambda_max_of_mean(&inside, &outside, &vec![1.0; N], &options).unwrap().unwrap()
            })
            .collect();
        let mean = |of: fn(&TwoSamples) -> f64| found.iter().map(of).sum::<f64>() / runs as f64;
        let factor = 1.0 + N as f64 / m as f64 / (TOP - 1.0);
        // One estimate scatters by 4·√(2/160) = 0.45; the mean of forty by 0.07.
        let (inside, outside) = (mean(|f| f.inside), mean(|f| f.outside));
        assert!((inside - TOP * factor).abs() < 0.25, "{inside} for {}", TOP * factor);
        assert!((outside - TOP / factor).abs() < 0.25, "{outside} for {}", TOP / factor);
        let value = mean(|f| f.value().unwrap());
        assert!((value - TOP).abs() < 0.2, "{value}");
        let within = found.iter().filter(|f| f.outside < TOP && TOP < f.inside).count();
        assert!(within > runs as usize / 2, "the bracket holds the truth in {within} of {runs}");
    }

    #[test]
    fn without_a_positive_quotient_there_is_no_geometric_mean() {
        let found = TwoSamples { inside: 2.0, residual: 0.0, outside: -1.0, applications: 1, converged: true };
        assert_eq!((found.value(), found.half_bracket()), (None, 1.5));
    }
}
