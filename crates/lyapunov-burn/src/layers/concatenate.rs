//! What comes in and, behind it, what a sequence of layers makes of it: y = [x, f(x)], with ẏ = [ẋ, ḟ].
//!
//! Source: Huang et al., *Densely connected convolutional networks* (2017).

use super::{Dual, Layer, Parameter, Pass, Sequence};

/// Images keep their channels, and those that f makes of them, of the same size, stand behind.
#[derive(Debug)]
pub(crate) struct Concatenate(pub Sequence);

impl Layer for Concatenate {
    fn parameters(&self) -> Vec<Parameter> {
        self.0.parameters()
    }

    fn buffers(&self) -> Vec<String> {
        self.0.buffers()
    }

    fn forward(&self, parameters: &[Dual<1>], input: Dual<2>, pass: &mut Pass) -> Dual<2> {
        let more = self.0.forward(parameters, input.clone(), pass);
        input.followed_by(more)
    }

    fn multiply_adds(&self) -> Vec<usize> {
        self.0.multiply_adds()
    }

    fn outputs(&self) -> usize {
        self.0.outputs()
    }

    fn has_kinks(&self) -> bool {
        self.0.has_kinks()
    }

    fn draws_masks(&self) -> bool {
        self.0.draws_masks()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Convolution, Pointwise,
            testing::{check_layer, draw},
        },
        *,
    };
    use crate::{options::Activation, pass::Noise};

    fn around(layers: Vec<Box<dyn Layer>>) -> Concatenate {
        Concatenate(Sequence::numbered(layers))
    }

    fn convolution() -> Box<dyn Layer> {
        Box::new(Convolution { inputs: 2, outputs: 3, kernel: 3, size: 4, stride: 1, bias: false })
    }

    #[test]
    fn the_tangent_is_the_derivative() {
        let soft = Box::new(Pointwise(Activation::Softplus));
        check_layer(&around(vec![soft.clone(), convolution()]), 3, 32);
        check_layer(&around(vec![soft]), 3, 32);
        assert_eq!(around(vec![convolution()]).multiply_adds(), [2 * 9 * 3 * 16]);
    }

    #[test]
    fn what_comes_in_stands_before_what_is_made_of_it() {
        let x = draw(64, 0).reshape([2, 32]);
        let (layer, kernel) = (around(vec![convolution()]), [Dual::constant(draw(54, 1))]);
        let mut pass = Pass::training(Noise::default());
        let made = convolution().forward(&kernel, Dual::constant(x.clone()), &mut pass).value;
        let y = layer.forward(&kernel, Dual::constant(x.clone()), &mut pass).value;
        assert_eq!(y.dims(), [2, 5 * 16]);
        assert_eq!(y.clone().narrow(1, 0, 32).to_data(), x.to_data());
        assert_eq!(y.narrow(1, 32, 48).to_data(), made.to_data());
    }
}
