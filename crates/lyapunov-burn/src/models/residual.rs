//! Residual networks: the usual ones, and wide ones whose blocks begin with what the usual ones end with.

use super::{
    CHANNELS, Layers, SIZE, activated, activation, dropout, mean_and_linear, normalized_convolution, plain_convolution,
    refused,
};
use crate::{
    layers::{Layer, Pointwise, Residual, Sequence, Skip},
    options::{NetworkOptions, Shortcut},
};
use lyapunov::{Error, Result};

pub(super) fn resnet(
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
    layers.extend(mean_and_linear("linear", inputs, size, dropout(options), classes));
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
    let activation = Some(Pointwise(options.activation));
    Box::new(Residual { body: Sequence(body), shortcut: Sequence(shortcut), activation })
}

/// Three stages of `n` blocks behind a convolution, where the depth is 6n + 4.
pub(super) fn wide_resnet(
    options: &NetworkOptions,
    depth: usize,
    widths: &[usize],
    classes: usize,
) -> Result<Sequence> {
    let [first, stages @ ..] = widths else { return Err(refused(widths, WIDE_STAGES)) };
    if stages.len() != 3 || !widths.is_sorted() {
        return Err(refused(widths, WIDE_STAGES));
    }
    if depth < 10 || !(depth - 4).is_multiple_of(6) {
        return Err(Error::argument("depth", depth, "must be 6n + 4, such as 10, 16, 22, 28 or 40"));
    }
    let mut layers = vec![("conv1".into(), plain_convolution(options, [CHANNELS, *first, 3], SIZE, 1))];
    let (mut inputs, mut size) = (*first, SIZE);
    for (stage, &outputs) in (1..).zip(stages) {
        let mut blocks = Layers::new();
        let first_stride = if stage == 1 { 1 } else { 2 };
        for stride in [first_stride].into_iter().chain(std::iter::repeat_n(1, (depth - 4) / 6 - 1)) {
            blocks.push(wide_block(options, [inputs, outputs], size, stride));
            (inputs, size) = (outputs, size / stride);
        }
        layers.push((format!("block{stage}.layer"), Box::new(Sequence::numbered(blocks))));
    }
    layers.extend(activated(options, "bn1", inputs, size * size));
    layers.extend(mean_and_linear("fc", inputs, size, None, classes));
    Ok(Sequence(layers))
}

const WIDE_STAGES: &str =
    "must have four entries, one for the first convolution and one for each stage, and none less than the one before";

/// A block whose normalisations and activations stand before its convolutions: f(a(x)) + x or, where the size or the
/// channels change, f(a(x)) + P a(x) with a 1×1 convolution P.
fn wide_block(options: &NetworkOptions, [inputs, outputs]: [usize; 2], size: usize, stride: usize) -> Box<dyn Layer> {
    let before = activated(options, "bn1", inputs, size * size);
    let mut body = vec![("conv1".to_owned(), plain_convolution(options, [inputs, outputs, 3], size, stride))];
    body.extend(activated(options, "bn2", outputs, (size / stride).pow(2)));
    body.extend(dropout(options).map(|dropout| ("dropout".into(), dropout)));
    body.push(("conv2".into(), plain_convolution(options, [outputs, outputs, 3], size / stride, 1)));
    if stride == 1 && inputs == outputs {
        let body = Sequence(before.into_iter().chain(body).collect());
        return Box::new(Residual { body, shortcut: Sequence(Vec::new()), activation: None });
    }
    let projection = plain_convolution(options, [inputs, outputs, 1], size, stride);
    let shortcut = Sequence(vec![("convShortcut".into(), projection)]);
    let block: Box<dyn Layer> = Box::new(Residual { body: Sequence(body), shortcut, activation: None });
    Box::new(Sequence(before.into_iter().chain([(String::new(), block)]).collect()))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;

    use super::*;
    use crate::{
        dual::Dual,
        layers::testing::draw,
        options::Normalization,
        pass::{Noise, Pass},
    };

    fn run(layer: &dyn Layer, parameters: &[Tensor<1>], input: Tensor<2>) -> Tensor<2> {
        let parameters: Vec<_> = parameters.iter().cloned().map(Dual::constant).collect();
        layer.forward(&parameters, Dual::constant(input), &mut Pass::training(Noise::default())).value
    }

    /// The projection sees what stands before the convolutions: f(a(x)) + P a(x), put together by hand.
    #[test]
    fn a_wide_block_projects_what_is_normalised_and_activated() {
        let options = NetworkOptions { normalization: Normalization::Batch, ..NetworkOptions::default() };
        let block = wide_block(&options, [2, 3], 4, 2);
        let weights: Vec<_> = block.parameters().iter().zip(0..).map(|(p, k)| draw(p.len(), k)).collect();
        let x = draw(5 * 32, 20).reshape([5, 32]);
        let before = run(&Sequence(activated(&options, "", 2, 16)), &weights[..2], x.clone());
        let first = run(&*plain_convolution(&options, [2, 3, 3], 4, 2), &weights[2..3], before.clone());
        let between = run(&Sequence(activated(&options, "", 3, 4)), &weights[3..5], first);
        let body = run(&*plain_convolution(&options, [3, 3, 3], 2, 1), &weights[5..6], between);
        let shortcut = run(&*plain_convolution(&options, [2, 3, 1], 4, 2), &weights[6..], before);
        assert_eq!(run(&*block, &weights, x).to_data(), (body + shortcut).to_data());

        let block = wide_block(&options, [2, 2], 4, 1);
        let zeros: Vec<_> = block.parameters().iter().map(|p| draw(p.len(), 0).zeros_like()).collect();
        let x = draw(64, 21).reshape([2, 32]);
        assert_eq!(run(&*block, &zeros, x.clone()).to_data(), x.to_data(), "as it came, not activated");
    }
}
