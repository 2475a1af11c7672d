//! Images cut into square patches, each a token: one linear map for all, which is a convolution whose stride is its
//! kernel.
//!
//! Source: Dosovitskiy et al., *An image is worth 16×16 words* (2021), equation 1.

use super::{Dual, Layer, Linear, Parameter, Pass, convolution::convolution};
use crate::kernels::Shape;

/// Square images of `size`² with `channels` channels to (size/patch)² tokens of `width` features, row by row; `patch`
/// divides the size. The weight is [width, channels, patch, patch], as that of PyTorch's convolution.
#[derive(Clone, Debug)]
pub(crate) struct PatchEmbedding {
    pub channels: usize,
    pub size: usize,
    pub patch: usize,
    pub width: usize,
}

impl PatchEmbedding {
    /// How many tokens an image becomes.
    pub fn tokens(&self) -> usize {
        (self.size / self.patch).pow(2)
    }

    fn linear(&self) -> Linear {
        Linear { inputs: self.channels * self.patch * self.patch, outputs: self.width }
    }

    fn shape(&self) -> Shape {
        let Self { channels, size, patch, width } = *self;
        Shape { size, inputs: channels, outputs: width, kernel: patch, stride: patch, padding: 0 }
    }
}

impl Layer for PatchEmbedding {
    fn parameters(&self) -> Vec<Parameter> {
        let mut parameters = self.linear().parameters();
        parameters[0].shape = vec![self.width, self.channels, self.patch, self.patch];
        parameters
    }

    fn forward(&self, parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        let [kernel, bias] = parameters else { unreachable!("a patch embedding has two parameters") };
        convolution(self.shape(), kernel, Some(bias), input)
    }

    fn multiply_adds(&self) -> Vec<usize> {
        self.linear().multiply_adds().into_iter().map(|count| count * self.tokens()).collect()
    }

    fn outputs(&self) -> Vec<usize> {
        vec![self.tokens() * self.width]
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Tensor, module::conv2d, ops::ConvOptions};

    use super::*;
    use crate::{
        layers::testing::{check_layer, draw},
        pass::Noise,
    };

    const LAYER: PatchEmbedding = PatchEmbedding { channels: 2, size: 6, patch: 3, width: 5 };

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&LAYER, 3, 72);
        assert_eq!(LAYER.multiply_adds(), [18 * 5 * 4]);
    }

    #[test]
    fn it_is_the_convolution_whose_stride_is_its_kernel() {
        let (x, kernel, bias) = (draw(2 * 72, 0), draw(90, 1), draw(5, 2));
        let parameters = [kernel.clone(), bias.clone()].map(Dual::constant);
        let mut pass = Pass::training(Noise::default());
        let y = LAYER.forward(&parameters, Dual::constant(x.clone().reshape([2, 72])), &mut pass).value;
        let options = ConvOptions::new([3, 3], [0, 0], [1, 1], 1);
        let expected =
            conv2d(x.reshape([2, 6, 6, 2]).permute([0, 3, 1, 2]), kernel.reshape([5, 2, 3, 3]), Some(bias), options);
        // [examples, width, rows, columns] to tokens of features.
        let expected: Tensor<2> = expected.permute([0, 2, 3, 1]).reshape([2, 20]);
        assert!((y - expected).abs().max().into_scalar::<f64>() < 1e-13);
    }
}
