//! Normalisation of every channel over a batch, and its tangent, both with the derivative of mean and variance, and with
//! a ReLU behind them where one is asked for.

use burn::tensor::{Shape, Tensor};

use super::{
    gate, is_direct,
    record::{Keeps, Operation},
    rectify, run,
};
use crate::kernels::{
    Numbers, Real, Workspace,
    batch_norm::{self, Channels},
};

/// Means, then inverse deviations (σ² + ε)^−½, of every channel.
#[derive(Debug)]
struct Statistics {
    channels: usize,
    epsilon: f64,
}

impl Operation for Statistics {
    fn shape(&self, _: &[Shape]) -> Vec<usize> {
        vec![2 * self.channels]
    }

    fn keeps(&self) -> Vec<Keeps> {
        Vec::new()
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        batch_norm::statistics(space, inputs[0], self.epsilon, output);
        None
    }

    fn gradients<T: Real>(&self, _: &Workspace, _: &[&[T]], _: &[T], _: &[bool]) -> Vec<Option<Numbers>> {
        unreachable!("what moves with the statistics is part of what is made with them")
    }
}

/// γ (x − μ) r + β. Inputs: x, γ, β, and the moments, which are constants here: their derivative is part of x's.
#[derive(Debug)]
struct Normalize {
    rectified: bool,
}

/// Those of the inputs x, γ, β and moments of an operation.
fn channels<'a, T>([scale, shift, moments]: [&'a [T]; 3], rectified: bool) -> Channels<'a, T> {
    Channels { moments, scale, shift, rectified }
}

impl Operation for Normalize {
    fn shape(&self, inputs: &[Shape]) -> Vec<usize> {
        inputs[0].to_vec()
    }

    fn keeps(&self) -> Vec<Keeps> {
        (0..4).map(Keeps::Input).collect()
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        let &[x, scale, shift, moments] = inputs else { unreachable!("four inputs") };
        batch_norm::normalize(space, channels([scale, shift, moments], self.rectified), x, output);
        None
    }

    fn gradients<T: Real>(&self, space: &Workspace, kept: &[&[T]], u: &[T], _: &[bool]) -> Vec<Option<Numbers>> {
        let &[x, scale, shift, moments] = kept else { unreachable!("four inputs") };
        let [mut dx, mut dscale, mut dshift] =
            [x.len(), scale.len(), scale.len()].map(|length| space.numbers::<T>(length));
        batch_norm::gradient(
            space,
            channels([scale, shift, moments], self.rectified),
            [x, u],
            dx.slice_mut(),
            [dscale.slice_mut(), dshift.slice_mut()],
        );
        vec![Some(dx), Some(dscale), Some(dshift), None]
    }
}

/// The tangent of [`Normalize`]. Inputs: x, γ, β, the moments, and the tangents of x, γ and β.
#[derive(Debug)]
struct Tangent {
    rectified: bool,
}

impl Operation for Tangent {
    fn shape(&self, inputs: &[Shape]) -> Vec<usize> {
        inputs[0].to_vec()
    }

    fn keeps(&self) -> Vec<Keeps> {
        (0..6).map(Keeps::Input).collect()
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        let &[x, scale, shift, moments, t, scale_dot, shift_dot] = inputs else { unreachable!("seven inputs") };
        let mut means = space.numbers::<T>(moments.len());
        let channels = channels([scale, shift, moments], self.rectified);
        batch_norm::tangent(space, channels, [x, t], [scale_dot, shift_dot], output, means.slice_mut());
        Some(means)
    }

    fn gradients<T: Real>(&self, space: &Workspace, kept: &[&[T]], u: &[T], _: &[bool]) -> Vec<Option<Numbers>> {
        let &[x, scale, shift, moments, t, scale_dot, means] = kept else { unreachable!("six inputs and the means") };
        let [mut dx, mut dt] = [x.len(); 2].map(|length| space.numbers::<T>(length));
        let [mut dscale, mut dscale_dot, mut dshift_dot] = [scale.len(); 3].map(|length| space.numbers::<T>(length));
        batch_norm::tangent_gradient(
            space,
            channels([scale, shift, moments], self.rectified),
            scale_dot,
            means,
            [x, t, u],
            [dx.slice_mut(), dt.slice_mut()],
            [dscale.slice_mut(), dscale_dot.slice_mut(), dshift_dot.slice_mut()],
        );
        // β and the moments are constants here: where the ReLU stands does not move.
        vec![Some(dx), Some(dscale), None, None, Some(dt), Some(dscale_dot), Some(dshift_dot)]
    }
}

/// One pixel a row.
fn rows(x: Tensor<2>, channels: usize) -> Tensor<2> {
    let pixels = x.dims().iter().product::<usize>() / channels;
    x.reshape([pixels, channels])
}

/// Means, then inverse deviations (σ² + ε)^−½, of every channel, as constants.
pub(crate) fn statistics(x: &Tensor<2>, channels: usize, epsilon: f64) -> Tensor<1> {
    let x = x.clone().inner();
    if is_direct(&x) {
        return run!(Statistics { channels, epsilon }, x);
    }
    let (mean, inverse) = moments(rows(x, channels), epsilon);
    Tensor::cat(vec![mean.reshape([channels]), inverse.reshape([channels])], 0)
}

/// Mean and inverse deviation [1, channels] of x [pixels, channels].
fn moments(x: Tensor<2>, epsilon: f64) -> (Tensor<2>, Tensor<2>) {
    let share = 1.0 / x.dims()[0] as f64;
    let mean = x.clone().sum_dim(0) * share;
    let variance = (x - mean.clone()).square().sum_dim(0) * share;
    (mean, (variance + epsilon).sqrt().recip())
}

/// What a normalisation over a batch is made with.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// γ [channels].
    pub scale: Tensor<1>,
    /// β [channels].
    pub shift: Tensor<1>,
    /// What [`statistics`] gives.
    pub moments: Tensor<1>,
    /// ε.
    pub epsilon: f64,
    /// Whether a ReLU stands behind.
    pub rectified: bool,
}

/// γ (x − μ) r + β of x [examples, pixels × channels].
pub(crate) fn normalize(x: Tensor<2>, batch: Batch) -> Tensor<2> {
    let Batch { scale, shift, moments: fixed, epsilon, rectified } = batch;
    if is_direct(&x) {
        return run!(Normalize { rectified }, x, scale, shift, fixed);
    }
    let (dims, x) = (x.dims(), rows(x, scale.dims()[0]));
    let (mean, inverse) = moments(x.clone(), epsilon);
    let y = ((x - mean) * inverse * scale.unsqueeze() + shift.unsqueeze()).reshape(dims);
    if rectified { rectify(y) } else { y }
}

/// The tangent of [`normalize`] along tangents of x, γ and β; where a ReLU stands, it lets through where that of the
/// value does.
pub(crate) fn normalize_tangent(
    x: Tensor<2>,
    batch: Batch,
    t: Tensor<2>,
    [scale_dot, shift_dot]: [Tensor<1>; 2],
) -> Tensor<2> {
    let rectified = batch.rectified;
    if is_direct(&t) {
        let Batch { scale, shift, moments, .. } = batch;
        return run!(Tangent { rectified }, x, scale, shift, moments, t, scale_dot, shift_dot);
    }
    let y = normalize(x.clone().inner(), constant(&batch));
    let Batch { scale, epsilon, .. } = batch;
    let (dims, channels) = (x.dims(), scale.dims()[0]);
    let (x, t) = (rows(x, channels), rows(t, channels));
    let share = 1.0 / x.dims()[0] as f64;
    let (mean, inverse) = moments(x.clone(), epsilon);
    let c = (x - mean) * inverse.clone();
    let (a, b) = (t.clone().sum_dim(0) * share, (c.clone() * t.clone()).sum_dim(0) * share);
    let moved = (t - a - c.clone() * b) * inverse * scale.unsqueeze();
    let y_dot = (moved + c * scale_dot.unsqueeze() + shift_dot.unsqueeze()).reshape(dims);
    if rectified { gate(y, y_dot) } else { y_dot }
}

/// The same without a graph.
fn constant(batch: &Batch) -> Batch {
    let inner = |tensor: &Tensor<1>| tensor.clone().inner();
    Batch { scale: inner(&batch.scale), shift: inner(&batch.shift), moments: inner(&batch.moments), ..*batch }
}
