//! How the weights begin: one distribution per kind, from how many numbers a layer sums over.

use lyapunov::Stream;

/// How the values of a parameter begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Start {
    /// As the initialisation of the network says for a matrix or a kernel.
    Weight {
        /// How many inputs each output of the layer sums over.
        fan_in: usize,
        /// In how many outputs each input takes part.
        fan_out: usize,
    },
    /// As it says for a bias.
    Bias {
        /// That of the weights beside it.
        fan_in: usize,
    },
    /// Normal, whatever the initialisation.
    Normal {
        /// The standard deviation.
        deviation: f64,
    },
    /// All alike, whatever the initialisation.
    Constant(f64),
}

/// How matrices, kernels and biases begin. Everything else does as always: scales of normalisations are one, their
/// shifts and the class token zero, and learned positions normal with a deviation of 0.02.
///
/// An output of a layer sums over fan-in inputs, and an input takes part in fan-out outputs: channels times the pixels
/// of the kernel in a convolution. U is the uniform and N the normal distribution, by its variance.
///
/// | kind | weights | biases | source |
/// |---|---|---|---|
/// | default | U(±1/√fan-in), of variance 1/(3 fan-in) | the same | PyTorch's layers |
/// | Kaiming | N(2/fan-in): what ReLU halves comes through layers of any width | 0 | He et al. (2015) |
/// | Xavier | U(±√(6/(fan-in + fan-out))), of variance 2/(fan-in + fan-out) | 0 | Glorot & Bengio (2010) |
/// | LeCun | N(1/fan-in) | 0 | LeCun et al. (1998) |
/// | NTK | N(1/fan-in) | N(0.1²) | Jacot et al. (2018) |
/// | μP-like | N(1/fan-in), and N(1/fan-in²) in the last layer | 0 | Yang et al. (2022), table 3 |
///
/// **What they are not.** The last two name parametrisations, of which these are the beginnings only. Under the NTK
/// parametrisation every layer computes with W/√fan-in: the network at the start is the same, but descent moves its
/// layers by learning rates that differ by fan-in from those here. μP as well gives learning rates of their own to the
/// first and to the last layer; here one learning rate serves all. What is kept is the scale of the network's function
/// at the start: in wide networks that is of order one under NTK, and of order 1/√width under μP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initialization {
    /// As PyTorch's linear and convolutional layers begin.
    Default,
    /// He's, for ReLU.
    Kaiming,
    /// Glorot's.
    Xavier,
    /// LeCun's.
    Lecun,
    /// The beginning of the neural tangent parametrisation.
    Ntk,
    /// The beginning of the maximal update parametrisation.
    MupLike,
}

lyapunov::named! { Initialization, "initialization":
    Default = "default",
    Kaiming = "kaiming",
    Xavier = "xavier",
    Lecun = "lecun",
    Ntk = "ntk",
    MupLike = "mup-like",
}

/// The deviation of biases in Jacot et al., section 6.
const NTK_BIAS: f64 = 0.1;

impl Initialization {
    /// An entry of a parameter that begins like `start`, in the `last` layer or another one.
    pub(super) fn draw(self, start: Start, last: bool, stream: &mut Stream) -> f64 {
        match (self, start) {
            (_, Start::Constant(value)) => value,
            (_, Start::Normal { deviation }) => deviation * stream.normal(),
            (Self::Default, Start::Weight { fan_in, .. } | Start::Bias { fan_in }) => {
                1.0 / (fan_in as f64).sqrt() * symmetric(stream)
            }
            (Self::Ntk, Start::Bias { .. }) => NTK_BIAS * stream.normal(),
            (_, Start::Bias { .. }) => 0.0,
            (Self::Xavier, Start::Weight { fan_in, fan_out }) => {
                (6.0 / (fan_in + fan_out) as f64).sqrt() * symmetric(stream)
            }
            (Self::Kaiming, Start::Weight { fan_in, .. }) => (2.0 / fan_in as f64).sqrt() * stream.normal(),
            (Self::MupLike, Start::Weight { fan_in, .. }) if last => 1.0 / fan_in as f64 * stream.normal(),
            (Self::Lecun | Self::Ntk | Self::MupLike, Start::Weight { fan_in, .. }) => {
                1.0 / (fan_in as f64).sqrt() * stream.normal()
            }
        }
    }
}

/// Uniform in [−1, 1).
fn symmetric(stream: &mut Stream) -> f64 {
    2.0 * stream.uniform() - 1.0
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::*;
    use crate::{
        model::Model,
        options::{Architecture, NetworkOptions, Normalization},
    };

    /// The weights of every parameter, by name.
    fn begun(architecture: &Architecture, init: Initialization, init_scale: f64) -> Vec<(String, Vec<f64>)> {
        let architecture = architecture.clone();
        let options = NetworkOptions {
            architecture,
            normalization: Normalization::Batch,
            init,
            init_scale,
            ..NetworkOptions::default()
        };
        begun_with(&options)
    }

    fn begun_with(options: &NetworkOptions) -> Vec<(String, Vec<f64>)> {
        let model = Model::new(options, 10).unwrap();
        let values: Vec<f64> = model.initial_weights(3, &Device::flex(), DType::F64).to_data().try_to_vec().unwrap();
        model.named_parameters().into_iter().map(|p| (p.name, values[p.range].to_vec())).collect()
    }

    fn square(values: &[f64]) -> f64 {
        values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64
    }

    /// The mean square of the weights and of the biases of each layer, against what its fan-in and fan-out say.
    #[test]
    fn every_layer_has_the_variances_of_its_kind() {
        use Initialization::{Default, Kaiming, Lecun, MupLike, Ntk, Xavier};
        let scale = 1.5;
        let mlp = (Architecture::Mlp { widths: vec![300, 200] }, [("0", 3072, 300), ("3", 300, 200), ("6", 200, 10)]);
        let cnn = Architecture::Cnn { widths: vec![60, 80] };
        let cnn = (cnn, [("0", 27, 540), ("4", 540, 720), ("9", 5120, 10)]);
        for (architecture, layers) in [mlp, cnn] {
            for init in [Default, Kaiming, Xavier, Lecun, Ntk, MupLike] {
                let begun = begun(&architecture, init, scale);
                let of = |name: String| &begun.iter().find(|(found, _)| *found == name).unwrap().1;
                for (k, (name, fan_in, fan_out)) in layers.iter().enumerate() {
                    let (fan_in, fan_out) = (f64::from(*fan_in), f64::from(*fan_out));
                    let (weight, bias) = match init {
                        Default => (1.0 / (3.0 * fan_in), 1.0 / (3.0 * fan_in)),
                        Kaiming => (2.0 / fan_in, 0.0),
                        Xavier => (2.0 / (fan_in + fan_out), 0.0),
                        Ntk => (1.0 / fan_in, 0.01),
                        MupLike if k == 2 => (1.0 / fan_in.powi(2), 0.0),
                        Lecun | MupLike => (1.0 / fan_in, 0.0),
                    };
                    for (parameter, variance) in [("weight", weight), ("bias", bias)] {
                        let values = of(format!("{name}.{parameter}"));
                        let (found, expected) = (square(values), scale * scale * variance);
                        // Four standard errors of a mean of squares of normal numbers.
                        let tolerance = expected * 4.0 * (2.0 / values.len() as f64).sqrt();
                        assert!(
                            (found - expected).abs() <= tolerance,
                            "{init:?}, {name}.{parameter}: {found}, {expected}"
                        );
                    }
                }
                let normalization = of("1.weight".into());
                assert!(normalization.iter().all(|scale| *scale == 1.0), "a normalisation is not scaled");
            }
        }
    }

    #[test]
    fn positions_begin_small_and_the_class_token_at_zero_whatever_the_kind() {
        let architecture = Architecture::VisionTransformer { depth: 1, heads: 1, patch: 4, widths: vec![64, 8] };
        let normalization = Normalization::None;
        let options = NetworkOptions {
            architecture,
            normalization,
            init: Initialization::Kaiming,
            init_scale: 3.0,
            ..NetworkOptions::default()
        };
        let begun = begun_with(&options);
        let of = |name: &str| &begun.iter().find(|(found, _)| found == name).unwrap().1;
        assert!(of("cls_token").iter().all(|entry| *entry == 0.0));
        let (found, expected) = (square(of("pos_embed")), 0.02_f64.powi(2));
        assert!((found / expected - 1.0).abs() < 4.0 * (2.0 / (65.0 * 64.0_f64)).sqrt(), "{found}");
    }

    #[test]
    fn uniform_kinds_have_bounds_and_normal_ones_have_none() {
        let mlp = Architecture::Mlp { widths: vec![300, 200] };
        let share_beyond = |init| {
            let begun = begun(&mlp, init, 1.0);
            let (_, weights) = begun.iter().find(|(name, _)| name == "3.weight").unwrap();
            let bound = (3.0 * square(weights)).sqrt() * 1.01;
            weights.iter().filter(|w| w.abs() > bound).count() as f64 / weights.len() as f64
        };
        assert_eq!(share_beyond(Initialization::Default), 0.0);
        assert_eq!(share_beyond(Initialization::Xavier), 0.0);
        for init in [Initialization::Kaiming, Initialization::Lecun, Initialization::Ntk, Initialization::MupLike] {
            // P(|x| > √3 · 1.01) = 0.080 for a normal number.
            assert!((share_beyond(init) - 0.080).abs() < 0.006, "{init:?}: {}", share_beyond(init));
        }
    }
}
