//! The fully connected layer: y = x Wᵀ + b, with ẏ = ẋ Wᵀ + x Ẇᵀ + ḃ.

use burn::tensor::Tensor;

use super::{Dual, Layer, Parameter, as_row};

/// `inputs` features to `outputs`; the weight is [outputs, inputs], the bias [outputs], as in PyTorch.
#[derive(Clone, Debug)]
pub(in crate::train) struct Linear {
    pub inputs: usize,
    pub outputs: usize,
}

impl Layer for Linear {
    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter { name: "weight", shape: vec![self.outputs, self.inputs], fan_in: self.inputs },
            Parameter { name: "bias", shape: vec![self.outputs], fan_in: self.inputs },
        ]
    }

    fn forward(&self, parameters: &[Dual<1>], input: Dual<2>) -> Dual<2> {
        let [weight, bias] = parameters else { unreachable!("a linear layer has two parameters") };
        let weight = weight.clone().map_linear(|w| w.reshape([self.outputs, self.inputs]).transpose());
        let bias = bias.clone().map_linear(as_row);
        let product = input.value.clone().matmul(weight.value.clone());
        let mut output = input.bilinear(&weight, product + bias.value, Tensor::matmul);
        output.tangent = match (output.tangent, bias.tangent) {
            (Some(tangent), Some(moved)) => Some(tangent + moved),
            (tangent, _) => tangent,
        };
        output
    }

    fn multiply_adds(&self) -> usize {
        self.inputs * self.outputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::layers::testing::check_layer;

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&Linear { inputs: 5, outputs: 3 }, 4, 5);
    }
}
