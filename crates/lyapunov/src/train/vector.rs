//! Flat tensors as vectors, and the way from a flat vector to one tensor per parameter and back.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData};

use crate::{block::Flat, elementwise::Elementwise, noise::Stream, vector::Vector};

/// Storage is that of the tensor; inner products accumulate in its precision (blocked, by the device's matrix product)
/// and come back in f64.
impl Vector for Tensor<1> {
    fn len(&self) -> usize {
        self.dims()[0]
    }

    fn zeros_like(&self) -> Self {
        Tensor::zeros_like(self)
    }

    fn randomize(&mut self, stream: &mut Stream) {
        let n = Vector::len(self);
        let values: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
        *self = Tensor::from_data(TensorData::new(values, [n]), (&self.device(), self.dtype()));
    }

    fn dot(&self, other: &Self) -> f64 {
        let n = Vector::len(self);
        let product = self.clone().reshape([1, n]).matmul(other.clone().reshape([n, 1]));
        product.into_scalar::<f64>()
    }

    fn axpy(&mut self, a: f64, x: &Self) {
        self.inplace(|y| y + x.clone() * a);
    }

    fn scale(&mut self, a: f64) {
        self.inplace(|y| y * a);
    }
}

/// Entry by entry on the device, in the tensor's precision.
impl Elementwise for Tensor<1> {
    fn multiply(&mut self, x: &Self) {
        self.inplace(|y| y * x.clone());
    }

    fn divide(&mut self, x: &Self) {
        self.inplace(|y| y / x.clone());
    }

    fn sqrt(&mut self) {
        self.inplace(Tensor::sqrt);
    }

    fn shift(&mut self, a: f64) {
        self.inplace(|y| y + a);
    }
}

impl Flat for Tensor<1> {
    fn part(&self, range: Range<usize>) -> Self {
        self.clone().slice([range])
    }

    fn padded(&self, before: usize, after: usize) -> Self {
        let zeros = |n: usize| Tensor::zeros([n], (&self.device(), self.dtype()));
        Tensor::cat(vec![zeros(before), self.clone(), zeros(after)], 0)
    }
}

/// The consecutive parts of `flat` with these lengths: views, not copies.
pub(super) fn split(flat: &Tensor<1>, lengths: &[usize]) -> Vec<Tensor<1>> {
    let mut start = 0;
    lengths
        .iter()
        .map(|length| {
            let range = start..start + length;
            start = range.end;
            flat.clone().slice([range])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{noise::Purpose, train::device, vector::orthonormalize};

    fn random(n: usize, step: u64) -> Tensor<1> {
        let mut v = Tensor::zeros([n], &device("flex").unwrap());
        v.randomize(&mut Stream::new(4, Purpose::Probe, step));
        v
    }

    /// Burn's own `dot` would take the tensors by value and keep their precision.
    fn inner(a: &Tensor<1>, b: &Tensor<1>) -> f64 {
        Vector::dot(a, b)
    }

    #[test]
    fn the_verbs_agree_with_plain_vectors() {
        let n = 100_003;
        let (mut a, b) = (random(n, 0), random(n, 1));
        let plain = |t: &Tensor<1>| t.to_data().try_to_vec::<f32>().unwrap();
        let (mut c, d) = (plain(&a), plain(&b));
        assert!((inner(&a, &b) - c.dot(&d)).abs() < 1e-5 * a.norm() * b.norm());
        a.axpy(0.3, &b);
        a.scale(-2.0);
        c.axpy(0.3, &d);
        c.scale(-2.0);
        c.axpy(-1.0, &plain(&a));
        assert!(c.norm() < 1e-6 * a.norm());
        assert_eq!(a.zeros_like().norm(), 0.0);
    }

    #[test]
    fn the_verbs_on_entries_agree_with_plain_vectors() {
        let (mut a, b) = (random(1000, 0), random(1000, 1));
        let plain = |t: &Tensor<1>| t.to_data().try_to_vec::<f32>().unwrap();
        let (mut c, d) = (plain(&a), plain(&b));
        a.multiply(&a.clone());
        a.shift(0.5);
        Elementwise::sqrt(&mut a);
        a.divide(&b);
        c.multiply(&c.clone());
        c.shift(0.5);
        Elementwise::sqrt(&mut c);
        c.divide(&d);
        c.axpy(-1.0, &plain(&a));
        assert!(c.norm() < 1e-6 * a.norm());
    }

    #[test]
    fn gram_schmidt_reaches_the_precision_of_the_storage() {
        let mut vectors = [random(5000, 0), random(5000, 1), random(5000, 2)];
        vectors[2] = vectors[0].clone() + vectors[1].clone() * 1e-3;
        orthonormalize(&mut vectors);
        assert!(inner(&vectors[2], &vectors[0]).abs() < 1e-5 && inner(&vectors[2], &vectors[1]).abs() < 1e-5);
    }

    #[test]
    fn parts_and_paddings_undo_each_other() {
        let v = random(7, 0);
        let padded = v.padded(2, 0);
        assert_eq!((Vector::len(&padded), padded.part(0..2).norm()), (9, 0.0));
        assert_eq!(padded.part(2..9).to_data(), v.to_data());
    }

    #[test]
    fn a_split_is_a_partition() {
        let flat = random(10, 0);
        let parts = split(&flat, &[3, 0, 7]);
        assert_eq!(parts.iter().map(Vector::len).collect::<Vec<_>>(), [3, 0, 7]);
        assert_eq!(Tensor::cat(parts, 0).to_data(), flat.to_data());
    }
}
