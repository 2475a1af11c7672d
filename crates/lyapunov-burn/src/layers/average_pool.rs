//! Average-pooling over square windows: linear, so the tangent passes through it like the value.

use super::{Dual, Layer, Pass};
use crate::{kernels::Pool, operations::means};

/// Square images of `size`² with `channels` channels to the means of windows of `window`², which divides the size.
#[derive(Clone, Debug)]
pub(crate) struct AveragePool {
    pub channels: usize,
    pub size: usize,
    pub window: usize,
}

impl Layer for AveragePool {
    fn forward(&self, _parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        let pool = Pool { size: self.size, channels: self.channels, window: self.window };
        input.map_linear(|x| means(x, pool))
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
        check_layer(&AveragePool { channels: 2, size: 4, window: 2 }, 3, 2 * 16);
    }

    #[test]
    fn a_window_becomes_its_mean() {
        let layer = AveragePool { channels: 2, size: 4, window: 2 };
        let image: Tensor<2> = draw(32, 0).reshape([1, 32]);
        let x: Vec<f64> = image.to_data().try_to_vec().unwrap();
        let y = layer.forward(&[], Dual::constant(image), &mut Pass::training(Noise::default())).value;
        let y: Vec<f64> = y.to_data().try_to_vec().unwrap();
        // The second channel of the second window.
        assert!(y.len() == 8 && (y[3] - (x[5] + x[7] + x[13] + x[15]) / 4.0).abs() < 1e-15);
    }
}
