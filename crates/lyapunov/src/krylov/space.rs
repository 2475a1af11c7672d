//! A Krylov space that grows by one product at a time and can be cut back to its best directions.
//!
//! Without a restart the projected matrix T = QᵀAQ is tridiagonal. A thick restart (Wu and Simon 2000) keeps k Ritz
//! vectors and the next direction; then T starts with their k Ritz values on the diagonal, coupled to the next
//! direction by one arrow of entries, and goes on tridiagonal.

use super::{combine, small_eigen};
use crate::{
    error::{Error, Result},
    operator::Operator,
    vector::{Vector, orthogonalize, storage_epsilon},
};

/// A Ritz pair in coordinates of the basis.
pub(super) struct SmallPair {
    /// θ.
    pub value: f64,
    /// The eigenvector s of T.
    pub coordinates: Vec<f64>,
    /// ‖A Qs − θ Qs‖ = β|s_m|.
    pub residual: f64,
}

/// The space after m products: m + 1 orthonormal directions, the last of which has not been multiplied yet; m where the
/// space has closed.
pub(super) struct Space<V> {
    basis: Vec<V>,
    /// The diagonal of T, m entries; the first ones are Ritz values where there was a restart.
    diagonal: Vec<f64>,
    /// Entries of T between the Ritz vectors that a restart kept and the direction after them.
    arrow: Vec<f64>,
    /// Entries of T beside the diagonal, from the first direction that is no kept Ritz vector.
    beside: Vec<f64>,
    /// What is left of a vector of length 1 that depends on others, at most.
    rounding: f64,
}

/// What orthogonalising leaves of a dependent vector of length 1, in roundings of the storage.
const ROUNDINGS: f64 = 64.0;

impl<V: Vector> Space<V> {
    /// The space of one direction.
    pub fn new(start: &V) -> Result<Self> {
        let first =
            start.unit().ok_or_else(|| Error::argument("start", "the start vector", "must be finite and not zero"))?;
        let rounding = ROUNDINGS * storage_epsilon(start);
        Ok(Self { basis: vec![first], diagonal: Vec::new(), arrow: Vec::new(), beside: Vec::new(), rounding })
    }

    /// The rounding of the storage of its vectors.
    pub fn storage_epsilon(&self) -> f64 {
        self.rounding / ROUNDINGS
    }

    /// The order of T.
    pub fn order(&self) -> usize {
        self.diagonal.len()
    }

    /// Whether the last product led out of the space by nothing but rounding: nothing can be added to it.
    pub fn is_closed(&self) -> bool {
        self.beside.last() == Some(&0.0)
    }

    /// Whether a restart has thrown directions away.
    pub fn is_cut(&self) -> bool {
        !self.arrow.is_empty()
    }

    /// Applies the operator to the last direction, and takes from the image what lies along the orthonormal `outside`,
    /// to which the space is orthogonal. Returns false, unchanged, where the image is not finite.
    pub fn extend(&mut self, operator: &impl Operator<V>, outside: &[V]) -> Result<bool> {
        let last = &self.basis[self.basis.len() - 1];
        let mut image = operator.apply(last)?;
        let (diagonal, size) = (image.dot(last), image.norm());
        if !(diagonal.is_finite() && size.is_finite()) {
            return Ok(false);
        }
        // By the recurrence first: then little more than rounding is left of what is known, and one pass over the basis
        // does.
        image.axpy(-diagonal, last);
        if let (Some(coupling), [.., before, _]) = (self.beside.last(), self.basis.as_slice()) {
            image.axpy(-coupling, before);
        }
        let mut beside = size;
        // Twice where there are two sets: the second projection may bring back what the first took away.
        for _ in 0..if outside.is_empty() { 1 } else { 2 } {
            orthogonalize(&mut image, outside);
            beside = orthogonalize(&mut image, &self.basis);
        }
        self.diagonal.push(diagonal);
        let everything = self.order() + outside.len() >= image.len();
        if everything || beside <= self.rounding * self.scale().max(size) {
            self.beside.push(0.0);
        } else {
            self.beside.push(beside);
            image.scale(1.0 / beside);
            self.basis.push(image);
        }
        Ok(true)
    }

    /// A lower bound of the operator's norm.
    fn scale(&self) -> f64 {
        self.diagonal.iter().chain(&self.beside).fold(0.0, |m, x| m.max(x.abs()))
    }

    /// The eigenpairs of T, largest first.
    pub fn pairs(&self) -> Vec<SmallPair> {
        let m = self.order();
        let pairs = small_eigen(m, |i, j| self.entry(i, j)).unwrap_or_default();
        pairs
            .into_iter()
            .map(|(value, coordinates)| SmallPair { value, residual: self.residual(&coordinates), coordinates })
            .collect()
    }

    /// How far A Qs leads out of the space.
    fn residual(&self, s: &[f64]) -> f64 {
        match self.beside.last() {
            Some(out) => out * s[s.len() - 1].abs(),
            // Straight after a restart only the arrow leads out.
            None => self.arrow.iter().zip(s).map(|(a, s)| a * s).sum::<f64>().abs(),
        }
    }

    /// T at row i and column j ≥ i.
    fn entry(&self, i: usize, j: usize) -> f64 {
        let kept = self.arrow.len();
        if i == j {
            self.diagonal[i]
        } else if i < kept {
            if j == kept { self.arrow[i] } else { 0.0 }
        } else if j == i + 1 {
            self.beside[i - kept]
        } else {
            0.0
        }
    }

    /// The unit vector in the full space that belongs to `coordinates`.
    pub fn vector(&self, coordinates: &[f64]) -> V {
        combine(&self.basis, coordinates)
    }

    /// Cuts the space back to the Ritz vectors of `pairs` and the direction that comes next.
    pub fn restart(&mut self, pairs: &[&SmallPair]) {
        let out = self.beside.last().copied().unwrap_or(0.0);
        let mut basis: Vec<V> = pairs.iter().map(|pair| self.vector(&pair.coordinates)).collect();
        self.arrow = pairs.iter().map(|pair| out * pair.coordinates[pair.coordinates.len() - 1]).collect();
        self.diagonal = pairs.iter().map(|pair| pair.value).collect();
        self.beside.clear();
        basis.extend(self.basis.pop());
        self.basis = basis;
    }
}
