//! A rule that backs off where the loss goes above the first one.

use super::{Controller, Probes};
use crate::{error::Result, record::Measurement, snapshot::Archive};

/// The learning rate of a rule times a factor, which begins at 1 and is halved whenever the loss has gone above the
/// first one: its mean over the last 20 steps above twice that of the first ten, over the last 100 above 1.5 times, or
/// over the last 500 above 1.3 times. On batches of one image, whose losses scatter by half, these are six, three and
/// two standard errors for a loss that stays where it began.
///
/// Rules go by curvature, and what they probe now and then is a batch like most others. Where a few batches are far
/// sharper, as outliers among the images make them, every rule steps too far on these; no probe shows it, but the loss
/// does. The factor never rises again: so a run cannot end above its first loss for want of a smaller rate.
///
/// ```
/// use lyapunov::{BackedOff, Constant, Controller, Measurement};
/// let mut rule = BackedOff::new(Constant(0.4));
/// for step in 0..30 {
///     let loss = if step < 10 { 2.0 } else { 5.0 };
///     rule.next(&Measurement::of_step(step, loss, 1.0))?;
/// }
/// assert_eq!((rule.next(&Measurement::of_step(30, 5.0, 1.0))?, rule.back_off()), (0.2, 0.5));
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackedOff<C> {
    rule: C,
    factor: f64,
    /// The mean of the first losses.
    first: f64,
    seen: u64,
    windows: [Window; 3],
}

/// The losses since the last time that so many had been seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Window {
    sum: f64,
    count: u64,
}

/// How long the windows are, and how many times the first loss their means may be.
const LIMITS: [(u64, f64); 3] = [(20, 2.0), (100, 1.5), (500, 1.3)];

/// The losses that make the first one.
const FIRST: u64 = 10;

impl<C: Controller> BackedOff<C> {
    /// The rule, not backed off.
    pub fn new(rule: C) -> Self {
        Self { rule, factor: 1.0, first: 0.0, seen: 0, windows: [Window::default(); 3] }
    }

    /// Whether this loss closes a window that lies too high.
    fn is_too_high(&mut self, loss: f64) -> bool {
        self.seen += 1;
        if self.seen <= FIRST {
            self.first += (loss - self.first) / self.seen as f64;
            return false;
        }
        let mut high = false;
        for (window, (length, limit)) in self.windows.iter_mut().zip(LIMITS) {
            (window.sum, window.count) = (window.sum + loss, window.count + 1);
            if window.count == length {
                high |= window.sum > limit * self.first * length as f64;
                *window = Window::default();
            }
        }
        if high {
            // What comes next is judged by itself.
            self.windows = [Window::default(); 3];
        }
        high
    }
}

impl<C: Controller> Controller for BackedOff<C> {
    fn wants(&self, step: u64) -> Probes {
        self.rule.wants(step)
    }

    fn next(&mut self, measurement: &Measurement) -> Result<f64> {
        let rate = self.rule.next(measurement)?;
        if measurement.loss.is_finite() && self.is_too_high(measurement.loss) {
            self.factor *= 0.5;
        }
        Ok(self.factor * rate)
    }

    fn back_off(&self) -> f64 {
        self.factor * self.rule.back_off()
    }

    fn keep(&mut self, archive: &mut Archive<'_>) -> Result<()> {
        let mut row = [self.factor, self.first, self.seen as f64];
        archive.array("back_off", &mut row)?;
        (self.factor, self.first, self.seen) = (row[0], row[1], row[2] as u64);
        let mut sums = self.windows.map(|window| window.sum);
        let mut counts = self.windows.map(|window| window.count as f64);
        archive.array("back_off_sums", &mut sums)?;
        archive.array("back_off_counts", &mut counts)?;
        for (i, window) in self.windows.iter_mut().enumerate() {
            *window = Window { sum: sums[i], count: counts[i] as u64 };
        }
        self.rule.keep(archive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        control::Constant,
        noise::{Purpose, Stream},
    };

    #[test]
    fn a_plateau_and_noise_around_the_first_loss_do_not_move_it() {
        let mut stream = Stream::new(7, Purpose::Probe, 0);
        let mut rule = BackedOff::new(Constant(0.1));
        for step in 0..5000 {
            let loss = 2.3 + 0.1 * stream.normal();
            assert_eq!(rule.next(&Measurement::of_step(step, loss, 1.0)).unwrap(), 0.1);
        }
        assert_eq!(rule.back_off(), 1.0);
        // Single images: the losses scatter by more than half.
        let mut rule = BackedOff::new(Constant(0.1));
        for step in 0..2000 {
            let loss = 2.3 * (0.6 * stream.normal() - 0.18).exp();
            rule.next(&Measurement::of_step(step, loss, 1.0)).unwrap();
        }
        assert_eq!(rule.back_off(), 1.0);
    }
}
