//! Lanczos with full re-orthogonalisation: both ends of the spectrum, in algebraic order.
//!
//! The basis Q of the Krylov space is kept and every new direction is orthogonalised against all of it, so converged
//! eigenvalues do not come back as ghosts. With the tridiagonal T = QᵀAQ and its eigenpairs (θ, s), the residual of the
//! Ritz vector Qs is βₘ|sₘ| (Paige 1971; Parlett, *The Symmetric Eigenvalue Problem*, 1980, section 13.2).

use super::{Eigenpair, Ritz, combine, small_eigen};
use crate::{
    error::{Error, Result},
    noise::{Purpose, Stream},
    operator::Operator,
    vector::{Vector, orthogonalize},
};

/// What to look for, how well, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Lanczos {
    /// How many of the algebraically largest eigenvalues.
    pub largest: usize,
    /// How many of the algebraically smallest eigenvalues.
    pub smallest: usize,
    /// Stop when every residual is at most this times the magnitude of its eigenvalue.
    pub tolerance: f64,
    /// Stop after this many applications whatever the residuals; as many vectors are held.
    pub max_applications: usize,
}

impl Default for Lanczos {
    /// λ_max to three digits, in at most 100 applications.
    fn default() -> Self {
        Self { largest: 1, smallest: 0, tolerance: 1e-3, max_applications: 100 }
    }
}

/// Extreme eigenvalues of the symmetric `operator`, from the Krylov space that `start` generates.
///
/// Where the space closes early (the start vector lies in an invariant subspace) it goes on with a fresh random
/// direction, so that multiple eigenvalues are found as often as they occur.
///
/// **Cost**: [`Ritz::applications`] applications, as many vectors held, O(m²) inner products for m applications.
///
/// # Errors
/// [`Error::Argument`] for a start vector that is zero or not finite, for more eigenvalues than dimensions, for a
/// tolerance that is not positive; the operator's own errors. An operator that returns non-finite numbers ends the
/// search with what was found before, not converged.
///
/// ```
/// use lyapunov::{Dense, Lanczos, lanczos};
/// let ritz = lanczos(&Dense::diagonal(&[3.0, 1.0, -5.0]), &vec![1.0; 3], &Lanczos { smallest: 1, ..Lanczos::default() })?;
/// assert!((ritz.largest[0].value - 3.0).abs() < 1e-12);
/// assert!((ritz.smallest[0].value + 5.0).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn lanczos<V: Vector>(operator: &impl Operator<V>, start: &V, options: &Lanczos) -> Result<Ritz<V>> {
    let limit = check(start, options)?;
    let first =
        start.unit().ok_or_else(|| Error::argument("start", "the start vector", "must be finite and not zero"))?;
    let mut space = Krylov { basis: vec![first], alpha: Vec::new(), beta: Vec::new() };
    while space.alpha.len() < limit {
        if !space.extend(operator)? {
            break;
        }
        let m = space.alpha.len();
        // The small problem costs O(m³): late in a long search it is solved every tenth step only.
        if (m <= 30 || m % 10 == 0) && space.converged(options) {
            break;
        }
    }
    Ok(space.ritz(options))
}

fn check<V: Vector>(start: &V, options: &Lanczos) -> Result<usize> {
    let n = start.len();
    let wanted = options.largest + options.smallest;
    if wanted > n {
        return Err(Error::argument("count", wanted, format!("must be at most the dimension, {n}")));
    }
    if options.tolerance.is_nan() || options.tolerance <= 0.0 {
        return Err(Error::argument("tolerance", options.tolerance, "must be positive"));
    }
    if options.max_applications == 0 {
        return Err(Error::argument("max_applications", 0, "must be at least 1"));
    }
    Ok(options.max_applications.min(n))
}

/// The Krylov space so far: m applications, m diagonal entries α, m off-diagonal entries β, m + 1 basis vectors.
struct Krylov<V> {
    basis: Vec<V>,
    alpha: Vec<f64>,
    beta: Vec<f64>,
}

impl<V: Vector> Krylov<V> {
    /// Applies the operator to the last basis vector. Returns false, unchanged, where the image is not finite.
    fn extend(&mut self, operator: &impl Operator<V>) -> Result<bool> {
        let last = &self.basis[self.basis.len() - 1];
        let mut image = operator.apply(last)?;
        let alpha = image.dot(last);
        let scale = image.norm();
        if !(alpha.is_finite() && scale.is_finite()) {
            return Ok(false);
        }
        let beta = orthogonalize(&mut image, &self.basis);
        self.alpha.push(alpha);
        let closed = beta <= 1e-14 * self.scale().max(scale);
        self.beta.push(if closed { 0.0 } else { beta });
        if closed {
            image = self.fresh_direction();
        } else {
            image.scale(1.0 / beta);
        }
        self.basis.push(image);
        Ok(true)
    }

    /// A random unit vector orthogonal to the basis; zero where the basis is complete.
    fn fresh_direction(&self) -> V {
        let mut direction = self.basis[0].zeros_like();
        if self.basis.len() < direction.len() {
            direction.randomize(&mut Stream::new(0, Purpose::Probe, self.basis.len() as u64));
            let norm = orthogonalize(&mut direction, &self.basis);
            direction.scale(1.0 / norm);
        }
        direction
    }

    /// A lower bound of the operator's norm.
    fn scale(&self) -> f64 {
        self.alpha.iter().chain(&self.beta).fold(0.0, |m, x| m.max(x.abs()))
    }

    /// The eigenpairs of T with their residuals: (θ, s, β|s_m|), largest first.
    fn small_pairs(&self) -> Vec<(f64, Vec<f64>, f64)> {
        let m = self.alpha.len();
        let entry = |i: usize, j: usize| match j - i {
            0 => self.alpha[i],
            1 => self.beta[i],
            _ => 0.0,
        };
        let pairs = small_eigen(m, entry).unwrap_or_default();
        // A complete basis leaves no residual, only rounding.
        let beta = if m == self.basis[0].len() { 0.0 } else { self.beta.last().copied().unwrap_or(0.0) };
        pairs
            .into_iter()
            .map(|(value, s)| {
                let residual = beta * s[m - 1].abs();
                (value, s, residual)
            })
            .collect()
    }

    /// Whether the wanted pairs have converged. A space that has just closed leaves no residual, and says nothing of the
    /// directions outside it: then the verdict waits for a fresh direction, unless the basis is complete.
    fn converged(&self, options: &Lanczos) -> bool {
        let complete = self.alpha.len() == self.basis[0].len();
        if self.beta.last() == Some(&0.0) && !complete {
            return false;
        }
        let pairs = self.small_pairs();
        let wanted = options.largest + options.smallest;
        let close = |(value, _, residual): &(f64, Vec<f64>, f64)| self.is_close(*value, *residual, options);
        pairs.len() >= wanted
            && pairs.iter().take(options.largest).all(close)
            && pairs.iter().rev().take(options.smallest).all(close)
    }

    fn is_close(&self, value: f64, residual: f64, options: &Lanczos) -> bool {
        // An eigenvalue that is zero to rounding cannot have a small relative residual.
        residual <= (options.tolerance * value.abs()).max(f64::EPSILON * self.scale())
    }

    fn ritz(&self, options: &Lanczos) -> Ritz<V> {
        let pairs = self.small_pairs();
        let pair = |(value, s, residual): &(f64, Vec<f64>, f64)| Eigenpair {
            value: *value,
            residual: *residual,
            vector: combine(&self.basis, s),
        };
        Ritz {
            largest: pairs.iter().take(options.largest).map(pair).collect(),
            smallest: pairs.iter().rev().take(options.smallest).map(pair).collect(),
            applications: self.alpha.len(),
            converged: self.converged(options),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;
    use crate::operator::Dense;

    fn random(n: usize) -> Vec<f64> {
        let mut start = vec![0.0; n];
        start.randomize(&mut Stream::new(1, Purpose::Probe, 0));
        start
    }

    fn laplacian(n: usize) -> Dense {
        let entry = |i: usize, j: usize| match i.abs_diff(j) {
            0 => 2.0,
            1 => -1.0,
            _ => 0.0,
        };
        Dense::new((0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect())
    }

    fn options(largest: usize, smallest: usize) -> Lanczos {
        Lanczos { largest, smallest, tolerance: 1e-10, max_applications: 500 }
    }

    /// ‖Av − θv‖ from one more application.
    fn true_residual(operator: &Dense, pair: &Eigenpair<Vec<f64>>) -> f64 {
        let mut image = operator.apply(&pair.vector).unwrap();
        image.axpy(-pair.value, &pair.vector);
        image.norm()
    }

    #[test]
    fn laplacian_has_its_known_spectrum_at_both_ends() {
        let n = 100;
        let exact = |k: usize| 2.0 - 2.0 * (k as f64 * PI / (n + 1) as f64).cos();
        let ritz = lanczos(&laplacian(n), &random(n), &options(3, 3)).unwrap();
        assert!(ritz.converged);
        for k in 0..3 {
            assert!((ritz.largest[k].value - exact(n - k)).abs() < 1e-9);
            assert!((ritz.smallest[k].value - exact(k + 1)).abs() < 1e-9);
        }
    }

    #[test]
    fn outliers_over_a_bulk_come_once_each() {
        let n = 300;
        let mut entries: Vec<f64> = random(n).iter().map(|x| x.abs().min(3.0)).collect();
        (entries[17], entries[230]) = (100.0, 50.0);
        let matrix = Dense::diagonal(&entries);
        // Far beyond convergence, where a Lanczos without re-orthogonalisation sees ghosts of 100 and 50.
        let ritz = lanczos(&matrix, &random(n), &Lanczos { tolerance: 1e-300, max_applications: 120, ..options(4, 0) })
            .unwrap();
        assert!((ritz.largest[0].value - 100.0).abs() < 1e-10);
        assert!((ritz.largest[1].value - 50.0).abs() < 1e-10);
        assert!(ritz.largest[2].value <= 3.0 + 1e-10 && ritz.largest[3].value < 3.0 + 1e-10);
    }

    #[test]
    fn crowded_top_is_resolved() {
        let mut entries: Vec<f64> = (0..200).map(|i| f64::from(i) / 100.0).collect();
        entries.extend([40.0, 39.6, 38.0]);
        let ritz = lanczos(&Dense::diagonal(&entries), &random(203), &options(3, 0)).unwrap();
        assert!(ritz.converged);
        for (pair, exact) in ritz.largest.iter().zip([40.0, 39.6, 38.0]) {
            assert!((pair.value - exact).abs() < 1e-8, "{} for {exact}", pair.value);
        }
    }

    #[test]
    fn the_order_is_algebraic_not_by_magnitude() {
        let mut entries = vec![0.1; 50];
        (entries[0], entries[1]) = (5.0, -9.0);
        let ritz = lanczos(&Dense::diagonal(&entries), &random(50), &options(1, 1)).unwrap();
        assert!((ritz.largest[0].value - 5.0).abs() < 1e-10);
        assert!((ritz.smallest[0].value + 9.0).abs() < 1e-10);
    }

    #[test]
    fn the_residual_is_the_true_one_also_before_convergence() {
        let n = 200;
        let matrix = laplacian(n);
        let ritz = lanczos(&matrix, &random(n), &Lanczos { max_applications: 20, ..options(2, 2) }).unwrap();
        assert!(!ritz.converged && ritz.applications == 20);
        for pair in ritz.largest.iter().chain(&ritz.smallest) {
            assert!(pair.residual > 1e-6);
            assert!((pair.residual - true_residual(&matrix, pair)).abs() < 1e-10);
        }
    }

    #[test]
    fn a_start_vector_inside_an_invariant_subspace_does_not_hide_the_rest() {
        let matrix = Dense::diagonal(&[7.0, 7.0, 2.0, -1.0]);
        let ritz = lanczos(&matrix, &vec![0.0, 0.0, 1.0, 0.0], &options(2, 1)).unwrap();
        assert!((ritz.largest[0].value - 7.0).abs() < 1e-12);
        assert!((ritz.largest[1].value - 7.0).abs() < 1e-12, "the double eigenvalue comes twice");
        assert!((ritz.smallest[0].value + 1.0).abs() < 1e-12);
    }

    #[test]
    fn f32_storage_works_to_f32_accuracy() {
        struct Diagonal(Vec<f32>);
        impl Operator<Vec<f32>> for Diagonal {
            fn apply(&self, v: &Vec<f32>) -> Result<Vec<f32>> {
                Ok(self.0.iter().zip(v).map(|(a, x)| a * x).collect())
            }
        }
        let entries: Vec<f32> = (0..400).map(|i| if i == 5 { 30.0 } else { i as f32 / 400.0 }).collect();
        let ritz =
            lanczos(&Diagonal(entries), &vec![1.0; 400], &Lanczos { smallest: 1, ..Lanczos::default() }).unwrap();
        assert!((ritz.largest[0].value - 30.0).abs() < 1e-4);
    }

    #[test]
    fn what_is_not_finite_ends_the_search_without_an_error() {
        struct Broken;
        impl Operator<Vec<f64>> for Broken {
            fn apply(&self, v: &Vec<f64>) -> Result<Vec<f64>> {
                Ok(vec![f64::NAN; v.len()])
            }
        }
        let ritz = lanczos(&Broken, &vec![1.0; 3], &Lanczos::default()).unwrap();
        assert!(ritz.largest.is_empty() && !ritz.converged);
    }

    #[test]
    fn bad_arguments_are_named() {
        let matrix = Dense::diagonal(&[1.0, 2.0]);
        let message = |start: &Vec<f64>, options: &Lanczos| lanczos(&matrix, start, options).unwrap_err().to_string();
        assert!(message(&vec![1.0; 2], &options(2, 1)).contains("at most the dimension, 2"));
        assert!(message(&vec![0.0; 2], &options(1, 0)).contains("not zero"));
        assert!(message(&vec![1.0; 2], &Lanczos { tolerance: 0.0, ..Lanczos::default() }).contains("tolerance = 0"));
    }
}
