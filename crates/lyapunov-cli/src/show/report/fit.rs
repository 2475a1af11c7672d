//! The slope of log λ_max against log η, by least squares, with its standard error.

use std::collections::BTreeMap;

use lyapunov::Quantity;

use super::digest::Digest;
use crate::text::statistics::mean_and_spread;

/// A line through points in logarithms: ln y = intercept + slope · ln x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// The slope.
    pub slope: f64,
    /// Its standard error, from the scatter about the line; `None` for two points, which have none.
    pub std_error: Option<f64>,
    /// ln y at x = 1.
    pub intercept: f64,
    /// How many points there are.
    pub count: usize,
    /// The smallest and the largest x.
    pub range: (f64, f64),
}

/// Student's t of 95 % for 1, 2, … degrees of freedom.
const STUDENT: [f64; 10] = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];

impl Fit {
    /// Half the width of the interval of 95 % about the slope, by Student's t.
    pub fn half_width(&self) -> Option<f64> {
        let student = STUDENT.get(self.count.saturating_sub(3)).copied().unwrap_or(2.0);
        Some(student * self.std_error?)
    }

    /// The line through points of positive coordinates; `None` where there are not two different x.
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let usable = |(x, y): &&(f64, f64)| *x > 0.0 && *y > 0.0 && x.is_finite() && y.is_finite();
        let points: Vec<(f64, f64)> = points.iter().filter(usable).copied().collect();
        let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
        let count = logs.len();
        let mean_x = logs.iter().map(|(x, _)| x).sum::<f64>() / count as f64;
        let mean_y = logs.iter().map(|(_, y)| y).sum::<f64>() / count as f64;
        let square = logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>();
        let product = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>();
        if count < 2 || square <= 1e-12 * mean_x.abs().max(1.0) {
            return None;
        }
        let slope = product / square;
        let intercept = mean_y - slope * mean_x;
        let left = logs.iter().map(|(x, y)| (y - intercept - slope * x).powi(2)).sum::<f64>();
        let std_error = (count > 2).then(|| (left / (count as f64 - 2.0) / square).sqrt());
        let xs = || points.iter().map(|(x, _)| *x);
        let range = (xs().fold(f64::INFINITY, f64::min), xs().fold(0.0, f64::max));
        Some(Self { slope, std_error, intercept, count, range })
    }
}

/// λ_max against η, where training succeeds: one point per η, the geometric mean over the seeds.
pub fn of_runs<'a>(runs: impl Iterator<Item = &'a Digest>) -> Option<Fit> {
    let mut by_rate: BTreeMap<u64, (f64, Vec<f64>)> = BTreeMap::new();
    for run in runs.filter(|run| run.succeeded()) {
        let reading =
            run.reading(Quantity::LambdaMax).filter(|reading| reading.value > 0.0 && reading.learning_rate > 0.0);
        if let Some(reading) = reading {
            // Rates that differ in their last bits are one.
            let key = (reading.learning_rate.ln() * 1e6).round().to_bits();
            by_rate.entry(key).or_insert((reading.learning_rate, Vec::new())).1.push(reading.value.ln());
        }
    }
    let point = |(rate, logs): &(f64, Vec<f64>)| mean_and_spread(logs).map(|(mean, _)| (*rate, mean.exp()));
    Fit::through(&by_rate.values().filter_map(point).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::report::digest::Reading;

    #[test]
    fn an_exact_line_is_found_without_error() {
        let points: Vec<_> = [0.01, 0.03, 0.1, 0.3].map(|x: f64| (x, 2.0 / x)).to_vec();
        let fit = Fit::through(&points).unwrap();
        assert!((fit.slope + 1.0).abs() < 1e-12 && (fit.intercept - 2.0_f64.ln()).abs() < 1e-12, "{fit:?}");
        assert!(fit.std_error.unwrap() < 1e-12);
        assert_eq!((fit.count, fit.range), (4, (0.01, 0.3)));
    }

    /// Logs x = −1, 0, 1 and y = x + (d, −2d, d): the slope stays 1; Σr² = 6d², one degree of freedom, Σx² = 2: √3 d.
    #[test]
    fn the_standard_error_is_the_one_of_the_textbook() {
        let (d, e) = (0.1_f64, std::f64::consts::E);
        let points = [(1.0 / e, (-1.0 + d).exp()), (1.0, (-2.0 * d).exp()), (e, (1.0 + d).exp())];
        let fit = Fit::through(&points).unwrap();
        assert!(
            (fit.slope - 1.0).abs() < 1e-12 && (fit.std_error.unwrap() - 3.0_f64.sqrt() * d).abs() < 1e-12,
            "{fit:?}"
        );
    }

    #[test]
    fn what_has_no_line_has_none_and_two_points_have_no_error() {
        assert_eq!(Fit::through(&[]), None);
        assert_eq!(Fit::through(&[(0.1, 3.0), (0.1, 5.0)]), None);
        assert_eq!(Fit::through(&[(0.1, 3.0), (0.2, -5.0), (f64::NAN, 1.0)]), None);
        assert_eq!(Fit::through(&[(0.1, 3.0), (0.2, 5.0)]).unwrap().std_error, None);
    }

    fn run(learning_rate: f64, value: f64, train_loss: f64) -> Digest {
        let (quantity, on) = ("lambda_max".to_owned(), "full".to_owned());
        let readings = vec![Reading { quantity, on, value, spread: None, count: 1, learning_rate }];
        Digest {
            state: "completed",
            first_loss: Some(2.0),
            train_loss: Some(train_loss),
            readings,
            ..Digest::default()
        }
    }

    #[test]
    fn seeds_are_one_point_and_runs_that_did_not_learn_are_none() {
        // Twenty seeds at one rate weigh as much as one at another; were each a point, the error would be small.
        let mut runs: Vec<_> = (0..20).map(|_| run(0.1, 10.0, 0.1)).collect();
        runs.extend([run(0.2, 4.0, 0.1), run(0.4, 5.0 / 2.0, 0.1), run(0.8, 1e6, 1.9)]);
        let fit = of_runs(runs.iter()).unwrap();
        let same = Fit::through(&[(0.1, 10.0), (0.2, 4.0), (0.4, 2.5)]).unwrap();
        assert_eq!((fit.count, fit.range), (3, (0.1, 0.4)));
        assert!(
            (fit.slope - same.slope).abs() < 1e-12 && (fit.std_error.unwrap() - same.std_error.unwrap()).abs() < 1e-12
        );
    }

    #[test]
    fn seeds_are_averaged_in_logarithms() {
        let runs = [run(0.1, 1.0, 0.1), run(0.1, 100.0, 0.1), run(1.0, 1.0, 0.1)];
        assert!((of_runs(runs.iter()).unwrap().slope + 1.0).abs() < 1e-12, "the geometric mean of 1 and 100 is 10");
    }
}
