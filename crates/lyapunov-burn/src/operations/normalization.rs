//! Normalisation over a batch or over groups of channels, and its tangent, both with the derivative of mean and
//! variance, and with a ReLU behind them where one is asked for.

use burn::tensor::{Shape, Tensor};

use super::{
    gate, is_direct,
    record::{Keeps, Operation},
    rectify, run,
};
use crate::kernels::{
    Numbers, Real, Workspace,
    batch_norm::{self, Channels},
    group_norm::{self, Groups, Known},
};

/// Over what means and variances are taken, of images [examples, pixels × channels].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Each channel over the images of the batch.
    Batch {
        /// How many channels there are.
        channels: usize,
        /// Whether a ReLU stands behind.
        rectified: bool,
    },
    /// Each image over groups of its channels.
    Groups(Groups),
}

/// Means, then inverse deviations (σ² + ε)^−½, of every channel or group.
#[derive(Debug)]
struct Statistics {
    over: Over,
    epsilon: f64,
}

impl Operation for Statistics {
    fn shape(&self, inputs: &[Shape]) -> Vec<usize> {
        match self.over {
            Over::Batch { channels, .. } => vec![2 * channels],
            Over::Groups(groups) => vec![2 * inputs[0].num_elements() / groups.image() * groups.groups],
        }
    }

    fn keeps(&self) -> Vec<Keeps> {
        Vec::new()
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        match self.over {
            Over::Batch { .. } => batch_norm::statistics(space, inputs[0], self.epsilon, output),
            Over::Groups(groups) => group_norm::statistics(space, groups, inputs[0], self.epsilon, output),
        }
        None
    }

    fn gradients<T: Real>(&self, _: &Workspace, _: &[&[T]], _: &[T], _: &[bool]) -> Vec<Option<Numbers>> {
        unreachable!("what moves with the statistics is part of what is made with them")
    }
}

/// γ (x − μ) r + β. Inputs: x, γ, β, and the moments, which are constants here: their derivative is part of x's.
#[derive(Debug)]
struct Normalize(Over);

impl Operation for Normalize {
    fn shape(&self, inputs: &[Shape]) -> Vec<usize> {
        inputs[0].to_vec()
    }

    fn keeps(&self) -> Vec<Keeps> {
        (0..4).map(Keeps::Input).collect()
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        let &[x, scale, shift, moments] = inputs else { unreachable!("four inputs") };
        match self.0 {
            Over::Batch { rectified, .. } => {
                batch_norm::normalize(space, Channels { moments, scale, shift, rectified }, x, output);
            }
            Over::Groups(groups) => group_norm::normalize(space, groups, Known { moments, scale }, shift, x, output),
        }
        None
    }

    fn gradients<T: Real>(&self, space: &Workspace, kept: &[&[T]], u: &[T], _: &[bool]) -> Vec<Option<Numbers>> {
        let &[x, scale, shift, moments] = kept else { unreachable!("four inputs") };
        let [mut dx, mut dscale, mut dshift] =
            [x.len(), scale.len(), scale.len()].map(|length| space.numbers::<T>(length));
        let (made, of_channels) = (dx.slice_mut(), [dscale.slice_mut(), dshift.slice_mut()]);
        match self.0 {
            Over::Batch { rectified, .. } => {
                let channels = Channels { moments, scale, shift, rectified };
                batch_norm::gradient(space, channels, [x, u], made, of_channels);
            }
            Over::Groups(groups) => {
                group_norm::gradient(space, groups, Known { moments, scale }, [x, u], made, of_channels);
            }
        }
        vec![Some(dx), Some(dscale), Some(dshift), None]
    }
}

/// The tangent of [`Normalize`]. Inputs: x, γ, β, the moments, and the tangents of x, γ and β.
#[derive(Debug)]
struct Tangent(Over);

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
        let (dots, kept) = ([scale_dot, shift_dot], means.slice_mut());
        match self.0 {
            Over::Batch { rectified, .. } => {
                let channels = Channels { moments, scale, shift, rectified };
                batch_norm::tangent(space, channels, [x, t], dots, output, kept);
            }
            Over::Groups(groups) => {
                group_norm::tangent(space, groups, Known { moments, scale }, [x, t], dots, output, kept);
            }
        }
        Some(means)
    }

    fn gradients<T: Real>(&self, space: &Workspace, kept: &[&[T]], u: &[T], _: &[bool]) -> Vec<Option<Numbers>> {
        let &[x, scale, shift, moments, t, scale_dot, means] = kept else { unreachable!("six inputs and the means") };
        let [mut dx, mut dt] = [x.len(); 2].map(|length| space.numbers::<T>(length));
        let [mut dscale, mut dscale_dot, mut dshift_dot] = [scale.len(); 3].map(|length| space.numbers::<T>(length));
        let made = [dx.slice_mut(), dt.slice_mut()];
        let of_channels = [dscale.slice_mut(), dscale_dot.slice_mut(), dshift_dot.slice_mut()];
        match self.0 {
            Over::Batch { rectified, .. } => {
                let channels = Channels { moments, scale, shift, rectified };
                batch_norm::tangent_gradient(space, channels, scale_dot, means, [x, t, u], made, of_channels);
            }
            Over::Groups(groups) => {
                let known = Known { moments, scale };
                group_norm::tangent_gradient(space, groups, known, [scale_dot, means], [x, t, u], made, of_channels);
            }
        }
        // β and the moments are constants here: where the ReLU stands does not move.
        vec![Some(dx), Some(dscale), None, None, Some(dt), Some(dscale_dot), Some(dshift_dot)]
    }
}

/// What a normalisation is made with.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// Over what.
    pub over: Over,
    /// γ [channels].
    pub scale: Tensor<1>,
    /// β [channels].
    pub shift: Tensor<1>,
    /// What [`statistics`] gives.
    pub moments: Tensor<1>,
    /// ε.
    pub epsilon: f64,
}

impl Made {
    fn rectified(&self) -> bool {
        matches!(self.over, Over::Batch { rectified: true, .. })
    }

    /// The same without a graph.
    fn constant(&self) -> Self {
        let [scale, shift, moments] = [&self.scale, &self.shift, &self.moments].map(|tensor| tensor.clone().inner());
        Self { scale, shift, moments, ..*self }
    }

    /// Parameters [channels] as they meet [`Over::images`].
    fn channels(&self, parameter: Tensor<1>) -> Tensor<4> {
        let length = parameter.dims()[0];
        match self.over {
            Over::Batch { .. } => parameter.reshape([1, 1, length, 1]),
            Over::Groups(groups) => parameter.reshape([1, 1, groups.groups, groups.width()]),
        }
    }
}

impl Over {
    /// [examples, pixels, groups, channels of a group]; a batch is averaged channel by channel.
    fn images(self, x: Tensor<2>) -> Tensor<4> {
        let [examples, features] = x.dims();
        match self {
            Self::Batch { channels, .. } => x.reshape([examples, features / channels, channels, 1]),
            Self::Groups(groups) => x.reshape([examples, groups.pixels, groups.groups, groups.width()]),
        }
    }

    /// The mean over everything that shares μ and σ², of [`Over::images`].
    fn average(self, x: Tensor<4>) -> Tensor<4> {
        let [examples, pixels, _, channels] = x.dims();
        match self {
            Self::Batch { .. } => x.sum_dim(1).sum_dim(0) * (1.0 / (examples * pixels) as f64),
            Self::Groups(_) => x.sum_dim(3).sum_dim(1) * (1.0 / (channels * pixels) as f64),
        }
    }

    /// μ and r of [`Over::images`].
    fn moments(self, x: Tensor<4>, epsilon: f64) -> (Tensor<4>, Tensor<4>) {
        let mean = self.average(x.clone());
        let variance = self.average((x - mean.clone()).square());
        (mean, (variance + epsilon).sqrt().recip())
    }
}

/// Means, then inverse deviations (σ² + ε)^−½, of every channel or group, as constants.
pub(crate) fn statistics(x: &Tensor<2>, over: Over, epsilon: f64) -> Tensor<1> {
    let x = x.clone().inner();
    if is_direct(&x) {
        return run!(Statistics { over, epsilon }, x);
    }
    let (mean, inverse) = over.moments(over.images(x), epsilon);
    let length = mean.dims().iter().product::<usize>();
    Tensor::cat(vec![mean.reshape([length]), inverse.reshape([length])], 0)
}

/// γ (x − μ) r + β of x [examples, pixels × channels].
pub(crate) fn normalize(x: Tensor<2>, made: Made) -> Tensor<2> {
    if is_direct(&x) {
        return run!(Normalize(made.over), x, made.scale, made.shift, made.moments);
    }
    let (dims, rectified, over) = (x.dims(), made.rectified(), made.over);
    let x = over.images(x);
    let (mean, inverse) = over.moments(x.clone(), made.epsilon);
    let y = (x - mean) * inverse * made.channels(made.scale.clone()) + made.channels(made.shift.clone());
    let y = y.reshape(dims);
    if rectified { rectify(y) } else { y }
}

/// The tangent of [`normalize`] along tangents of x, γ and β; where a ReLU stands, it lets through where that of the
/// value does.
pub(crate) fn normalize_tangent(x: Tensor<2>, made: Made, t: Tensor<2>, dots: [Tensor<1>; 2]) -> Tensor<2> {
    let [scale_dot, shift_dot] = dots;
    if is_direct(&t) {
        let Made { over, scale, shift, moments, .. } = made;
        return run!(Tangent(over), x, scale, shift, moments, t, scale_dot, shift_dot);
    }
    let y = made.rectified().then(|| normalize(x.clone().inner(), made.constant()));
    let (dims, over) = (x.dims(), made.over);
    let (x, t) = (over.images(x), over.images(t));
    let (mean, inverse) = over.moments(x.clone(), made.epsilon);
    let c = (x - mean) * inverse.clone();
    let (a, b) = (over.average(t.clone()), over.average(c.clone() * t.clone()));
    let moved = (t - a - c.clone() * b) * inverse * made.channels(made.scale.clone());
    let y_dot = (moved + c * made.channels(scale_dot) + made.channels(shift_dot)).reshape(dims);
    match y {
        Some(y) => gate(y, y_dot),
        None => y_dot,
    }
}
