//! From the names of a configuration to the options of a network.

use lyapunov_burn::{
    Activation, Architecture, Initialization, Loss, NetworkOptions, Normalization, Pooling, Precision, Shortcut,
};

use crate::config::{
    ActivationName, Config, InitName, LossName, Model, ModelName, NormalizationName, PoolingName, ShortcutName,
};

/// What a network of this configuration is.
pub fn network_options(config: &Config) -> NetworkOptions {
    NetworkOptions {
        architecture: architecture(&config.model),
        activation: match config.model.activation {
            ActivationName::Relu => Activation::Relu,
            ActivationName::LeakyRelu => Activation::LeakyRelu,
            ActivationName::Tanh => Activation::Tanh,
            ActivationName::Elu => Activation::Elu,
            ActivationName::Softplus => Activation::Softplus,
            ActivationName::Gelu => Activation::Gelu,
            ActivationName::Silu => Activation::Silu,
            ActivationName::Hardtanh => Activation::Hardtanh,
        },
        normalization: match config.model.normalization {
            NormalizationName::None => Normalization::None,
            NormalizationName::Batch => Normalization::Batch,
            NormalizationName::Layer => Normalization::Layer,
            NormalizationName::Group => Normalization::Group { groups: config.model.groups },
        },
        loss: match config.loss.name {
            LossName::CrossEntropy => Loss::CrossEntropy,
            LossName::SquaredError => Loss::SquaredError,
            LossName::MeanSquaredError => Loss::MeanSquaredError,
            LossName::Hinge => Loss::Hinge,
            LossName::Huber => Loss::Huber,
            LossName::Focal => Loss::Focal,
            LossName::BinaryCrossEntropy => Loss::BinaryCrossEntropy,
        },
        pooling: match config.model.pooling {
            PoolingName::Max => Pooling::Max,
            PoolingName::Average => Pooling::Average,
        },
        dropout: config.model.dropout,
        init: match config.model.init {
            InitName::Default => Initialization::Default,
            InitName::Kaiming => Initialization::Kaiming,
            InitName::Xavier => Initialization::Xavier,
            InitName::Lecun => Initialization::Lecun,
            InitName::Ntk => Initialization::Ntk,
            InitName::MupLike => Initialization::MupLike,
        },
        init_scale: config.model.init_scale,
        augment: config.data.augment,
        label_smoothing: config.loss.label_smoothing,
        l2: config.loss.l2,
        batch_size: config.run.batch_size,
        seed: config.run.seed,
        precision: Precision::Single,
    }
}

fn architecture(model: &Model) -> Architecture {
    let Model { depth, heads, patch, .. } = *model;
    let widths = model.widths.clone();
    let shortcut = match model.shortcut {
        ShortcutName::Projected => Shortcut::Projected,
        ShortcutName::Auto | ShortcutName::Padded => Shortcut::Padded,
    };
    match model.name {
        ModelName::Cnn => Architecture::Cnn { widths },
        ModelName::Mlp | ModelName::Linear => Architecture::Mlp { widths },
        ModelName::DeepLinear => Architecture::DeepLinear { widths },
        ModelName::Vgg11 => Architecture::Vgg { depth: 11, widths },
        ModelName::Vgg16 => Architecture::Vgg { depth: 16, widths },
        ModelName::Resnet18 => Architecture::ResNet { blocks: 2, widths, shortcut },
        ModelName::Resnet20 => Architecture::ResNet { blocks: 3, widths, shortcut },
        ModelName::Resnet32 => Architecture::ResNet { blocks: 5, widths, shortcut },
        ModelName::Resnet56 => Architecture::ResNet { blocks: 9, widths, shortcut },
        ModelName::WideResnet => Architecture::WideResNet { depth, widths },
        ModelName::Densenet => Architecture::DenseNet { depth, widths },
        ModelName::VitTiny => Architecture::VisionTransformer { depth, heads, patch, widths },
        ModelName::MlpMixer => Architecture::MlpMixer { depth, patch, widths },
    }
}
