//! Max-pooling over 2×2 windows: the tangent follows the same winners.

use super::{Dual, Layer, Pass};
use crate::{kernels::Pool, operations::winners};

/// Square images of `size`² (even) with `channels` channels to images of half the size.
#[derive(Clone, Debug)]
pub(crate) struct MaxPool {
    pub channels: usize,
    pub size: usize,
}

impl Layer for MaxPool {
    fn forward(&self, _parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        let pool = Pool { size: self.size, channels: self.channels, window: 2 };
        let x = input.value.clone();
        input.map_linear(|t| winners(x.clone(), t, pool))
    }

    fn has_kinks(&self) -> bool {
        true
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
        check_layer(&MaxPool { channels: 2, size: 4 }, 3, 2 * 16);
    }

    #[test]
    fn a_window_becomes_its_largest_number_channel_by_channel() {
        let layer = MaxPool { channels: 17, size: 4 };
        let image: burn::tensor::Tensor<2> = draw(17 * 16, 0).reshape([1, 17 * 16]);
        let x: Vec<f64> = image.to_data().try_to_vec().unwrap();
        let y = layer.forward(&[], Dual::constant(image), &mut Pass::training(Noise::default())).value;
        let y: Vec<f64> = y.to_data().try_to_vec().unwrap();
        for (place, found) in y.iter().enumerate() {
            let (window, channel) = (place / 17, place % 17);
            let first = window / 2 * 8 + window % 2 * 2;
            let largest =
                [0, 1, 4, 5].map(|pixel| x[(first + pixel) * 17 + channel]).into_iter().fold(f64::MIN, f64::max);
            assert_eq!(*found, largest);
        }
    }
}
