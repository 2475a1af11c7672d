//! The fully connected layer: y = x Wᵀ + b, with ẏ = ẋ Wᵀ + x Ẇᵀ + ḃ.

use super::{Dual, Layer, Parameter, Pass, convolution::convolution};
use crate::initialization::Start;
use crate::kernels::Shape;

/// `inputs` features to `outputs`; the weight is [outputs, inputs], the bias [outputs], as in PyTorch.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    pub inputs: usize,
    pub outputs: usize,
}

impl Layer for Linear {
    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter {
                name: "weight".into(),
                shape: vec![self.outputs, self.inputs],
                start: Start::Weight { fan_in: self.inputs, fan_out: self.outputs },
            },
            Parameter { name: "bias".into(), shape: vec![self.outputs], start: Start::Bias { fan_in: self.inputs } },
        ]
    }

    fn forward(&self, parameters: &[Dual<1>], input: Dual<2>, _pass: &mut Pass) -> Dual<2> {
        let [weight, bias] = parameters else { unreachable!("a linear layer has two parameters") };
        convolution(Shape::of_matrix(self.inputs, self.outputs), weight, Some(bias), input)
    }

    fn multiply_adds(&self) -> Vec<usize> {
        vec![self.inputs * self.outputs]
    }

    fn outputs(&self) -> Vec<usize> {
        vec![self.outputs]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::testing::check_layer;

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&Linear { inputs: 5, outputs: 3 }, 4, 5);
    }
}
