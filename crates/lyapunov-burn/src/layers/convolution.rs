//! The two-dimensional convolution with zero padding: bilinear in kernel and image.

use super::{Dual, Layer, Parameter, Pass};
use crate::initialization::Start;
use crate::{dual::beside, kernels::Shape, operations::convolve};

/// Square images of `size`² with `inputs` channels to such of `size`/`stride` with `outputs`, channels of a pixel side
/// by side; the kernel is
/// [outputs, inputs, kernel, kernel], the bias [outputs], if there is one, as in PyTorch. `kernel` is odd, and `stride`
/// divides the size.
#[derive(Clone, Debug)]
pub(crate) struct Convolution {
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub size: usize,
    pub stride: usize,
    pub bias: bool,
}

impl Convolution {
    fn fan_in(&self) -> usize {
        self.inputs * self.kernel * self.kernel
    }

    fn shape(&self) -> Shape {
        let Self { inputs, outputs, kernel, size, stride, .. } = *self;
        Shape { size, inputs, outputs, kernel, stride, padding: kernel / 2 }
    }
}

impl Layer for Convolution {
    fn parameters(&self) -> Vec<Parameter> {
        let parameter = |name: &str, shape, start| Parameter { name: name.to_owned(), shape, start };
        let (fan_in, fan_out) = (self.fan_in(), self.outputs * self.kernel * self.kernel);
        let shape = vec![self.outputs, self.inputs, self.kernel, self.kernel];
        let kernel = parameter("weight", shape, Start::Weight { fan_in, fan_out });
        let bias = self.bias.then(|| parameter("bias", vec![self.outputs], Start::Bias { fan_in }));
        [kernel].into_iter().chain(bias).collect()
    }

    fn forward(&self, parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        let [kernel, bias @ ..] = parameters else { unreachable!("a convolution has a kernel") };
        convolution(self.shape(), kernel, bias.first(), input)
    }

    fn multiply_adds(&self) -> Vec<usize> {
        vec![self.fan_in() * self.outputs * (self.size / self.stride).pow(2)]
    }

    fn outputs(&self) -> Vec<usize> {
        vec![self.outputs * (self.size / self.stride).pow(2)]
    }
}

/// x ∗ k + b, with ẋ ∗ k + x ∗ k̇ + ḃ.
pub(super) fn convolution(shape: Shape, kernel: &Dual<1>, bias: Option<&Dual<1>>, images: Dual<2>) -> Dual<2> {
    let value = convolve(images.value.clone(), kernel.value.clone(), bias.map(|bias| bias.value.clone()), shape);
    let of_kernel = kernel.tangent.clone().map(|dot| {
        let moved = bias.and_then(|bias| bias.tangent.clone());
        convolve(beside(&images.value, &dot), dot, moved, shape)
    });
    let of_images = images.tangent.map(|dot| {
        let fixed = beside(&kernel.value, &dot);
        convolve(dot, fixed, None, shape)
    });
    let mut output = Dual { value, tangent: of_images };
    output.move_by(of_kernel);
    output
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Tensor, module::conv2d, ops::ConvOptions};

    use super::*;
    use crate::{
        layers::testing::{check_layer, draw},
        pass::Noise,
    };

    #[test]
    fn the_tangent_is_the_derivative() {
        let convolution = Convolution { inputs: 2, outputs: 3, kernel: 3, size: 4, stride: 1, bias: true };
        check_layer(&convolution, 2, 2 * 16);
        check_layer(&Convolution { stride: 2, bias: false, ..convolution }, 2, 2 * 16);
    }

    /// Pixels with their channels in, pixels with their channels out; the kernel is PyTorch's.
    #[test]
    fn it_is_the_convolution_of_planes() {
        let layer = Convolution { inputs: 2, outputs: 3, kernel: 3, size: 4, stride: 2, bias: true };
        let (x, kernel, bias) = (draw(2 * 32, 0), draw(54, 1), draw(3, 2));
        let parameters = [kernel.clone(), bias.clone()].map(Dual::constant);
        let mut pass = Pass::training(Noise::default());
        let y = layer.forward(&parameters, Dual::constant(x.clone().reshape([2, 32])), &mut pass).value;
        let images: Tensor<4> = x.reshape([2, 4, 4, 2]).permute([0, 3, 1, 2]);
        let options = ConvOptions::new([2, 2], [1, 1], [1, 1], 1);
        let expected = conv2d(images, kernel.reshape([3, 2, 3, 3]), Some(bias), options);
        let expected: Tensor<2> = expected.permute([0, 2, 3, 1]).reshape([2, 12]);
        assert!((y - expected).abs().max().into_scalar::<f64>() < 1e-13);
    }
}
