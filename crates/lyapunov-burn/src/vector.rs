//! Flat tensors as vectors, and the way from a flat vector to one tensor per parameter and back.

use std::ops::{Deref, Range};

use burn::tensor::{DType, Device, Tensor, TensorData};

use lyapunov::{Archive, Elementwise, Flat, Numbers, Persist, Result, Stream, Vector};

/// The weights of a network, or anything of their shape, as one flat tensor: the [`Vector`] of every objective of this
/// crate.
///
/// It is the tensor: nothing is copied on the way in or out, and its methods can be called on it. Storage is that of
/// the tensor; inner products accumulate in its precision (in blocks) and come back in f64: several of them in one
/// reading from the device.
///
/// ```
/// use lyapunov::Vector;
/// use lyapunov_burn::{Tensor, Weights, device};
/// let v = Weights(Tensor::from_floats([3.0, 4.0], &device("flex")?));
/// assert_eq!((v.norm(), v.dims()), (5.0, [2]));
/// # Ok::<(), lyapunov_burn::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Weights(pub Tensor<1>);

impl Deref for Weights {
    type Target = Tensor<1>;

    fn deref(&self) -> &Tensor<1> {
        &self.0
    }
}

impl From<Tensor<1>> for Weights {
    fn from(tensor: Tensor<1>) -> Self {
        Self(tensor)
    }
}

impl Vector for Weights {
    fn len(&self) -> usize {
        self.0.dims()[0]
    }

    fn zeros_like(&self) -> Self {
        Self(self.0.zeros_like())
    }

    fn randomize(&mut self, stream: &mut Stream) {
        let n = self.len();
        let values: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
        self.0 = Tensor::from_data(TensorData::new(values, [n]), (&self.device(), self.dtype()));
    }

    fn dot(&self, other: &Self) -> f64 {
        inner(&self.0, &other.0).into_scalar::<f64>()
    }

    /// Read back from the device at once.
    fn dots(&self, others: &[Self]) -> Vec<f64> {
        let products: Vec<Tensor<1>> = others.iter().map(|other| inner(&self.0, &other.0)).collect();
        if products.is_empty() { Vec::new() } else { Tensor::cat(products, 0).to_data().iter::<f64>().collect() }
    }

    fn axpy(&mut self, a: f64, x: &Self) {
        self.0.inplace(|y| y + x.0.clone() * a);
    }

    fn scale(&mut self, a: f64) {
        self.0.inplace(|y| y * a);
    }
}

/// Entry by entry on the device, in the tensor's precision.
impl Elementwise for Weights {
    fn multiply(&mut self, x: &Self) {
        self.0.inplace(|y| y * x.0.clone());
    }

    fn divide(&mut self, x: &Self) {
        self.0.inplace(|y| y / x.0.clone());
    }

    fn sqrt(&mut self) {
        self.0.inplace(Tensor::sqrt);
    }

    fn shift(&mut self, a: f64) {
        self.0.inplace(|y| y + a);
    }
}

impl Flat for Weights {
    fn part(&self, range: Range<usize>) -> Self {
        Self(self.0.clone().slice([range]))
    }

    fn padded(&self, before: usize, after: usize) -> Self {
        let zeros = |n: usize| Tensor::zeros([n], (&self.device(), self.dtype()));
        Self(Tensor::cat(vec![zeros(before), self.0.clone(), zeros(after)], 0))
    }
}

/// In the precision of the tensor's storage.
impl Persist for Weights {
    fn keep(&mut self, name: &str, archive: &mut Archive<'_>) -> Result<()> {
        let write = |weights: &Self| match weights.dtype() {
            DType::F64 => Numbers::F64(weights.to_data().iter::<f64>().collect()),
            _ => Numbers::F32(weights.to_data().iter::<f32>().collect()),
        };
        let read = |weights: &mut Self, row: &Numbers| {
            let ([n], to) = (weights.dims(), (&weights.device(), weights.dtype()));
            let data = match (row, to.1) {
                (Numbers::F64(numbers), DType::F64) if numbers.len() == n => TensorData::new(numbers.clone(), [n]),
                (Numbers::F32(numbers), DType::F32) if numbers.len() == n => TensorData::new(numbers.clone(), [n]),
                _ => return None,
            };
            weights.0 = Tensor::from_data(data, to);
            Some(())
        };
        archive.row(name, self, write, read)
    }
}

/// The inner product, still on the device: by blocks on the processor, by its sums elsewhere.
fn inner(a: &Tensor<1>, b: &Tensor<1>) -> Tensor<1> {
    if a.device().inner() != Device::flex() {
        return (a.clone() * b.clone()).sum();
    }
    let n = a.dims()[0];
    a.clone().reshape([1, n]).matmul(b.clone().reshape([n, 1])).reshape([1])
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
    use crate::device;
    use lyapunov::{Purpose, orthonormalize};

    fn random(n: usize, step: u64) -> Weights {
        let mut v = Weights(Tensor::zeros([n], &device("flex").unwrap()));
        v.randomize(&mut Stream::new(4, Purpose::Probe, step));
        v
    }

    #[test]
    fn the_verbs_agree_with_plain_vectors() {
        let n = 100_003;
        let (mut a, b) = (random(n, 0), random(n, 1));
        let plain = |t: &Weights| t.to_data().try_to_vec::<f32>().unwrap();
        let (mut c, d) = (plain(&a), plain(&b));
        assert!((a.dot(&b) - c.dot(&d)).abs() < 1e-5 * a.norm() * b.norm());
        a.axpy(0.3, &b);
        a.scale(-2.0);
        c.axpy(0.3, &d);
        c.scale(-2.0);
        c.axpy(-1.0, &plain(&a));
        assert!(c.norm() < 1e-6 * a.norm());
        assert_eq!(a.zeros_like().norm(), 0.0);
    }

    /// What takes inner products in the other order has the bits of before.
    #[test]
    fn an_inner_product_has_the_same_bits_both_ways() {
        for n in [1, 7, 100, 5000, 100_003] {
            let (a, b) = (random(n, 0), random(n, 1));
            assert_eq!(a.dot(&b).to_bits(), b.dot(&a).to_bits(), "{n}");
            assert_eq!(a.dots(&[b.clone(), a.clone()]), [a.dot(&b), a.dot(&a)]);
        }
    }

    #[test]
    fn the_verbs_on_entries_agree_with_plain_vectors() {
        let (mut a, b) = (random(1000, 0), random(1000, 1));
        let plain = |t: &Weights| t.to_data().try_to_vec::<f32>().unwrap();
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
        vectors[2] = Weights(vectors[0].0.clone() + vectors[1].0.clone() * 1e-3);
        orthonormalize(&mut vectors);
        assert!(vectors[2].dot(&vectors[0]).abs() < 1e-5 && vectors[2].dot(&vectors[1]).abs() < 1e-5);
    }

    #[test]
    fn parts_and_paddings_undo_each_other() {
        let v = random(7, 0);
        let padded = v.padded(2, 0);
        assert_eq!((padded.len(), padded.part(0..2).norm()), (9, 0.0));
        assert_eq!(padded.part(2..9).to_data(), v.to_data());
    }

    #[test]
    fn a_split_is_a_partition() {
        let flat = random(10, 0);
        let parts = split(&flat, &[3, 0, 7]);
        assert_eq!(parts.iter().map(|part| part.dims()[0]).collect::<Vec<_>>(), [3, 0, 7]);
        assert_eq!(Tensor::cat(parts, 0).to_data(), flat.to_data());
    }

    #[test]
    fn tensors_come_back_in_their_own_precision_only() {
        let mut tensor = random(5, 0);
        let mut kept = lyapunov::Snapshot::default();
        tensor.keep("w", &mut Archive::saving(&mut kept)).unwrap();
        let mut fresh = tensor.zeros_like();
        fresh.keep("w", &mut Archive::loading(&kept)).unwrap();
        assert_eq!(fresh.to_data(), tensor.to_data());
        let mut double = Weights(Tensor::zeros([5], (&device("flex").unwrap(), DType::F64)));
        assert!(double.keep("w", &mut Archive::loading(&kept)).is_err());
        assert!(tensor.part(0..4).keep("w", &mut Archive::loading(&kept)).is_err());
    }
}
