//! Networks that see an image as a sequence of patches: the vision transformer and the mixer.

use super::{CHANNELS, Layers, Named, SIZE, activation, dropout, refused};
use crate::{
    kernels::attention::Heads,
    layers::{
        Attention, Layer, Linear, Normalize, Over, PatchEmbedding, PerToken, Positions, Residual, Sequence, TokenPool,
        Transpose,
    },
    options::{NetworkOptions, Normalization},
};
use lyapunov::{Error, Result};

/// Blocks of attention and of a perceptron for each token, between which the tokens keep their `width`.
pub(super) fn transformer(
    options: &NetworkOptions,
    (depth, heads, patch): (usize, usize, usize),
    widths: &[usize],
    classes: usize,
) -> Result<Sequence> {
    let &[width, hidden] = widths else {
        return Err(refused(widths, "must have two entries, for a token and for the hidden layers of the blocks"));
    };
    check(options, depth, patch)?;
    if heads == 0 || !width.is_multiple_of(heads) {
        return Err(Error::argument("heads", heads, format!("must divide the width of a token, {width}")));
    }
    let embedding = PatchEmbedding { channels: CHANNELS, size: SIZE, patch, width };
    let positions = Positions { tokens: embedding.tokens(), width };
    let tokens = embedding.tokens() + 1;
    let block = || -> Box<dyn Layer> {
        let mut attention = vec![
            ("norm1".into(), normalized(tokens, width)),
            ("attn.qkv".into(), linear(tokens, width, 3 * width)),
            ("attn".into(), Box::new(Attention(Heads { tokens, width, heads })) as Box<dyn Layer>),
            ("attn.proj".into(), linear(tokens, width, width)),
        ];
        attention.extend(dropout(options).map(|dropout| ("dropout".into(), dropout)));
        let mut each = vec![("norm2".into(), normalized(tokens, width))];
        each.extend(perceptron(options, "mlp", tokens, [width, hidden]));
        Box::new(Sequence(vec![beside_itself(attention), beside_itself(each)]))
    };
    let mut layers: Named =
        vec![("patch_embed.proj".into(), Box::new(embedding)), (String::new(), Box::new(positions))];
    layers.push(("blocks".into(), Box::new(Sequence::numbered((0..depth).map(|_| block()).collect()))));
    layers.push(("pool".into(), Box::new(TokenPool::First { width })));
    layers.push(("norm".into(), normalized(1, width)));
    layers.push(("head".into(), Box::new(Linear { inputs: width, outputs: classes })));
    Ok(Sequence(layers))
}

/// Blocks of a perceptron across the tokens, the same for every feature, and of one across the features, the same for
/// every token.
pub(super) fn mixer(
    options: &NetworkOptions,
    (depth, patch): (usize, usize),
    widths: &[usize],
    classes: usize,
) -> Result<Sequence> {
    let &[width, across_tokens, across_features] = widths else {
        let reason = "must have three entries, for a token and for the hidden layers across tokens and across features";
        return Err(refused(widths, reason));
    };
    check(options, depth, patch)?;
    let embedding = PatchEmbedding { channels: CHANNELS, size: SIZE, patch, width };
    let tokens = embedding.tokens();
    let block = || -> Box<dyn Layer> {
        let mut mixing = vec![
            ("norm1".into(), normalized(tokens, width)),
            ("turn".into(), Box::new(Transpose { rows: tokens, columns: width }) as Box<dyn Layer>),
        ];
        mixing.extend(perceptron(options, "mlp_tokens", width, [tokens, across_tokens]));
        mixing.push(("turn".into(), Box::new(Transpose { rows: width, columns: tokens })));
        let mut each = vec![("norm2".into(), normalized(tokens, width))];
        each.extend(perceptron(options, "mlp_channels", tokens, [width, across_features]));
        Box::new(Sequence(vec![beside_itself(mixing), beside_itself(each)]))
    };
    let blocks: Layers = (0..depth).map(|_| block()).collect();
    Ok(Sequence(vec![
        ("stem.proj".into(), Box::new(embedding)),
        ("blocks".into(), Box::new(Sequence::numbered(blocks))),
        ("norm".into(), normalized(tokens, width)),
        ("pool".into(), Box::new(TokenPool::Mean { width })),
        ("head".into(), Box::new(Linear { inputs: width, outputs: classes })),
    ]))
}

fn check(options: &NetworkOptions, depth: usize, patch: usize) -> Result<()> {
    if depth == 0 {
        return Err(Error::argument("depth", depth, "must be at least 1"));
    }
    if patch == 0 || !SIZE.is_multiple_of(patch) {
        return Err(Error::argument("patch", patch, format!("must divide the size of an image, {SIZE}")));
    }
    if options.normalization != Normalization::None {
        let reason = "must be none: the blocks normalise the features of each token already";
        return Err(Error::argument("normalization", format!("{:?}", options.normalization), reason));
    }
    Ok(())
}

fn linear(tokens: usize, inputs: usize, outputs: usize) -> Box<dyn Layer> {
    Box::new(PerToken { tokens, layer: Box::new(Linear { inputs, outputs }) })
}

/// Layer normalisation over the features of each token: Ba, Kiros & Hinton (2016), with PyTorch's ε.
fn normalized(tokens: usize, width: usize) -> Box<dyn Layer> {
    let normalize = Normalize { over: Over::Groups(1), channels: width, pixels: 1 };
    Box::new(PerToken { tokens, layer: Box::new(normalize) })
}

/// Two linear layers around an activation, from `width` features to as many, for each of `tokens` tokens; dropout
/// behind both, if there is any.
fn perceptron(options: &NetworkOptions, name: &str, tokens: usize, [width, hidden]: [usize; 2]) -> Named {
    let mut layers: Named = vec![
        (format!("{name}.fc1"), linear(tokens, width, hidden)),
        (format!("{name}.act"), activation(options)),
        (format!("{name}.fc2"), linear(tokens, hidden, width)),
    ];
    layers.extend(dropout(options).map(|dropout| (format!("{name}.dropout"), dropout)));
    layers
}

/// The layers, and what comes into them added to what comes out.
fn beside_itself(layers: Named) -> (String, Box<dyn Layer>) {
    let (body, shortcut) = (Sequence(layers), Sequence(Vec::new()));
    (String::new(), Box::new(Residual { body, shortcut, activation: None }))
}
