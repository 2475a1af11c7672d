//! A layer applied to each token of a sequence by itself, with the same parameters.

use burn::tensor::Tensor;

use super::{Dual, Layer, Parameter, Pass};

/// Sequences of `tokens` tokens; what the layer does with examples is done with tokens.
#[derive(Debug)]
pub(crate) struct PerToken {
    pub tokens: usize,
    pub layer: Box<dyn Layer>,
}

impl Layer for PerToken {
    fn parameters(&self) -> Vec<Parameter> {
        self.layer.parameters()
    }

    fn buffers(&self) -> Vec<String> {
        self.layer.buffers()
    }

    fn forward(&self, parameters: &[Dual<1>], input: Dual<2>, pass: &mut Pass) -> Dual<2> {
        let [examples, features] = input.value.dims();
        let tokens = input.map_linear(|x| x.reshape([examples * self.tokens, features / self.tokens]));
        let sequences = |y: Tensor<2>| {
            let features = y.dims()[1];
            y.reshape([examples, self.tokens * features])
        };
        self.layer.forward(parameters, tokens, pass).map_linear(sequences)
    }

    fn multiply_adds(&self) -> Vec<usize> {
        self.layer.multiply_adds().into_iter().map(|count| count * self.tokens).collect()
    }

    fn outputs(&self) -> Vec<usize> {
        self.layer.outputs().into_iter().map(|count| count * self.tokens).collect()
    }

    fn has_kinks(&self) -> bool {
        self.layer.has_kinks()
    }

    fn draws_masks(&self) -> bool {
        self.layer.draws_masks()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Linear, Normalize, Over,
            testing::{check_layer, draw},
        },
        *,
    };
    use crate::pass::Noise;

    fn linear() -> PerToken {
        PerToken { tokens: 4, layer: Box::new(Linear { inputs: 3, outputs: 2 }) }
    }

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&linear(), 2, 12);
        let normalize = Normalize { over: Over::Groups(1), channels: 5, pixels: 1 };
        check_layer(&PerToken { tokens: 2, layer: Box::new(normalize) }, 3, 10);
        assert_eq!(linear().multiply_adds(), [24]);
    }

    #[test]
    fn every_token_goes_through_the_layer_alone() {
        let parameters = [Dual::constant(draw(6, 1)), Dual::constant(draw(2, 2))];
        let x: Tensor<2> = draw(24, 0).reshape([2, 12]);
        let mut pass = Pass::training(Noise::default());
        let y = linear().forward(&parameters, Dual::constant(x.clone()), &mut pass).value;
        let token = x.narrow(0, 1, 1).narrow(1, 6, 3);
        let alone = linear().layer.forward(&parameters, Dual::constant(token), &mut pass).value;
        assert_eq!(y.narrow(0, 1, 1).narrow(1, 4, 2).to_data(), alone.to_data());
    }
}
