//! Max-pooling over 2×2 windows: the tangent follows the same winners.

use burn::tensor::{
    Tensor,
    module::{max_pool2d, max_pool2d_with_indices},
    ops::MaxPoolOptions,
};

use super::{Dual, Layer, Pass};

/// Square images of `size`² (even) with `channels` channels to images of half the size.
#[derive(Clone, Debug)]
pub(crate) struct MaxPool {
    pub channels: usize,
    pub size: usize,
}

impl Layer for MaxPool {
    fn forward(&self, _parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        let (channels, size) = (self.channels, self.size);
        let examples = input.value.dims()[0];
        let pooled = channels * size * size / 4;
        let images = input.value.reshape([examples, channels, size, size]);
        let options = MaxPoolOptions::new([2, 2]);
        let Some(tangent) = input.tangent else {
            return Dual::constant(max_pool2d(images, options).reshape([examples, pooled]));
        };
        let (value, winners) = max_pool2d_with_indices(images, options);
        // Indices of a recorded tensor count as recorded, and would draw a plain tangent into the graph.
        let winners = if tangent.is_autodiff() { winners } else { winners.inner() };
        let winners = winners.reshape([examples, channels, size * size / 4]);
        let moved: Tensor<3> = tangent.reshape([examples, channels, size * size]).gather(2, winners);
        Dual { value: value.reshape([examples, pooled]), tangent: Some(moved.reshape([examples, pooled])) }
    }

    fn has_kinks(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::testing::check_layer;

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&MaxPool { channels: 2, size: 4 }, 3, 2 * 16);
    }
}
