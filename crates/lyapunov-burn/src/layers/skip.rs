//! The shortcut without parameters: every other pixel, between channels of zeros.

use super::{Dual, Layer, Pass};
use crate::{kernels::Thinning, operations::thin};

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
        let Self { inputs, outputs, size, stride } = *self;
        let thinning = Thinning { size, stride, inputs, before: (outputs - inputs) / 2, outputs };
        input.map_linear(|x| thin(x, thinning))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;

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
        let expected: Vec<f64> = [0, 4, 16, 20].into_iter().flat_map(|at| [0.0, x[at], x[at + 1], 0.0]).collect();
        assert_eq!(y, expected);
    }
}
