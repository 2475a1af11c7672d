//! Layers one after another: perceptrons, plain convolutional networks, VGG.

use super::{CHANNELS, Layers, SIZE, activation, convolution, dropout, normalized, pool, refused};
use crate::{
    layers::{Flatten, Linear},
    options::{Architecture, NetworkOptions},
};
use lyapunov::{Error, Result};

pub(super) fn mlp(options: &NetworkOptions, widths: &[usize], classes: usize) -> Layers {
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

pub(super) fn cnn(options: &NetworkOptions, widths: &[usize], classes: usize) -> Result<Layers> {
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
    layers.push(Box::new(Flatten { channels: inputs, pixels: size * size }));
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

pub(super) fn vgg(options: &NetworkOptions, depth: usize, widths: &[usize], classes: usize) -> Result<Layers> {
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
    layers.push(Box::new(Flatten { channels: inputs, pixels: size * size }));
    layers.extend(dropout(options));
    layers.push(Box::new(Linear { inputs: inputs * size * size, outputs: classes }));
    Ok(layers)
}
