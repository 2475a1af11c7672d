//! Average-pooling over square windows: linear, so the tangent passes through it like the value.

use burn::tensor::{Tensor, module::avg_pool2d, ops::AvgPoolOptions};

use super::{Dual, Layer, Pass};

/// Square images of `size`² with `channels` channels to the means of windows of `window`², which divides the size.
#[derive(Clone, Debug)]
pub(crate) struct AveragePool {
    pub channels: usize,
    pub size: usize,
    pub window: usize,
}

impl Layer for AveragePool {
    fn forward(&self, _parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        let (channels, size, window) = (self.channels, self.size, self.window);
        let examples = input.value.dims()[0];
        input.map_linear(|x| {
            let images: Tensor<4> = x.reshape([examples, channels, size, size]);
            let pooled = avg_pool2d(images, AvgPoolOptions::new([window, window]));
            pooled.reshape([examples, channels * (size / window).pow(2)])
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
        check_layer(&AveragePool { channels: 2, size: 4, window: 2 }, 3, 2 * 16);
    }

    #[test]
    fn a_window_becomes_its_mean() {
        let layer = AveragePool { channels: 1, size: 4, window: 2 };
        let image: Tensor<2> = draw(16, 0).reshape([1, 16]);
        let x: Vec<f64> = image.to_data().try_to_vec().unwrap();
        let y = layer.forward(&[], Dual::constant(image), &mut Pass::training(Noise::default())).value;
        let y: Vec<f64> = y.to_data().try_to_vec().unwrap();
        assert!(y.len() == 4 && (y[1] - (x[2] + x[3] + x[6] + x[7]) / 4.0).abs() < 1e-15);
    }
}
