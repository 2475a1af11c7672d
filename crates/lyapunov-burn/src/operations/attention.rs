//! Attention with several heads, and its tangent.

use burn::tensor::{Shape, Tensor, activation};

use super::{
    is_direct,
    record::{Keeps, Operation},
    run,
};
use crate::kernels::{
    Numbers, Real, Workspace,
    attention::{self, Heads},
};

/// softmax(q kᵀ / √d) v in each head.
#[derive(Debug)]
struct Attend(Heads);

impl Operation for Attend {
    fn shape(&self, inputs: &[Shape]) -> Vec<usize> {
        vec![inputs[0][0], self.0.output()]
    }

    fn keeps(&self) -> Vec<Keeps> {
        vec![Keeps::Input(0)]
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        attention::attend(space, self.0, inputs[0], output);
        None
    }

    fn gradients<T: Real>(&self, space: &Workspace, kept: &[&[T]], u: &[T], _: &[bool]) -> Vec<Option<Numbers>> {
        let mut dx = space.numbers::<T>(kept[0].len());
        attention::attend_gradient(space, self.0, [kept[0], u], dx.slice_mut());
        vec![Some(dx)]
    }
}

/// The tangent of [`Attend`]. Inputs: x and its tangent.
#[derive(Debug)]
struct Tangent(Heads);

impl Operation for Tangent {
    fn shape(&self, inputs: &[Shape]) -> Vec<usize> {
        vec![inputs[0][0], self.0.output()]
    }

    fn keeps(&self) -> Vec<Keeps> {
        vec![Keeps::Input(0), Keeps::Input(1)]
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        attention::attend_tangent(space, self.0, [inputs[0], inputs[1]], output);
        None
    }

    fn gradients<T: Real>(&self, space: &Workspace, kept: &[&[T]], u: &[T], _: &[bool]) -> Vec<Option<Numbers>> {
        let [mut dx, mut dt] = [kept[0].len(); 2].map(|length| space.numbers::<T>(length));
        let given = [kept[0], kept[1], u];
        attention::attend_tangent_gradient(space, self.0, given, [dx.slice_mut(), dt.slice_mut()]);
        vec![Some(dx), Some(dt)]
    }
}

/// y [examples, tokens × width] of queries, keys and values x [examples, tokens × 3 × width].
pub(crate) fn attend(x: Tensor<2>, heads: Heads) -> Tensor<2> {
    if is_direct(&x) {
        return run!(Attend(heads), x);
    }
    let [queries, keys, values] = parts(x, heads);
    joined(weights(queries, keys, heads).matmul(values), heads)
}

/// The tangent of [`attend`] along a tangent of x.
pub(crate) fn attend_tangent(x: Tensor<2>, t: Tensor<2>, heads: Heads) -> Tensor<2> {
    if is_direct(&t) {
        return run!(Tangent(heads), x, t);
    }
    let ([queries, keys, values], [queries_dot, keys_dot, values_dot]) = (parts(x, heads), parts(t, heads));
    let scores_dot =
        queries_dot.matmul(keys.clone().swap_dims(2, 3)) + queries.clone().matmul(keys_dot.swap_dims(2, 3));
    let (p, dot) = (weights(queries, keys, heads), scores_dot * scale(heads));
    let mean = (p.clone() * dot.clone()).sum_dim(3);
    let p_dot = p.clone() * (dot - mean);
    joined(p_dot.matmul(values) + p.matmul(values_dot), heads)
}

fn scale(heads: Heads) -> f64 {
    1.0 / (heads.features() as f64).sqrt()
}

/// Queries, keys and values: [examples, heads, tokens, features].
fn parts(x: Tensor<2>, heads: Heads) -> [Tensor<4>; 3] {
    let (examples, features) = (x.dims()[0], heads.features());
    let parts: Tensor<5> = x.reshape([examples, heads.tokens, 3, heads.heads, features]);
    std::array::from_fn(|which| {
        let part = parts.clone().narrow(2, which, 1);
        let part: Tensor<4> = part.reshape([examples, heads.tokens, heads.heads, features]);
        part.swap_dims(1, 2)
    })
}

/// softmax(q kᵀ / √d) over the last dimension.
fn weights(queries: Tensor<4>, keys: Tensor<4>, heads: Heads) -> Tensor<4> {
    activation::softmax(queries.matmul(keys.swap_dims(2, 3)) * scale(heads), 3)
}

/// From [examples, heads, tokens, features] to [examples, tokens × width].
fn joined(y: Tensor<4>, heads: Heads) -> Tensor<2> {
    let examples = y.dims()[0];
    y.swap_dims(1, 2).reshape([examples, heads.output()])
}
