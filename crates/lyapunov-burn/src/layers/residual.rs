//! A residual block: y = a(f(x) + s(x)), with sequences of layers f and s and, if there is one, an activation a.
//!
//! Source: He et al., *Deep residual learning* (2015), and without a *Identity mappings* (2016).

use super::{Dual, Layer, Parameter, Pass, Pointwise, Sequence};
use crate::operations::{gate, rectify_sum};

/// A block; its parameters are those of the body, then those of the shortcut, by the names that these give them.
#[derive(Debug)]
pub(crate) struct Residual {
    /// f.
    pub body: Sequence,
    /// s: the identity if it is empty.
    pub shortcut: Sequence,
    /// a.
    pub activation: Option<Pointwise>,
}

impl Layer for Residual {
    fn parameters(&self) -> Vec<Parameter> {
        [self.body.parameters(), self.shortcut.parameters()].concat()
    }

    fn buffers(&self) -> Vec<String> {
        [self.body.buffers(), self.shortcut.buffers()].concat()
    }

    fn forward(&self, parameters: &[Dual<1>], input: Dual<2>, pass: &mut Pass) -> Dual<2> {
        let (of_body, of_shortcut) = parameters.split_at(self.body.parameters().len());
        let body = self.body.forward(of_body, input.clone(), pass);
        let shortcut = self.shortcut.forward(of_shortcut, input, pass);
        match &self.activation {
            Some(relu) if relu.is_relu() => rectified_sum(body, shortcut),
            Some(activation) => activation.forward(&[], body.plus(shortcut), pass),
            None => body.plus(shortcut),
        }
    }

    fn multiply_adds(&self) -> Vec<usize> {
        [self.body.multiply_adds(), self.shortcut.multiply_adds()].concat()
    }

    fn outputs(&self) -> Vec<usize> {
        [self.body.outputs(), self.shortcut.outputs()].concat()
    }

    fn has_kinks(&self) -> bool {
        self.body.has_kinks()
            || self.shortcut.has_kinks()
            || self.activation.is_some_and(|activation| activation.has_kinks())
    }

    fn draws_masks(&self) -> bool {
        self.body.draws_masks() || self.shortcut.draws_masks()
    }
}

/// ReLU(a + b), whose tangent is ȧ + ḃ where it is not zero.
fn rectified_sum(a: Dual<2>, b: Dual<2>) -> Dual<2> {
    let value = rectify_sum(a.value, b.value);
    let mut sum = Dual { value, tangent: a.tangent };
    sum.move_by(b.tangent);
    let tangent = sum.tangent.map(|dot| gate(sum.value.clone(), dot));
    Dual { value: sum.value, tangent }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Convolution, Normalize, Over,
            testing::{check_layer, draw},
        },
        *,
    };
    use crate::{options::Activation, pass::Noise, vector::Weights};
    use lyapunov::Vector;

    fn convolution(kernel: usize, stride: usize) -> Box<dyn Layer> {
        Box::new(Convolution { inputs: 2, outputs: 2, kernel, size: 4, stride, bias: false })
    }

    const SOFT: Option<Pointwise> = Some(Pointwise(Activation::Softplus));

    fn normalized(kernel: usize, names: [&str; 2]) -> Sequence {
        let normalize: Box<dyn Layer> = Box::new(Normalize { over: Over::Batch, channels: 2, pixels: 4 });
        Sequence(names.map(str::to_owned).into_iter().zip([convolution(kernel, 2), normalize]).collect())
    }

    fn projected() -> Residual {
        let (body, shortcut) = (normalized(3, ["conv1", "bn1"]), normalized(1, ["shortcut.0", "shortcut.1"]));
        Residual { body, shortcut, activation: SOFT }
    }

    #[test]
    fn the_tangent_is_the_derivative() {
        let (body, shortcut) = (Sequence::numbered(vec![convolution(3, 1)]), Sequence(vec![]));
        check_layer(&Residual { body, shortcut, activation: SOFT }, 3, 2 * 16);
        check_layer(&projected(), 3, 2 * 16);
        check_layer(&Residual { activation: None, ..projected() }, 3, 2 * 16);
        assert_eq!(projected().multiply_adds(), [2 * 9 * 2 * 4, 2 * 2 * 4]);
    }

    /// The order of passing through is that of the names.
    #[test]
    fn parameters_and_statistics_are_those_of_body_and_shortcut() {
        let block = projected();
        let shapes = block.parameters();
        let names: Vec<&str> = shapes.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names[..4], ["conv1.weight", "bn1.weight", "bn1.bias", "shortcut.0.weight"]);
        assert_eq!(block.buffers()[3], "shortcut.1.running_mean");
        let values = |(parameter, k): (&Parameter, u64)| Dual::constant(draw(parameter.len(), k));
        let mut parameters: Vec<_> = shapes.iter().zip(0..).map(values).collect();
        parameters[0].value = parameters[0].value.zeros_like();
        let mut pass = Pass::observing(Noise::default());
        block.forward(&parameters, Dual::constant(draw(96, 9).reshape([3, 32])), &mut pass);
        let sizes: Vec<f64> = pass.noted().iter().map(|moments| Weights(moments.mean.clone()).norm()).collect();
        assert!(sizes[0] == 0.0 && sizes[1] > 0.0, "a body of zeros comes first: {sizes:?}");
    }
}
