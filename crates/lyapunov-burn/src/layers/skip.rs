//! The shortcut without parameters: every other pixel, between channels of zeros.

use burn::tensor::Tensor;

use super::{Dual, Layer, Pass};

/// Square images of `size`² with `inputs` channels to such of `size`/`stride` with `outputs`, at least as many.
#[derive(Clone, Debug)]
pub(crate) struct Skip {
    pub inputs: usize,
    pub outputs: usize,
    pub size: usize,
    pub stride: usize,
}

impl Layer for Skip {
    fn forward(&self, _parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        let Self { inputs, outputs, stride, .. } = *self;
        let (examples, size) = (input.value.dims()[0], self.size / stride);
        let before = (outputs - inputs) / 2;
        input.map_linear(|x| {
            let windows: Tensor<6> = x.reshape([examples, inputs, size, stride, size, stride]);
            let kept: Tensor<4> = windows.narrow(3, 0, 1).narrow(5, 0, 1).reshape([examples, inputs, size, size]);
            let zeros = |channels| Tensor::zeros([examples, channels, size, size], (&kept.device(), kept.dtype()));
            let (above, below) = (zeros(before), zeros(outputs - inputs - before));
            Tensor::cat(vec![above, kept, below], 1).reshape([examples, outputs * size * size])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layers::testing::{check_layer, draw},
        pass::Noise,
    };

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&Skip { inputs: 2, outputs: 5, size: 4, stride: 2 }, 3, 2 * 16);
    }

    #[test]
    fn every_other_pixel_stands_between_channels_of_zeros() {
        let image: Tensor<2> = draw(32, 0).reshape([1, 32]);
        let x: Vec<f64> = image.to_data().try_to_vec().unwrap();
        let skip = Skip { inputs: 2, outputs: 4, size: 4, stride: 2 };
        let y = skip.forward(&[], Dual::constant(image), &mut Pass::training(Noise::default())).value;
        let y: Vec<f64> = y.to_data().try_to_vec().unwrap();
        let expected = [[0.0; 4], [x[0], x[2], x[8], x[10]], [x[16], x[18], x[24], x[26]], [0.0; 4]].concat();
        assert_eq!(y, expected);
    }
}
