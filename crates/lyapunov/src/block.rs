//! The diagonal block of an operator that belongs to a run of entries: one layer of a network.

use std::ops::Range;

use crate::{error::Result, operator::Operator, vector::Vector};

/// A [`Vector`] whose entries stand in one row, so that a part of it is a vector too.
///
/// # Panics
/// Where a range reaches beyond the vector: that is a bug of the caller.
pub trait Flat: Vector {
    /// The entries in `range`.
    #[must_use]
    fn part(&self, range: Range<usize>) -> Self;

    /// The same entries with this many zeros before and after them.
    #[must_use]
    fn padded(&self, before: usize, after: usize) -> Self;
}

macro_rules! flat {
    ($storage:ty) => {
        impl Flat for $storage {
            fn part(&self, range: Range<usize>) -> Self {
                self[range].to_vec()
            }

            fn padded(&self, before: usize, after: usize) -> Self {
                let mut padded = vec![0.0; before];
                padded.extend_from_slice(self);
                padded.resize(before + self.len() + after, 0.0);
                padded
            }
        }
    };
}

flat!(Vec<f64>);
flat!(Vec<f32>);

/// E A Eᵀ, with E the projection onto the entries in `range`: the block on the diagonal of A, as an operator on vectors
/// of `range.len()` entries.
///
/// Of a Hessian it is that of one layer with all others held fixed. Its eigenvalues lie within those of A (Cauchy), so
/// no layer is sharper than the network; the sharpest lies below it by what the layers share.
///
/// **Cost**: one application of A; one vector as long as A's beside those of A.
///
/// ```
/// use lyapunov::{Block, Dense, Operator};
/// let matrix = Dense::new(vec![vec![1.0, 9.0, 9.0], vec![9.0, 2.0, 3.0], vec![9.0, 3.0, 4.0]]);
/// let block = Block { operator: matrix, range: 1..3, dimension: 3 };
/// assert_eq!(block.apply(&vec![1.0, 0.0])?, vec![2.0, 3.0]);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Block<A> {
    /// The operator A.
    pub operator: A,
    /// The entries.
    pub range: Range<usize>,
    /// How many entries the vectors of A have.
    pub dimension: usize,
}

impl<V: Flat, A: Operator<V>> Operator<V> for Block<A> {
    fn apply(&self, v: &V) -> Result<V> {
        let Range { start, end } = self.range;
        let image = self.operator.apply(&v.padded(start, self.dimension - end))?;
        Ok(image.part(start..end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        krylov::{Lanczos, lanczos},
        operator::Dense,
        testing::check_operator,
    };

    /// A symmetric matrix of order 6 whose entries all differ.
    fn matrix() -> Dense {
        let entry = |i: usize, j: usize| ((i.min(j) * 7 + i.max(j) * 3) as f64).sin();
        Dense::new((0..6).map(|i| (0..6).map(|j| entry(i, j)).collect()).collect())
    }

    #[test]
    fn a_block_is_the_submatrix() {
        let block = Block { operator: matrix(), range: 2..5, dimension: 6 };
        let dense = Dense::of(&block, 3).unwrap();
        for (i, row) in dense.rows().iter().enumerate() {
            assert_eq!(row[..], matrix().rows()[i + 2][2..5]);
        }
        check_operator(&block, &vec![0.0; 3], 1e-14);
        let ritz = lanczos(&block, &vec![1.0, 0.5, -0.3], &Lanczos::default()).unwrap();
        assert!((ritz.largest[0].value - dense.eigenvalues()[0]).abs() < 1e-12);
        assert!(ritz.largest[0].value < matrix().eigenvalues()[0], "no block is sharper than the whole");
    }

    #[test]
    fn parts_and_paddings_undo_each_other() {
        let vector = vec![1.0_f32, 2.0, 3.0];
        assert_eq!(vector.padded(1, 2), vec![0.0, 1.0, 2.0, 3.0, 0.0, 0.0]);
        assert_eq!(vector.padded(4, 1).part(4..7), vector);
    }
}
