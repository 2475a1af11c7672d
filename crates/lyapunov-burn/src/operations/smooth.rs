//! Smooth activations and their slopes: tanh and GELU.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use burn::tensor::{Shape, Tensor, activation};

use super::{
    is_direct,
    record::{Keeps, Operation},
    run,
};
use crate::kernels::{self, Numbers, Real, Workspace};

/// A smooth activation. Its slope is known from its output y or from its input x.
#[derive(Clone, Copy, Debug)]
enum Smooth {
    /// tanh x, with the slope 1 − y².
    Tanh,
    /// x Φ(x), with the slope Φ(x) + x φ(x).
    Gelu,
}

impl Smooth {
    /// t times the slope, which is known from `base`.
    fn slope<T: Real>(self, space: &Workspace, base: &[T], t: &[T]) -> Numbers {
        let mut sloped = space.numbers::<T>(t.len());
        match self {
            Self::Tanh => kernels::tanh_slope(space, base, t, sloped.slice_mut()),
            Self::Gelu => kernels::gelu_slope(space, base, t, sloped.slice_mut()),
        }
        sloped
    }
}

/// The activation of the input.
#[derive(Debug)]
struct Value(Smooth);

impl Operation for Value {
    fn shape(&self, inputs: &[Shape]) -> Vec<usize> {
        inputs[0].to_vec()
    }

    fn keeps(&self) -> Vec<Keeps> {
        match self.0 {
            Smooth::Tanh => vec![Keeps::Output],
            Smooth::Gelu => vec![Keeps::Input(0)],
        }
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        match self.0 {
            Smooth::Tanh => kernels::tanh(space, inputs[0], output),
            Smooth::Gelu => kernels::gelu(space, inputs[0], output),
        }
        None
    }

    fn gradients<T: Real>(&self, space: &Workspace, kept: &[&[T]], u: &[T], _: &[bool]) -> Vec<Option<Numbers>> {
        vec![Some(self.0.slope(space, kept[0], u))]
    }
}

/// The second input times the slope of the activation, which is known from the first.
#[derive(Debug)]
struct Slope(Smooth);

impl Operation for Slope {
    fn shape(&self, inputs: &[Shape]) -> Vec<usize> {
        inputs[1].to_vec()
    }

    fn keeps(&self) -> Vec<Keeps> {
        vec![Keeps::Input(0), Keeps::Input(1)]
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        match self.0 {
            Smooth::Tanh => kernels::tanh_slope(space, inputs[0], inputs[1], output),
            Smooth::Gelu => kernels::gelu_slope(space, inputs[0], inputs[1], output),
        }
        None
    }

    fn gradients<T: Real>(&self, space: &Workspace, kept: &[&[T]], u: &[T], wanted: &[bool]) -> Vec<Option<Numbers>> {
        let [base, t] = [kept[0], kept[1]];
        let bent = wanted[0].then(|| {
            let mut bent = space.numbers::<T>(u.len());
            match self.0 {
                Smooth::Tanh => kernels::tanh_bend(space, [base, t, u], bent.slice_mut()),
                Smooth::Gelu => kernels::gelu_bend(space, [base, t, u], bent.slice_mut()),
            }
            bent
        });
        vec![bent, wanted[1].then(|| self.0.slope(space, base, u))]
    }
}

/// tanh x.
pub(crate) fn tanh(x: Tensor<2>) -> Tensor<2> {
    if is_direct(&x) { run!(Value(Smooth::Tanh), x) } else { activation::tanh(x) }
}

/// (1 − y²) t, where y is the output of a tanh.
pub(crate) fn tanh_slope(y: Tensor<2>, t: Tensor<2>) -> Tensor<2> {
    if is_direct(&t) { run!(Slope(Smooth::Tanh), y, t) } else { t * -(y.clone() * y - 1.0) }
}

/// x Φ(x).
pub(crate) fn gelu(x: Tensor<2>) -> Tensor<2> {
    if is_direct(&x) { run!(Value(Smooth::Gelu), x) } else { x.clone() * normal_share(x) }
}

/// (Φ(x) + x φ(x)) t.
pub(crate) fn gelu_slope(x: Tensor<2>, t: Tensor<2>) -> Tensor<2> {
    if is_direct(&t) {
        return run!(Slope(Smooth::Gelu), x, t);
    }
    let density = (x.clone().square() * -0.5).exp() * (0.5 / PI).sqrt();
    t * (normal_share(x.clone()) + x * density)
}

/// Φ(x), the distribution function of the standard normal.
fn normal_share(x: Tensor<2>) -> Tensor<2> {
    ((x * FRAC_1_SQRT_2).erf() + 1.0) * 0.5
}
