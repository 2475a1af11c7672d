//! Linear maps that are known only by what they do to a vector.

use crate::{error::Result, vector::Vector};

/// A linear map v ↦ A v. The estimators of [`krylov`](crate::krylov) need nothing else.
///
/// Implementations must be deterministic: applied twice to the same vector they give the same bits.
pub trait Operator<V: Vector> {
    /// A v.
    ///
    /// # Errors
    /// Whatever the underlying model reports; a non-finite result is not an error.
    fn apply(&self, v: &V) -> Result<V>;
}

impl<V: Vector, A: Operator<V> + ?Sized> Operator<V> for &A {
    fn apply(&self, v: &V) -> Result<V> {
        (**self).apply(v)
    }
}

/// `a·A + b·I`: shifts and flips a spectrum without touching the operator.
///
/// The step of gradient descent is `Affine { a: -η, operator: H, b: 1 }`.
#[derive(Clone, Debug)]
pub struct Affine<A> {
    /// The factor of the operator.
    pub a: f64,
    /// The operator A.
    pub operator: A,
    /// The factor of the identity.
    pub b: f64,
}

impl<V: Vector, A: Operator<V>> Operator<V> for Affine<A> {
    fn apply(&self, v: &V) -> Result<V> {
        let mut image = self.operator.apply(v)?;
        image.scale(self.a);
        image.axpy(self.b, v);
        Ok(image)
    }
}

/// S A S for a symmetric matrix S that is known by its action, in place: symmetric where A is.
///
/// With S = P^-1/2 this is P^-1/2 A P^-1/2, which has the eigenvalues of P⁻¹A: the curvature that an optimizer with one
/// scale per weight sees. For Adam P = diag(√v̂ + ε), and its largest eigenvalue is the preconditioned sharpness (Cohen
/// et al.,
/// *Adaptive gradient methods at the edge of stability*, 2022).
///
/// **Cost**: one application of A and two of S; one vector held beside those of A.
///
/// ```
/// use lyapunov::{Dense, Elementwise, Operator, Preconditioned};
/// let root = |v: &mut Vec<f64>| v.multiply(&vec![0.5, 1.0]);
/// let scaled = Preconditioned { operator: Dense::diagonal(&[8.0, 3.0]), root };
/// assert_eq!(scaled.apply(&vec![1.0, 1.0])?, vec![2.0, 3.0]);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Preconditioned<A, F> {
    /// The operator A.
    pub operator: A,
    /// What S does to a vector.
    pub root: F,
}

impl<V: Vector, A: Operator<V>, F: Fn(&mut V)> Operator<V> for Preconditioned<A, F> {
    fn apply(&self, v: &V) -> Result<V> {
        let mut moved = v.clone();
        (self.root)(&mut moved);
        let mut image = self.operator.apply(&moved)?;
        (self.root)(&mut image);
        Ok(image)
    }
}

/// vᵀAv / vᵀv; `None` where v is zero, or where the quotient is not finite.
///
/// Lies between the smallest and the largest eigenvalue of a symmetric A, and moves from an eigenvalue by the square of
/// what v lacks of its eigenvector. **Cost**: one application.
///
/// # Errors
/// Those of the operator.
///
/// ```
/// use lyapunov::{Dense, rayleigh_quotient};
/// assert_eq!(rayleigh_quotient(&Dense::diagonal(&[1.0, 5.0]), &vec![2.0, 2.0])?, Some(3.0));
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn rayleigh_quotient<V: Vector>(operator: &impl Operator<V>, v: &V) -> Result<Option<f64>> {
    let quotient = v.dot(&operator.apply(v)?) / v.dot(v);
    Ok(Some(quotient).filter(|quotient| quotient.is_finite()))
}

/// A matrix in memory, row by row: the dense reference that other operators are compared with.
///
/// **Memory**: n² numbers; meant for n up to a few hundred.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    rows: Vec<Vec<f64>>,
}

impl Dense {
    /// The matrix with these rows.
    ///
    /// # Panics
    /// If the matrix is not square.
    pub fn new(rows: Vec<Vec<f64>>) -> Self {
        assert!(rows.iter().all(|row| row.len() == rows.len()), "the matrix must be square");
        Self { rows }
    }

    /// The diagonal matrix with these entries.
    ///
    /// ```
    /// use lyapunov::{Dense, Operator};
    /// assert_eq!(Dense::diagonal(&[2.0, 3.0]).apply(&vec![1.0, 1.0])?, vec![2.0, 3.0]);
    /// # Ok::<(), lyapunov::Error>(())
    /// ```
    pub fn diagonal(entries: &[f64]) -> Self {
        let n = entries.len();
        Self::new((0..n).map(|i| (0..n).map(|j| if i == j { entries[i] } else { 0.0 }).collect()).collect())
    }

    /// Reads the matrix of `operator` off its action on the n unit vectors. **Cost**: n applications.
    ///
    /// # Errors
    /// Those of the operator.
    pub fn of(operator: &impl Operator<Vec<f64>>, n: usize) -> Result<Self> {
        let columns = (0..n)
            .map(|j| {
                let mut unit = vec![0.0; n];
                unit[j] = 1.0;
                operator.apply(&unit)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self::new((0..n).map(|i| (0..n).map(|j| columns[j][i]).collect()).collect()))
    }

    /// The rows of the matrix.
    pub fn rows(&self) -> &[Vec<f64>] {
        &self.rows
    }

    /// The eigenvalues of a symmetric matrix, largest first. **Cost**: O(n³).
    pub fn eigenvalues(&self) -> Vec<f64> {
        let n = self.rows.len();
        let matrix = nalgebra::DMatrix::from_fn(n, n, |i, j| self.rows[i][j]);
        let mut values: Vec<f64> = matrix.symmetric_eigenvalues().iter().copied().collect();
        values.sort_by(|a, b| b.total_cmp(a));
        values
    }
}

impl Operator<Vec<f64>> for Dense {
    fn apply(&self, v: &Vec<f64>) -> Result<Vec<f64>> {
        assert_eq!(self.rows.len(), v.len(), "a vector of another length than the matrix");
        Ok(self.rows.iter().map(|row| row.iter().zip(v).map(|(a, x)| a * x).sum()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{elementwise::Elementwise, testing::check_operator};

    #[test]
    fn dense_and_affine_obey_the_laws() {
        let dense = Dense::new(vec![vec![2.0, -1.0, 0.5], vec![-1.0, 3.0, 0.0], vec![0.5, 0.0, -4.0]]);
        check_operator(&dense, &vec![0.0; 3], 1e-14);
        let affine = Affine { a: -0.1, operator: &dense, b: 1.0 };
        check_operator(&affine, &vec![0.0; 3], 1e-14);
        let expected: Vec<f64> = dense.eigenvalues().iter().rev().map(|h| 1.0 - 0.1 * h).collect();
        let found = Dense::of(&affine, 3).unwrap().eigenvalues();
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-14);
        }
    }

    #[test]
    fn a_preconditioned_operator_is_symmetric_with_the_spectrum_of_the_quotient() {
        let dense = Dense::new(vec![vec![2.0, -1.0, 0.5], vec![-1.0, 3.0, 0.0], vec![0.5, 0.0, -4.0]]);
        let scale = vec![0.5, 2.0, 1.5];
        let preconditioned = Preconditioned { operator: &dense, root: |v: &mut Vec<f64>| v.multiply(&scale) };
        check_operator(&preconditioned, &vec![0.0; 3], 1e-14);
        for (i, row) in Dense::of(&preconditioned, 3).unwrap().rows().iter().enumerate() {
            for (j, entry) in row.iter().enumerate() {
                assert!((entry - scale[i] * dense.rows()[i][j] * scale[j]).abs() < 1e-15, "{i}, {j}");
            }
        }
    }

    #[test]
    fn a_rayleigh_quotient_that_does_not_exist_is_none() {
        let dense = Dense::diagonal(&[2.0, -6.0]);
        assert_eq!(rayleigh_quotient(&dense, &vec![3.0, 3.0]).unwrap(), Some(-2.0));
        assert_eq!(rayleigh_quotient(&dense, &vec![0.0, 0.0]).unwrap(), None);
        assert_eq!(rayleigh_quotient(&dense, &vec![f64::INFINITY, 0.0]).unwrap(), None);
    }
}
