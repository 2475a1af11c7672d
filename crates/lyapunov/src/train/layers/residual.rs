//! A residual block: y = a(f(x) + s(x)), with a sequence of layers f, a shortcut s without parameters, an activation a.
//!
//! Source: He et al., *Deep residual learning* (2015), section 4.2: where a block halves the image and adds channels, the
//! shortcut takes every other pixel and fills up with channels of zeros ("option A").

use burn::tensor::Tensor;

use super::{Dual, Layer, Parameter, Pass, Pointwise, Sequence};

/// A block that takes square images of `size`² with `inputs` channels to `outputs` channels, at 1/`stride` of the size.
#[derive(Debug)]
pub(in crate::train) struct Residual {
    /// f.
    pub body: Sequence,
    /// a.
    pub activation: Pointwise,
    pub inputs: usize,
    pub outputs: usize,
    pub size: usize,
    pub stride: usize,
}

impl Residual {
    /// s(x): linear.
    fn shortcut(&self, x: Tensor<2>) -> Tensor<2> {
        let Self { inputs, outputs, stride, .. } = *self;
        if stride == 1 && inputs == outputs {
            return x;
        }
        let (examples, size) = (x.dims()[0], self.size / stride);
        let windows: Tensor<6> = x.reshape([examples, inputs, size, stride, size, stride]);
        let kept: Tensor<4> = windows.narrow(3, 0, 1).narrow(5, 0, 1).reshape([examples, inputs, size, size]);
        let before = (outputs - inputs) / 2;
        let zeros = |channels| Tensor::zeros([examples, channels, size, size], (&kept.device(), kept.dtype()));
        let padding = [zeros(before), zeros(outputs - inputs - before)];
        let [before, after] = padding;
        Tensor::cat(vec![before, kept, after], 1).reshape([examples, outputs * size * size])
    }
}

impl Layer for Residual {
    fn parameters(&self) -> Vec<Parameter> {
        self.body.parameters()
    }

    fn buffers(&self) -> Vec<String> {
        self.body.buffers()
    }

    fn forward(&self, parameters: &[Dual<1>], input: Dual<2>, pass: &mut Pass) -> Dual<2> {
        let shortcut = input.clone().map_linear(|x| self.shortcut(x));
        let sum = self.body.forward(parameters, input, pass).plus(shortcut);
        self.activation.forward(&[], sum, pass)
    }

    fn multiply_adds(&self) -> Vec<usize> {
        self.body.multiply_adds()
    }

    fn has_kinks(&self) -> bool {
        self.body.has_kinks() || self.activation.has_kinks()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Convolution,
            testing::{check_layer, draw},
        },
        *,
    };
    use crate::train::{options::Activation, pass::Noise};

    fn block(outputs: usize, stride: usize) -> Residual {
        let convolution = Convolution { inputs: 2, outputs, kernel: 3, size: 4, stride, bias: false };
        let body = Sequence::numbered(vec![Box::new(convolution)]);
        Residual { body, activation: Pointwise(Activation::Softplus), inputs: 2, outputs, size: 4, stride }
    }

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&block(2, 1), 3, 2 * 16);
        check_layer(&block(5, 2), 3, 2 * 16);
    }

    #[test]
    fn the_shortcut_takes_every_other_pixel_between_channels_of_zeros() {
        let image: Tensor<2> = draw(32, 0).reshape([1, 32]);
        let x: Vec<f64> = image.to_data().try_to_vec().unwrap();
        let block = block(4, 2);
        let kernel = draw(2 * 4 * 9, 1).zeros_like();
        let y = block.forward(&[Dual::constant(kernel)], Dual::constant(image), &mut Pass::training(Noise::default()));
        let y: Vec<f64> = y.value.to_data().try_to_vec().unwrap();
        let x: Vec<f64> = x.into_iter().map(|x| x.exp().ln_1p()).collect();
        let nothing = [2.0_f64.ln(); 4];
        let expected = [nothing, [x[0], x[2], x[8], x[10]], [x[16], x[18], x[24], x[26]], nothing].concat();
        assert!(y.len() == 16 && y.iter().zip(expected).all(|(y, expected)| (y - expected).abs() < 1e-14));
    }
}
