//! The seeds of one learning rate, as one point.

use crate::text::statistics::mean_and_spread;

/// What all seeds say at one learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AtRate {
    /// η.
    pub rate: f64,
    /// The geometric mean.
    pub mean: f64,
    /// The least.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

/// Positive values at learning rates, a point per rate from the smallest up. Rates that differ in their last bits are
/// one.
pub fn by_rate(points: impl IntoIterator<Item = (f64, f64)>) -> Vec<AtRate> {
    let usable = |(rate, value): &(f64, f64)| *rate > 0.0 && *value > 0.0 && value.is_finite();
    let mut points: Vec<(f64, f64)> = points.into_iter().filter(usable).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let at = |own: &[(f64, f64)]| {
        let logs: Vec<f64> = own.iter().map(|(_, value)| value.ln()).collect();
        let (mean, _) = mean_and_spread(&logs)?;
        let (least, most) = logs.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(*x), b.max(*x)));
        Some(AtRate { rate: own[0].0, mean: mean.exp(), least: least.exp(), most: most.exp() })
    };
    points.chunk_by(|a, b| (b.0 / a.0 - 1.0).abs() < 1e-6).filter_map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_averaged_in_logarithms_and_rates_sorted() {
        let found = by_rate([(0.1, 1.0), (0.03, 5.0), (0.1 + 1e-12, 100.0), (0.1, -3.0), (0.2, f64::NAN)]);
        assert_eq!(found.iter().map(|point| point.rate).collect::<Vec<_>>(), [0.03, 0.1]);
        let last = found[1];
        assert!((last.mean - 10.0).abs() < 1e-12, "{last:?}");
        assert!((last.least - 1.0).abs() < 1e-12 && (last.most - 100.0).abs() < 1e-10, "{last:?}");
    }
}
