//! The standard error of an average over one long, correlated trajectory.
//!
//! The sum over N steps, less N times the true mean, has the variance dN + c. In a mixing system d is positive, c does
//! not matter, and the error of the mean falls like 1/√N: the usual block average. But growth rates are often
//! differences of a bounded function along the orbit, ln‖e(x')‖ − ln‖e(x)‖: so it is for the logistic map at r = 4 and
//! for the zero exponent of every flow. Then d = 0, the sum telescopes and only its ends are left, and the error falls
//! like 1/N; the usual block average would overstate it by the root of the number of blocks. The Lorenz attractor lies
//! in between.
//!
//! d is the spectral density of the growth at frequency zero. Sine tapers (Riedel & Sidorenko 1995) see it through the
//! ends of a telescoping sum, since they vanish there; c is what the variance of single blocks has besides.

use std::f64::consts::TAU;

/// A number with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Its standard error; infinite where it is unknown.
    pub std_error: f64,
}

impl Estimate {
    pub(super) fn scaled(self, factor: f64) -> Self {
        Self { value: self.value * factor, std_error: self.std_error * factor }
    }
}

/// Sine tapers, each an independent look at frequency zero.
const TAPERS: usize = 10;
/// Below so many blocks there is no spectrum to look at.
const FEWEST: usize = 16;

/// The standard deviation of the sum of `blocks`: the sums over consecutive stretches of equal length, less their mean.
///
/// With v the variance of a block, M the mean power in K sine tapers, and ℓ the mean of 1 − cos(πk/(B + 1)), which a
/// telescoping sum leaks into them: M = d + ℓc and v = d + c are solved for d and c ≥ 0. The answer is √(dB + c), both
/// terms scaled to hold the truth in 68.3 % of all cases, as a standard error should: d by the excess of Student's law
/// with K degrees of freedom over the normal one, 1 + 1.1/K; c by the half-width that holds 68.3 % of the blocks, since
/// ends often have exponential tails. Few blocks give the plain √(vB).
pub(super) fn deviation_of_sum(blocks: &[f64]) -> f64 {
    let count = blocks.len() as f64;
    if blocks.len() < 2 {
        return f64::INFINITY;
    }
    let mean = blocks.iter().sum::<f64>() / count;
    let centred: Vec<f64> = blocks.iter().map(|x| x - mean).collect();
    let variance = centred.iter().map(|x| x * x).sum::<f64>() / (count - 1.0);
    if blocks.len() < FEWEST || variance == 0.0 {
        return (variance * count).sqrt();
    }
    let tapers = TAPERS.min(blocks.len() / 4);
    let (power, leak) = power_at_zero(&centred, tapers);
    let diffusion = ((power - leak * variance) / (1.0 - leak)).max(0.0);
    let ends = (1.0 - diffusion / variance).max(0.0) * half_width(&centred).powi(2);
    let student = 1.0 + 1.1 / tapers as f64;
    (student * diffusion * count + ends).sqrt()
}

/// (M, ℓ): the mean power of the series at the lowest frequencies, corrected for the mean that was taken off, and the
/// leak.
fn power_at_zero(centred: &[f64], tapers: usize) -> (f64, f64) {
    let period = 2 * (centred.len() + 1);
    let sines: Vec<f64> = (0..period).map(|m| (TAU * m as f64 / period as f64).sin()).collect();
    let norm = 4.0 / period as f64;
    let (mut power, mut seen, mut leak) = (0.0, 0.0, 0.0);
    for k in 1..=tapers {
        let taper = |t: usize| sines[k * (t + 1) % period];
        let amplitude: f64 = centred.iter().enumerate().map(|(t, x)| x * taper(t)).sum();
        let total: f64 = (0..centred.len()).map(taper).sum();
        power += norm * amplitude * amplitude;
        seen += 1.0 - norm * total * total / centred.len() as f64;
        leak += 1.0 - (TAU * k as f64 / period as f64).cos();
    }
    (power / seen, leak / tapers as f64)
}

/// The distance from the mean within which 68.3 % of the series lie.
fn half_width(centred: &[f64]) -> f64 {
    let mut distances: Vec<f64> = centred.iter().map(|x| x.abs()).collect();
    distances.sort_by(f64::total_cmp);
    distances[(0.683 * centred.len() as f64) as usize]
}

/// Whether the two halves of `blocks`, sums over equal stretches of `length` steps, agree on the mean per step: within
/// 5 % of it, or within three of the errors that the scatter of neighbouring blocks implies.
///
/// Neighbours share a slow drift, so a drift cannot hide in its own scatter.
pub(super) fn halves_agree(blocks: &[f64], length: f64) -> bool {
    let (first, second) = blocks.split_at(blocks.len() / 2);
    let mean = |half: &[f64]| half.iter().sum::<f64>() / (half.len() as f64 * length);
    let (a, b) = (mean(first), mean(second));
    let jumps = blocks.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).sum::<f64>() / (blocks.len() - 1) as f64;
    let error = (0.5 * jumps * 4.0 / blocks.len() as f64).sqrt() / length;
    (a - b).abs() <= (0.05 * a.abs().max(b.abs())).max(3.0 * error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{Purpose, Stream};

    fn normals(seed: u64, n: usize) -> Vec<f64> {
        let mut stream = Stream::new(seed, Purpose::Probe, 0);
        (0..n).map(|_| stream.normal()).collect()
    }

    /// The median over 21 series: single ones scatter by 20 %.
    fn median(series: impl Fn(u64) -> Vec<f64>) -> f64 {
        let mut found: Vec<f64> = (0..21).map(|seed| deviation_of_sum(&series(seed))).collect();
        found.sort_by(f64::total_cmp);
        found[10]
    }

    #[test]
    fn independent_blocks_give_the_root_of_their_number() {
        let found = median(|seed| normals(seed, 1024));
        assert!((found / 32.0 - 1.0).abs() < 0.1, "{found} for 32");
    }

    #[test]
    fn a_telescoping_sum_has_the_deviation_of_its_ends() {
        let found = median(|seed| normals(seed, 1025).windows(2).map(|pair| pair[1] - pair[0]).collect());
        assert!((found / 2.0_f64.sqrt() - 1.0).abs() < 0.1, "{found} for 1.414; the usual block average says 45");
    }

    #[test]
    fn slow_noise_is_seen_through_the_levels() {
        // A moving average over 16 blocks: the sum has 16 times the deviation that its innovations have.
        let found = median(|seed| normals(seed, 1039).windows(16).map(|window| window.iter().sum()).collect());
        assert!((found / (16.0 * 32.0) - 1.0).abs() < 0.2, "{found} for 512");
    }

    #[test]
    fn few_blocks_give_the_plain_error_and_one_gives_none() {
        assert_eq!(deviation_of_sum(&[1.0, -1.0]), 2.0);
        assert_eq!(deviation_of_sum(&[1.0]), f64::INFINITY);
        assert_eq!(deviation_of_sum(&[0.5; 64]), 0.0);
    }

    #[test]
    fn a_drift_does_not_agree_with_itself() {
        let drift: Vec<f64> = (0..64).map(f64::from).collect();
        assert!(!halves_agree(&drift, 1.0));
        assert!(halves_agree(&normals(3, 64), 1.0));
        assert!(halves_agree(&[1.0; 64], 1.0));
    }
}
