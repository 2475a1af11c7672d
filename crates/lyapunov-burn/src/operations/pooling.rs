//! Pooling: the largest number of each 2×2 window, and the mean of larger ones.

use burn::tensor::{
    Shape, Tensor,
    module::{avg_pool2d, max_pool2d_with_indices},
    ops::{AvgPoolOptions, MaxPoolOptions},
};

use super::{
    is_direct,
    record::{Keeps, Operation},
    run,
};
use crate::kernels::{self, Numbers, Pool, Real, Workspace};

/// The second input where the first is largest in each 2×2 window: linear in the second, and the first is a constant.
#[derive(Debug)]
struct Winners(Pool);

impl Operation for Winners {
    fn shape(&self, inputs: &[Shape]) -> Vec<usize> {
        vec![inputs[0][0], self.0.output()]
    }

    fn keeps(&self) -> Vec<Keeps> {
        vec![Keeps::Input(0)]
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        kernels::winners(space, &self.0, inputs[0], inputs[1], output);
        None
    }

    fn gradients<T: Real>(&self, space: &Workspace, kept: &[&[T]], u: &[T], _: &[bool]) -> Vec<Option<Numbers>> {
        let mut dt = space.numbers::<T>(kept[0].len());
        kernels::winners_gradient(space, &self.0, kept[0], u, dt.slice_mut());
        vec![None, Some(dt)]
    }
}

/// The mean of each window.
#[derive(Debug)]
struct Means(Pool);

impl Operation for Means {
    fn shape(&self, inputs: &[Shape]) -> Vec<usize> {
        vec![inputs[0][0], self.0.output()]
    }

    fn keeps(&self) -> Vec<Keeps> {
        Vec::new()
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        kernels::means(space, &self.0, inputs[0], output);
        None
    }

    fn gradients<T: Real>(&self, space: &Workspace, _: &[&[T]], u: &[T], _: &[bool]) -> Vec<Option<Numbers>> {
        let mut dx = space.numbers::<T>(u.len() / self.0.output() * self.0.image());
        kernels::means_gradient(space, &self.0, u, dx.slice_mut());
        vec![Some(dx)]
    }
}

/// t where x is largest in each 2×2 window, the first of equals; x takes no part in gradients.
pub(crate) fn winners(x: Tensor<2>, t: Tensor<2>, pool: Pool) -> Tensor<2> {
    let x = x.inner();
    if is_direct(&t) {
        return run!(Winners(pool), x, t);
    }
    let (examples, Pool { size, channels, .. }) = (x.dims()[0], pool);
    let planes = |x: Tensor<2>| -> Tensor<4> { x.reshape([examples, size, size, channels]).permute([0, 3, 1, 2]) };
    let (_, winners) = max_pool2d_with_indices(planes(x), MaxPoolOptions::new([2, 2]));
    let winners = winners.reshape([examples, channels, size * size / 4]);
    let won: Tensor<3> = planes(t).reshape([examples, channels, size * size]).gather(2, winners);
    won.swap_dims(1, 2).reshape([examples, pool.output()])
}

/// The mean of each window.
pub(crate) fn means(x: Tensor<2>, pool: Pool) -> Tensor<2> {
    if is_direct(&x) {
        return run!(Means(pool), x);
    }
    let (examples, Pool { size, channels, window }) = (x.dims()[0], pool);
    let images: Tensor<4> = x.reshape([examples, size, size, channels]);
    let pooled = avg_pool2d(images.permute([0, 3, 1, 2]), AvgPoolOptions::new([window, window]));
    pooled.permute([0, 2, 3, 1]).reshape([examples, pool.output()])
}
