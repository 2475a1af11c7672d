//! ReLU: the larger of x and 0. Its slope is 1 where the output is not zero, and constant.

use burn::tensor::{Shape, Tensor, activation};

use super::{
    is_direct,
    record::{Keeps, Operation},
    run,
};
use crate::kernels::{self, Numbers, Real, Workspace};

/// The larger of the input and 0.
#[derive(Debug)]
struct Rectify;

impl Operation for Rectify {
    fn shape(&self, inputs: &[Shape]) -> Vec<usize> {
        inputs[0].to_vec()
    }

    fn keeps(&self) -> Vec<Keeps> {
        vec![Keeps::Output]
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        kernels::rectify(space, inputs[0], output);
        None
    }

    fn gradients<T: Real>(&self, space: &Workspace, kept: &[&[T]], u: &[T], _: &[bool]) -> Vec<Option<Numbers>> {
        vec![Some(gated(space, kept[0], u))]
    }
}

/// The larger of the sum of both inputs and 0.
#[derive(Debug)]
struct RectifySum;

impl Operation for RectifySum {
    fn shape(&self, inputs: &[Shape]) -> Vec<usize> {
        inputs[0].to_vec()
    }

    fn keeps(&self) -> Vec<Keeps> {
        vec![Keeps::Output]
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        kernels::rectify_sum(space, [inputs[0], inputs[1]], output);
        None
    }

    fn gradients<T: Real>(&self, space: &Workspace, kept: &[&[T]], u: &[T], wanted: &[bool]) -> Vec<Option<Numbers>> {
        wanted.iter().map(|wanted| wanted.then(|| gated(space, kept[0], u))).collect()
    }
}

/// The second input where the first is not zero: linear in the second, and the first is a constant.
#[derive(Debug)]
struct Gate;

impl Operation for Gate {
    fn shape(&self, inputs: &[Shape]) -> Vec<usize> {
        inputs[1].to_vec()
    }

    fn keeps(&self) -> Vec<Keeps> {
        vec![Keeps::Input(0)]
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        kernels::gate(space, inputs[0], inputs[1], output);
        None
    }

    fn gradients<T: Real>(&self, space: &Workspace, kept: &[&[T]], u: &[T], _: &[bool]) -> Vec<Option<Numbers>> {
        vec![None, Some(gated(space, kept[0], u))]
    }
}

fn gated<T: Real>(space: &Workspace, y: &[T], u: &[T]) -> Numbers {
    let mut gated = space.numbers::<T>(u.len());
    kernels::gate(space, y, u, gated.slice_mut());
    gated
}

/// The larger of x and 0.
pub(crate) fn rectify(x: Tensor<2>) -> Tensor<2> {
    if is_direct(&x) { run!(Rectify, x) } else { activation::relu(x) }
}

/// The larger of a + b and 0.
pub(crate) fn rectify_sum(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    if is_direct(&a) { run!(RectifySum, a, b) } else { activation::relu(a + b) }
}

/// t where y, the output of a ReLU, is not zero; y takes no part in gradients.
pub(crate) fn gate(y: Tensor<2>, t: Tensor<2>) -> Tensor<2> {
    let y = y.inner();
    if is_direct(&t) {
        return run!(Gate, y, t);
    }
    let dtype = y.dtype();
    t * y.greater_elem(0.0).float().cast(dtype)
}
