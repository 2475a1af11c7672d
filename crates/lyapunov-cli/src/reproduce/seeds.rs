//! The seeds of one learning rate, as one point.

use crate::text::statistics::mean_and_spread;

/// What all seeds say at one learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AtRate {
    /// η.
    pub rate: f64,
    /// The mean.
    pub mean: f64,
    /// The least.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

/// Values at learning rates, a point per rate from the smallest up. Rates that differ in their last bits are one.
pub fn by_rate(points: impl IntoIterator<Item = (f64, f64)>) -> Vec<AtRate> {
    let usable = |(rate, value): &(f64, f64)| *rate > 0.0 && value.is_finite();
    let mut points: Vec<(f64, f64)> = points.into_iter().filter(usable).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let at = |own: &[(f64, f64)]| {
        let values: Vec<f64> = own.iter().map(|(_, value)| *value).collect();
        let (mean, _) = mean_and_spread(&values)?;
        let (least, most) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(*x), b.max(*x)));
        Some(AtRate { rate: own[0].0, mean, least, most })
    };
    points.chunk_by(|a, b| (b.0 / a.0 - 1.0).abs() < 1e-6).filter_map(at).collect()
}

/// The same of positive values, averaged in logarithms.
pub fn by_rate_in_logarithms(points: impl IntoIterator<Item = (f64, f64)>) -> Vec<AtRate> {
    let logs = points.into_iter().filter(|(_, value)| *value > 0.0).map(|(rate, value)| (rate, value.ln()));
    let back = |point: AtRate| AtRate {
        rate: point.rate,
        mean: point.mean.exp(),
        least: point.least.exp(),
        most: point.most.exp(),
    };
    by_rate(logs).into_iter().map(back).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_averaged_and_rates_sorted() {
        let found = by_rate([(0.1, 1.0), (0.03, f64::NAN), (0.1, -3.0)]);
        assert_eq!(found, [AtRate { rate: 0.1, mean: -1.0, least: -3.0, most: 1.0 }]);
        let found =
            by_rate_in_logarithms([(0.1, 1.0), (0.03, 5.0), (0.1 + 1e-12, 100.0), (0.1, -3.0), (0.2, f64::NAN)]);
        assert_eq!(found.iter().map(|point| point.rate).collect::<Vec<_>>(), [0.03, 0.1]);
        let last = found[1];
        assert!((last.mean - 10.0).abs() < 1e-12, "{last:?}");
        assert!((last.least - 1.0).abs() < 1e-12 && (last.most - 100.0).abs() < 1e-10, "{last:?}");
    }
}
