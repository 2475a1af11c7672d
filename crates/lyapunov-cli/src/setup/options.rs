//! From a configuration to the options of a network.

use lyapunov_burn::{ModelSize, NetworkOptions, Normalization, Precision};

use crate::config::Config;

/// What a network of this configuration is.
pub fn network_options(config: &Config) -> NetworkOptions {
    let model = &config.model;
    let size = ModelSize {
        depth: model.depth,
        heads: model.heads,
        patch: model.patch,
        shortcut: model.shortcut,
        widths: model.widths.clone(),
    };
    NetworkOptions {
        architecture: model.name.architecture(size),
        activation: model.activation,
        normalization: match model.normalization {
            Normalization::Group { .. } => Normalization::Group { groups: model.groups },
            other => other,
        },
        loss: config.loss.name,
        pooling: model.pooling,
        dropout: model.dropout,
        init: model.init,
        init_scale: model.init_scale,
        augment: config.data.augment,
        label_smoothing: config.loss.label_smoothing,
        l2: config.loss.l2,
        batch_size: config.run.batch_size,
        seed: config.run.seed,
        precision: Precision::Single,
    }
}
