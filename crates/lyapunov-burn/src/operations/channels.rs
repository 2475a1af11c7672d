//! Channels side by side, and every other pixel between channels of zeros.

use burn::tensor::{Shape, Tensor};

use super::{
    is_direct,
    record::{Keeps, Operation},
    run,
};
use crate::kernels::{self, Numbers, Real, Thinning, Workspace};

/// The channels of the first input, and behind them those of the second.
#[derive(Debug)]
struct Concatenate([usize; 2]);

impl Operation for Concatenate {
    fn shape(&self, inputs: &[Shape]) -> Vec<usize> {
        vec![inputs[0][0], inputs[0][1] + inputs[1][1]]
    }

    fn keeps(&self) -> Vec<Keeps> {
        Vec::new()
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        kernels::concatenate(space, self.0, [inputs[0], inputs[1]], output);
        None
    }

    fn gradients<T: Real>(&self, space: &Workspace, _: &[&[T]], u: &[T], _: &[bool]) -> Vec<Option<Numbers>> {
        let [first, second] = self.0;
        let pixels = u.len() / (first + second);
        let part = |start, kept| {
            let mut part = space.numbers::<T>(pixels * kept);
            kernels::part(space, [first + second, start, kept], u, part.slice_mut());
            Some(part)
        };
        vec![part(0, first), part(first, second)]
    }
}

/// Every `stride`-th pixel, between channels of zeros.
#[derive(Debug)]
struct Thin(Thinning);

impl Operation for Thin {
    fn shape(&self, inputs: &[Shape]) -> Vec<usize> {
        vec![inputs[0][0], self.0.output()]
    }

    fn keeps(&self) -> Vec<Keeps> {
        Vec::new()
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        self.0.thin(space, inputs[0], output);
        None
    }

    fn gradients<T: Real>(&self, space: &Workspace, _: &[&[T]], u: &[T], _: &[bool]) -> Vec<Option<Numbers>> {
        let mut dx = space.numbers::<T>(u.len() / self.0.output() * self.0.image());
        self.0.gradient(space, u, dx.slice_mut());
        vec![Some(dx)]
    }
}

/// Images whose pixels have these numbers of channels, as images with the channels of both.
pub(crate) fn concatenate(a: Tensor<2>, b: Tensor<2>, channels: [usize; 2]) -> Tensor<2> {
    if is_direct(&a) {
        return run!(Concatenate(channels), a, b);
    }
    let (examples, pixels) = (a.dims()[0], a.dims()[1] / channels[0]);
    let images = |x: Tensor<2>, channels| -> Tensor<3> { x.reshape([examples, pixels, channels]) };
    let both = Tensor::cat(vec![images(a, channels[0]), images(b, channels[1])], 2);
    both.reshape([examples, pixels * (channels[0] + channels[1])])
}

/// Every `stride`-th pixel of x along both sides, between channels of zeros.
pub(crate) fn thin(x: Tensor<2>, thinning: Thinning) -> Tensor<2> {
    if is_direct(&x) {
        return run!(Thin(thinning), x);
    }
    let Thinning { size, stride, inputs, before, outputs } = thinning;
    let (examples, side) = (x.dims()[0], size / stride);
    let windows: Tensor<6> = x.reshape([examples, side, stride, side, stride, inputs]);
    let kept: Tensor<3> = windows.narrow(2, 0, 1).narrow(4, 0, 1).reshape([examples, side * side, inputs]);
    let zeros = |channels| Tensor::zeros([examples, side * side, channels], (&kept.device(), kept.dtype()));
    let (above, below) = (zeros(before), zeros(outputs - inputs - before));
    Tensor::cat(vec![above, kept, below], 2).reshape([examples, thinning.output()])
}
