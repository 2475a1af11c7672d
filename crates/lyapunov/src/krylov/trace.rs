//! The trace by Hutch++: what a few products find exactly, and a random estimate of the rest.
//!
//! With Q an orthonormal basis of A S for a random S, tr A = tr QᵀAQ + tr (I − QQᵀ)A(I − QQᵀ): the first part is
//! computed, the second averaged over random vectors. Where a few large eigenvalues dominate, as in Hessians of
//! networks, the error falls like 1/m with m products instead of 1/√m.
//!
//! Source: Meyer, Musco, Musco and Woodruff, *Hutch++: Optimal Stochastic Trace Estimation* (2021).

use super::density::mean_and_error;
use crate::{
    error::{Error, Result},
    noise::{Purpose, Stream},
    operator::Operator,
    vector::{Vector, orthogonalize, orthonormalize, storage_epsilon},
};

/// How the trace is estimated.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceOptions {
    /// Products to spend, at least 6: a third each on finding Q, on QᵀAQ and on the rest.
    pub applications: usize,
    /// Decides the random vectors.
    pub seed: u64,
}

impl Default for TraceOptions {
    /// Sixty products, seed 0.
    fn default() -> Self {
        Self { applications: 60, seed: 0 }
    }
}

/// A trace with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trace {
    /// The estimate of Σ λᵢ.
    pub value: f64,
    /// The standard error of the random part, and of the rounding of the storage where Q is everything.
    pub std_error: f64,
    /// How often the operator was applied.
    pub applications: usize,
}

/// The trace of the symmetric `operator` on vectors shaped like `like`.
///
/// **Cost**: at most `options.applications` applications; a third as many vectors held.
///
/// # Errors
/// [`Error::Argument`] for fewer than six products; the operator's own errors.
///
/// ```
/// use lyapunov::{Dense, TraceOptions, trace};
/// let found = trace(&Dense::diagonal(&[100.0, -20.0, 1.0]), &vec![0.0; 3], &TraceOptions::default())?;
/// assert!((found.value - 81.0).abs() < 1e-10);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn trace<V: Vector>(operator: &impl Operator<V>, like: &V, options: &TraceOptions) -> Result<Trace> {
    if options.applications < 6 {
        return Err(Error::argument("applications", options.applications, "must be at least 6"));
    }
    let third = options.applications / 3;
    let draw = |step: usize| {
        let mut v = like.zeros_like();
        v.randomize(&mut Stream::new(options.seed, Purpose::Probe, step as u64));
        v
    };
    let mut basis = (0..third.min(like.len())).map(|k| operator.apply(&draw(k))).collect::<Result<Vec<V>>>()?;
    // Directions that depend on others to rounding are noise: the operator has no more rank.
    let sizes = orthonormalize(&mut basis);
    let largest = sizes.iter().copied().fold(0.0, f64::max);
    let mut kept = sizes.iter().map(|size| *size > 1e-10 * largest);
    basis.retain(|_| kept.next() == Some(true));
    let mut value = 0.0;
    let mut square = 0.0;
    for q in &basis {
        let image = operator.apply(q)?;
        value += q.dot(&image);
        square += image.dot(&image);
    }
    // What the rounding of the storage leaves of the sum: as much of every image, in random directions.
    let rounding = storage_epsilon(like) * square.sqrt();
    let mut applications = third.min(like.len()) + basis.len();
    if basis.len() == like.len() {
        return Ok(Trace { value, std_error: rounding, applications });
    }
    let samples = (0..options.applications - 2 * third)
        .map(|k| {
            let mut g = draw(third + k);
            orthogonalize(&mut g, &basis);
            Ok(g.dot(&operator.apply(&g)?))
        })
        .collect::<Result<Vec<f64>>>()?;
    applications += samples.len();
    let (rest, std_error) = mean_and_error(&samples);
    Ok(Trace { value: value + rest, std_error: std_error.hypot(rounding), applications })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Dense;

    fn outliers() -> (Dense, f64) {
        let mut entries: Vec<f64> = (0..300).map(|i| (f64::from(i) * 0.7).sin() * 0.1).collect();
        entries[..5].copy_from_slice(&[100.0, 60.0, 30.0, -25.0, 10.0]);
        let sum = entries.iter().sum();
        (Dense::diagonal(&entries), sum)
    }

    #[test]
    fn outliers_are_caught_exactly_and_the_error_is_honest() {
        let (matrix, exact) = outliers();
        let runs = 100;
        let mut within = 0;
        for seed in 0..runs {
            let found = trace(&matrix, &vec![0.0; 300], &TraceOptions { applications: 45, seed }).unwrap();
            assert!(found.applications <= 45 && found.std_error < 2.0, "{found:?}");
            within += u32::from((found.value - exact).abs() <= 2.0 * found.std_error);
        }
        assert!((86..=100).contains(&within), "{within} of {runs} within two standard errors");
    }

    #[test]
    fn low_rank_is_exact() {
        let mut entries = vec![0.0; 50];
        entries[..3].copy_from_slice(&[5.0, -2.0, 1.0]);
        let found = trace(&Dense::diagonal(&entries), &vec![0.0; 50], &TraceOptions::default()).unwrap();
        assert!((found.value - 4.0).abs() < 1e-9 && found.std_error < 1e-9, "{found:?}");
    }

    #[test]
    fn too_few_products_are_refused() {
        let error = trace(&outliers().0, &vec![0.0; 300], &TraceOptions { applications: 5, seed: 0 }).unwrap_err();
        assert!(error.to_string().contains("at least 6"));
    }
}
