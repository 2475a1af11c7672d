//! Normalisation to mean 0 and variance 1, over a batch or over groups of channels, then a scale and a shift per
//! channel.
//!
//! y = γ (x − μ) (σ² + ε)^−½ + β, where μ and σ² depend on x, so that they move with it: with c = x − μ and
//! r = (σ² + ε)^−½ the tangents are ċ = ẋ − μ̇, σ̇² = 2⟨c ċ⟩, ṙ = −½ r³ σ̇², and that of γ r c + β by the product rule.
//! Burn's own batch normalisation returns μ and σ² as constants, which makes every product wrong.
//!
//! Source: Ioffe & Szegedy, *Batch normalization* (2015); Wu & He, *Group normalization* (2018).

use burn::tensor::Tensor;

use super::{Dual, Layer, Parameter, Pass, Pointwise, as_row};
use crate::initialization::Start;
use crate::{
    dual::beside,
    kernels::group_norm::Groups,
    operations::{self, Made, normalize, normalize_tangent, statistics},
    pass::Moments,
};

/// ε of every layer, that of PyTorch.
const EPSILON: f64 = 1e-5;

/// Over what means and variances are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Each channel over the images of the batch.
    Batch,
    /// Each image over as many groups of neighbouring channels.
    Groups(usize),
}

/// Images of `pixels` pixels with `channels` channels, those of a pixel side by side; features are channels of one
/// pixel.
#[derive(Clone, Debug)]
pub(crate) struct Normalize {
    pub over: Over,
    pub channels: usize,
    pub pixels: usize,
}

impl Normalize {
    fn over(&self, rectified: bool) -> operations::Over {
        let Self { channels, pixels, .. } = *self;
        match self.over {
            Over::Batch => operations::Over::Batch { channels, rectified },
            Over::Groups(groups) => operations::Over::Groups(Groups { pixels, channels, groups }),
        }
    }

    /// y and ẏ; over the batch of a training step with a ReLU behind them, where it is asked for.
    fn normalized(&self, parameters: &[Dual<1>], x: Dual<2>, pass: &mut Pass, rectified: bool) -> Dual<2> {
        let [scale, shift] = parameters else { unreachable!("a normalisation has two parameters") };
        if self.over == Over::Batch {
            if let Some(moments) = pass.statistics() {
                return self.given([scale, shift], x, moments);
            }
            pass.note(|| self.moments(&x.value));
        }
        self.observed([scale, shift], x, rectified)
    }

    /// y and ẏ, where μ and σ² move with x.
    fn observed(&self, [scale, shift]: [&Dual<1>; 2], x: Dual<2>, rectified: bool) -> Dual<2> {
        let (over, epsilon) = (self.over(rectified), EPSILON);
        let moments = statistics(&x.value, over, epsilon);
        let made = |scale, shift| Made { over, scale, shift, moments: moments.clone(), epsilon };
        let value = normalize(x.value.clone(), made(scale.value.clone(), shift.value.clone()));
        let moving = [&scale.tangent, &shift.tangent].into_iter().flatten().next().cloned();
        let Some(like) = moving else {
            assert!(x.tangent.is_none(), "parameters move where activations do");
            return Dual::constant(value);
        };
        // What does not move has a tangent of zeros.
        let dots = [scale, shift].map(|p| p.tangent.clone().unwrap_or_else(|| beside(&p.value, &like).zeros_like()));
        let t = x.tangent.unwrap_or_else(|| beside(&x.value, &like).zeros_like());
        let fixed = made(beside(&scale.value, &t), beside(&shift.value, &t));
        Dual { tangent: Some(normalize_tangent(beside(&x.value, &t), fixed, t, dots)), value }
    }

    /// y and ẏ from given statistics, which do not move.
    fn given(&self, [scale, shift]: [&Dual<1>; 2], x: Dual<2>, moments: &Moments) -> Dual<2> {
        let (examples, features) = (x.value.dims()[0], self.channels * self.pixels);
        let x = x.map_linear(|x| self.pixels(x));
        let centred = Dual { value: x.value - as_row(moments.mean.clone()), tangent: x.tangent };
        let inverse = (as_row(moments.variance.clone()) + EPSILON).sqrt().recip();
        // γ r first: it is small.
        let factor = scale.clone().map_linear(|scale| as_row(scale) * inverse.clone());
        let scaled = centred.bilinear(&factor, centred.value.clone() * factor.value.clone(), |a, b| a * b);
        scaled.plus(shift.clone().map_linear(as_row)).map_linear(|y| y.reshape([examples, features]))
    }

    /// [examples × pixels, channels].
    fn pixels(&self, x: Tensor<2>) -> Tensor<2> {
        let examples = x.dims()[0];
        x.reshape([examples * self.pixels, self.channels])
    }

    fn moments(&self, x: &Tensor<2>) -> Moments {
        let x = self.pixels(x.clone());
        let (count, channels) = (x.dims()[0], self.channels);
        let share = 1.0 / count as f64;
        let mean = x.clone().sum_dim(0) * share;
        let variance = (x - mean.clone()).square().sum_dim(0) * share;
        Moments { mean: mean.reshape([channels]), variance: variance.reshape([channels]), count }
    }
}

impl Layer for Normalize {
    fn parameters(&self) -> Vec<Parameter> {
        let parameter = |name: &str, value| Parameter {
            name: name.to_owned(),
            shape: vec![self.channels],
            start: Start::Constant(value),
        };
        vec![parameter("weight", 1.0), parameter("bias", 0.0)]
    }

    fn buffers(&self) -> Vec<String> {
        match self.over {
            Over::Batch => ["running_mean", "running_var", "num_batches_tracked"].map(str::to_owned).to_vec(),
            Over::Groups(_) => Vec::new(),
        }
    }

    fn forward(&self, parameters: &[Dual<1>], input: Dual<2>, pass: &mut Pass) -> Dual<2> {
        self.normalized(parameters, input, pass, false)
    }

    fn forward_rectified(&self, parameters: &[Dual<1>], input: Dual<2>, pass: &mut Pass) -> Dual<2> {
        if self.over == Over::Batch && pass.is_training() {
            return self.normalized(parameters, input, pass, true);
        }
        let output = self.forward(parameters, input, pass);
        Pointwise::RELU.forward(&[], output, pass)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::*;
    use crate::{
        layers::testing::{check_layer, draw},
        pass::Noise,
    };

    const BATCH: Normalize = Normalize { over: Over::Batch, channels: 3, pixels: 4 };

    #[test]
    fn the_tangent_is_the_derivative() {
        check_layer(&BATCH, 5, 12);
        check_layer(&Normalize { over: Over::Batch, channels: 6, pixels: 1 }, 5, 6);
        check_layer(&Normalize { over: Over::Groups(1), channels: 6, pixels: 1 }, 2, 6);
        check_layer(&Normalize { over: Over::Groups(2), channels: 4, pixels: 4 }, 3, 16);
    }

    /// γ = 1, β = 0, and inputs far from standardised.
    fn pass_through(layer: &Normalize, examples: usize, pass: &mut Pass) -> (Tensor<2>, Tensor<2>) {
        let x = draw(examples * layer.channels * layer.pixels, 0) * 3.0 + 7.0;
        let x: Tensor<2> = x.reshape([examples, layer.channels * layer.pixels]);
        let parameters =
            [draw(layer.channels, 1).ones_like(), draw(layer.channels, 1).zeros_like()].map(Dual::constant);
        (x.clone(), layer.forward(&parameters, Dual::constant(x), pass).value)
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n)
    }

    #[test]
    fn what_shares_its_statistics_comes_out_with_mean_zero_and_variance_one() {
        let (_, y) = pass_through(&BATCH, 5, &mut Pass::training(Noise::default()));
        let y: Vec<f64> = y.to_data().try_to_vec().unwrap();
        // The second channel.
        let channel: Vec<f64> = y.iter().skip(1).step_by(3).copied().collect();
        let groups = Normalize { over: Over::Groups(2), channels: 4, pixels: 4 };
        let (_, y) = pass_through(&groups, 3, &mut Pass::training(Noise::default()));
        let y: Vec<f64> = y.to_data().try_to_vec().unwrap();
        // The second group of the second image.
        let group: Vec<f64> = y[16..32].chunks(4).flat_map(|pixel| pixel[2..].to_vec()).collect();
        for values in [channel, group] {
            let (mean, variance) = moments(&values);
            // ε beside a variance of 9.
            assert!(mean.abs() < 1e-12 && (variance - 1.0).abs() < 1e-5, "{mean}, {variance}");
        }
    }

    #[test]
    fn evaluation_uses_the_statistics_that_were_observed() {
        let mut observing = Pass::observing(Noise::default());
        let (x, y) = pass_through(&BATCH, 5, &mut observing);
        let noted = observing.noted();
        let x: Vec<f64> = x.to_data().try_to_vec().unwrap();
        let channel: Vec<f64> = x.iter().step_by(3).copied().collect();
        let (mean, variance) = moments(&channel);
        let first = |t: &Tensor<1>| t.to_data().try_to_vec::<f64>().unwrap()[0];
        assert!((first(&noted[0].mean) - mean).abs() < 1e-12 && (first(&noted[0].variance) - variance).abs() < 1e-12);
        let (_, again) = pass_through(&BATCH, 5, &mut Pass::evaluation(&noted));
        assert!((again - y).abs().max().into_scalar::<f64>() < 1e-12);
    }

    #[test]
    fn pooled_moments_are_those_of_all_entries_together() {
        let all: Vec<f64> = draw(40, 3).to_data().try_to_vec().unwrap();
        let layer = Normalize { over: Over::Batch, channels: 1, pixels: 2 };
        let part = |values: &[f64]| {
            layer.moments(&Tensor::<1>::from_data(values, (&Device::flex(), DType::F64)).reshape([5, 2]))
        };
        let pooled = Moments::pooled(&all.chunks(10).map(part).collect::<Vec<_>>());
        let (mean, variance) = moments(&all);
        assert!((pooled.mean.into_scalar::<f64>() - mean).abs() < 1e-12);
        assert!((pooled.variance.into_scalar::<f64>() - variance * 40.0 / 39.0).abs() < 1e-12);
    }
}
