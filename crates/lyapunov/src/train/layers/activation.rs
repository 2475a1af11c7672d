//! Activations: a function applied to every entry, with ẏ = f'(x) ẋ.

use burn::tensor::{Tensor, activation};

use super::{Dual, Layer, Pass};
use crate::train::options::Activation;

/// An activation as a layer.
#[derive(Clone, Copy, Debug)]
pub(in crate::train) struct Pointwise(pub Activation);

impl Layer for Pointwise {
    fn forward(&self, _parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        match self.0 {
            Activation::Relu => {
                let value = activation::relu(input.value.clone());
                // The mask as a factor: three times faster than filling by mask.
                let rule = |x: Tensor<2>, dot: Tensor<2>| {
                    let dtype = x.dtype();
                    dot * x.inner().greater_elem(0.0).float().cast(dtype)
                };
                Dual { tangent: Dual::map_tangent(input.tangent, &input.value, rule), value }
            }
            Activation::Tanh => {
                let value = activation::tanh(input.value);
                let rule = |y: Tensor<2>, dot: Tensor<2>| dot.clone() - dot * y.clone() * y;
                Dual { tangent: Dual::map_tangent(input.tangent, &value, rule), value }
            }
        }
    }

    fn has_kinks(&self) -> bool {
        self.0 == Activation::Relu
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::layers::testing::check_layer;

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&Pointwise(Activation::Relu), 4, 5);
        check_layer(&Pointwise(Activation::Tanh), 4, 5);
    }
}
