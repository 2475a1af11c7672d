//! Architectures: which layers stand where.

use super::{
    layers::{
        AveragePool, Convolution, Dropout, Flatten, Layer, Linear, MaxPool, Normalize, Over, Pointwise, Residual,
        Sequence, Skip,
    },
    model::{CHANNELS, SIZE},
    options::{Architecture, NetworkOptions, Normalization, Pooling, Shortcut},
};
use crate::error::{Error, Result};

type Layers = Vec<Box<dyn Layer>>;

/// The layers that `options` ask for, for 32×32 colour images and `classes` outputs.
pub(super) fn layers(options: &NetworkOptions, classes: usize) -> Result<Sequence> {
    let widths = options.architecture.widths();
    if widths.contains(&0) {
        return Err(refused(widths, "must be positive"));
    }
    check_normalization(options, widths)?;
    Ok(match options.architecture {
        Architecture::Mlp { .. } | Architecture::DeepLinear { .. } => Sequence::numbered(mlp(options, widths, classes)),
        Architecture::Cnn { .. } => Sequence::numbered(cnn(options, widths, classes)?),
        Architecture::Vgg { depth, .. } => Sequence::numbered(vgg(options, depth, widths, classes)?),
        Architecture::ResNet { blocks, shortcut, .. } => resnet(options, (blocks, shortcut), widths, classes)?,
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

fn mlp(options: &NetworkOptions, widths: &[usize], classes: usize) -> Layers {
    let mut layers = Layers::new();
    let mut inputs = CHANNELS * SIZE * SIZE;
    for &outputs in widths {
        layers.push(Box::new(Linear { inputs, outputs }));
        if let Architecture::Mlp { .. } = options.architecture {
            layers.extend(normalized(options, outputs, 1));
            layers.push(activation(options));
        }
        layers.extend(dropout(options));
        inputs = outputs;
    }
    layers.push(Box::new(Linear { inputs, outputs: classes }));
    layers
}

fn cnn(options: &NetworkOptions, widths: &[usize], classes: usize) -> Result<Layers> {
    if widths.is_empty() || widths.len() > 5 {
        return Err(refused(widths, "must have one to five entries: each halves the 32×32 image"));
    }
    let mut layers = Layers::new();
    let (mut inputs, mut size) = (CHANNELS, SIZE);
    for &outputs in widths {
        layers.extend(convolution(options, inputs, outputs, size));
        layers.push(pool(options, outputs, size));
        (inputs, size) = (outputs, size / 2);
    }
    layers.push(Box::new(Flatten));
    layers.extend(dropout(options));
    layers.push(Box::new(Linear { inputs: inputs * size * size, outputs: classes }));
    Ok(layers)
}

/// How many convolutions each of the five stages has: configurations A, B, D and E of Simonyan & Zisserman (2014).
fn stages(depth: usize) -> Option<[usize; 5]> {
    match depth {
        11 => Some([1, 1, 2, 2, 2]),
        13 => Some([2, 2, 2, 2, 2]),
        16 => Some([2, 2, 3, 3, 3]),
        19 => Some([2, 2, 4, 4, 4]),
        _ => None,
    }
}

fn vgg(options: &NetworkOptions, depth: usize, widths: &[usize], classes: usize) -> Result<Layers> {
    let stages = stages(depth).ok_or_else(|| Error::argument("depth", depth, "must be 11, 13, 16 or 19"))?;
    if widths.len() != stages.len() {
        return Err(refused(widths, "must have five entries, one for each stage"));
    }
    let mut layers = Layers::new();
    let (mut inputs, mut size) = (CHANNELS, SIZE);
    for (count, &outputs) in stages.into_iter().zip(widths) {
        for _ in 0..count {
            layers.extend(convolution(options, inputs, outputs, size));
            inputs = outputs;
        }
        layers.push(pool(options, outputs, size));
        size /= 2;
    }
    layers.push(Box::new(Flatten));
    layers.extend(dropout(options));
    layers.push(Box::new(Linear { inputs: inputs * size * size, outputs: classes }));
    Ok(layers)
}

fn resnet(
    options: &NetworkOptions,
    (blocks, shortcut): (usize, Shortcut),
    widths: &[usize],
    classes: usize,
) -> Result<Sequence> {
    if blocks == 0 {
        return Err(Error::argument("blocks", blocks, "must be at least 1"));
    }
    if !(1..=6).contains(&widths.len()) || !widths.is_sorted() {
        return Err(refused(
            widths,
            "must have one to six entries, one for each stage, and none less than the one before",
        ));
    }
    let mut layers = normalized_convolution(options, ["conv1", "bn1"], [CHANNELS, widths[0], 3], SIZE, 1);
    layers.push(("relu".into(), activation(options)));
    let (mut inputs, mut size) = (widths[0], SIZE);
    for (stage, &outputs) in (1..).zip(widths) {
        let first_stride = if stage == 1 { 1 } else { 2 };
        let mut stage_layers = Layers::new();
        for stride in [first_stride].into_iter().chain(std::iter::repeat_n(1, blocks - 1)) {
            stage_layers.push(residual(options, shortcut, [inputs, outputs], size, stride));
            (inputs, size) = (outputs, size / stride);
        }
        layers.push((format!("layer{stage}"), Box::new(Sequence::numbered(stage_layers))));
    }
    layers.push(("pool".into(), Box::new(AveragePool { channels: inputs, size, window: size })));
    layers.extend(dropout(options).map(|dropout| ("dropout".into(), dropout)));
    layers.push(("linear".into(), Box::new(Linear { inputs, outputs: classes })));
    Ok(Sequence(layers))
}

/// Two convolutions around an activation, beside their shortcut, and an activation behind both.
fn residual(
    options: &NetworkOptions,
    shortcut: Shortcut,
    [inputs, outputs]: [usize; 2],
    size: usize,
    stride: usize,
) -> Box<dyn Layer> {
    let mut body = normalized_convolution(options, ["conv1", "bn1"], [inputs, outputs, 3], size, stride);
    body.push(("relu".into(), activation(options)));
    body.extend(normalized_convolution(options, ["conv2", "bn2"], [outputs, outputs, 3], size / stride, 1));
    let shortcut = match shortcut {
        _ if stride == 1 && inputs == outputs => Vec::new(),
        Shortcut::Padded => vec![("skip".into(), Box::new(Skip { inputs, outputs, size, stride }) as Box<dyn Layer>)],
        Shortcut::Projected => {
            normalized_convolution(options, ["shortcut.0", "shortcut.1"], [inputs, outputs, 1], size, stride)
        }
    };
    let activation = Pointwise(options.activation);
    Box::new(Residual { body: Sequence(body), shortcut: Sequence(shortcut), activation })
}

/// A convolution and its normalisation; where nothing normalises, the convolution has a bias.
fn normalized_convolution(
    options: &NetworkOptions,
    [name, normalization]: [&str; 2],
    [inputs, outputs, kernel]: [usize; 3],
    size: usize,
    stride: usize,
) -> Vec<(String, Box<dyn Layer>)> {
    let bias = options.normalization == Normalization::None;
    let convolution: Box<dyn Layer> = Box::new(Convolution { inputs, outputs, kernel, size, stride, bias });
    let normalized =
        normalized(options, outputs, (size / stride).pow(2)).map(|layer| (normalization.to_owned(), layer));
    [(name.to_owned(), convolution)].into_iter().chain(normalized).collect()
}
