//! A running average of logarithms: how noisy values of an eigenvalue that drifts become one.
//!
//! log θ̄ += (1 − e^(−T/τ)) (log θ − log θ̄), T the steps since the last value, τ the memory. Sharpness grows by
//! factors and scatters by factors, so its logarithm is averaged.

/// An exponentially forgetting average of the logarithm of positive values that come at any distance.
///
/// ```
/// use lyapunov::LogAverage;
/// let mut average = LogAverage::new(60.0);
/// average.update(0.0, 8.0);
/// // After a time of 60·ln 2 the old value and the new one weigh the same.
/// let mean = average.update(60.0 * 2.0_f64.ln(), 2.0).expect("there is a value");
/// assert!((mean - 4.0).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogAverage {
    /// τ: after so many steps a value weighs 1/e of what it did.
    pub memory: f64,
    log: Option<f64>,
}

impl LogAverage {
    /// An average with the memory τ = `memory`, in steps, and no value yet.
    pub fn new(memory: f64) -> Self {
        Self { memory, log: None }
    }

    /// Takes in `value`, which comes `elapsed` steps after the one before it, and returns the average. A value that is
    /// not positive and finite has no logarithm and is left out.
    pub fn update(&mut self, elapsed: f64, value: f64) -> Option<f64> {
        if value > 0.0 && value.is_finite() {
            let log = value.ln();
            let share = 1.0 - (-elapsed / self.memory).exp();
            self.log = Some(self.log.map_or(log, |mean| mean + share * (log - mean)));
        }
        self.value()
    }

    /// The average; `None` before the first value.
    pub fn value(&self) -> Option<f64> {
        self.log.map(f64::exp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_by_time_and_not_by_the_number_of_values() {
        // A step from 1 to e: after the time T the logarithm is 1 − e^(−T/τ), however many values it took.
        let after = |values: u32| {
            let mut average = LogAverage::new(60.0);
            average.update(0.0, 1.0);
            (0..values).filter_map(|_| average.update(90.0 / f64::from(values), 1.0_f64.exp())).last().unwrap().ln()
        };
        for values in [1, 3, 90] {
            assert!((after(values) - (1.0 - (-1.5_f64).exp())).abs() < 1e-12);
        }
    }

    #[test]
    fn it_averages_factors() {
        let mut average = LogAverage::new(1e4);
        average.update(0.0, 4.0);
        for t in 0..400_000 {
            average.update(1.0, if t % 2 == 0 { 1.0 } else { 16.0 });
        }
        assert!((average.value().unwrap() - 4.0).abs() < 1e-3);
    }

    #[test]
    fn what_has_no_logarithm_is_left_out() {
        let mut average = LogAverage::new(60.0);
        assert_eq!(average.update(1.0, -2.0), None);
        average.update(1.0, 3.0);
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!((average.update(1.0, value).unwrap() - 3.0).abs() < 1e-12);
        }
    }
}
