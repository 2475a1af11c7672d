//! From a configuration to a network on its data.

use std::path::{Path, PathBuf};

use lyapunov::{
    Product,
    train::{
        self, Activation, Architecture, Dataset, Loss, Network, NetworkOptions, Normalization, Pooling, Precision,
    },
};
use toml_edit::Value;

use crate::{
    commands::data,
    config::{
        ActivationName, Config, DataName, LossName, ModelName, NormalizationName, PoolingName, ProductName, name_of,
    },
    draft::{Draft, Settings},
    error::Result,
    summary::Subject,
};

/// The variable that names the device where no flag does.
const DEVICE_VARIABLE: &str = "BURN_DEVICE";

/// The flags that override a configuration.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--set key=value`, each.
    pub set: Vec<String>,
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--out`.
    pub out: Option<PathBuf>,
    /// `--device`.
    pub device: Option<String>,
}

/// The configuration: defaults, then the file, then `--set`, then the other flags.
pub fn settings(file: Option<&Path>, overrides: &Overrides) -> Result<Settings> {
    let mut draft = Draft::default();
    file.iter().try_for_each(|path| draft.read(path))?;
    overrides.set.iter().try_for_each(|assignment| draft.set(assignment))?;
    let text = |path: &Path| Value::from(path.display().to_string());
    if let Some(path) = &overrides.data {
        let flag = format!("--data {}", path.display());
        draft.assign("data.name", name_of(&DataName::Cifar10), flag.clone());
        draft.assign("data.path", text(path), flag);
    }
    if let Some(path) = &overrides.out {
        draft.assign("run.out", text(path), format!("--out {}", path.display()));
    }
    // A variable that is set to nothing says nothing.
    let variable = || std::env::var(DEVICE_VARIABLE).ok().filter(|name| !name.is_empty());
    if let Some(name) = &overrides.device {
        draft.assign("run.device", name, format!("--device {name}"));
    } else if let Some(name) = variable() {
        draft.assign("run.device", &name, format!("{DEVICE_VARIABLE}={name}"));
    }
    draft.finish()
}

/// The network on its data, every fault told where the configuration asked for it.
pub fn network(settings: &Settings) -> Result<(Network, Subject)> {
    let config = &settings.config;
    let device = train::device(&config.run.device).map_err(|fault| settings.explain(fault))?;
    let dataset = dataset(settings)?;
    let images = dataset.train.len();
    settings.check_sizes(images)?;
    let data = dataset.name.clone();
    let network = Network::new(&network_options(config), dataset, &device).map_err(|fault| settings.explain(fault))?;
    let subject = Subject { model: name_of(&config.model.name), parameters: network.parameters(), data, images };
    Ok((network, subject))
}

fn dataset(settings: &Settings) -> Result<Dataset> {
    let config = &settings.config;
    let whole = match config.data.name {
        DataName::Synthetic => data::built_in()?,
        DataName::Cifar10 => Dataset::read_cifar10(Path::new(&config.data.path))?,
    };
    match config.data.subset {
        0 => Ok(whole),
        size => whole.subset(size, config.run.seed).map_err(|fault| settings.explain(fault)),
    }
}

fn network_options(config: &Config) -> NetworkOptions {
    let widths = config.model.widths.clone();
    NetworkOptions {
        architecture: match config.model.name {
            ModelName::Cnn => Architecture::Cnn { widths },
            ModelName::Mlp | ModelName::Linear => Architecture::Mlp { widths },
            ModelName::DeepLinear => Architecture::DeepLinear { widths },
            ModelName::Vgg11 => Architecture::Vgg { depth: 11, widths },
            ModelName::Vgg16 => Architecture::Vgg { depth: 16, widths },
            ModelName::Resnet18 => Architecture::ResNet { blocks: 2, widths, shortcut: train::Shortcut::Projected },
            ModelName::Resnet20 => Architecture::ResNet { blocks: 3, widths, shortcut: train::Shortcut::Padded },
            ModelName::Resnet32 => Architecture::ResNet { blocks: 5, widths, shortcut: train::Shortcut::Padded },
            ModelName::Resnet56 => Architecture::ResNet { blocks: 9, widths, shortcut: train::Shortcut::Padded },
        },
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
        augment: config.data.augment,
        label_smoothing: config.loss.label_smoothing,
        batch_size: config.run.batch_size,
        seed: config.run.seed,
        precision: Precision::Single,
    }
}

/// The products with the Hessian that go by this name; `auto` are exact ones, which every network of ours offers.
pub fn product(name: ProductName, network: &Network) -> Product {
    match name {
        ProductName::Auto | ProductName::Exact => Product::Exact,
        ProductName::GaussNewton => Product::GaussNewton,
        ProductName::Difference => Product::Difference(network.difference()),
    }
}
