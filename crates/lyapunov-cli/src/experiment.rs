//! From a configuration to a network on its data.

use std::path::{Path, PathBuf};

use lyapunov::{
    Objective, Product, Wanted,
    train::{self, Activation, Architecture, Dataset, Network, NetworkOptions, Precision},
};
use toml_edit::Value;

use crate::{
    commands::data,
    config::{ActivationName, Config, DataName, LossName, ModelName, ProductName, name_of},
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
            ModelName::Mlp => Architecture::Mlp { widths },
        },
        activation: match config.model.activation {
            ActivationName::Relu => Activation::Relu,
            ActivationName::Tanh => Activation::Tanh,
        },
        loss: match config.loss.name {
            LossName::CrossEntropy => train::Loss::CrossEntropy,
        },
        batch_size: config.run.batch_size,
        seed: config.run.seed,
        precision: Precision::Single,
    }
}

/// The products with the Hessian that go by this name, where they can give what is `wanted`.
pub fn product(name: ProductName, network: &Network, wanted: Wanted) -> lyapunov::Result<Product> {
    match name {
        ProductName::Auto => Product::auto(network, wanted),
        ProductName::Exact => Product::Exact.suited(network, wanted),
        ProductName::GaussNewton => Product::GaussNewton.suited(network, wanted),
        ProductName::Difference => Product::Difference(network.difference()).suited(network, wanted),
    }
}
