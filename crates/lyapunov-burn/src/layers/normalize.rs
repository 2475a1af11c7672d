//! Normalisation to mean 0 and variance 1, over a batch or over groups of channels, then a scale and a shift per
//! channel.
//!
//! y = γ (x − μ) (σ² + ε)^−½ + β, where μ and σ² depend on x, so that they move with it: with c = x − μ and
//! r = (σ² + ε)^−½ the tangents are ċ = ẋ − μ̇, σ̇² = 2⟨c ċ⟩, ṙ = −½ r³ σ̇², and that of γ r c + β by the product rule.
//! Burn's own batch normalisation returns μ and σ² as constants, which makes every product wrong.
//!
//! Source: Ioffe & Szegedy, *Batch normalization* (2015); Wu & He, *Group normalization* (2018).

use burn::tensor::Tensor;

use super::{Dual, Layer, Parameter, Pass, Start};
use crate::{
    dual::beside,
    operations::{Batch, normalize, normalize_tangent, statistics},
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

/// Images of `pixels` pixels with `channels` channels, those of a pixel side by side; features are channels of one pixel.
#[derive(Clone, Debug)]
pub(crate) struct Normalize {
    pub over: Over,
    pub channels: usize,
    pub pixels: usize,
}

impl Normalize {
    /// Groups, and channels in each: a batch is averaged channel by channel.
    fn groups(&self) -> [usize; 2] {
        match self.over {
            Over::Batch => [self.channels, 1],
            Over::Groups(groups) => [groups, self.channels / groups],
        }
    }

    /// The mean over everything that shares μ and σ², of x [examples, pixels, groups, channels of a group].
    fn average(&self, x: Tensor<4>) -> Tensor<4> {
        let [examples, pixels, _, channels] = x.dims();
        match self.over {
            Over::Batch => x.sum_dim(1).sum_dim(0) * (1.0 / (examples * pixels) as f64),
            Over::Groups(_) => x.sum_dim(3).sum_dim(1) * (1.0 / (channels * pixels) as f64),
        }
    }

    /// [examples, pixels, groups, channels of a group].
    fn images(&self, x: Tensor<2>) -> Tensor<4> {
        let [groups, channels] = self.groups();
        let examples = x.dims()[0];
        x.reshape([examples, self.pixels, groups, channels])
    }

    /// y and ẏ where μ and σ² are those of the batch.
    fn over_batch(&self, [scale, shift]: [&Dual<1>; 2], x: Dual<2>) -> Dual<2> {
        let moments = statistics(&x.value, self.channels, EPSILON);
        let batch = |scale: Tensor<1>, shift: Tensor<1>| Batch {
            scale,
            shift,
            moments: moments.clone(),
            epsilon: EPSILON,
            rectified: false,
        };
        let value = normalize(x.value.clone(), batch(scale.value.clone(), shift.value.clone()));
        // What does not move has a tangent of zeros.
        let Some(like) = [&scale.tangent, &shift.tangent].into_iter().flatten().next().cloned() else {
            return match x.tangent {
                None => Dual::constant(value),
                Some(_) => unreachable!("parameters move where activations do"),
            };
        };
        let zeros = |value: &Tensor<1>| beside(value, &like).zeros_like();
        let dots = [scale, shift].map(|p| p.tangent.clone().unwrap_or_else(|| zeros(&p.value)));
        let t = x.tangent.unwrap_or_else(|| beside(&x.value, &like).zeros_like());
        let fixed = batch(beside(&scale.value, &t), beside(&shift.value, &t));
        Dual { tangent: Some(normalize_tangent(beside(&x.value, &t), fixed, t, dots)), value }
    }

    /// c = x − μ and r = (σ² + ε)^−½ from the image itself.
    fn observed(&self, x: Dual<4>) -> (Dual<4>, Dual<4>) {
        let centred = x.map_linear(|x| x.clone() - self.average(x));
        let variance = self.average(centred.value.clone() * centred.value.clone());
        let rule = |c: Tensor<4>, dot: Tensor<4>| self.average(c * dot) * 2.0;
        let moved = Dual::map_tangent(centred.tangent.clone(), &centred.value, rule);
        let inverse = inverse_root(variance);
        let rule = |r: Tensor<4>, dot: Tensor<4>| r.clone() * r.clone() * r * dot * -0.5;
        let tangent = Dual::map_tangent(moved, &inverse, rule);
        (centred, Dual { value: inverse, tangent })
    }

    /// The same from given statistics, which do not move.
    fn given(&self, x: Dual<4>, moments: &Moments) -> (Dual<4>, Dual<4>) {
        let per_channel = |m: &Tensor<1>| m.clone().reshape([1, 1, self.channels, 1]);
        let mean = per_channel(&moments.mean);
        let centred = Dual { value: x.value - mean, tangent: x.tangent };
        (centred, Dual::constant(inverse_root(per_channel(&moments.variance))))
    }

    fn moments(&self, x: &Tensor<4>) -> Moments {
        let mean = self.average(x.clone());
        let variance = self.average((x.clone() - mean.clone()).square());
        let flat = |m: Tensor<4>| m.reshape([self.channels]);
        Moments { mean: flat(mean), variance: flat(variance), count: x.dims()[0] * self.pixels }
    }
}

/// (σ² + ε)^−½.
fn inverse_root(variance: Tensor<4>) -> Tensor<4> {
    (variance + EPSILON).sqrt().recip()
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
        let [scale, shift] = parameters else { unreachable!("a normalisation has two parameters") };
        let statistics = if self.over == Over::Batch { pass.statistics() } else { None };
        if self.over == Over::Batch && statistics.is_none() {
            pass.note(|| self.moments(&self.images(input.value.clone())));
            return self.over_batch([scale, shift], input);
        }
        let (examples, features) = (input.value.dims()[0], self.channels * self.pixels);
        let [groups, channels] = self.groups();
        let x = input.map_linear(|x| self.images(x));
        let per_channel = |p: &Dual<1>| p.clone().map_linear(|p| p.reshape([1, 1, groups, channels]));
        let (centred, inverse) = match statistics {
            Some(moments) => self.given(x, moments),
            None => self.observed(x),
        };
        // γ r first: it is small.
        let scale = per_channel(scale);
        let factor = scale.bilinear(&inverse, scale.value.clone() * inverse.value.clone(), |a, b| a * b);
        let scaled = centred.bilinear(&factor, centred.value.clone() * factor.value.clone(), |a, b| a * b);
        scaled.plus(per_channel(shift)).map_linear(|y| y.reshape([examples, features]))
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
            layer.moments(&Tensor::<1>::from_data(values, (&Device::flex(), DType::F64)).reshape([5, 2, 1, 1]))
        };
        let pooled = Moments::pooled(&all.chunks(10).map(part).collect::<Vec<_>>());
        let (mean, variance) = moments(&all);
        assert!((pooled.mean.into_scalar::<f64>() - mean).abs() < 1e-12);
        assert!((pooled.variance.into_scalar::<f64>() - variance * 40.0 / 39.0).abs() < 1e-12);
    }
}
