//! How fast two trajectories that began close to each other part, and how far they end up.
//!
//! Their distance grows like e^(Λt) as long as it is small, and saturates at the size of the set that both wander on.
//! The rate is the mean growth of ln d up to a third of the saturation level; where there is none, up to the end.

use super::{Estimate, error_bars::deviation_of_sum};

/// How two trajectories have parted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Separation {
    /// The growth of ln d, in nats per step.
    pub rate: Estimate,
    /// The step at which the growth that counts ends.
    pub until: u64,
    /// The level at which the distance stays; `None` where it still grows, or has hardly grown.
    pub saturation: Option<f64>,
}

/// The separation that follows from the distances of two trajectories, each with its step.
///
/// Distances that are zero or not finite are left out: before two runs differ there is nothing to measure. `None` where
/// fewer than eight remain. **Standard error**: that of a mean over one correlated series, as for exponents.
///
/// ```
/// use lyapunov::separation;
/// // Doubles at every step from 1e-9, and stays at 1.
/// let series: Vec<(u64, f64)> = (0..100).map(|t| (t, (1e-9 * 2.0_f64.powi(t as i32)).min(1.0))).collect();
/// let found = separation(&series).expect("there are enough points");
/// assert!((found.rate.value - 2.0_f64.ln()).abs() < 1e-9);
/// assert_eq!((found.until, found.saturation), (28, Some(1.0)));
/// ```
pub fn separation(distances: &[(u64, f64)]) -> Option<Separation> {
    const FEWEST: usize = 8;
    let known: Vec<(u64, f64)> =
        distances.iter().filter(|(_, d)| *d > 0.0 && d.is_finite()).map(|(step, d)| (*step, d.ln())).collect();
    if known.len() < FEWEST {
        return None;
    }
    let saturation = plateau(&known);
    let is_near = |(_, level): &(u64, f64)| saturation.is_some_and(|top| *level >= top - 3.0_f64.ln());
    let end = known.iter().position(is_near).map_or(known.len() - 1, |i| i.saturating_sub(1)).max(1);
    let steps = (known[end].0 - known[0].0) as f64;
    let value = (known[end].1 - known[0].1) / steps;
    let increments = known[..=end].windows(2);
    let fluctuations: Vec<f64> =
        increments.map(|pair| pair[1].1 - pair[0].1 - value * (pair[1].0 - pair[0].0) as f64).collect();
    let std_error = deviation_of_sum(&fluctuations) / steps;
    Some(Separation { rate: Estimate { value, std_error }, until: known[end].0, saturation: saturation.map(f64::exp) })
}

/// The mean level of the last quarter, where the growth has come to rest there: its second half lies above its first by
/// less than a tenth of a nat, or than twice what their scatter explains.
fn plateau(known: &[(u64, f64)]) -> Option<f64> {
    let quarter = &known[known.len() - known.len() / 4..];
    let mean = |points: &[(u64, f64)]| points.iter().map(|(_, level)| level).sum::<f64>() / points.len() as f64;
    let (first, second) = quarter.split_at(quarter.len() / 2);
    let level = mean(quarter);
    let grown = level - known[0].1;
    let scatter = |points: &[(u64, f64)]| {
        let centre = mean(points);
        points.iter().map(|(_, level)| (level - centre).powi(2)).sum::<f64>() / (points.len() as f64).powi(2)
    };
    let noise = (scatter(first) + scatter(second)).sqrt();
    (grown > 10.0_f64.ln() && mean(second) - mean(first) < (2.0 * noise).max(0.1)).then_some(level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        exponents::{SpectrumOptions, exponents},
        system::System,
        systems::Henon,
    };

    #[test]
    fn the_rate_of_two_henon_orbits_is_their_exponent_and_they_saturate_at_the_size_of_the_attractor() {
        let mut first = Henon::default().system();
        (0..1000).for_each(|_| first.step(&mut []).unwrap());
        let mut second = Henon::default().system();
        let mut start = *first.state();
        start[0] += 1e-12;
        second.set_state(start);
        let series: Vec<(u64, f64)> = (0..1000)
            .map(|step| {
                let (a, b) = (*first.state(), *second.state());
                first.step(&mut []).unwrap();
                second.step(&mut []).unwrap();
                (step, ((a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)).sqrt())
            })
            .collect();
        let found = separation(&series).unwrap();
        let exact = exponents(&mut Henon::default().system(), &SpectrumOptions::default()).unwrap().values[0];
        assert!((found.rate.value - exact).abs() < 4.0 * found.rate.std_error, "{found:?} for {exact}");
        assert!(found.rate.std_error < 0.1 && (40..100).contains(&found.until));
        assert!((0.2..1.5).contains(&found.saturation.unwrap()));
    }

    #[test]
    fn trajectories_that_approach_each_other_have_a_negative_rate_and_no_saturation() {
        let series: Vec<(u64, f64)> = (0..50).map(|t| (2 * t, 0.9_f64.powi(2 * t as i32))).collect();
        let found = separation(&series).unwrap();
        assert!((found.rate.value - 0.9_f64.ln()).abs() < 1e-12 && found.saturation.is_none());
        assert_eq!(found.until, 98);
    }

    #[test]
    fn growth_that_goes_on_has_no_saturation() {
        let series: Vec<(u64, f64)> = (0..100).map(|t| (t, 1e-9 * 1.1_f64.powi(t as i32))).collect();
        assert_eq!(separation(&series).unwrap().saturation, None);
    }

    #[test]
    fn what_never_differs_cannot_part() {
        assert_eq!(separation(&(0..100).map(|t| (t, 0.0)).collect::<Vec<_>>()), None);
    }
}
