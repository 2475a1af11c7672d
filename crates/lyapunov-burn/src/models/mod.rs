//! Architectures: which layers stand where.

mod dense;
mod feed_forward;
mod residual;
mod tokens;

use super::{
    data::{CHANNELS, SIZE},
    layers::{AveragePool, Convolution, Dropout, Layer, Linear, MaxPool, Normalize, Over, Pointwise, Sequence},
    options::{Architecture, NetworkOptions, Normalization, Pooling},
};
use lyapunov::{Error, Result};

type Layers = Vec<Box<dyn Layer>>;
type Named = Vec<(String, Box<dyn Layer>)>;

/// The layers that `options` ask for, for 32×32 colour images and `classes` outputs.
pub(super) fn layers(options: &NetworkOptions, classes: usize) -> Result<Sequence> {
    let widths = options.architecture.widths();
    if widths.contains(&0) {
        return Err(refused(widths, "must be positive"));
    }
    check_normalization(options, widths)?;
    Ok(match options.architecture {
        Architecture::Mlp { .. } | Architecture::DeepLinear { .. } => {
            Sequence::numbered(feed_forward::mlp(options, widths, classes))
        }
        Architecture::Cnn { .. } => Sequence::numbered(feed_forward::cnn(options, widths, classes)?),
        Architecture::Vgg { depth, .. } => Sequence::numbered(feed_forward::vgg(options, depth, widths, classes)?),
        Architecture::ResNet { blocks, shortcut, .. } => {
            residual::resnet(options, (blocks, shortcut), widths, classes)?
        }
        Architecture::DenseNet { depth, .. } => dense::densenet(options, depth, widths, classes)?,
        Architecture::VisionTransformer { depth, heads, patch, .. } => {
            tokens::transformer(options, (depth, heads, patch), widths, classes)?
        }
        Architecture::MlpMixer { depth, patch, .. } => tokens::mixer(options, (depth, patch), widths, classes)?,
        Architecture::WideResNet { depth, .. } => residual::wide_resnet(options, depth, widths, classes)?,
    })
}

fn refused(widths: &[usize], reason: &str) -> Error {
    Error::argument("widths", format!("{widths:?}"), reason)
}

fn check_normalization(options: &NetworkOptions, widths: &[usize]) -> Result<()> {
    match options.normalization {
        Normalization::Batch if options.batch_size < 2 => {
            let reason = "must be at least 2: batch normalization divides by the deviation within a batch";
            Err(Error::argument("batch_size", options.batch_size, reason))
        }
        Normalization::Group { groups } if groups == 0 || widths.iter().any(|width| !width.is_multiple_of(groups)) => {
            let reason = format!("must divide every one of the widths, {widths:?}");
            Err(Error::argument("groups", groups, reason))
        }
        _ => Ok(()),
    }
}

/// The normalisation that is asked for, if any, of images of `pixels` pixels.
fn normalized(options: &NetworkOptions, channels: usize, pixels: usize) -> Option<Box<dyn Layer>> {
    let over = match options.normalization {
        Normalization::None => None,
        Normalization::Batch => Some(Over::Batch),
        Normalization::Layer => Some(Over::Groups(1)),
        Normalization::Group { groups } => Some(Over::Groups(groups)),
    };
    over.map(|over| Box::new(Normalize { over, channels, pixels }) as Box<dyn Layer>)
}

fn activation(options: &NetworkOptions) -> Box<dyn Layer> {
    Box::new(Pointwise(options.activation))
}

/// A 3×3 convolution to as large an image, with its normalisation and activation.
fn convolution(options: &NetworkOptions, inputs: usize, outputs: usize, size: usize) -> Layers {
    let convolution: Box<dyn Layer> = Box::new(Convolution { inputs, outputs, kernel: 3, size, stride: 1, bias: true });
    let normalized = normalized(options, outputs, size * size);
    [convolution].into_iter().chain(normalized).chain([activation(options)]).collect()
}

/// The pooling that is asked for, to images of half the `size`.
fn pool(options: &NetworkOptions, channels: usize, size: usize) -> Box<dyn Layer> {
    match options.pooling {
        Pooling::Max => Box::new(MaxPool { channels, size }),
        Pooling::Average => Box::new(AveragePool { channels, size, window: 2 }),
    }
}

/// The dropout that is asked for, if any.
fn dropout(options: &NetworkOptions) -> Option<Box<dyn Layer>> {
    let rate = options.dropout;
    (rate > 0.0).then(|| Box::new(Dropout { rate }) as Box<dyn Layer>)
}

/// A convolution by itself; where nothing normalises, it has a bias.
fn plain_convolution(
    options: &NetworkOptions,
    [inputs, outputs, kernel]: [usize; 3],
    size: usize,
    stride: usize,
) -> Box<dyn Layer> {
    let bias = options.normalization == Normalization::None;
    Box::new(Convolution { inputs, outputs, kernel, size, stride, bias })
}

/// The normalisation that is asked for by this name, if any, and the activation: what stands before a convolution where
/// it does not stand behind it.
fn activated(options: &NetworkOptions, name: &str, channels: usize, pixels: usize) -> Named {
    let normalized = normalized(options, channels, pixels).map(|layer| (name.to_owned(), layer));
    normalized.into_iter().chain([("relu".to_owned(), activation(options))]).collect()
}

/// The mean over images of `size`², dropout if there is any, and a linear layer to the classes by this name.
fn mean_and_linear(name: &str, channels: usize, size: usize, dropout: Option<Box<dyn Layer>>, classes: usize) -> Named {
    let pool: Box<dyn Layer> = Box::new(AveragePool { channels, size, window: size });
    let linear: Box<dyn Layer> = Box::new(Linear { inputs: channels, outputs: classes });
    let dropout = dropout.map(|dropout| ("dropout".to_owned(), dropout));
    [("pool".to_owned(), pool)].into_iter().chain(dropout).chain([(name.to_owned(), linear)]).collect()
}

/// A convolution and its normalisation.
fn normalized_convolution(
    options: &NetworkOptions,
    [name, normalization]: [&str; 2],
    [inputs, outputs, kernel]: [usize; 3],
    size: usize,
    stride: usize,
) -> Named {
    let convolution = plain_convolution(options, [inputs, outputs, kernel], size, stride);
    let normalized =
        normalized(options, outputs, (size / stride).pow(2)).map(|layer| (normalization.to_owned(), layer));
    [(name.to_owned(), convolution)].into_iter().chain(normalized).collect()
}

#[cfg(test)]
mod tests;
