//! From a configuration to a network on its data.

use std::path::{Path, PathBuf};

use lyapunov::{
    Adgd, Averaged, BatchSharpnessRule, Bounded, Carry, Constant, Controller, Decay, Distance, DistanceOverGradients,
    EdgeStep, Kept, Moments, Momentum, Objective, OnEdge, Optimizer, Plain, Plan, Product, Quantity, QuasiNewton, Rule,
    Sample, Schedule, Scheduled, Shape, Start, Wanted,
};
use lyapunov_burn::{
    self, Activation, Architecture, Dataset, Initialization, Layout, Loss, Network, NetworkOptions, Normalization,
    Pooling, Precision, Shortcut, Weights,
};
use toml_edit::Value;

use crate::{
    commands::data::built_in,
    config::{
        ActivationName, Config, Control, ControlRule, DataName, InitName, LossName, Model, ModelName,
        NormalizationName, OptimizerName, PassName, PoolingName, ProductName, ScheduleName, ShortcutName, StartName,
        WeightsName, name_of,
    },
    data::Source,
    draft::{Draft, Settings},
    error::Result,
    memory,
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
        use_data(&mut draft, path);
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

/// Trains on the images in `path`, as `--data` asks.
pub fn use_data(draft: &mut Draft, path: &Path) {
    let flag = format!("--data {}", path.display());
    // A set that the configuration names is that set; else the files tell.
    if draft.text("data.name").is_some_and(|name| name == name_of(&DataName::Synthetic)) {
        let layout = Source::at(path).layout().unwrap_or(Layout::Cifar10);
        draft.assign("data.name", layout.name(), flag.clone());
    }
    draft.assign("data.path", path.display().to_string(), flag);
}

/// The network on its data, every fault told where the configuration asked for it.
pub fn network(settings: &Settings) -> Result<(Network, Subject)> {
    let config = &settings.config;
    let device = lyapunov_burn::device(&config.run.device).map_err(|fault| settings.explain(fault))?;
    let options = network_options(config);
    memory::check(settings, &options)?;
    let dataset = dataset(settings)?;
    let (images, classes) = (dataset.train.len(), dataset.classes);
    settings.check_sizes(images)?;
    let data = dataset.name.clone();
    let network = Network::new(&options, dataset, &device).map_err(|fault| settings.explain(fault))?;
    let subject = Subject {
        model: name_of(&config.model.name),
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
    let mut whole = match config.data.name.layout() {
        None => built_in()?,
        Some(layout) => Source::at(Path::new(&config.data.path)).read(layout)?,
    };
    if !config.data.classes.is_empty() {
        whole = whole.with_classes(&config.data.classes).map_err(|fault| settings.explain(fault))?;
    }
    match config.data.subset {
        0 => Ok(whole),
        size => whole.subset(size, config.run.seed).map_err(|fault| settings.explain(fault)),
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

/// The products with the Hessian that go by this name, where they can give what is `wanted`.
pub fn product(name: ProductName, network: &Network, wanted: Wanted) -> lyapunov::Result<Product> {
    match name {
        ProductName::Auto => Product::auto(network, wanted),
        ProductName::Exact => Product::Exact.suited(network, wanted),
        ProductName::GaussNewton => Product::GaussNewton.suited(network, wanted),
        ProductName::Difference => Product::Difference(network.difference()).suited(network, wanted),
    }
}

/// Something to do with an optimizer, whichever it is.
pub trait Study {
    /// What comes out of it.
    type Found;

    /// Does it with the optimizer that steps by `rule`.
    fn study<R: Rule<Weights, State: Kept>>(self, rule: R) -> Result<Self::Found>;
}

/// Does `study` with the rule of `[optimizer]`.
pub fn with_rule<S: Study>(config: &Config, study: S) -> Result<S::Found> {
    let optimizer = &config.optimizer;
    match optimizer.name {
        OptimizerName::Sgd => study.study(Plain),
        OptimizerName::HeavyBall => study.study(Momentum::new(optimizer.momentum, false)?),
        OptimizerName::Nesterov => study.study(Momentum::new(optimizer.momentum, true)?),
        OptimizerName::Adam | OptimizerName::AdamW => {
            let [beta1, beta2] = optimizer.betas;
            study.study(Moments { beta1, beta2, epsilon: optimizer.epsilon })
        }
        OptimizerName::Prodigy => {
            let [beta1, beta2] = optimizer.betas;
            study.study(Distance::new(Moments { beta1, beta2, epsilon: optimizer.epsilon })?)
        }
        OptimizerName::Dog => study.study(DistanceOverGradients),
        OptimizerName::ScheduleFree => study.study(Averaged::new(optimizer.momentum)?),
    }
}

/// The optimizer of a run before its first step.
pub fn descent<'a, R: Rule<Weights>>(
    config: &Config,
    network: &'a Network,
    start: Weights,
    rule: R,
) -> Result<Optimizer<&'a Network, R>> {
    let optimizer = &config.optimizer;
    let decoupled = optimizer.decoupled_decay || optimizer.name == OptimizerName::AdamW;
    // Without deviations nothing asks for a product.
    let product = match config.exponents.count {
        0 => Product::Exact,
        _ => product(config.exponents.product, network, Wanted::Spectrum)?,
    };
    let descent = Optimizer::with_rule(network, start, optimizer.learning_rate, rule, product)
        .with_decay(Decay { rate: optimizer.weight_decay, decoupled })?;
    Ok(match config.exponents.weights {
        WeightsName::Moving => descent,
        WeightsName::Frozen => descent.frozen(),
    })
}

/// What a run does, and when.
pub fn plan(config: &Config, network: &Network) -> Result<Plan> {
    let epoch = network.steps_per_epoch();
    let steps = config.run.step_count(epoch);
    let lowest = config.measure.what.contains(&Quantity::LambdaMin);
    let wanted = if lowest { Wanted::Smallest } else { Wanted::Largest };
    Ok(Plan {
        steps,
        measure_every: config.measure.every,
        what: config.measure.what.clone(),
        on: config.measure.on.clone(),
        product: product(config.measure.product, network, wanted)?,
        products: config.measure.products,
        evaluate_every: config.run.evaluation_period(epoch),
        exponents: (config.exponents.count > 0).then(|| carry(config, network, steps)),
    })
}

/// Images on which the smallest eigenvalues are sought that deviations may start from, where batches are smaller.
const START_SUBSET: usize = 1000;

fn carry(config: &Config, network: &Network, steps: u64) -> Carry {
    let (exponents, images) = (&config.exponents, network.images(Sample::Full));
    let on = if config.run.batch_size >= START_SUBSET.min(images) {
        Sample::Mini(0)
    } else {
        Sample::Subset(START_SUBSET.min(images))
    };
    Carry {
        count: exponents.count,
        every: exponents.every,
        warm_up: (exponents.warm_up * steps as f64).floor() as u64,
        start: match exponents.start {
            StartName::Random => Start::Random,
            StartName::LambdaMin => Start::LambdaMin(on),
        },
        joint: exponents.pass == PassName::Joint,
        seed: config.run.seed,
    }
}

/// Who decides the learning rate of every step; `edge` is that of the optimizer at η = 1.
pub fn controller(config: &Config, edge: f64, steps: u64) -> Result<Box<dyn Controller>> {
    let Control { rule, sigma, every, bounds } = config.control;
    let schedule = &config.schedule;
    let schedule = Schedule::new(shape(schedule.name), steps, schedule.warm_up, schedule.cooldown)?;
    let rule: Box<dyn Controller> = match rule {
        ControlRule::None => {
            return Ok(Box::new(Scheduled { rule: Constant(config.optimizer.learning_rate), schedule }));
        }
        ControlRule::EdgeStep => Box::new(edge_step(config, edge)?),
        ControlRule::QuasiNewton => Box::new(QuasiNewton::new(sigma, edge)?),
        ControlRule::BatchSharpness => Box::new(BatchSharpnessRule::new(sigma)?),
        ControlRule::OnEdge => Box::new(OnEdge::new(sigma, every)?),
        ControlRule::Adgd => Box::new(Adgd::new(sigma)?),
    };
    let [least, most] = bounds;
    Ok(Box::new(Scheduled { rule: Bounded::new(rule, least, most)?, schedule }))
}

/// The rule `edge-step`; `edge` is that of the optimizer at η = 1.
pub fn edge_step(config: &Config, edge: f64) -> Result<EdgeStep> {
    let (optimizer, sigma) = (&config.optimizer, config.control.sigma);
    let rule = match optimizer.name {
        OptimizerName::HeavyBall | OptimizerName::Nesterov => EdgeStep::new(sigma, optimizer.momentum),
        OptimizerName::Adam | OptimizerName::AdamW => EdgeStep::damped(sigma, optimizer.betas[0]),
        _ => EdgeStep::new(sigma, 0.0),
    };
    Ok(rule?.with_edge(edge).with_period(config.control.every))
}

/// The shape of a schedule by its name.
pub fn shape(name: ScheduleName) -> Shape {
    match name {
        ScheduleName::Constant => Shape::Constant,
        ScheduleName::Cosine => Shape::Cosine,
    }
}

/// What `measure.what = "auto"` means: λ_max, and what the edge of the optimizer speaks of.
pub fn quantities(config: &Config, images: usize) -> Vec<Quantity> {
    let edge = match config.optimizer.name {
        name if name.is_preconditioned() => Some(Quantity::PreconditionedSharpness),
        OptimizerName::Sgd if config.run.batch_size < images => Some(Quantity::BatchSharpness),
        _ => None,
    };
    let mut wanted: Vec<Quantity> = [Quantity::LambdaMax].into_iter().chain(edge).collect();
    // And what the rule decides by.
    let decisive = config.control.rule.quantity(config.optimizer.name);
    wanted.extend(decisive.filter(|quantity| !wanted.contains(quantity)));
    wanted
}
