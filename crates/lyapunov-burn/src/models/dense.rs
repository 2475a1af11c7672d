//! Densely connected networks: every layer sees what all layers before it in its block have made.

use super::{CHANNELS, Layers, Named, SIZE, activated, dropout, mean_and_linear, plain_convolution, refused};
use crate::{
    layers::{AveragePool, Concatenate, Sequence},
    options::NetworkOptions,
};
use lyapunov::{Error, Result};

/// How many dense blocks there are.
const BLOCKS: usize = 3;

/// Three blocks of `n` layers behind a convolution, where the depth is 3n + 4.
pub(super) fn densenet(options: &NetworkOptions, depth: usize, widths: &[usize], classes: usize) -> Result<Sequence> {
    let &[first, growth] = widths else {
        return Err(refused(widths, "must have two entries, for the first convolution and for what each layer adds"));
    };
    if depth < 4 + BLOCKS || !(depth - 4).is_multiple_of(BLOCKS) {
        return Err(Error::argument("depth", depth, "must be 3n + 4, such as 7, 22, 40 or 100"));
    }
    let mut layers: Named = vec![("conv1".into(), plain_convolution(options, [CHANNELS, first, 3], SIZE, 1))];
    let (mut channels, mut size) = (first, SIZE);
    for block in 1..=BLOCKS {
        let mut dense = Layers::new();
        for _ in 0..(depth - 4) / BLOCKS {
            let made = activated_convolution(options, [channels, growth, 3], size);
            dense.push(Box::new(Concatenate { channels, made: growth, layers: Sequence(made) }));
            channels += growth;
        }
        layers.push((format!("block{block}.layer"), Box::new(Sequence::numbered(dense))));
        if block < BLOCKS {
            let mut transition = activated_convolution(options, [channels, channels, 1], size);
            transition.push(("pool".into(), Box::new(AveragePool { channels, size, window: 2 })));
            layers.push((format!("trans{block}"), Box::new(Sequence(transition))));
            size /= 2;
        }
    }
    layers.extend(activated(options, "bn1", channels, size * size));
    layers.extend(mean_and_linear("fc", channels, size, None, classes));
    Ok(Sequence(layers))
}

/// A convolution behind its normalisation and activation, and dropout behind it, if there is any.
fn activated_convolution(options: &NetworkOptions, [inputs, outputs, kernel]: [usize; 3], size: usize) -> Named {
    let mut layers = activated(options, "bn1", inputs, size * size);
    layers.push(("conv1".into(), plain_convolution(options, [inputs, outputs, kernel], size, 1)));
    layers.extend(dropout(options).map(|dropout| ("dropout".into(), dropout)));
    layers
}
