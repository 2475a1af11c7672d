//! A vector is six verbs; Gram–Schmidt needs no more.

use crate::noise::{Purpose, Stream};

/// Anything that can be added, scaled and multiplied: weights, tangents, states of a dynamical system.
///
/// Six verbs are required; whatever has them can be measured by every estimator of the library, whether it is a
/// `Vec<f64>`, tensors on a GPU or gradients spread over machines. Reductions come back in `f64` whatever the storage.
///
/// **Engines on a device**: a single inner product waits for the device, a hundred at once wait no longer than one.
/// Such a vector overrides [`Vector::dots`] and [`Vector::axpys`] and sets [`Vector::BATCHED`].
///
/// # Panics
/// Binary verbs may panic if the two lengths differ: that is a bug of the caller. Verbs cannot fail, so a vector of an
/// engine that failed may panic as well, and its caller may catch that at the border to the engine: the library holds
/// no lock, no global state and no `unsafe` code that unwinding could leave behind. Whatever was being changed (the
/// vectors of the call, a [`System`](crate::System), a [`Training`](crate::Training)) is then between two states, and
/// is to be thrown away or taken up from a [`Snapshot`](crate::Snapshot). Shared references are as before.
#[allow(clippy::len_without_is_empty, reason = "a vector has a dimension, it is not a container")]
pub trait Vector: Clone {
    /// Whether many inner products are cheaper by one call of [`Vector::dots`] than one by one. Then Gram–Schmidt takes
    /// all components of a pass at once (the classical form) instead of one after another (the modified form): both are
    /// repeated until they are orthogonal to rounding, and differ in the last bits.
    const BATCHED: bool = false;

    /// The number of entries, n.
    fn len(&self) -> usize;

    /// The zero vector of the same shape.
    #[must_use]
    fn zeros_like(&self) -> Self;

    /// Overwrites the entries with independent standard normal numbers.
    fn randomize(&mut self, stream: &mut Stream);

    /// The inner product with `other`.
    fn dot(&self, other: &Self) -> f64;

    /// `self += a · x`.
    fn axpy(&mut self, a: f64, x: &Self);

    /// `self *= a`.
    fn scale(&mut self, a: f64);

    /// The inner products with each of `others`.
    fn dots(&self, others: &[Self]) -> Vec<f64> {
        others.iter().map(|other| self.dot(other)).collect()
    }

    /// `self += Σ coefficients[i] · vectors[i]`, one after another; as many vectors as coefficients.
    fn axpys(&mut self, coefficients: &[f64], vectors: &[Self]) {
        assert_eq!(coefficients.len(), vectors.len(), "as many vectors as coefficients");
        for (a, x) in coefficients.iter().zip(vectors) {
            self.axpy(*a, x);
        }
    }

    /// The Euclidean norm.
    fn norm(&self) -> f64 {
        self.dot(self).sqrt()
    }

    /// The unit vector in the same direction; `None` where the norm is zero or not finite.
    fn unit(&self) -> Option<Self> {
        let norm = self.norm();
        (norm > 0.0 && norm.is_finite()).then(|| {
            let mut unit = self.clone();
            unit.scale(1.0 / norm);
            unit
        })
    }
}

macro_rules! vector_of_floats {
    ($float:ty, $storage:ty $(, $size:ident)?) => {
        impl$(<const $size: usize>)? Vector for $storage {
            #[inline]
            fn len(&self) -> usize {
                self.as_slice().len()
            }

            #[inline]
            fn zeros_like(&self) -> Self {
                let mut zeros = self.clone();
                zeros.fill(0.0);
                zeros
            }

            fn randomize(&mut self, stream: &mut Stream) {
                self.fill_with(|| stream.normal() as $float);
            }

            #[inline]
            fn dot(&self, other: &Self) -> f64 {
                // Eight sums side by side: the processor adds them at once, and each is eight times shorter.
                const LANES: usize = 8;
                assert_eq!(Vector::len(self), Vector::len(other), "vectors of different length");
                let (a, b) = (self.chunks_exact(LANES), other.chunks_exact(LANES));
                let rest = a.remainder().iter().zip(b.remainder()).map(|(a, b)| f64::from(*a) * f64::from(*b));
                let rest: f64 = rest.sum();
                if Vector::len(self) < LANES {
                    return rest;
                }
                let mut lanes = [0.0; LANES];
                for (a, b) in a.zip(b) {
                    for i in 0..LANES {
                        lanes[i] += f64::from(a[i]) * f64::from(b[i]);
                    }
                }
                lanes.iter().sum::<f64>() + rest
            }

            #[inline]
            fn axpy(&mut self, a: f64, x: &Self) {
                assert_eq!(Vector::len(self), Vector::len(x), "vectors of different length");
                let a = a as $float;
                self.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
            }

            #[inline]
            fn scale(&mut self, a: f64) {
                let a = a as $float;
                for y in self {
                    *y *= a;
                }
            }
        }
    };
}

vector_of_floats!(f64, Vec<f64>);
vector_of_floats!(f32, Vec<f32>);
vector_of_floats!(f64, [f64; N], N);
vector_of_floats!(f32, [f32; N], N);

/// A pair of vectors is a vector: the weights and the velocity of an optimizer with momentum.
impl<A: Vector, B: Vector> Vector for (A, B) {
    fn len(&self) -> usize {
        self.0.len() + self.1.len()
    }

    fn zeros_like(&self) -> Self {
        (self.0.zeros_like(), self.1.zeros_like())
    }

    fn randomize(&mut self, stream: &mut Stream) {
        self.0.randomize(stream);
        self.1.randomize(stream);
    }

    fn dot(&self, other: &Self) -> f64 {
        self.0.dot(&other.0) + self.1.dot(&other.1)
    }

    fn axpy(&mut self, a: f64, x: &Self) {
        self.0.axpy(a, &x.0);
        self.1.axpy(a, &x.1);
    }

    fn scale(&mut self, a: f64) {
        self.0.scale(a);
        self.1.scale(a);
    }
}

/// The relative spacing of the numbers that `like` is stored in: 2.2e-16, or 1.2e-7 where it holds f32.
pub fn storage_epsilon<V: Vector>(like: &V) -> f64 {
    let mut probe = like.clone();
    if probe.norm() == 0.0 {
        probe.randomize(&mut Stream::new(0, Purpose::Probe, 0));
    }
    let mut scaled = probe.clone();
    // 1 + 1e-9 is 1 in f32.
    scaled.scale(1.0 + 1e-9);
    scaled.axpy(-1.0, &probe);
    if scaled.norm() == 0.0 { f64::from(f32::EPSILON) } else { f64::EPSILON }
}

/// Removes from `vector` its components along the orthonormal `basis` and returns the norm of what is left.
///
/// Gram–Schmidt loses orthogonality when the remainder is small, so the projection is repeated until the norm stops
/// falling by more than half ("twice is enough": Kahan, in Parlett, *The Symmetric Eigenvalue Problem*, 1980, section
/// 6.9).
/// **Cost**: 2–4 passes of `basis.len()` inner products, no copy.
pub fn orthogonalize<V: Vector>(vector: &mut V, basis: &[V]) -> f64 {
    project_out(vector, basis, 0.5)
}

/// [`orthogonalize`], repeated until the norm stops falling below `share` of what it was: orthogonal to the storage's
/// spacing over `share`.
#[inline(always)]
#[allow(clippy::inline_always, reason = "with few small vectors this is a handful of instructions")]
fn project_out<V: Vector>(vector: &mut V, basis: &[V], share: f64) -> f64 {
    const PASSES: usize = 4;
    let mut square = vector.dot(vector);
    for _ in 0..if basis.is_empty() { 0 } else { PASSES } {
        if V::BATCHED {
            let components: Vec<f64> = vector.dots(basis).iter().map(|component| -component).collect();
            vector.axpys(&components, basis);
        } else {
            for direction in basis {
                let component = vector.dot(direction);
                vector.axpy(-component, direction);
            }
        }
        let before = square;
        square = vector.dot(vector);
        if square > share * share * before {
            break;
        }
    }
    square.sqrt()
}

/// Orthonormalises `vectors` in place (the Q of a QR factorisation) and returns the diagonal of R, non-negative.
///
/// A vector that depends on the earlier ones (R_ii = 0) is left as the zero vector.
///
/// ```
/// use lyapunov::{Vector, orthonormalize};
/// let mut vectors = [vec![3.0, 4.0], vec![1.0, 0.0]];
/// let diagonal = orthonormalize(&mut vectors);
/// assert!((diagonal[0] - 5.0).abs() < 1e-14 && (diagonal[1] - 0.8).abs() < 1e-14);
/// assert!(vectors[0].dot(&vectors[1]).abs() < 1e-15);
/// ```
pub fn orthonormalize<V: Vector>(vectors: &mut [V]) -> Vec<f64> {
    let mut diagonal = vec![0.0; vectors.len()];
    orthonormalize_into(vectors, &mut diagonal, 0.5);
    diagonal
}

/// [`orthonormalize`] with the diagonal of R written into a slice of the same length, orthogonal to the storage's
/// spacing over `share`. Says whether the diagonal is finite, and whether it has a zero.
#[inline(always)]
#[allow(clippy::inline_always, reason = "with a known number of small vectors this is a handful of instructions")]
pub(crate) fn orthonormalize_into<V: Vector>(vectors: &mut [V], diagonal: &mut [f64], share: f64) -> (bool, bool) {
    let (mut zero, mut has_zero) = (0.0, false);
    // The slice that may have a length known at compile time leads.
    #[allow(clippy::needless_range_loop, reason = "the vectors lead")]
    for i in 0..vectors.len() {
        let (basis, rest) = vectors.split_at_mut(i);
        let norm = project_out(&mut rest[0], basis, share);
        rest[0].scale(if norm > 0.0 { 1.0 / norm } else { 0.0 });
        diagonal[i] = norm;
        // 0 · x is 0 for every finite x.
        zero += 0.0 * norm;
        has_zero |= norm == 0.0;
    }
    (zero == 0.0, has_zero)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The smallest vector there can be: only the required verbs, with a storage that is no slice.
    #[derive(Clone, Debug, PartialEq)]
    struct Pair(f64, f64);

    impl Vector for Pair {
        fn len(&self) -> usize {
            2
        }
        fn zeros_like(&self) -> Self {
            Self(0.0, 0.0)
        }
        fn randomize(&mut self, stream: &mut Stream) {
            *self = Self(stream.normal(), stream.normal());
        }
        fn dot(&self, other: &Self) -> f64 {
            self.0 * other.0 + self.1 * other.1
        }
        fn axpy(&mut self, a: f64, x: &Self) {
            self.0 += a * x.0;
            self.1 += a * x.1;
        }
        fn scale(&mut self, a: f64) {
            self.0 *= a;
            self.1 *= a;
        }
    }

    #[test]
    fn the_required_verbs_are_enough() {
        let mut vectors = [Pair(3.0, 4.0), Pair(1.0, 1.0)];
        let diagonal = orthonormalize(&mut vectors);
        assert!((diagonal[0] - 5.0).abs() < 1e-15);
        // |det| = product of the diagonal of R.
        assert!((diagonal[0] * diagonal[1] - 1.0).abs() < 1e-15);
        assert!(vectors[0].dot(&vectors[1]).abs() < 1e-15);
        assert_eq!(Pair(0.0, 0.0).unit(), None);
    }

    /// Numbers on a device that waits at every single inner product: it counts the calls.
    #[derive(Clone, Debug)]
    struct Remote(Vec<f64>, std::rc::Rc<std::cell::Cell<[usize; 2]>>);

    impl Remote {
        fn called(&self, which: usize) {
            let mut calls = self.1.get();
            calls[which] += 1;
            self.1.set(calls);
        }
    }

    impl Vector for Remote {
        const BATCHED: bool = true;
        fn len(&self) -> usize {
            self.0.len()
        }
        fn zeros_like(&self) -> Self {
            Self(self.0.zeros_like(), self.1.clone())
        }
        fn randomize(&mut self, stream: &mut Stream) {
            self.0.randomize(stream);
        }
        fn dot(&self, other: &Self) -> f64 {
            self.called(0);
            self.0.dot(&other.0)
        }
        fn axpy(&mut self, a: f64, x: &Self) {
            self.0.axpy(a, &x.0);
        }
        fn scale(&mut self, a: f64) {
            self.0.scale(a);
        }
        fn dots(&self, others: &[Self]) -> Vec<f64> {
            self.called(1);
            others.iter().map(|other| self.0.dot(&other.0)).collect()
        }
    }

    /// The columns of the Hilbert matrix of order n.
    fn hilbert(n: i32) -> Vec<Vec<f64>> {
        (0..n).map(|j| (0..n).map(|i| 1.0 / f64::from(i + j + 1)).collect()).collect()
    }

    #[test]
    fn a_device_is_asked_for_many_inner_products_at_once() {
        let calls = std::rc::Rc::default();
        let mut columns: Vec<Remote> = hilbert(12).into_iter().map(|x| Remote(x, std::rc::Rc::clone(&calls))).collect();
        orthonormalize(&mut columns);
        let [single, together] = calls.get();
        // One pass or a few per column, and the norm before and after each.
        assert!((11..=44).contains(&together) && single <= 12 + together, "{single} single ones, {together} calls");
        for i in 0..12 {
            for j in 0..=i {
                let expected = f64::from(u8::from(i == j));
                assert!((columns[i].0.dot(&columns[j].0) - expected).abs() < 1e-14, "{i}, {j}");
            }
        }
    }

    #[test]
    fn many_verbs_at_once_have_the_bits_of_one_after_another() {
        let columns = hilbert(9);
        let (mut together, mut apart) = (columns[8].clone(), columns[8].clone());
        let coefficients = together.dots(&columns[..8]);
        together.axpys(&coefficients, &columns[..8]);
        for (i, column) in columns[..8].iter().enumerate() {
            assert_eq!(coefficients[i].to_bits(), columns[8].dot(column).to_bits());
            apart.axpy(coefficients[i], column);
        }
        assert_eq!(together, apart);
    }

    #[test]
    fn gram_schmidt_keeps_the_hilbert_matrix_orthonormal() {
        let n = 12;
        let mut columns = hilbert(n);
        orthonormalize(&mut columns);
        for i in 0..columns.len() {
            for j in 0..=i {
                let expected = f64::from(u8::from(i == j));
                assert!((columns[i].dot(&columns[j]) - expected).abs() < 1e-14, "{i}, {j}");
            }
        }
    }

    #[test]
    fn a_dependent_vector_becomes_zero() {
        let mut vectors = [vec![1.0, 0.0], vec![2.0, 0.0], vec![0.0, 3.0]];
        assert_eq!(orthonormalize(&mut vectors), vec![1.0, 0.0, 3.0]);
        assert_eq!(vectors[1], vec![0.0, 0.0]);
    }

    #[test]
    fn f32_storage_reduces_in_f64() {
        let vector = vec![1.0_f32 + f32::EPSILON; 1 << 20];
        let exact = f64::from(1 << 20) * (1.0 + f64::from(f32::EPSILON)).powi(2);
        assert!((vector.dot(&vector) - exact).abs() < 1e-6 * exact * 1e-3);
    }

    #[test]
    fn every_storage_reduces_alike() {
        let (long, n) = (vec![0.1_f64; 21], 21.0);
        assert!((long.dot(&long) - 0.01 * n).abs() < 1e-15);
        assert_eq!([0.1_f64; 21].dot(&[0.1; 21]), long.dot(&long));
        assert_eq!((vec![3.0_f32; 2], [4.0_f64; 2]).norm(), 50.0_f64.sqrt());
        assert_eq!(storage_epsilon(&(vec![0.0_f32], vec![0.0_f32])), f64::from(f32::EPSILON));
        assert_eq!(storage_epsilon(&[0.0_f64; 2]), f64::EPSILON);
    }

    proptest! {
        #[test]
        fn the_verbs_are_bilinear(seed in 0_u64..1000, a in -3.0_f64..3.0) {
            let mut stream = Stream::new(seed, Purpose::Probe, 0);
            let mut draw = || { let mut v = vec![0.0_f64; 7]; v.randomize(&mut stream); v };
            let (x, y, z) = (draw(), draw(), draw());
            let mut sum = y.clone();
            sum.axpy(a, &x);
            prop_assert!((sum.dot(&z) - (y.dot(&z) + a * x.dot(&z))).abs() < 1e-12);
            prop_assert!((x.dot(&y) - y.dot(&x)).abs() < 1e-14);
        }
    }
}
