//! From a configuration to a network on its data.

use std::path::Path;

use lyapunov::Objective;
use lyapunov_burn::{self, Dataset, Network};

use super::{memory, options::network_options};
use crate::{
    config::{Settings, Subject},
    data::{
        Source,
        built_in::{built_in, built_in_subset},
    },
    error::Result,
};

/// The network on its data, every fault shown where the configuration asked for it.
pub fn network(settings: &Settings) -> Result<(Network, Subject)> {
    let config = &settings.config;
    let device = lyapunov_burn::device(&config.run.device).map_err(|fault| settings.explain(fault))?;
    let options = network_options(config);
    memory::check(settings, &options)?;
    let dataset = dataset(settings)?;
    let (images, classes) = (dataset.train.len(), dataset.classes);
    settings.check_sizes(images)?;
    let data = dataset.name.clone();
    let network = Network::new(&options, dataset, &device)
        .and_then(|network| network.with_threads(config.run.thread_count()))
        .map_err(|fault| settings.explain(fault))?;
    let subject = Subject {
        model: config.model.name.name().to_owned(),
        parameters: network.parameters(),
        has_kinks: network.has_kinks(),
        data,
        images,
        classes,
    };
    Ok((network, subject))
}

fn dataset(settings: &Settings) -> Result<Dataset> {
    let config = &settings.config;
    let (size, seed) = (config.data.subset, config.run.seed);
    if config.data.name.is_none() && config.data.classes.is_empty() && size > 0 {
        return built_in_subset(size, seed).map_err(|fault| settings.explain(fault));
    }
    let mut whole = match config.data.name {
        None => built_in()?,
        Some(layout) => Source::at(Path::new(&config.data.path)).read(layout)?,
    };
    if !config.data.classes.is_empty() {
        whole = whole.with_classes(&config.data.classes).map_err(|fault| settings.explain(fault))?;
    }
    match size {
        0 => Ok(whole),
        _ => whole.subset(size, seed).map_err(|fault| settings.explain(fault)),
    }
}
