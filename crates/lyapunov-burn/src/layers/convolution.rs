//! The two-dimensional convolution with zero padding: bilinear in kernel and image.

use burn::tensor::{Tensor, module::conv2d, ops::ConvOptions};

use super::{Dual, Layer, Parameter, Pass, Start};

/// Square images of `size`² with `inputs` channels to such of `size`/`stride` with `outputs`; the kernel is
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

    fn convolve(&self, image: Tensor<4>, kernel: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
        let padding = self.kernel / 2;
        conv2d(image, kernel, bias, ConvOptions::new([self.stride, self.stride], [padding, padding], [1, 1], 1))
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
        let bias = bias.first();
        let examples = input.value.dims()[0];
        let (inputs, outputs, kernel_size, size) = (self.inputs, self.outputs, self.kernel, self.size);
        let kernel = kernel.clone().map_linear(|k| k.reshape([outputs, inputs, kernel_size, kernel_size]));
        let images = input.map_linear(|x| x.reshape([examples, inputs, size, size]));
        let value = self.convolve(images.value.clone(), kernel.value.clone(), bias.map(|bias| bias.value.clone()));
        let mut output = images.bilinear(&kernel, value, |x, k| self.convolve(x, k, None));
        let moved = bias.and_then(|bias| bias.tangent.clone());
        output.move_by(moved.map(|moved| moved.reshape([1, outputs, 1, 1])));
        output.map_linear(|y| y.reshape([examples, outputs * (size / self.stride).pow(2)]))
    }

    fn multiply_adds(&self) -> Vec<usize> {
        vec![self.fan_in() * self.outputs * (self.size / self.stride).pow(2)]
    }

    fn outputs(&self) -> usize {
        self.outputs * (self.size / self.stride).pow(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::testing::check_layer;

    #[test]
    fn the_tangent_is_the_derivative() {
        let convolution = Convolution { inputs: 2, outputs: 3, kernel: 3, size: 4, stride: 1, bias: true };
        check_layer(&convolution, 2, 2 * 16);
        check_layer(&Convolution { stride: 2, bias: false, ..convolution }, 2, 2 * 16);
    }
}
