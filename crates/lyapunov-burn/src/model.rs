//! The layers of a network as one, the places of their parameters, and how these begin.

use std::ops::Range;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::{
    initialization::{Initialization, Start},
    layers::{Layer, Parameter, Sequence},
    models,
    options::{Architecture, NetworkOptions},
    vector::Weights,
};
use lyapunov::{Error, Purpose, Result, Stream};

/// One parameter of a network: its name, its shape, and where it stands in the flat weights.
///
/// Names and layouts are those of a `torch.nn.Sequential` of the same layers, which PyTorch numbers from 0:
///
/// | layer | names | shapes |
/// |---|---|---|
/// | fully connected | `k.weight`, `k.bias` | \[outputs, inputs\], \[outputs\] |
/// | convolution | `k.weight`, `k.bias` | \[outputs, inputs, height, width\], \[outputs\] |
/// | normalisation | `k.weight`, `k.bias` | \[channels\], \[channels\] |
/// | activation, pooling, `Flatten`, dropout | none, but they count | |
///
/// An [`Architecture::Mlp`] is `Sequential(Linear, ReLU, …, Linear)` over images that are flat already: 0, 2, 4, …; an
/// [`Architecture::Cnn`] is `Sequential(Conv2d, ReLU, MaxPool2d, …, Flatten, Linear)`: 0, 3, …, and 3·convolutions + 1.
/// A normalisation stands before each activation, and counts: `Sequential(Conv2d, BatchNorm2d, ReLU, MaxPool2d, …)`;
/// dropout stands before each linear layer but one on the images. An [`Architecture::Vgg`] is such a sequence as well,
/// with pooling behind each stage only. An [`Architecture::ResNet`] has the names of the usual one for CIFAR: `conv1`,
/// `bn1`, `layer1.0.conv1`, …, `linear`; an [`Architecture::WideResNet`] those of the usual one as well: `conv1`,
/// `block1.layer.0.bn1`, …, `block1.layer.0.convShortcut`, …, `bn1`, `fc`; an [`Architecture::DenseNet`] `conv1`,
/// `block1.layer.0.bn1`, …, `trans1.conv1`, …, `bn1`, `fc`. An [`Architecture::VisionTransformer`] and an
/// [`Architecture::MlpMixer`] have those of the package `timm`: `cls_token`, `pos_embed`, `patch_embed.proj`,
/// `blocks.0.norm1`, `blocks.0.attn.qkv`, …, `norm`, `head`; `stem.proj`, `blocks.0.norm1`, `blocks.0.mlp_tokens.fc1`,
/// …, `norm`, `head`. Images are \[channels, rows, columns\]; flat, they are in that order.
///
/// [`Architecture::Mlp`]: super::Architecture::Mlp
/// [`Architecture::Cnn`]: super::Architecture::Cnn
/// [`Architecture::Vgg`]: super::Architecture::Vgg
/// [`Architecture::ResNet`]: super::Architecture::ResNet
/// [`Architecture::WideResNet`]: super::Architecture::WideResNet
/// [`Architecture::DenseNet`]: super::Architecture::DenseNet
/// [`Architecture::VisionTransformer`]: super::Architecture::VisionTransformer
/// [`Architecture::MlpMixer`]: super::Architecture::MlpMixer
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

/// The order of the numbers of an image that is flat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Colour by colour, and in each pixel by pixel: PyTorch's order, for layers that see no image in them.
    Planes,
    /// Pixel by pixel, and in each its colours: for layers that see images.
    Pixels,
}

impl Order {
    fn of(architecture: &Architecture) -> Self {
        match architecture {
            Architecture::Mlp { .. } | Architecture::DeepLinear { .. } => Self::Planes,
            _ => Self::Pixels,
        }
    }
}

/// The layers in order, and how their weights begin.
#[derive(Debug)]
pub(super) struct Model {
    pub layers: Sequence,
    /// How the layers expect the numbers of an image.
    pub images: Order,
    init: Initialization,
    init_scale: f64,
}

impl Model {
    /// The layers that `options` ask for, for 32×32 colour images and `classes` outputs.
    pub fn new(options: &NetworkOptions, classes: usize) -> Result<Self> {
        if !(0.0..1.0).contains(&options.dropout) {
            return Err(Error::argument("dropout", options.dropout, "must be at least 0 and less than 1"));
        }
        let NetworkOptions { init, init_scale, .. } = *options;
        if !(init_scale.is_finite() && init_scale > 0.0) {
            return Err(Error::argument("init_scale", init_scale, "must be a number greater than 0"));
        }
        let images = Order::of(&options.architecture);
        Ok(Self { layers: models::layers(options, classes)?, images, init, init_scale })
    }

    /// The parameters of all layers with their names and places, first layer first.
    pub fn named_parameters(&self) -> Vec<NamedParameter> {
        let mut start = 0;
        let place = |Parameter { name, shape, .. }: Parameter| {
            let range = start..start + shape.iter().product::<usize>();
            start = range.end;
            NamedParameter { name, shape, range }
        };
        self.layers.parameters().into_iter().map(place).collect()
    }

    /// The weights that training starts from, flat.
    pub fn initial_weights(&self, seed: u64, device: &Device, dtype: DType) -> Weights {
        let parameters = self.layers.parameters();
        let last = parameters.iter().zip(0..).filter(|(p, _)| matches!(p.start, Start::Weight { .. })).last();
        let last = last.map(|(_, index)| index);
        let draw = |(parameter, index): (&Parameter, u64)| {
            let mut stream = Stream::new(seed, Purpose::Weights, index);
            let (start, init, is_last) = (parameter.start, self.init, Some(index) == last);
            let scale = if let Start::Weight { .. } | Start::Bias { .. } = start { self.init_scale } else { 1.0 };
            (0..parameter.len()).map(move |_| scale * init.draw(start, is_last, &mut stream))
        };
        let values: Vec<f64> = parameters.iter().zip(0..).flat_map(draw).collect();
        let n = values.len();
        Weights(Tensor::from_data(TensorData::new(values, [n]), (device, dtype)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Normalization;

    fn model(architecture: &Architecture, normalization: Normalization) -> Result<Model> {
        let architecture = architecture.clone();
        Model::new(&NetworkOptions { architecture, normalization, ..NetworkOptions::default() }, 10)
    }

    fn plain(architecture: &Architecture) -> Result<Model> {
        model(architecture, Normalization::None)
    }

    #[test]
    fn a_normalisation_starts_as_the_identity_on_standardised_inputs() {
        let weights = model(&Architecture::Cnn { widths: vec![2] }, Normalization::Batch).unwrap();
        let values: Vec<f64> = weights.initial_weights(1, &Device::flex(), DType::F64).to_data().try_to_vec().unwrap();
        assert_eq!(values[56..60], [1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn a_layer_is_its_weights_and_its_biases() {
        let model = model(&Architecture::Cnn { widths: vec![2, 4] }, Normalization::None).unwrap();
        let layers = NamedLayer::of(&model.named_parameters());
        let message: Vec<_> = layers.iter().map(|layer| (layer.name.as_str(), layer.range.clone())).collect();
        assert_eq!(message, [("0", 0..56), ("3", 56..132), ("7", 132..2702)]);
    }

    #[test]
    fn initial_weights_have_the_scale_of_their_layer() {
        let model = plain(&Architecture::Mlp { widths: vec![100] }).unwrap();
        let weights = model.initial_weights(1, &Device::flex(), DType::F64);
        let first: Vec<f64> = weights.0.narrow(0, 0, 307_200).to_data().try_to_vec().unwrap();
        let bound = 1.0 / 3072.0_f64.sqrt();
        assert!(first.iter().all(|w| w.abs() <= bound));
        // A uniform distribution in ±b has variance b²/3.
        let variance = first.iter().map(|w| w * w).sum::<f64>() / 307_200.0;
        assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.01, "{variance}");
    }
}
