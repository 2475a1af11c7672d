//! Architectures: what the layers are, and how their weights begin.

use std::ops::Range;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::layers::{Convolution, Flatten, Layer, Linear, MaxPool, Parameter, Pointwise};
use crate::{
    error::{Error, Result},
    noise::{Purpose, Stream},
};

/// The side of an image in pixels.
pub(super) const SIZE: usize = 32;
/// The colour channels of an image.
pub(super) const CHANNELS: usize = 3;

/// The function between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// The hyperbolic tangent: smooth, so differences of gradients are usable.
    Tanh,
}

/// What a network is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Fully connected hidden layers of these widths, each followed by the activation; then a linear layer to the classes.
    Mlp {
        /// Hidden widths, first layer first.
        widths: Vec<usize>,
    },
    /// 3×3 convolutions with these channels, each followed by the activation and 2×2 max-pooling; then a linear layer.
    Cnn {
        /// Channels, first layer first: at most five, since each halves the image.
        widths: Vec<usize>,
    },
}

/// One parameter of a network: its name, its shape, and where it stands in the flat weights.
///
/// Names and layouts are those of a `torch.nn.Sequential` of the same layers, which PyTorch numbers from 0:
///
/// | layer | names | shapes |
/// |---|---|---|
/// | fully connected | `k.weight`, `k.bias` | \[outputs, inputs\], \[outputs\] |
/// | convolution | `k.weight`, `k.bias` | \[outputs, inputs, height, width\], \[outputs\] |
/// | activation, max-pooling, `Flatten` | none, but they count | |
///
/// An [`Architecture::Mlp`] is `Sequential(Linear, ReLU, …, Linear)` over images that are flat already: 0, 2, 4, …; an
/// [`Architecture::Cnn`] is `Sequential(Conv2d, ReLU, MaxPool2d, …, Flatten, Linear)`: 0, 3, …, and 3·convolutions + 1.
/// Images are \[channels, rows, columns\]; flat, they are in that order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedParameter {
    /// The name, such as `0.weight`.
    pub name: String,
    /// The shape; the last index runs fastest.
    pub shape: Vec<usize>,
    /// The entries of the flat weights that belong to it.
    pub range: Range<usize>,
}

/// One layer with weights: its name, and where it stands in the flat weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedLayer {
    /// What the names of its parameters have in common: `0` of `0.weight` and `0.bias`.
    pub name: String,
    /// The entries of the flat weights that belong to it.
    pub range: Range<usize>,
}

impl NamedLayer {
    /// The layers of these parameters, which stand one after another.
    pub(super) fn of(parameters: &[NamedParameter]) -> Vec<Self> {
        let mut layers: Vec<Self> = Vec::new();
        for parameter in parameters {
            let name = parameter.name.rsplit_once('.').map_or(parameter.name.as_str(), |(layer, _)| layer);
            match layers.last_mut() {
                Some(last) if last.name == name => last.range.end = parameter.range.end,
                _ => layers.push(Self { name: name.to_owned(), range: parameter.range.clone() }),
            }
        }
        layers
    }
}

/// The layers in order, with the shapes of their parameters.
#[derive(Debug)]
pub(super) struct Model {
    pub layers: Vec<Box<dyn Layer>>,
}

impl Model {
    /// The layers of `architecture` for 32×32 colour images and `classes` outputs.
    pub fn new(architecture: &Architecture, activation: Activation, classes: usize) -> Result<Self> {
        let (Architecture::Mlp { widths } | Architecture::Cnn { widths }) = architecture;
        if widths.contains(&0) {
            return Err(Error::argument("widths", format!("{widths:?}"), "must be positive"));
        }
        let layers = match architecture {
            Architecture::Mlp { .. } => mlp(widths, activation, classes),
            Architecture::Cnn { .. } => cnn(widths, activation, classes)?,
        };
        Ok(Self { layers })
    }

    /// The parameters of all layers, first layer first.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.layers.iter().flat_map(|layer| layer.parameters()).collect()
    }

    /// The same parameters with their names and places.
    pub fn named_parameters(&self) -> Vec<NamedParameter> {
        let mut named = Vec::new();
        let mut start = 0;
        for (number, layer) in self.layers.iter().enumerate() {
            for parameter in layer.parameters() {
                let range = start..start + parameter.len();
                start = range.end;
                named.push(NamedParameter {
                    name: format!("{number}.{}", parameter.name),
                    shape: parameter.shape,
                    range,
                });
            }
        }
        named
    }

    /// Weights and biases uniform in ±1/√fan-in, the default of PyTorch's linear and convolutional layers, flat.
    pub fn initial_weights(&self, seed: u64, device: &Device, dtype: DType) -> Tensor<1> {
        let draw = |(parameter, index): (Parameter, u64)| {
            let mut stream = Stream::new(seed, Purpose::Weights, index);
            let bound = 1.0 / (parameter.fan_in as f64).sqrt();
            (0..parameter.len()).map(move |_| bound * (2.0 * stream.uniform() - 1.0))
        };
        let values: Vec<f64> = self.parameters().into_iter().zip(0..).flat_map(draw).collect();
        let n = values.len();
        Tensor::from_data(TensorData::new(values, [n]), (device, dtype))
    }
}

fn mlp(widths: &[usize], activation: Activation, classes: usize) -> Vec<Box<dyn Layer>> {
    let mut layers: Vec<Box<dyn Layer>> = Vec::new();
    let mut inputs = CHANNELS * SIZE * SIZE;
    for &outputs in widths {
        layers.push(Box::new(Linear { inputs, outputs }));
        layers.push(Box::new(Pointwise(activation)));
        inputs = outputs;
    }
    layers.push(Box::new(Linear { inputs, outputs: classes }));
    layers
}

fn cnn(widths: &[usize], activation: Activation, classes: usize) -> Result<Vec<Box<dyn Layer>>> {
    if widths.is_empty() || widths.len() > 5 {
        let reason = "must have one to five entries: each halves the 32×32 image";
        return Err(Error::argument("widths", format!("{widths:?}"), reason));
    }
    let mut layers: Vec<Box<dyn Layer>> = Vec::new();
    let (mut inputs, mut size) = (CHANNELS, SIZE);
    for &outputs in widths {
        layers.push(Box::new(Convolution { inputs, outputs, kernel: 3, size }));
        layers.push(Box::new(Pointwise(activation)));
        layers.push(Box::new(MaxPool { channels: outputs, size }));
        (inputs, size) = (outputs, size / 2);
    }
    layers.push(Box::new(Flatten));
    layers.push(Box::new(Linear { inputs: inputs * size * size, outputs: classes }));
    Ok(layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(architecture: &Architecture) -> usize {
        Model::new(architecture, Activation::Relu, 10).unwrap().parameters().iter().map(Parameter::len).sum()
    }

    #[test]
    fn the_parameter_counts_are_right() {
        assert_eq!(count(&Architecture::Mlp { widths: vec![200, 200] }), 656_810);
        assert_eq!(count(&Architecture::Mlp { widths: vec![] }), 30_730);
        let (first, second, last) = (8 * 27 + 8, 16 * 72 + 16, 16 * 64 * 10 + 10);
        assert_eq!(count(&Architecture::Cnn { widths: vec![8, 16] }), first + second + last);
    }

    #[test]
    fn parameters_have_the_names_and_shapes_of_a_sequential_in_pytorch() {
        let told = |architecture| {
            let named = Model::new(&architecture, Activation::Tanh, 10).unwrap().named_parameters();
            named.iter().map(|p| format!("{} {:?} {:?}", p.name, p.shape, p.range)).collect::<Vec<_>>()
        };
        let mlp = ["0.weight [5, 3072] 0..15360", "0.bias [5] 15360..15365", "2.weight [10, 5] 15365..15415"];
        assert_eq!(told(Architecture::Mlp { widths: vec![5] })[..3], mlp);
        let cnn = told(Architecture::Cnn { widths: vec![2, 4] });
        assert_eq!(cnn[0], "0.weight [2, 3, 3, 3] 0..54");
        assert_eq!(cnn[2], "3.weight [4, 2, 3, 3] 56..128");
        assert_eq!(cnn[4], "7.weight [10, 256] 132..2692");
        assert_eq!(cnn[5], "7.bias [10] 2692..2702");
    }

    #[test]
    fn a_layer_is_its_weights_and_its_biases() {
        let model = Model::new(&Architecture::Cnn { widths: vec![2, 4] }, Activation::Relu, 10).unwrap();
        let layers = NamedLayer::of(&model.named_parameters());
        let told: Vec<_> = layers.iter().map(|layer| (layer.name.as_str(), layer.range.clone())).collect();
        assert_eq!(told, [("0", 0..56), ("3", 56..132), ("7", 132..2702)]);
    }

    #[test]
    fn widths_that_do_not_fit_are_refused() {
        let message = |a: &Architecture| Model::new(a, Activation::Relu, 10).unwrap_err().to_string();
        assert!(message(&Architecture::Cnn { widths: vec![4; 6] }).contains("one to five"));
        assert!(message(&Architecture::Mlp { widths: vec![10, 0] }).contains("positive"));
    }

    #[test]
    fn initial_weights_have_the_scale_of_their_layer() {
        let model = Model::new(&Architecture::Mlp { widths: vec![100] }, Activation::Relu, 10).unwrap();
        let weights = model.initial_weights(1, &Device::flex(), DType::F64);
        let first: Vec<f64> = weights.narrow(0, 0, 307_200).to_data().try_to_vec().unwrap();
        let bound = 1.0 / 3072.0_f64.sqrt();
        assert!(first.iter().all(|w| w.abs() <= bound));
        // A uniform distribution in ±b has variance b²/3.
        let variance = first.iter().map(|w| w * w).sum::<f64>() / 307_200.0;
        assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.01, "{variance}");
    }
}
