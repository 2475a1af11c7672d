//! What a network is made of and how it sees its data: the choices.

use super::{initialization::Initialization, loss::Loss};

/// The storage of weights and activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits: for training.
    Single,
    /// 64 bits: for checking.
    Double,
}

lyapunov::named! { Precision, "precision": Single = "single", Double = "double" }

/// The function between two layers. Where it is smooth, differences of gradients are usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0): a kink at 0.
    Relu,
    /// x above 0, x/100 below: a kink at 0.
    LeakyRelu,
    /// The hyperbolic tangent: smooth.
    Tanh,
    /// x above 0, eˣ − 1 below: its slope has no jump, its second derivative has one.
    Elu,
    /// ln(1 + eˣ): smooth.
    Softplus,
    /// x Φ(x) with the distribution function Φ of the standard normal: smooth.
    Gelu,
    /// x / (1 + e^−x): smooth.
    Silu,
    /// x between −1 and 1, constant outside: kinks at both.
    Hardtanh,
}

lyapunov::named! { Activation, "activation":
    Relu = "relu",
    LeakyRelu = "leaky-relu",
    Tanh = "tanh",
    Elu = "elu",
    Softplus = "softplus",
    Gelu = "gelu",
    Silu = "silu",
    Hardtanh = "hardtanh",
}

/// How images shrink to half their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The largest entry of each 2×2 window: kinks where two are equal.
    Max,
    /// The mean of each 2×2 window: smooth.
    Average,
}

lyapunov::named! { Pooling, "pooling": Max = "max", Average = "average" }

/// What stands between a linear or convolutional layer and the activation behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalization {
    /// Nothing.
    None,
    /// Per channel over the images of a batch: Ioffe & Szegedy (2015), PyTorch's `BatchNorm1d` and `BatchNorm2d`.
    Batch,
    /// Per image over all channels, with a scale and a shift per channel: PyTorch's `LayerNorm` behind a linear layer,
    /// its `GroupNorm` of one group behind a convolution.
    Layer,
    /// Per image over groups of channels: Wu & He (2018), PyTorch's `GroupNorm`.
    Group {
        /// How many groups: a divisor of every width.
        groups: usize,
    },
}

// A group normalisation that is read by its name has one group until it is given more.
lyapunov::named! { Normalization, "normalization":
    None = "none",
    Batch = "batch",
    Layer = "layer",
    Group = "group" => Self::Group { groups: 1 },
}

/// What stands beside a residual block that changes the size or the channels: He et al. (2015), section 3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// Every other pixel, between channels of zeros: option A.
    Padded,
    /// A 1×1 convolution with its normalisation: option B.
    Projected,
}

lyapunov::named! { Shortcut, "shortcut": Padded = "padded", Projected = "projected" }

/// What a network is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Fully connected hidden layers of these widths, each followed by the normalisation and the activation; then a
    /// linear layer to the classes. Without hidden layers: a linear model.
    Mlp {
        /// Hidden widths, first layer first.
        widths: Vec<usize>,
    },
    /// Fully connected layers with nothing between them: linear in the images, not in the weights.
    DeepLinear {
        /// Hidden widths, first layer first.
        widths: Vec<usize>,
    },
    /// 3×3 convolutions with these channels, each followed by the normalisation, the activation and 2×2 pooling; then a
    /// linear layer.
    Cnn {
        /// Channels, first layer first: at most five, since each halves the image.
        widths: Vec<usize>,
    },
    /// Five stages of 3×3 convolutions as in the `cnn`, each followed by pooling; then a linear layer: Simonyan &
    /// Zisserman (2014) in the form for CIFAR.
    Vgg {
        /// Layers with weights: 11, 13, 16 or 19.
        depth: usize,
        /// Channels of each stage: 64, 128, 256, 512 and 512 in the paper.
        widths: Vec<usize>,
    },
    /// A convolution, stages of residual blocks, each but the first at half the size, the mean over the image and a
    /// linear layer: He et al. (2015) in the forms for CIFAR. Made for [`Normalization::Batch`].
    ResNet {
        /// Blocks of each stage: 3 for ResNet-20, 5 for ResNet-32, 9 for ResNet-56, 2 for ResNet-18.
        blocks: usize,
        /// Channels of each stage: 16, 32 and 64 in section 4.2 of the paper, 64, 128, 256 and 512 for ResNet-18.
        widths: Vec<usize>,
        /// What stands beside a block that changes the size or the channels.
        shortcut: Shortcut,
    },
    /// A convolution, three stages of residual blocks whose normalisations and activations stand before their
    /// convolutions, each stage but the first at half the size, a normalisation, the mean over the image and a linear
    /// layer: Zagoruyko & Komodakis (2016). Made for [`Normalization::Batch`]. Dropout stands between the two
    /// convolutions of a block, as in the paper.
    WideResNet {
        /// Layers with weights, without projections: 6n + 4, with n blocks in each stage. 16 for WRN-16-4.
        depth: usize,
        /// Channels of the first convolution and of each stage: 16, 16k, 32k and 64k in the paper, with k = 4 for
        /// WRN-16-4.
        widths: Vec<usize>,
    },
    /// A convolution, three blocks of layers that each add a few channels to those they see, a 1×1 convolution and
    /// average-pooling between two blocks, a normalisation, the mean over the image and a linear layer: Huang et al.
    /// (2017) in the basic form, without bottlenecks and compression. Made for [`Normalization::Batch`]. Dropout stands
    /// behind every convolution but the first, as in the paper.
    DenseNet {
        /// Layers with weights: 3n + 4, with n in each block. 40 in the paper.
        depth: usize,
        /// Channels of the first convolution, and those that each layer adds: 16 and 12 in the paper.
        widths: Vec<usize>,
    },
    /// Patches as tokens, a class token before them, learned positions, blocks of attention and of a perceptron with
    /// layer normalisation before each, and a linear layer on the class token: Dosovitskiy et al. (2021). The
    /// normalisation must be [`Normalization::None`]: it brings its own. Dropout stands behind both parts of a block.
    /// Made for [`Activation::Gelu`].
    VisionTransformer {
        /// Blocks: 12 in ViT-Ti, the tiny form of Touvron et al. (2021).
        depth: usize,
        /// Heads of attention, a divisor of the width: 3 in ViT-Ti.
        heads: usize,
        /// Pixels along a side of a patch, a divisor of 32: 4 is usual on images as small as these.
        patch: usize,
        /// Features of a token and of the hidden layers: 192 and 768 in ViT-Ti.
        widths: Vec<usize>,
    },
    /// Patches as tokens, blocks of a perceptron across the tokens and one across the features with layer normalisation
    /// before each, the mean over the tokens and a linear layer: Tolstikhin et al. (2021). Normalisation, dropout and
    /// activation as in [`Architecture::VisionTransformer`].
    MlpMixer {
        /// Blocks: 8 in Mixer-S.
        depth: usize,
        /// Pixels along a side of a patch, a divisor of 32.
        patch: usize,
        /// Features of a token, and of the hidden layers across tokens and across features: in the paper's Mixer-S 512,
        /// 256 and 2048.
        widths: Vec<usize>,
    },
}

impl Architecture {
    /// Widths or channels, first layer or stage first.
    pub(super) fn widths(&self) -> &[usize] {
        let (Self::Mlp { widths }
        | Self::DeepLinear { widths }
        | Self::Cnn { widths }
        | Self::Vgg { widths, .. }
        | Self::ResNet { widths, .. }
        | Self::WideResNet { widths, .. }
        | Self::DenseNet { widths, .. }
        | Self::VisionTransformer { widths, .. }
        | Self::MlpMixer { widths, .. }) = self;
        widths
    }
}

/// The networks that have a name, each with its usual sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

lyapunov::named! { ModelName, "model":
    Cnn = "cnn",
    Mlp = "mlp",
    Linear = "linear",
    DeepLinear = "deep-linear",
    Vgg11 = "vgg11",
    Vgg16 = "vgg16",
    Resnet18 = "resnet18",
    Resnet20 = "resnet20",
    Resnet32 = "resnet32",
    Resnet56 = "resnet56",
    WideResnet = "wide-resnet",
    Densenet = "densenet",
    VitTiny = "vit-tiny",
    MlpMixer = "mlp-mixer",
}

/// How large a network of a name is; a name has no use for some of these ([`ModelName::unused_sizes`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSize {
    /// Layers with weights, or blocks.
    pub depth: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Pixels along a side of a patch.
    pub patch: usize,
    /// What stands beside a residual block that changes the size or the channels.
    pub shortcut: Option<Shortcut>,
    /// Widths or channels, first layer or stage first.
    pub widths: Vec<usize>,
}

impl ModelName {
    /// The architecture of this name and these sizes.
    pub fn architecture(self, size: ModelSize) -> Architecture {
        let ModelSize { depth, heads, patch, shortcut, widths } = size;
        let resnet = |blocks, widths| Architecture::ResNet {
            blocks,
            widths,
            shortcut: shortcut.or(self.usual_shortcut()).unwrap_or(Shortcut::Padded),
        };
        match self {
            Self::Cnn => Architecture::Cnn { widths },
            Self::Mlp | Self::Linear => Architecture::Mlp { widths },
            Self::DeepLinear => Architecture::DeepLinear { widths },
            Self::Vgg11 => Architecture::Vgg { depth: 11, widths },
            Self::Vgg16 => Architecture::Vgg { depth: 16, widths },
            Self::Resnet18 => resnet(2, widths),
            Self::Resnet20 => resnet(3, widths),
            Self::Resnet32 => resnet(5, widths),
            Self::Resnet56 => resnet(9, widths),
            Self::WideResnet => Architecture::WideResNet { depth, widths },
            Self::Densenet => Architecture::DenseNet { depth, widths },
            Self::VitTiny => Architecture::VisionTransformer { depth, heads, patch, widths },
            Self::MlpMixer => Architecture::MlpMixer { depth, patch, widths },
        }
    }

    /// The widths of the paper, or of the form that is usual on images as small as these.
    pub fn usual_widths(self) -> &'static [usize] {
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

    /// The usual depth; `None` where the name says it, or the widths do.
    pub fn usual_depth(self) -> Option<usize> {
        match self {
            Self::WideResnet => Some(16),
            Self::Densenet => Some(40),
            Self::VitTiny => Some(12),
            Self::MlpMixer => Some(8),
            _ => None,
        }
    }

    /// The shortcut of the paper, where there is a choice.
    pub fn usual_shortcut(self) -> Option<Shortcut> {
        match self {
            Self::Resnet20 | Self::Resnet32 | Self::Resnet56 => Some(Shortcut::Padded),
            Self::Resnet18 => Some(Shortcut::Projected),
            _ => None,
        }
    }

    /// The activation of the paper.
    pub fn usual_activation(self) -> Activation {
        match self {
            Self::VitTiny | Self::MlpMixer => Activation::Gelu,
            _ => Activation::Relu,
        }
    }

    /// The sizes and choices that this network has no use for, by their names.
    pub fn unused_sizes(self) -> Vec<&'static str> {
        let depth = self.usual_depth().is_none().then_some("depth");
        let shortcut = self.usual_shortcut().is_none().then_some("shortcut");
        let heads = (self != Self::VitTiny).then_some("heads");
        let patch = (!matches!(self, Self::VitTiny | Self::MlpMixer)).then_some("patch");
        let pooling = (!matches!(self, Self::Cnn | Self::Vgg11 | Self::Vgg16)).then_some("pooling");
        let normalization = matches!(self, Self::Linear | Self::DeepLinear).then_some("normalization");
        [depth, shortcut, heads, patch, pooling, normalization].into_iter().flatten().collect()
    }
}

/// What a network is and how it sees its data.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkOptions {
    /// The layers.
    pub architecture: Architecture,
    /// The function between layers.
    pub activation: Activation,
    /// What stands before the activation.
    pub normalization: Normalization,
    /// How images shrink.
    pub pooling: Pooling,
    /// The share of entries that dropout sets to zero before each fully connected layer but one on the images; 0 =
    /// none.
    pub dropout: f64,
    /// How the weights begin.
    pub init: Initialization,
    /// A factor of matrices, kernels and biases at the start, greater than 0.
    pub init_scale: f64,
    /// The loss per example.
    pub loss: Loss,
    /// Moves this share of every target from its label evenly to all classes: for cross-entropy only; 0 = none.
    pub label_smoothing: f64,
    /// λ of the penalty ½λ‖w‖², which is part of the loss: every weight counts, biases and normalisations too; 0 =
    /// none.
    pub l2: f64,
    /// Whether mini-batches show randomly shifted and flipped images.
    pub augment: bool,
    /// Images per training step.
    pub batch_size: usize,
    /// The seed of the initial weights, the batches and the measuring subset.
    pub seed: u64,
    /// The storage of weights and activations.
    pub precision: Precision,
}

impl Default for NetworkOptions {
    /// A three-layer convolutional network with ReLU, max-pooling and cross-entropy, batches of 64, seed 0, single
    /// precision.
    fn default() -> Self {
        Self {
            architecture: Architecture::Cnn { widths: vec![8, 16, 32] },
            activation: Activation::Relu,
            normalization: Normalization::None,
            pooling: Pooling::Max,
            dropout: 0.0,
            init: Initialization::Default,
            init_scale: 1.0,
            loss: Loss::CrossEntropy,
            label_smoothing: 0.0,
            l2: 0.0,
            augment: false,
            batch_size: 64,
            seed: 0,
            precision: Precision::Single,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let activations = ["relu", "leaky-relu", "tanh", "elu", "softplus", "gelu", "silu", "hardtanh"];
        assert_eq!(Activation::ALL.map(Activation::name), activations);
        assert!(Activation::ALL.iter().all(|choice| Activation::from_name(choice.name()) == Some(*choice)));
        let losses =
            ["cross-entropy", "squared-error", "mean-squared-error", "hinge", "huber", "focal", "binary-cross-entropy"];
        assert_eq!(Loss::ALL.map(Loss::name), losses);
        let initializations = ["default", "kaiming", "xavier", "lecun", "ntk", "mup-like"];
        assert_eq!(Initialization::ALL.map(Initialization::name), initializations);
        assert_eq!(Normalization::ALL.map(Normalization::name), ["none", "batch", "layer", "group"]);
        assert_eq!(Normalization::Group { groups: 4 }.name(), "group");
        assert_eq!(Pooling::ALL.map(Pooling::name), ["max", "average"]);
        assert_eq!(Shortcut::ALL.map(Shortcut::name), ["padded", "projected"]);
        assert_eq!(Precision::ALL.map(Precision::name), ["single", "double"]);
        assert!("sgd".parse::<Loss>().is_err());
    }
}
