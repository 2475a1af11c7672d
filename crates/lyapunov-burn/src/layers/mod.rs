//! Layers that serve training and tangents alike: each is one file with its forward map, its tangent rule and its test.
//!
//! Activations travel as matrices [examples, features]; a layer that sees images knows their shape and reshapes inside,
//! which copies nothing.

mod activation;
mod attention;
mod average_pool;
mod concatenate;
mod convolution;
mod dropout;
mod flatten;
mod linear;
mod max_pool;
mod normalize;
mod patch_embedding;
mod per_token;
mod positions;
mod residual;
mod sequence;
mod skip;
mod token_pool;
mod transpose;

use burn::tensor::Tensor;

pub(super) use self::{
    activation::Pointwise,
    attention::Attention,
    average_pool::AveragePool,
    concatenate::Concatenate,
    convolution::Convolution,
    dropout::Dropout,
    flatten::Flatten,
    linear::Linear,
    max_pool::MaxPool,
    normalize::{Normalize, Over},
    patch_embedding::PatchEmbedding,
    per_token::PerToken,
    positions::Positions,
    residual::Residual,
    sequence::Sequence,
    skip::Skip,
    token_pool::TokenPool,
    transpose::Transpose,
};
use super::{dual::Dual, initialization::Start, pass::Pass};

/// One parameter of a layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parameter {
    /// Its name in PyTorch's layer of the same kind.
    pub name: String,
    /// Its shape, in PyTorch's layout.
    pub shape: Vec<usize>,
    /// Its initial values.
    pub start: Start,
}

impl Parameter {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A differentiable map of activations with parameters, which carries tangents along.
pub(super) trait Layer: std::fmt::Debug + Send + Sync {
    /// The parameters, in the order in which `forward` expects them.
    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    /// What PyTorch's layer keeps beside its parameters: mean, variance and number of batches of each normalisation
    /// over batches, three names in a row. A layer of ours keeps nothing: they come out of a [`Pass`] and go into it.
    fn buffers(&self) -> Vec<String> {
        Vec::new()
    }

    /// The image of `input` under the layer with these parameters, each flat, and its tangent where one comes in.
    fn forward(&self, parameters: &[Dual<1>], input: Dual<2>, pass: &mut Pass) -> Dual<2>;

    /// The same with a ReLU behind it, in one pass over the memory where a layer can.
    fn forward_rectified(&self, parameters: &[Dual<1>], input: Dual<2>, pass: &mut Pass) -> Dual<2> {
        let output = self.forward(parameters, input, pass);
        Pointwise::RELU.forward(&[], output, pass)
    }

    /// Whether it is a ReLU and nothing else.
    fn is_relu(&self) -> bool {
        false
    }

    /// Multiply-adds per example of one forward pass, in matrix products only, for each matrix or kernel: the unit of
    /// the nominal costs.
    fn multiply_adds(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Numbers per example that come out of each matrix product: what stands in memory until the backward pass.
    fn outputs(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Whether the map has kinks, where gradients jump.
    fn has_kinks(&self) -> bool {
        false
    }

    /// Whether the map is random in training.
    fn draws_masks(&self) -> bool {
        false
    }
}

/// The sum over rows that belongs to a bias: [features] to [1, features].
fn as_row(bias: Tensor<1>) -> Tensor<2> {
    bias.unsqueeze()
}

#[cfg(test)]
pub(super) mod testing {
    //! The law of every layer, checked in f64: the tangent is the derivative of the value.

    use burn::tensor::{DType, Device, Tensor};

    use super::{Dual, Layer, Pass};
    use crate::{pass::Noise, vector::Weights};
    use lyapunov::{Purpose, Stream, Vector};

    /// Standard normal entries.
    pub fn draw(n: usize, step: u64) -> Tensor<1> {
        let mut v = Weights(Tensor::zeros([n], (&Device::flex(), DType::F64)));
        v.randomize(&mut Stream::new(6, Purpose::Probe, step));
        v.0
    }

    /// Compares the tangent of `layer`, on `examples` inputs of `features` entries, with central differences of its
    /// value, with and without a tangent of the input, plain and recorded.
    pub fn check_layer(layer: &dyn Layer, examples: usize, features: usize) {
        let shapes = layer.parameters();
        let weights: Vec<_> = shapes.iter().zip(0..).map(|(p, k)| draw(p.len(), k)).collect();
        let dots: Vec<_> = shapes.iter().zip(50..).map(|(p, k)| draw(p.len(), k)).collect();
        let (x, x_dot) = (draw(examples * features, 100), draw(examples * features, 101));
        let rows = |t: Tensor<1>| t.reshape([examples, features]);
        let moved = |t: &Tensor<1>, dot: &Tensor<1>, e: f64| t.clone() + dot.clone() * e;

        for input_moves in [false, true] {
            let value = |e: f64| {
                let parameters: Vec<_> =
                    weights.iter().zip(&dots).map(|(w, d)| Dual::constant(moved(w, d, e))).collect();
                let input = moved(&x, &x_dot, if input_moves { e } else { 0.0 });
                layer.forward(&parameters, Dual::constant(rows(input)), &mut Pass::training(Noise::default())).value
            };
            let epsilon = 1e-6;
            let difference = (value(epsilon) - value(-epsilon)) / (2.0 * epsilon);
            for recorded in [false, true] {
                let wrap = |t: &Tensor<1>| if recorded { t.clone().autodiff() } else { t.clone() };
                let parameters: Vec<_> = weights
                    .iter()
                    .zip(&dots)
                    .map(|(w, d)| Dual { value: w.clone().autodiff().require_grad(), tangent: Some(wrap(d)) })
                    .collect();
                let input = Dual {
                    value: rows(x.clone().autodiff().require_grad()),
                    tangent: input_moves.then(|| rows(wrap(&x_dot))),
                };
                let output = layer.forward(&parameters, input, &mut Pass::training(Noise::default()));
                let Some(tangent) = output.tangent else {
                    assert!(shapes.is_empty() && !input_moves, "the tangent is missing");
                    continue;
                };
                assert_eq!(
                    tangent.is_autodiff(),
                    recorded,
                    "{layer:?}: a plain tangent stays plain, a recorded one recorded"
                );
                let error = (tangent.inner() - difference.clone()).abs().max().into_scalar::<f64>();
                let size = difference.clone().abs().max().into_scalar::<f64>();
                assert!(
                    error < 1e-8 * size.max(1.0),
                    "{layer:?}, input moves: {input_moves}: {error:.2e} of {size:.2e}"
                );
            }
        }
    }
}
