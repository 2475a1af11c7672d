//! What comes in and, behind it, what a sequence of layers makes of it: y = [x, f(x)], with ẏ = [ẋ, ḟ].
//!
//! Source: Huang et al., *Densely connected convolutional networks* (2017).

use super::{Dual, Layer, Parameter, Pass, Sequence};
use crate::operations::concatenate;

/// Images keep their `channels`, and those that f makes of them, `made` of the same size, stand behind in each pixel.
#[derive(Debug)]
pub(crate) struct Concatenate {
    pub channels: usize,
    pub made: usize,
    /// f.
    pub layers: Sequence,
}

impl Layer for Concatenate {
    fn parameters(&self) -> Vec<Parameter> {
        self.layers.parameters()
    }

    fn buffers(&self) -> Vec<String> {
        self.layers.buffers()
    }

    fn forward(&self, parameters: &[Dual<1>], input: Dual<2>, pass: &mut Pass) -> Dual<2> {
        let made = self.layers.forward(parameters, input.clone(), pass);
        input.joined(made, |x, made| concatenate(x, made, [self.channels, self.made]))
    }

    fn multiply_adds(&self) -> Vec<usize> {
        self.layers.multiply_adds()
    }

    fn outputs(&self) -> Vec<usize> {
        self.layers.outputs()
    }

    fn has_kinks(&self) -> bool {
        self.layers.has_kinks()
    }

    fn draws_masks(&self) -> bool {
        self.layers.draws_masks()
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

    fn around(layers: Vec<Box<dyn Layer>>, made: usize) -> Concatenate {
        Concatenate { channels: 2, made, layers: Sequence::numbered(layers) }
    }

    fn convolution() -> Box<dyn Layer> {
        Box::new(Convolution { inputs: 2, outputs: 3, kernel: 3, size: 4, stride: 1, bias: false })
    }

    #[test]
    fn the_tangent_is_the_derivative() {
        let soft = Box::new(Pointwise(Activation::Softplus));
        check_layer(&around(vec![soft.clone(), convolution()], 3), 3, 32);
        check_layer(&around(vec![soft], 2), 3, 32);
        assert_eq!(around(vec![convolution()], 3).multiply_adds(), [2 * 9 * 3 * 16]);
    }

    #[test]
    fn what_comes_in_stands_before_what_is_made_of_it() {
        let x = draw(64, 0).reshape([2, 32]);
        let (layer, kernel) = (around(vec![convolution()], 3), [Dual::constant(draw(54, 1))]);
        let mut pass = Pass::training(Noise::default());
        let made = convolution().forward(&kernel, Dual::constant(x.clone()), &mut pass).value;
        let y = layer.forward(&kernel, Dual::constant(x.clone()), &mut pass).value;
        assert_eq!(y.dims(), [2, 5 * 16]);
        let channels = |from, count| y.clone().reshape([2, 16, 5]).narrow(2, from, count).reshape([2, 16 * count]);
        assert_eq!(channels(0, 2).to_data(), x.to_data());
        assert_eq!(channels(2, 3).to_data(), made.to_data());
    }
}
