//! A Krylov space that grows by one product at a time and can be cut back to its best directions.
//!
//! Without a restart the projected matrix T = QᵀAQ is tridiagonal. A thick restart (Wu and Simon 2000) keeps k Ritz
//! vectors and the next direction; then T starts with their k Ritz values on the diagonal, coupled to the next
//! direction by one arrow of entries, and goes on tridiagonal.

use super::{combine, small_eigen};
use crate::{
    error::{Error, Result},
    noise::{Purpose, Stream},
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

/// The space after m products: m + 1 orthonormal directions, the last of which has not been multiplied yet.
pub(super) struct Space<V> {
    basis: Vec<V>,
    /// The diagonal of T, m entries; the first ones are Ritz values where there was a restart.
    diagonal: Vec<f64>,
    /// Entries of T between the Ritz vectors that a restart kept and the direction after them.
    arrow: Vec<f64>,
    /// Entries of T beside the diagonal, from the first direction that is no kept Ritz vector.
    beside: Vec<f64>,
    /// Where T's last block starts: after a closing nothing couples it to what came before.
    block: usize,
    /// What is left of a vector of length 1 that depends on others, at most.
    rounding: f64,
}

impl<V: Vector> Space<V> {
    /// The space of one direction.
    pub fn new(start: &V) -> Result<Self> {
        let first =
            start.unit().ok_or_else(|| Error::argument("start", "the start vector", "must be finite and not zero"))?;
        let rounding = 64.0 * storage_epsilon(start);
        Ok(Self { basis: vec![first], diagonal: Vec::new(), arrow: Vec::new(), beside: Vec::new(), block: 0, rounding })
    }

    /// The order of T.
    pub fn order(&self) -> usize {
        self.diagonal.len()
    }

    /// Whether it is stored in double precision.
    pub fn is_double(&self) -> bool {
        self.rounding < 1e-10
    }

    /// Whether the space is everything.
    pub fn is_complete(&self) -> bool {
        self.order() == self.basis[0].len()
    }

    /// Whether the last product led out of the space by nothing but rounding.
    pub fn is_closed(&self) -> bool {
        self.beside.last() == Some(&0.0)
    }

    /// Whether `pair` lives in T's last block.
    pub fn is_in_last_block(&self, pair: &SmallPair) -> bool {
        pair.coordinates[self.block..].iter().map(|s| s * s).sum::<f64>() > 0.5
    }

    /// Applies the operator to the last direction. Returns false, unchanged, where the image is not finite.
    pub fn extend(&mut self, operator: &impl Operator<V>) -> Result<bool> {
        let last = &self.basis[self.basis.len() - 1];
        let mut image = operator.apply(last)?;
        let (diagonal, size) = (image.dot(last), image.norm());
        if !(diagonal.is_finite() && size.is_finite()) {
            return Ok(false);
        }
        // By the recurrence first: what is left is small against nothing but rounding, and one pass over the basis does.
        image.axpy(-diagonal, last);
        if let (Some(coupling), [.., before, _]) = (self.beside.last(), self.basis.as_slice()) {
            image.axpy(-coupling, before);
        }
        let beside = orthogonalize(&mut image, &self.basis);
        self.diagonal.push(diagonal);
        let closed = beside <= self.rounding * self.scale().max(size);
        self.beside.push(if closed { 0.0 } else { beside });
        if closed {
            self.block = self.order();
            image = self.fresh_direction();
        } else {
            image.scale(1.0 / beside);
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
    pub fn scale(&self) -> f64 {
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
            // A complete basis leaves no residual, only rounding.
            _ if self.is_complete() => 0.0,
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

    /// The vector in the full space that belongs to `coordinates`.
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
        self.block = 0;
        basis.extend(self.basis.pop());
        self.basis = basis;
    }
}
