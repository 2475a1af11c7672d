//! Four more verbs for vectors whose entries are numbers that can be reached one by one.

use crate::vector::Vector;

/// A [`Vector`] that can also be multiplied, divided, rooted and shifted entry by entry: what optimizers with one scale
/// per weight, and the operators that they precondition, need beyond the six verbs.
///
/// ```
/// use lyapunov::Elementwise;
/// // 1 / (√v + ε), the scale of Adam.
/// let (mut root, mut scale) = (vec![4.0, 0.25], vec![1.0, 1.0]);
/// root.sqrt();
/// root.shift(0.5);
/// scale.divide(&root);
/// assert_eq!(scale, vec![0.4, 1.0]);
/// ```
///
/// # Panics
/// Binary verbs may panic if the two lengths differ: that is a bug of the caller.
pub trait Elementwise: Vector {
    /// `self[i] *= x[i]`.
    fn multiply(&mut self, x: &Self);

    /// `self[i] /= x[i]`; dividing by zero gives what the storage's arithmetic gives.
    fn divide(&mut self, x: &Self);

    /// `self[i] = √self[i]`; not a number where the entry is negative.
    fn sqrt(&mut self);

    /// `self[i] += a`.
    fn shift(&mut self, a: f64);
}

macro_rules! elementwise_floats {
    ($float:ty, $storage:ty $(, $size:ident)?) => {
        impl$(<const $size: usize>)? Elementwise for $storage {
            fn multiply(&mut self, x: &Self) {
                assert_eq!(Vector::len(self), Vector::len(x), "vectors of different length");
                self.iter_mut().zip(x).for_each(|(y, x)| *y *= x);
            }

            fn divide(&mut self, x: &Self) {
                assert_eq!(Vector::len(self), Vector::len(x), "vectors of different length");
                self.iter_mut().zip(x).for_each(|(y, x)| *y /= x);
            }

            fn sqrt(&mut self) {
                for y in self {
                    *y = y.sqrt();
                }
            }

            fn shift(&mut self, a: f64) {
                for y in self {
                    *y += a as $float;
                }
            }
        }
    };
}

elementwise_floats!(f64, Vec<f64>);
elementwise_floats!(f32, Vec<f32>);
elementwise_floats!(f64, [f64; N], N);
elementwise_floats!(f32, [f32; N], N);

impl<A: Elementwise, B: Elementwise> Elementwise for (A, B) {
    fn multiply(&mut self, x: &Self) {
        self.0.multiply(&x.0);
        self.1.multiply(&x.1);
    }

    fn divide(&mut self, x: &Self) {
        self.0.divide(&x.0);
        self.1.divide(&x.1);
    }

    fn sqrt(&mut self) {
        self.0.sqrt();
        self.1.sqrt();
    }

    fn shift(&mut self, a: f64) {
        self.0.shift(a);
        self.1.shift(a);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (x·y + 2) / y, then its root.
    fn all_verbs<V: Elementwise>(mut x: V, y: &V) -> V {
        x.multiply(y);
        x.shift(2.0);
        x.divide(y);
        x.sqrt();
        x
    }

    #[test]
    fn every_storage_does_the_same_to_every_entry() {
        assert_eq!(all_verbs(vec![8.0_f64, 15.0], &vec![2.0, 2.0]), vec![3.0, 4.0]);
        assert_eq!(all_verbs(vec![8.0_f32, 15.0], &vec![2.0, 2.0]), vec![3.0, 4.0]);
        assert_eq!(all_verbs([8.0_f64, 15.0], &[2.0, 2.0]), [3.0, 4.0]);
        assert_eq!(all_verbs(([8.0_f32], vec![15.0_f64]), &([2.0], vec![2.0])), ([3.0], vec![4.0]));
    }

    #[test]
    #[should_panic(expected = "different length")]
    fn lengths_must_agree() {
        vec![1.0, 2.0].multiply(&vec![1.0]);
    }
}
