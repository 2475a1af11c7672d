//! The two-dimensional convolution with zero padding that keeps the image size: bilinear in kernel and image.

use burn::tensor::{Tensor, module::conv2d, ops::ConvOptions};

use super::{Dual, Layer, Parameter, Pass, Start};

/// Square images of `size`² with `inputs` channels to as many with `outputs`; the kernel is
/// [outputs, inputs, kernel, kernel], the bias [outputs], as in PyTorch. `kernel` is odd.
#[derive(Clone, Debug)]
pub(in crate::train) struct Convolution {
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub size: usize,
}

impl Convolution {
    fn fan_in(&self) -> usize {
        self.inputs * self.kernel * self.kernel
    }

    fn convolve(&self, image: Tensor<4>, kernel: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
        let padding = self.kernel / 2;
        conv2d(image, kernel, bias, ConvOptions::new([1, 1], [padding, padding], [1, 1], 1))
    }
}

impl Layer for Convolution {
    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter {
                name: "weight".into(),
                shape: vec![self.outputs, self.inputs, self.kernel, self.kernel],
                start: Start::Uniform { fan_in: self.fan_in() },
            },
            Parameter {
                name: "bias".into(),
                shape: vec![self.outputs],
                start: Start::Uniform { fan_in: self.fan_in() },
            },
        ]
    }

    fn forward(&self, parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        let [kernel, bias] = parameters else { unreachable!("a convolution has two parameters") };
        let examples = input.value.dims()[0];
        let (inputs, outputs, kernel_size, size) = (self.inputs, self.outputs, self.kernel, self.size);
        let kernel = kernel.clone().map_linear(|k| k.reshape([outputs, inputs, kernel_size, kernel_size]));
        let images = input.map_linear(|x| x.reshape([examples, inputs, size, size]));
        let value = self.convolve(images.value.clone(), kernel.value.clone(), Some(bias.value.clone()));
        let mut output = images.bilinear(&kernel, value, |x, k| self.convolve(x, k, None));
        output.move_by(bias.tangent.clone().map(|moved| moved.reshape([1, outputs, 1, 1])));
        output.map_linear(|y| y.reshape([examples, outputs * size * size]))
    }

    fn multiply_adds(&self) -> Vec<usize> {
        vec![self.fan_in() * self.outputs * self.size * self.size]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::layers::testing::check_layer;

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&Convolution { inputs: 2, outputs: 3, kernel: 3, size: 4 }, 2, 2 * 16);
    }
}
