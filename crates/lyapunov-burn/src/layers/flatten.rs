//! The step from images to features, in PyTorch's order: channel by channel, and in each pixel by pixel.

use burn::tensor::Tensor;

use super::{Dual, Layer, Pass};

/// `torch.nn.Flatten` of images of `pixels` pixels: it holds a place in the numbering of the layers, as there.
#[derive(Clone, Debug)]
pub(crate) struct Flatten {
    pub channels: usize,
    pub pixels: usize,
}

impl Layer for Flatten {
    fn forward(&self, _parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        let Self { channels, pixels } = *self;
        let examples = input.value.dims()[0];
        input.map_linear(|x| {
            let images: Tensor<3> = x.reshape([examples, pixels, channels]);
            images.swap_dims(1, 2).reshape([examples, channels * pixels])
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

    const LAYER: Flatten = Flatten { channels: 2, pixels: 3 };

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&LAYER, 2, 6);
    }

    #[test]
    fn channels_become_planes() {
        let x = draw(6, 0);
        let input = Dual::constant(x.clone().reshape([1, 6]));
        let y = LAYER.forward(&[], input, &mut Pass::training(Noise::default())).value;
        let (x, y): (Vec<f64>, Vec<f64>) = (x.to_data().try_to_vec().unwrap(), y.to_data().try_to_vec().unwrap());
        assert_eq!(y, [x[0], x[2], x[4], x[1], x[3], x[5]]);
    }
}
