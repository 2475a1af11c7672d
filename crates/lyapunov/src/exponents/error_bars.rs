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
//!
//! Orbits of area-preserving maps stick to islands of regular motion, for times without a typical length: the density
//! rises towards frequency zero like f^(−α), and what is measured at the lowest frequencies of a run is less than what
//! its mean suffers from. Where the slope α of log density against log frequency is significant, d is the density that
//! the power law has at the frequency of the run itself. A run that has not met its first long stay yet cannot know of
//! it: no error from a single run is calibrated there.

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
/// ends often have exponential tails. Where the series has a [long memory](has_long_memory), the answer is at least
/// that of its power law. Few blocks give the plain √(vB).
pub(super) fn deviation_of_sum(blocks: &[f64]) -> f64 {
    let count = blocks.len() as f64;
    if blocks.len() < 2 {
        return f64::INFINITY;
    }
    let centred = centred(blocks);
    let variance = centred.iter().map(|x| x * x).sum::<f64>() / (count - 1.0);
    if blocks.len() < FEWEST || variance == 0.0 {
        return (variance * count).sqrt();
    }
    let tapers = Tapers::of(&centred);
    let lowest = TAPERS.min(blocks.len() / 4);
    let looks: Vec<Look> = (1..=lowest).map(|k| tapers.look(k)).collect();
    let seen: f64 = looks.iter().map(|look| look.seen).sum();
    let power = looks.iter().map(|look| look.power).sum::<f64>() / seen;
    let leak = looks.iter().map(|look| look.leak).sum::<f64>() / lowest as f64;
    let diffusion = ((power - leak * variance) / (1.0 - leak)).max(0.0);
    let ends = (1.0 - diffusion / variance).max(0.0) * half_width(&centred).powi(2);
    let student = 1.0 + 1.1 / lowest as f64;
    let short = student * diffusion * count + ends;
    let long = Slope::of(&tapers).filter(Slope::is_significant).map_or(0.0, |slope| slope.at_the_run() * count);
    short.max(long).sqrt()
}

/// Whether `blocks` remember so long that their mean is not to be trusted: their spectrum rises to its lowest
/// frequency, by two standard errors.
pub(super) fn has_long_memory(blocks: &[f64]) -> bool {
    if blocks.len() < FEWEST {
        return false;
    }
    Slope::of(&Tapers::of(&centred(blocks))).is_some_and(|slope| slope.is_significant())
}

/// The series less its mean.
fn centred(blocks: &[f64]) -> Vec<f64> {
    let mean = blocks.iter().sum::<f64>() / blocks.len() as f64;
    blocks.iter().map(|x| x - mean).collect()
}

/// A centred series, and the sines that its tapers are made of.
struct Tapers<'a> {
    centred: &'a [f64],
    sines: Vec<f64>,
}

/// What one taper sees.
struct Look {
    power: f64,
    /// The share of the power that is left where the mean was taken off.
    seen: f64,
    /// The share of a telescoping sum that it sees.
    leak: f64,
}

impl<'a> Tapers<'a> {
    fn of(centred: &'a [f64]) -> Self {
        let period = 2 * (centred.len() + 1);
        Self { centred, sines: (0..period).map(|m| (TAU * m as f64 / period as f64).sin()).collect() }
    }

    /// Through the k-th taper: at the frequency k/(2B + 2) per block.
    fn look(&self, k: usize) -> Look {
        let period = self.sines.len();
        let (norm, count) = (4.0 / period as f64, self.centred.len() as f64);
        let (mut amplitude, mut total, mut place) = (0.0, 0.0, 0);
        for x in self.centred {
            place += k;
            if place >= period {
                place -= period;
            }
            amplitude += x * self.sines[place];
            total += self.sines[place];
        }
        Look {
            power: norm * amplitude * amplitude,
            seen: 1.0 - norm * total * total / count,
            leak: 1.0 - (TAU * k as f64 / period as f64).cos(),
        }
    }
}

/// The line through log density over log k, over octaves of tapers.
struct Slope {
    /// α: how the density rises towards low frequencies.
    alpha: f64,
    std_error: f64,
    /// The mean of log k and of log density, through which the line goes.
    centre: (f64, f64),
}

impl Slope {
    /// `None` for a series too short for three octaves above the first taper, which the mean has spoilt.
    fn of(tapers: &Tapers<'_>) -> Option<Self> {
        // At most eight tapers of an octave: more cost time and say little more.
        const OCTAVES: [(usize, usize); 5] = [(2, 1), (4, 1), (8, 1), (16, 2), (32, 4)];
        let fits = |(first, _): &&(usize, usize)| 4 * first <= tapers.centred.len();
        let points: Vec<[f64; 3]> = OCTAVES
            .iter()
            .take_while(fits)
            .map(|(first, stride)| {
                let ks: Vec<usize> = (*first..2 * first).step_by(*stride).collect();
                let count = ks.len() as f64;
                let density = |k: &usize| {
                    let Look { power, seen, .. } = tapers.look(*k);
                    power / seen
                };
                let mean = ks.iter().map(density).sum::<f64>() / count;
                // The logarithm of a mean of n squares of normal numbers has the variance 2/n.
                [ks.iter().map(|k| (*k as f64).ln()).sum::<f64>() / count, mean.ln(), 0.5 * count]
            })
            .collect();
        if points.len() < 3 || points.iter().any(|[_, y, _]| !y.is_finite()) {
            return None;
        }
        let weight: f64 = points.iter().map(|[_, _, w]| w).sum();
        let mean = |i: usize| points.iter().map(|point| point[2] * point[i]).sum::<f64>() / weight;
        let (x, y) = (mean(0), mean(1));
        let spread: f64 = points.iter().map(|[a, _, w]| w * (a - x).powi(2)).sum();
        let alpha = -points.iter().map(|[a, b, w]| w * (a - x) * (b - y)).sum::<f64>() / spread;
        Some(Self { alpha, std_error: spread.sqrt().recip(), centre: (x, y) })
    }

    fn is_significant(&self) -> bool {
        self.alpha > 2.0 * self.std_error
    }

    /// The density that the line has at 0.7, where the mean of the run stands between k = 0 and the first taper.
    fn at_the_run(&self) -> f64 {
        (self.centre.1 + self.alpha * (self.centre.0 - 0.7_f64.ln())).exp()
    }
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

    /// Noise whose density rises like f^(−1): a sum of octaves of slow steps.
    fn pink(seed: u64, n: usize) -> Vec<f64> {
        let octaves: Vec<Vec<f64>> = (0..10).map(|octave| normals(100 * seed + octave, n)).collect();
        (0..n).map(|t| octaves.iter().enumerate().map(|(octave, steps)| steps[t >> octave]).sum()).collect()
    }

    #[test]
    fn a_memory_as_long_as_the_run_is_seen_and_enlarges_the_error() {
        let seeds = 0..60;
        let seen = seeds.clone().filter(|seed| has_long_memory(&pink(*seed, 1024))).count();
        let white = seeds.clone().filter(|seed| has_long_memory(&normals(*seed, 1024))).count();
        assert!(seen > 40 && white < 5, "{seen} and {white} of 60");
        // The truth is 0: how often the mean lies within its own error.
        let held = |seed: &u64| {
            let series = pink(*seed, 1024);
            series.iter().sum::<f64>().abs() <= deviation_of_sum(&series)
        };
        let held = seeds.filter(held).count();
        assert!((32..=57).contains(&held), "{held} of 60 within one error");
        // A telescoping sum has the opposite slope.
        let ends: Vec<f64> = normals(1, 1025).windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(!has_long_memory(&ends) && !has_long_memory(&normals(0, 30)));
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
