//! The configuration as a typed structure; every key says itself what it allows.

use clap::ValueEnum;
use lyapunov::{Quantity, Sample, Target};
use lyapunov_burn::Layout;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::data::digest::sha256;

/// The commented default file: the one source of defaults.
pub const DEFAULTS: &str = include_str!("default.toml");

/// Everything that decides a run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The images.
    pub data: Data,
    /// The network.
    pub model: Model,
    /// The loss.
    pub loss: Loss,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// How the learning rate changes with time.
    pub schedule: Schedule,
    /// Who changes the learning rate by what is measured.
    pub control: Control,
    /// What is measured, and when.
    pub measure: Measure,
    /// Which Lyapunov exponents are measured, and how.
    pub exponents: Exponents,
    /// When the run is saved.
    #[serde(skip_serializing)]
    pub checkpoint: Checkpoint,
    /// How long, where, and from which seed.
    pub run: Run,
}

impl Config {
    /// η, where the configuration has it: not with a rule, and not with an optimizer that multiplies it by a rate of its own.
    pub fn fixed_rate(&self) -> Option<f64> {
        let own = matches!(self.optimizer.name, OptimizerName::Prodigy | OptimizerName::Dog);
        (self.control.rule == ControlRule::None && !own).then_some(self.optimizer.learning_rate)
    }

    /// The SHA-256 of all that decides the numbers, in hexadecimal digits: everything but `run.out` and `[checkpoint]`.
    pub fn digest(&self) -> String {
        sha256(&serde_json::to_vec(self).expect("numbers, names and lists have a JSON form"))
    }

    /// `<model>-<optimizer>-<8 digits>`, the first digits of [`Config::digest`].
    pub fn identity(&self) -> String {
        format!("{}-{}-{}", name_of(&self.model.name), name_of(&self.optimizer.name), &self.digest()[..8])
    }
}

/// `[data]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Which images.
    #[serde(deserialize_with = "one_of")]
    pub name: DataName,
    /// The folder of the files, or an archive of them; empty for images that need none.
    #[serde(deserialize_with = "text")]
    pub path: String,
    /// The classes to use, in the order of their new labels; empty for all.
    #[serde(deserialize_with = "classes", serialize_with = "class_numbers")]
    pub classes: Vec<u8>,
    /// How many training images to use; 0 = all.
    #[serde(deserialize_with = "whole")]
    pub subset: usize,
    /// Whether training batches show shifted and flipped images.
    #[serde(deserialize_with = "yes_or_no")]
    pub augment: bool,
}

/// The kinds of images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DataName {
    /// Made up, built in.
    Synthetic,
    /// The files of CIFAR-10.
    Cifar10,
    /// The files of CIFAR-100, by its hundred fine classes.
    Cifar100,
    /// The same files, by their twenty coarse classes.
    Cifar100Coarse,
    /// The files of MNIST.
    Mnist,
    /// The files of Fashion-MNIST.
    FashionMnist,
}

impl DataName {
    /// The layout of the files, where the images come from files.
    pub fn layout(self) -> Option<Layout> {
        Layout::ALL.into_iter().find(|layout| layout.name() == name_of(&self))
    }
}

/// `[model]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Which network.
    #[serde(deserialize_with = "one_of")]
    pub name: ModelName,
    /// Channels of each convolution or stage, or units of each hidden layer.
    #[serde(deserialize_with = "widths")]
    pub widths: Vec<usize>,
    /// Layers with weights; 0 where the name says it.
    #[serde(deserialize_with = "depth")]
    pub depth: usize,
    /// Heads of attention.
    #[serde(deserialize_with = "count")]
    pub heads: usize,
    /// Pixels along a side of a patch.
    #[serde(deserialize_with = "count")]
    pub patch: usize,
    /// What stands beside residual blocks that change the size or the channels.
    #[serde(deserialize_with = "one_of")]
    pub shortcut: ShortcutName,
    /// The nonlinearity.
    #[serde(deserialize_with = "one_of")]
    pub activation: ActivationName,
    /// What stands before the nonlinearity.
    #[serde(deserialize_with = "one_of")]
    pub normalization: NormalizationName,
    /// Groups of channels of the group normalisation.
    #[serde(deserialize_with = "count")]
    pub groups: usize,
    /// How images shrink.
    #[serde(deserialize_with = "one_of")]
    pub pooling: PoolingName,
    /// The share of entries that are dropped before linear layers.
    #[serde(deserialize_with = "share")]
    pub dropout: f64,
    /// How the weights begin.
    #[serde(deserialize_with = "one_of")]
    pub init: InitName,
    /// A factor of the weights at the start.
    #[serde(deserialize_with = "positive")]
    pub init_scale: f64,
}

/// The kinds of networks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ModelName {
    /// Convolutions with pooling, then a linear layer.
    Cnn,
    /// Linear layers with activations.
    Mlp,
    /// One linear layer.
    Linear,
    /// Linear layers with nothing between them.
    DeepLinear,
    /// VGG with 11 layers.
    Vgg11,
    /// VGG with 16 layers.
    Vgg16,
    /// A residual network with 18 layers, as wide as the one for ImageNet.
    Resnet18,
    /// A residual network with 20 layers.
    Resnet20,
    /// A residual network with 32 layers.
    Resnet32,
    /// A residual network with 56 layers.
    Resnet56,
    /// A wide residual network.
    WideResnet,
    /// A densely connected network.
    Densenet,
    /// A vision transformer.
    VitTiny,
    /// Perceptrons across tokens and across features.
    MlpMixer,
}

impl ModelName {
    /// What `widths = "auto"` stands for.
    pub fn automatic_widths(self) -> &'static [i64] {
        match self {
            Self::Cnn => &[8, 16, 32],
            Self::Mlp | Self::DeepLinear => &[200, 200],
            Self::Linear => &[],
            Self::Vgg11 | Self::Vgg16 => &[64, 128, 256, 512, 512],
            Self::Resnet18 => &[64, 128, 256, 512],
            Self::Resnet20 | Self::Resnet32 | Self::Resnet56 => &[16, 32, 64],
            Self::WideResnet => &[16, 64, 128, 256],
            Self::Densenet => &[16, 12],
            Self::VitTiny => &[192, 768],
            Self::MlpMixer => &[128, 64, 512],
        }
    }

    /// What `depth = "auto"` stands for; `None` where the name says it, or the widths do.
    pub fn automatic_depth(self) -> Option<i64> {
        match self {
            Self::WideResnet => Some(16),
            Self::Densenet => Some(40),
            Self::VitTiny => Some(12),
            Self::MlpMixer => Some(8),
            _ => None,
        }
    }

    /// What `shortcut = "auto"` stands for, where there is a choice.
    pub fn automatic_shortcut(self) -> ShortcutName {
        match self {
            Self::Resnet20 | Self::Resnet32 | Self::Resnet56 => ShortcutName::Padded,
            Self::Resnet18 => ShortcutName::Projected,
            _ => ShortcutName::Auto,
        }
    }

    /// What `activation = "auto"` stands for.
    pub fn automatic_activation(self) -> ActivationName {
        match self {
            Self::VitTiny | Self::MlpMixer => ActivationName::Gelu,
            _ => ActivationName::Relu,
        }
    }

    /// The keys of `[model]` that this model has no use for.
    pub fn unused_keys(self) -> Vec<&'static str> {
        let depth = self.automatic_depth().is_none().then_some("depth");
        let shortcut = (self.automatic_shortcut() == ShortcutName::Auto).then_some("shortcut");
        let heads = (self != Self::VitTiny).then_some("heads");
        let patch = (!matches!(self, Self::VitTiny | Self::MlpMixer)).then_some("patch");
        let pooling = (!matches!(self, Self::Cnn | Self::Vgg11 | Self::Vgg16)).then_some("pooling");
        let normalization = matches!(self, Self::Linear | Self::DeepLinear).then_some("normalization");
        [depth, shortcut, heads, patch, pooling, normalization].into_iter().flatten().collect()
    }
}

/// What stands beside a residual block.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ShortcutName {
    /// What is usual for the model.
    Auto,
    /// Every other pixel, between channels of zeros.
    Padded,
    /// A 1×1 convolution.
    Projected,
}

/// The kinds of nonlinearities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ActivationName {
    /// max(x, 0).
    Relu,
    /// x above 0, x/100 below.
    LeakyRelu,
    /// tanh x.
    Tanh,
    /// x above 0, exp(x) − 1 below.
    Elu,
    /// ln(1 + exp x).
    Softplus,
    /// x times the normal distribution function.
    Gelu,
    /// x times the logistic function.
    Silu,
    /// x cut off at −1 and 1.
    Hardtanh,
}

/// The kinds of pooling.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PoolingName {
    /// The largest of a window.
    Max,
    /// The mean of a window.
    Average,
}

/// The kinds of initial weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum InitName {
    /// PyTorch's.
    Default,
    /// Normal, 2/fan-in.
    Kaiming,
    /// Uniform, 2/(fan-in + fan-out).
    Xavier,
    /// Normal, 1/fan-in.
    Lecun,
    /// Normal, 1/fan-in, with biases.
    Ntk,
    /// Normal, 1/fan-in, and less in the last layer.
    MupLike,
}

/// The kinds of normalisations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum NormalizationName {
    /// Nothing.
    None,
    /// Each channel over the batch.
    Batch,
    /// Each image over its channels.
    Layer,
    /// Each image over groups of its channels.
    Group,
}

/// `[loss]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Which loss.
    #[serde(deserialize_with = "one_of")]
    pub name: LossName,
    /// The share of every target that is spread over all classes.
    #[serde(deserialize_with = "share")]
    pub label_smoothing: f64,
    /// λ of the penalty.
    #[serde(deserialize_with = "not_negative")]
    pub l2: f64,
}

/// The kinds of losses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LossName {
    /// −ln p(label).
    CrossEntropy,
    /// ½ Σ (z − y)² over the classes.
    SquaredError,
    /// Σ (z − y)² over the classes, divided by their number.
    MeanSquaredError,
    /// Missed margins of 1 between the label and the other classes.
    Hinge,
    /// Squared error near 0, absolute error from 1 on.
    Huber,
    /// (1 − p(label))² times the cross-entropy.
    Focal,
    /// A logistic regression per class.
    BinaryCrossEntropy,
}

/// `[optimizer]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// Which optimizer.
    #[serde(deserialize_with = "one_of")]
    pub name: OptimizerName,
    /// The learning rate η.
    #[serde(deserialize_with = "positive")]
    pub learning_rate: f64,
    /// β, where there is momentum.
    #[serde(deserialize_with = "share")]
    pub momentum: f64,
    /// β₁ and β₂ of Adam.
    #[serde(deserialize_with = "betas")]
    pub betas: [f64; 2],
    /// ε of Adam.
    #[serde(deserialize_with = "positive")]
    pub epsilon: f64,
    /// λ.
    #[serde(deserialize_with = "not_negative")]
    pub weight_decay: f64,
    /// Whether the weights shrink apart from the gradient.
    #[serde(deserialize_with = "yes_or_no")]
    pub decoupled_decay: bool,
}

/// The kinds of optimizers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerName {
    /// Stochastic gradient descent.
    Sgd,
    /// With momentum.
    HeavyBall,
    /// With Nesterov's momentum.
    Nesterov,
    /// By moments of the gradient.
    Adam,
    /// The same with decoupled weight decay.
    #[value(name = "adamw")]
    #[serde(rename = "adamw")]
    AdamW,
    /// Adam that estimates its own learning rate.
    Prodigy,
    /// The distance covered over the gradients met.
    Dog,
    /// The average of the iterates instead of a schedule.
    ScheduleFree,
}

impl OptimizerName {
    /// How many vectors as long as the weights its state has.
    pub fn vectors(self) -> usize {
        match self {
            Self::Sgd => 1,
            Self::HeavyBall | Self::Nesterov | Self::ScheduleFree => 2,
            Self::Adam | Self::AdamW | Self::Dog => 3,
            Self::Prodigy => 5,
        }
    }

    /// The keys of `[optimizer]` that this optimizer has no use for.
    pub fn unused_keys(self) -> &'static [&'static str] {
        match self {
            Self::Sgd => &["momentum", "betas", "epsilon"],
            Self::Dog => &["momentum", "betas", "epsilon", "decoupled_decay"],
            Self::HeavyBall | Self::Nesterov => &["betas", "epsilon"],
            Self::ScheduleFree => &["betas", "epsilon", "decoupled_decay"],
            Self::Adam | Self::AdamW => &["momentum"],
            Self::Prodigy => &["momentum", "decoupled_decay"],
        }
    }

    /// What `learning_rate = "auto"` stands for.
    pub fn automatic_rate(self) -> f64 {
        match self {
            Self::Sgd => 0.05,
            Self::HeavyBall | Self::Nesterov => 0.01,
            Self::Adam | Self::AdamW => 0.001,
            Self::Prodigy | Self::Dog => 1.0,
            Self::ScheduleFree => 0.5,
        }
    }

    /// Whether its steps shrink by themselves, or an average takes the place of that, so that a schedule that falls would decay twice.
    pub fn decays_by_itself(self) -> bool {
        matches!(self, Self::Dog | Self::ScheduleFree)
    }

    /// Whether its edge speaks of the preconditioned sharpness.
    pub fn is_preconditioned(self) -> bool {
        matches!(self, Self::Adam | Self::AdamW | Self::Prodigy | Self::Dog)
    }
}

/// `[schedule]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Which schedule.
    #[serde(deserialize_with = "one_of")]
    pub name: ScheduleName,
    /// The share of the run over which the learning rate rises.
    #[serde(deserialize_with = "part")]
    pub warm_up: f64,
    /// The share of the run over which it falls.
    #[serde(deserialize_with = "part")]
    pub cooldown: f64,
}

/// The kinds of schedules.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleName {
    /// The same learning rate throughout, up to warm-up and cooldown.
    Constant,
    /// Down to zero by half a cosine.
    Cosine,
}

/// `[control]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Which rule.
    #[serde(deserialize_with = "one_of")]
    pub rule: ControlRule,
    /// σ, the strength of the rule.
    #[serde(deserialize_with = "positive")]
    pub sigma: f64,
    /// Steps between two probes of the step, for rules that probe.
    #[serde(deserialize_with = "count")]
    pub every: u64,
    /// The least and the largest learning rate that a rule may choose.
    #[serde(deserialize_with = "bounds")]
    pub bounds: [f64; 2],
}

/// The rules that set the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ControlRule {
    /// Nobody changes it.
    None,
    /// By the stretch of the momentum.
    EdgeStep,
    /// σ over the largest eigenvalue.
    QuasiNewton,
    /// 2σ over the batch sharpness.
    BatchSharpness,
    /// By slope and curvature along the step.
    OnEdge,
    /// By the secant of the last step.
    Adgd,
}

impl ControlRule {
    /// The optimizers that the rule has a theory for.
    pub fn optimizers(self) -> &'static [OptimizerName] {
        use OptimizerName::{Adam, AdamW, HeavyBall, Nesterov, Sgd};
        match self {
            Self::None => OptimizerName::value_variants(),
            Self::EdgeStep | Self::OnEdge | Self::QuasiNewton => &[Sgd, HeavyBall, Nesterov, Adam, AdamW],
            Self::BatchSharpness | Self::Adgd => &[Sgd],
        }
    }

    /// The quantity that the rule decides by, where the plan has to measure it.
    pub fn quantity(self, optimizer: OptimizerName) -> Option<Quantity> {
        match self {
            Self::QuasiNewton if optimizer.is_preconditioned() => Some(Quantity::PreconditionedSharpness),
            Self::QuasiNewton => Some(Quantity::LambdaMax),
            Self::BatchSharpness => Some(Quantity::BatchSharpness),
            Self::None | Self::EdgeStep | Self::OnEdge | Self::Adgd => None,
        }
    }

    /// What `sigma = "auto"` stands for.
    pub fn automatic_sigma(self) -> f64 {
        match self {
            Self::EdgeStep | Self::OnEdge => 2.0,
            Self::None | Self::QuasiNewton | Self::BatchSharpness | Self::Adgd => 1.0,
        }
    }

    /// What `every = "auto"` stands for.
    pub fn automatic_period(self) -> i64 {
        match self {
            Self::EdgeStep => 20,
            _ => 1,
        }
    }
}

/// `[measure]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// Steps between measurements; 0 = never.
    #[serde(deserialize_with = "whole")]
    pub every: u64,
    /// What to measure; empty for what suits the optimizer.
    #[serde(deserialize_with = "quantities", serialize_with = "quantity_names")]
    pub what: Vec<Quantity>,
    /// The data to measure on.
    #[serde(deserialize_with = "targets", serialize_with = "target_names")]
    pub on: Vec<Target>,
    /// How products with the Hessian are computed.
    #[serde(deserialize_with = "one_of")]
    pub product: ProductName,
    /// Products per measurement.
    #[serde(deserialize_with = "products")]
    pub products: usize,
}

/// The kinds of products with the Hessian.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ProductName {
    /// Tangents, for every network of ours.
    Auto,
    /// Tangents carried through the model.
    Exact,
    /// The positive part of the Hessian.
    GaussNewton,
    /// A difference of gradients.
    Difference,
}

/// `[exponents]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Exponents {
    /// How many.
    #[serde(deserialize_with = "whole")]
    pub count: usize,
    /// Steps between two re-orthonormalisations.
    #[serde(deserialize_with = "count")]
    pub every: u64,
    /// The share of the run that does not count.
    #[serde(deserialize_with = "share")]
    pub warm_up: f64,
    /// Where the deviations start.
    #[serde(deserialize_with = "one_of")]
    pub start: StartName,
    /// How the deviations are carried.
    #[serde(deserialize_with = "one_of")]
    pub product: ProductName,
    /// Whether gradient and first product come out of one pass.
    #[serde(deserialize_with = "one_of")]
    pub pass: PassName,
    /// Whether the weights move.
    #[serde(deserialize_with = "one_of")]
    pub weights: WeightsName,
}

/// Where deviations start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum StartName {
    /// In random directions.
    Random,
    /// At the eigenvectors of the smallest eigenvalues.
    #[value(name = "lambda_min")]
    LambdaMin,
}

/// How a step that carries deviations is computed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PassName {
    /// The gradient as it would be without deviations, then the products.
    Apart,
    /// The gradient with the first product.
    Joint,
}

/// What the weights do while deviations move.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum WeightsName {
    /// They train.
    Moving,
    /// They stay.
    Frozen,
}

/// `[checkpoint]`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Steps between two checkpoints; 0 = never.
    #[serde(deserialize_with = "whole")]
    pub every: u64,
    /// Minutes between two checkpoints; 0 = never.
    #[serde(deserialize_with = "not_negative")]
    pub minutes: f64,
    /// How many are kept.
    #[serde(deserialize_with = "count")]
    pub keep: usize,
}

/// `[run]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Passes over the training images.
    #[serde(deserialize_with = "count")]
    pub epochs: u64,
    /// Training steps; 0 = as many as `epochs` needs.
    #[serde(deserialize_with = "whole")]
    pub steps: u64,
    /// Images per step.
    #[serde(deserialize_with = "count")]
    pub batch_size: usize,
    /// Decides the initial weights, the batches and the subsets.
    #[serde(deserialize_with = "whole")]
    pub seed: u64,
    /// Where to compute.
    #[serde(deserialize_with = "text")]
    pub device: String,
    /// The folder that receives one folder per run.
    #[serde(deserialize_with = "nonempty_text", skip_serializing)]
    pub out: String,
    /// Steps between two evaluations on the test images; 0 = an epoch.
    #[serde(deserialize_with = "whole")]
    pub evaluate_every: u64,
}

impl Run {
    /// How many steps to take, where an epoch has this many.
    pub fn step_count(&self, steps_per_epoch: u64) -> u64 {
        if self.steps > 0 { self.steps } else { self.epochs.saturating_mul(steps_per_epoch) }
    }

    /// The steps between two evaluations, where an epoch has this many.
    pub fn evaluation_period(&self, steps_per_epoch: u64) -> u64 {
        if self.evaluate_every > 0 { self.evaluate_every } else { steps_per_epoch }
    }
}

/// The name of a choice, as it is written in a configuration.
pub fn name_of(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The name of a target, as it is written in a configuration and in the columns of a run.
pub fn target_name(target: Target) -> String {
    match target {
        Target::Batch => Sample::Mini(0).to_string(),
        Target::Subset(size) => Sample::Subset(size).to_string(),
        Target::Full => Sample::Full.to_string(),
    }
}

// The readers below refuse with the end of the sentence "… must be".

fn one_of<'de, D: Deserializer<'de>, T: ValueEnum>(deserializer: D) -> Result<T, D::Error> {
    let name = String::deserialize(deserializer).ok();
    name.and_then(|name| T::from_str(&name, false).ok()).ok_or_else(|| {
        let names: Vec<String> = T::value_variants().iter().map(|choice| format!("\"{}\"", name_of(choice))).collect();
        D::Error::custom(alternatives(&names))
    })
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives(names: &[String]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => names.concat(),
    }
}

fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer).ok();
    number.filter(|x| x.is_finite() && *x > 0.0).ok_or_else(|| D::Error::custom("a number greater than 0"))
}

fn not_negative<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer).ok();
    number.filter(|x| x.is_finite() && *x >= 0.0).ok_or_else(|| D::Error::custom("a number that is at least 0"))
}

fn part<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer).ok();
    number.filter(|x| (0.0..=1.0).contains(x)).ok_or_else(|| D::Error::custom("a share of the run, from 0 to 1"))
}

fn bounds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[f64; 2], D::Error> {
    let numbers = <[f64; 2]>::deserialize(deserializer).ok();
    numbers
        .filter(|[least, most]| *least >= 0.0 && least <= most && *most > 0.0)
        .ok_or_else(|| D::Error::custom("the least and the largest learning rate, such as [0.0, 1.0] or [1e-6, inf]"))
}

fn betas<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[f64; 2], D::Error> {
    let numbers = <[f64; 2]>::deserialize(deserializer).ok();
    numbers
        .filter(|betas| betas.iter().all(|beta| (0.0..1.0).contains(beta)))
        .ok_or_else(|| D::Error::custom("two numbers that are at least 0 and less than 1, such as [0.9, 0.999]"))
}

fn yes_or_no<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    bool::deserialize(deserializer).map_err(|_| D::Error::custom("true or false"))
}

/// `"auto"` is an empty list.
fn quantities<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Quantity>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Name(String),
        Names(Vec<String>),
    }
    let read = |names: Vec<String>| names.iter().map(|name| quantity(name)).collect::<Option<Vec<_>>>();
    let found = match Written::deserialize(deserializer).ok() {
        Some(Written::Name(name)) if name == "auto" => Some(Vec::new()),
        Some(Written::Names(names)) => read(names).filter(|list| !list.is_empty() && distinct(list)),
        _ => None,
    };
    found.ok_or_else(|| {
        let names = QUANTITIES.map(|quantity| format!("\"{quantity}\""));
        D::Error::custom(format!("\"auto\" or a list of different names out of {}", names.join(", ")))
    })
}

/// `"all"` is an empty list.
fn classes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Name(String),
        Numbers(Vec<u8>),
    }
    let found = match Written::deserialize(deserializer).ok() {
        Some(Written::Name(name)) if name == "all" => Some(Vec::new()),
        Some(Written::Numbers(numbers)) => Some(numbers).filter(|list| list.len() > 1 && distinct(list)),
        _ => None,
    };
    let told = "\"all\" or a list of at least two different class numbers, such as [0, 1]";
    found.ok_or_else(|| D::Error::custom(told))
}

fn class_numbers<S: Serializer>(classes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if classes.is_empty() { serializer.serialize_str("all") } else { serializer.collect_seq(classes) }
}

const QUANTITIES: [Quantity; 4] =
    [Quantity::LambdaMax, Quantity::LambdaMin, Quantity::BatchSharpness, Quantity::PreconditionedSharpness];

fn quantity(name: &str) -> Option<Quantity> {
    QUANTITIES.into_iter().find(|quantity| quantity.name() == name)
}

fn quantity_names<S: Serializer>(quantities: &[Quantity], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(quantities.iter().map(|quantity| quantity.name()))
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer).ok();
    number
        .filter(|x| (0.0..1.0).contains(x))
        .ok_or_else(|| D::Error::custom("a number that is at least 0 and less than 1"))
}

fn count<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    from_minimum(deserializer, 1)
}

/// A burst holds two vectors per product and orthogonalises each against all: beyond some hundreds it is no burst.
fn products<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let number = usize::deserialize(deserializer).ok();
    number.filter(|n| (1..=500).contains(n)).ok_or_else(|| D::Error::custom("a whole number from 1 to 500"))
}

fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    from_minimum(deserializer, 0)
}

fn from_minimum<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D, minimum: u64) -> Result<T, D::Error> {
    let number = u64::deserialize(deserializer).ok().filter(|n| *n >= minimum);
    number
        .and_then(|n| T::try_from(n).ok())
        .ok_or_else(|| D::Error::custom(format!("a whole number from {minimum} up")))
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map_err(|_| D::Error::custom("a text in quotes"))
}

fn nonempty_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer).ok();
    text.filter(|text| !text.is_empty()).ok_or_else(|| D::Error::custom("a text in quotes, not empty"))
}

/// Beyond these a network is a slip of the pen, and its size could not be counted.
const MOST_WIDTH: usize = 100_000;
const MOST_LAYERS: usize = 1000;

fn widths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    let widths = Vec::<usize>::deserialize(deserializer).ok();
    widths
        .filter(|widths| widths.len() <= MOST_LAYERS && widths.iter().all(|width| (1..=MOST_WIDTH).contains(width)))
        .ok_or_else(|| D::Error::custom("\"auto\" or a list of whole numbers from 1 to 100000, such as [200, 200]"))
}

/// `"auto"` is 0.
fn depth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Word(String),
        Count(usize),
    }
    match Written::deserialize(deserializer).ok() {
        Some(Written::Word(word)) if word == "auto" => Ok(0),
        Some(Written::Count(count)) if (1..=MOST_LAYERS).contains(&count) => Ok(count),
        _ => Err(D::Error::custom("\"auto\" or a whole number from 1 to 1000")),
    }
}

fn targets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Target>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer).ok();
    let targets = names.and_then(|names| names.iter().map(|name| target(name)).collect::<Option<Vec<_>>>());
    targets
        .filter(|targets| distinct(targets))
        .ok_or_else(|| D::Error::custom("a list of different names out of \"batch\", \"subset=COUNT\" and \"full\""))
}

fn target(name: &str) -> Option<Target> {
    match name.split_once('=') {
        None if name == "batch" => Some(Target::Batch),
        None if name == "full" => Some(Target::Full),
        Some(("subset", size)) => size.parse().ok().filter(|size| *size > 0).map(Target::Subset),
        _ => None,
    }
}

fn distinct<T: PartialEq>(list: &[T]) -> bool {
    list.iter().enumerate().all(|(i, item)| !list[..i].contains(item))
}

fn target_names<S: Serializer>(targets: &[Target], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(targets.iter().map(|target| target_name(*target)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::Draft;

    fn config(assignments: &[&str]) -> Config {
        let mut draft = Draft::default();
        for assignment in assignments {
            draft.set(assignment).unwrap();
        }
        draft.finish().unwrap().config
    }

    #[test]
    fn the_defaults_are_a_valid_configuration() {
        let config = config(&[]);
        assert_eq!(config.data.name, DataName::Synthetic);
        assert_eq!(config.measure.on, [Target::Batch]);
    }

    #[test]
    fn the_comment_on_automatic_widths_tells_the_truth() {
        for model in ModelName::value_variants() {
            let told = format!("\"{}\" {:?}", name_of(model), model.automatic_widths());
            assert!(DEFAULTS.contains(&told), "{told}");
        }
    }

    #[test]
    fn shorthands_are_written_out() {
        let model = config(&["model.name=wide-resnet-28-10"]).model;
        assert_eq!((model.name, model.depth, &model.widths[..]), (ModelName::WideResnet, 28, &[16, 160, 320, 640][..]));
        assert_eq!(config(&["model.name=wide-resnet-16-4"]), config(&["model.name=wide-resnet"]));
        let model = config(&["model.name=densenet100-24"]).model;
        assert_eq!((model.name, model.depth, &model.widths[..]), (ModelName::Densenet, 100, &[16, 24][..]));
        assert_eq!(config(&["model.name=densenet40-12"]), config(&["model.name=densenet"]));
        assert_eq!(config(&["model.name=resnet18"]).model.shortcut, ShortcutName::Projected);
        let automatic = |name: &str| config(&[&format!("model.name={name}")]).model;
        assert_eq!(automatic("vit-tiny").activation, ActivationName::Gelu);
        assert_eq!(automatic("mlp-mixer").depth, 8);
        assert_eq!(config(&["model.name=vit-tiny", "model.activation=tanh"]).model.activation, ActivationName::Tanh);
        assert_eq!(config(&["model.name=mlp"]).model.shortcut, ShortcutName::Auto);
    }

    #[test]
    fn the_choices_are_named_alike_everywhere() {
        let named = |choice: &ProductName| serde_json::to_value(choice).unwrap() == name_of(choice).as_str();
        assert!(ProductName::value_variants().iter().all(named));
    }

    #[test]
    fn whatever_decides_the_numbers_decides_the_identity_and_the_folder_does_not() {
        let identity = |assignment: &str| config(&[assignment]).identity();
        let plain = config(&[]).identity();
        assert!(plain.starts_with("cnn-sgd-") && plain.len() == "cnn-sgd-".len() + 8);
        assert_eq!(plain, identity("run.out=elsewhere"));
        assert_eq!(plain, identity("checkpoint.every=7"));
        assert_eq!(plain, identity("optimizer.learning_rate=5e-2"), "the same number written otherwise");
        assert_ne!(plain, identity("run.seed=1"));
        assert_ne!(plain, identity("measure.on=[\"full\"]"));
        assert!(identity("model.name=mlp").starts_with("mlp-sgd-"));
    }

    #[test]
    fn every_layout_of_files_has_a_name_in_the_configuration() {
        let layouts: Vec<_> = DataName::value_variants().iter().filter_map(|name| name.layout()).collect();
        assert_eq!(layouts, Layout::ALL);
        assert!(DataName::value_variants().iter().all(|name| DEFAULTS.contains(&format!("\"{}\"", name_of(name)))));
    }

    #[test]
    fn classes_are_all_or_a_list() {
        assert!(config(&["data.classes=all"]).data.classes.is_empty());
        assert_eq!(config(&["data.classes=[9, 0]"]).data.classes, [9, 0]);
    }

    #[test]
    fn targets_have_names_that_read_back() {
        for text in ["batch", "subset=1000", "full"] {
            assert_eq!(target_name(target(text).unwrap()), text);
        }
        for text in ["", "subset", "subset=0", "subset=-1", "subset=x", "batch=1", "Full"] {
            assert_eq!(target(text), None, "{text}");
        }
    }

    #[test]
    fn steps_come_from_epochs_unless_given() {
        assert_eq!(config(&["run.epochs=3"]).run.step_count(79), 237);
        assert_eq!(config(&["run.steps=10"]).run.step_count(79), 10);
        assert_eq!(config(&[]).run.evaluation_period(79), 79);
        assert_eq!(config(&["run.evaluate_every=5"]).run.evaluation_period(79), 5);
    }
}
