//! The few statistics that are shown of runs.

/// The mean of some numbers, and their standard deviation where there are two or more.
pub fn mean_and_spread(values: &[f64]) -> Option<(f64, Option<f64>)> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    let spread = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
    mean.is_finite().then_some((mean, spread))
}

/// The median of some numbers.
pub fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    quantile(&numbers, 0.5)
}

/// The number below which this share of the sorted numbers lies.
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_the_numbers() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
        assert_eq!(quantile(&[0.0, 10.0], 0.9), Some(9.0));
    }

    #[test]
    fn one_number_has_a_mean_and_no_spread() {
        assert_eq!(mean_and_spread(&[1.0, 3.0]), Some((2.0, Some(2.0_f64.sqrt()))));
        assert_eq!((mean_and_spread(&[5.0]), mean_and_spread(&[])), (Some((5.0, None)), None));
    }
}
