//! The choices of a configuration: models, losses, optimizers, rules and so on, by the names that are written there.

use clap::ValueEnum;
use lyapunov::{Quantity, Shape};
use lyapunov_burn::Layout;
use serde::Serialize;

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

/// The kinds of schedules.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleName {
    /// The same learning rate throughout, up to warm-up and cooldown.
    Constant,
    /// Down to zero by half a cosine.
    Cosine,
}

impl ScheduleName {
    /// The shape of the schedule.
    pub fn shape(self) -> Shape {
        match self {
            Self::Constant => Shape::Constant,
            Self::Cosine => Shape::Cosine,
        }
    }
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

/// The name of a choice, as it is written in a configuration.
pub fn name_of(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
