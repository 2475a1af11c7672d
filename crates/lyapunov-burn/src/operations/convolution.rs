//! The convolution of images with a kernel, as PyTorch lays it out.

use burn::tensor::{Shape as Dimensions, Tensor, module::conv2d, ops::ConvOptions};

use super::{
    is_direct,
    record::{Keeps, Operation},
    run,
};
use crate::kernels::{self, Numbers, Real, Shape, Workspace};

/// x ∗ w, or x ∗ w + b: inputs x [examples, size × size × inputs], w [outputs × inputs × kernel × kernel], b [outputs].
#[derive(Debug)]
struct Convolve(Shape);

impl Operation for Convolve {
    fn shape(&self, inputs: &[Dimensions]) -> Vec<usize> {
        vec![inputs[0][0], self.0.output()]
    }

    fn keeps(&self) -> Vec<Keeps> {
        vec![Keeps::Input(0), Keeps::Input(1)]
    }

    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers> {
        kernels::convolve(space, &self.0, inputs[0], inputs[1], inputs.get(2).copied(), output);
        None
    }

    fn gradients<T: Real>(&self, space: &Workspace, kept: &[&[T]], u: &[T], wanted: &[bool]) -> Vec<Option<Numbers>> {
        let (x, weights) = (kept[0], kept[1]);
        let of_x = wanted[0].then(|| {
            let mut dx = space.numbers::<T>(x.len());
            kernels::input_gradient(space, &self.0, u, weights, dx.slice_mut());
            dx
        });
        let of_weights = wanted[1].then(|| {
            let mut dw = space.numbers::<T>(weights.len());
            kernels::weight_gradient(space, &self.0, x, u, dw.slice_mut());
            dw
        });
        let of_bias = wanted.get(2).is_some_and(|wanted| *wanted).then(|| {
            let mut db = space.numbers::<T>(self.0.outputs);
            kernels::channel_sums(space, u, db.slice_mut());
            db
        });
        vec![of_x, of_weights, of_bias]
    }
}

/// y [examples, side × side × outputs] of x [examples, size × size × inputs], w [outputs × inputs × kernel × kernel]
/// and b [outputs].
pub(crate) fn convolve(x: Tensor<2>, weights: Tensor<1>, bias: Option<Tensor<1>>, shape: Shape) -> Tensor<2> {
    match bias {
        _ if !is_direct(&x) => plain(x, weights, bias, shape),
        Some(bias) => run!(Convolve(shape), x, weights, bias),
        None => run!(Convolve(shape), x, weights),
    }
}

fn plain(x: Tensor<2>, weights: Tensor<1>, bias: Option<Tensor<1>>, shape: Shape) -> Tensor<2> {
    let Shape { size, inputs, outputs, kernel, stride, padding } = shape;
    let examples = x.dims()[0];
    if shape == Shape::of_matrix(inputs, outputs) {
        let y = x.matmul(weights.reshape([outputs, inputs]).transpose());
        return match bias {
            Some(bias) => y + bias.unsqueeze(),
            None => y,
        };
    }
    let images: Tensor<4> = x.reshape([examples, size, size, inputs]);
    let weights = weights.reshape([outputs, inputs, kernel, kernel]);
    let options = ConvOptions::new([stride, stride], [padding, padding], [1, 1], 1);
    let y = conv2d(images.permute([0, 3, 1, 2]), weights, bias, options);
    y.permute([0, 2, 3, 1]).reshape([examples, shape.output()])
}
