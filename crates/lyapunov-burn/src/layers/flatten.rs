//! The step from images to features: activations are flat already, so nothing happens to them.

use super::{Dual, Layer, Pass};

/// `torch.nn.Flatten`: it holds a place in the numbering of the layers, as there.
#[derive(Clone, Debug)]
pub(crate) struct Flatten;

impl Layer for Flatten {
    fn forward(&self, _parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        input
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::testing::check_layer;

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&Flatten, 2, 5);
    }
}
