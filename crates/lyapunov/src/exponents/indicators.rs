//! Quick answers to "regular or chaotic?": the generalised alignment index and the 0–1 test.

use std::f64::consts::PI;

use super::{check_count, is_finite};
use crate::{
    error::{Error, Result},
    noise::{Purpose, Stream},
    system::System,
    vector::{Vector, orthonormalize},
};

/// ln GALI_k after each of `steps` steps: the logarithm of the volume that k unit deviations span.
///
/// k deviations move without re-orthonormalisation, only their lengths are kept at 1. On a chaotic orbit the volume
/// falls like exp(−(Λ_1 − Λ_2 + … + Λ_1 − Λ_k)t); on a regular one it is constant, or falls like a power of t. Ends
/// early where the state becomes non-finite; −∞ where the deviations are parallel to rounding.
///
/// **Units**: nats. **Cost**: steps with k deviations, and k²n multiplications each.
///
/// # Errors
/// [`Error::Argument`] for k < 2 or k > n; the system's own errors.
///
/// **Source**: Skokos, Bountis & Antonopoulos, Physica D 231 (2007) 30.
///
/// ```
/// use lyapunov::{gali, systems::StandardMap};
/// let chaotic = gali(&mut StandardMap { k: 10.0 }.system(), 2, 10, 0)?;
/// let regular = gali(&mut StandardMap { k: 0.1 }.system(), 2, 1000, 0)?;
/// assert!(chaotic[9] < -20.0 && regular[999] > -15.0);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn gali<S: System>(system: &mut S, count: usize, steps: usize, seed: u64) -> Result<Vec<f64>> {
    check_count(count, system.state().len())?;
    if count < 2 {
        return Err(Error::argument("count", count, "must be at least 2: one deviation spans no volume"));
    }
    let draw = |i| {
        let mut deviation = system.state().zeros_like();
        deviation.randomize(&mut Stream::new(seed, Purpose::Deviation, i));
        deviation
    };
    let mut deviations: Vec<S::Vector> = (0..count as u64).map(draw).collect();
    let mut volumes = Vec::with_capacity(steps);
    for _ in 0..steps {
        system.step(&mut deviations)?;
        if !is_finite(system.state()) {
            break;
        }
        for deviation in &mut deviations {
            deviation.scale(1.0 / deviation.norm());
        }
        volumes.push(orthonormalize(&mut deviations.clone()).iter().map(|r| r.ln()).sum());
    }
    Ok(volumes)
}

/// The 0–1 test for chaos on a series of measurements: near 0 where it is regular, near 1 where it is chaotic.
///
/// The series drives a walk in the plane, p += φ_j cos(jc), q += φ_j sin(jc), for 100 frequencies c; the answer is the
/// median correlation of its mean square displacement with time, with the oscillating term (mean φ)²(1 − cos nc)/(1 −
/// cos c) taken off. No tangent, no phase space, no model: but a series from a flow must be sampled coarsely.
///
/// **Cost**: 10 N² operations for N numbers. **Accuracy**: N = 2,000 decides clear cases to within 0.02.
///
/// # Errors
/// [`Error::Argument`] for fewer than 100 numbers, or for a number that is not finite.
///
/// **Source**: Gottwald & Melbourne, SIAM J. Appl. Dyn. Syst. 8 (2009) 129, equations 2.1–3.2.
///
/// ```
/// use lyapunov::zero_one_test;
/// let series = |r: f64| -> Vec<f64> {
///     std::iter::successors(Some(0.4), |x| Some(r * x * (1.0 - x))).skip(500).take(1000).collect()
/// };
/// assert!(zero_one_test(&series(3.5), 0)? < 0.05 && zero_one_test(&series(4.0), 0)? > 0.95);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn zero_one_test(series: &[f64], seed: u64) -> Result<f64> {
    const FREQUENCIES: usize = 100;
    const SHORTEST: usize = 100;
    if series.len() < SHORTEST {
        return Err(Error::argument("series", series.len(), format!("numbers are too few: at least {SHORTEST}")));
    }
    if let Some(bad) = series.iter().find(|x| !x.is_finite()) {
        return Err(Error::argument("series", bad, "is not finite"));
    }
    let mut stream = Stream::new(seed, Purpose::Probe, 0);
    // Away from 0 and π, where every periodic series resonates.
    let mut found: Vec<f64> = (0..FREQUENCIES)
        .map(|_| PI * (0.2 + 0.6 * stream.uniform()))
        .map(|c| correlation_with_time(&displacements(series, c)))
        .collect();
    found.sort_by(f64::total_cmp);
    Ok(f64::midpoint(found[FREQUENCIES / 2 - 1], found[FREQUENCIES / 2]))
}

/// The mean square displacement of one walk after 1, 2, 3 … steps, without its oscillating term.
fn displacements(series: &[f64], c: f64) -> Vec<f64> {
    let (mut p, mut q) = (0.0, 0.0);
    let path: Vec<[f64; 2]> = series
        .iter()
        .enumerate()
        .map(|(j, x)| {
            let (sin, cos) = ((j + 1) as f64 * c).sin_cos();
            (p, q) = (p + x * cos, q + x * sin);
            [p, q]
        })
        .collect();
    let longest = series.len() / 10;
    let origins = series.len() - longest;
    let mean = series.iter().sum::<f64>() / series.len() as f64;
    let displacement = |n: usize| {
        let square = |j: usize| (path[j + n][0] - path[j][0]).powi(2) + (path[j + n][1] - path[j][1]).powi(2);
        let oscillation = mean * mean * (1.0 - (n as f64 * c).cos()) / (1.0 - c.cos());
        (0..origins).map(square).sum::<f64>() / origins as f64 - oscillation
    };
    (1..=longest).map(displacement).collect()
}

/// Pearson's correlation of a series with 1, 2, 3 …; 0 for a constant one.
fn correlation_with_time(series: &[f64]) -> f64 {
    let n = series.len() as f64;
    let (mean, middle) = (series.iter().sum::<f64>() / n, 0.5 * (n + 1.0));
    let (mut covariance, mut variance, mut spread) = (0.0, 0.0, 0.0);
    for (i, x) in series.iter().enumerate() {
        let t = (i + 1) as f64 - middle;
        covariance += t * (x - mean);
        variance += (x - mean).powi(2);
        spread += t * t;
    }
    if variance > 0.0 { covariance / (variance * spread).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::{CatMap, Henon};

    #[test]
    fn the_volume_falls_at_the_rate_of_the_gap() {
        // Uniform expansion: Λ_1 − Λ_2 = 2 ln((3 + √5)/2), after the first few steps.
        let volumes = gali(&mut CatMap.system(), 2, 16, 1).unwrap();
        let rate = (volumes[15] - volumes[5]) / 10.0;
        assert!((rate + 2.0 * f64::midpoint(3.0, 5.0_f64.sqrt()).ln()).abs() < 1e-3, "{rate}");
    }

    #[test]
    fn a_run_that_leaves_the_numbers_ends_early() {
        assert!(gali(&mut Henon { a: 3.0, b: 0.3 }.system(), 2, 1000, 0).unwrap().len() < 50);
        assert!(gali(&mut CatMap.system(), 1, 10, 0).unwrap_err().to_string().contains("at least 2"));
    }

    #[test]
    fn a_constant_series_walks_in_a_circle_and_the_oscillation_is_all_there_is() {
        for c in [0.7, 1.3, 2.4] {
            assert!(displacements(&[3.0; 500], c).iter().all(|d| d.abs() < 1e-9));
        }
    }

    #[test]
    fn quasi_periodic_motion_is_regular_and_the_arguments_are_checked() {
        let wave: Vec<f64> = (0..2000).map(|j| (f64::from(j) * 0.7).sin() + 0.3).collect();
        assert!(zero_one_test(&wave, 1).unwrap().abs() < 0.05);
        assert!(zero_one_test(&wave[..99], 1).is_err() && zero_one_test(&[f64::NAN; 200], 1).is_err());
    }
}
