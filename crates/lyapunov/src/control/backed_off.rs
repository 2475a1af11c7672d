//! A rule that backs off where the loss goes above the first one.

use super::{Controller, Guard, Probes};
use crate::{error::Result, record::Measurement, snapshot::Archive};

/// The learning rate of a rule times the factor of a [`Guard`], which begins at 1 and is halved whenever the loss has
/// gone above the first one: so a run cannot end above its first loss for want of a smaller rate.
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
    guard: Guard,
}

impl<C: Controller> BackedOff<C> {
    /// The rule, not backed off.
    pub fn new(rule: C) -> Self {
        Self { rule, guard: Guard::default() }
    }
}

impl<C: Controller> Controller for BackedOff<C> {
    fn wants(&self, step: u64) -> Probes {
        self.rule.wants(step)
    }

    fn next(&mut self, measurement: &Measurement) -> Result<f64> {
        let rate = self.rule.next(measurement)?;
        self.guard.see(measurement.loss);
        Ok(self.guard.factor() * rate)
    }

    fn back_off(&self) -> f64 {
        self.guard.factor() * self.rule.back_off()
    }

    fn guard(&mut self) -> Option<&mut Guard> {
        Some(&mut self.guard)
    }

    fn keep(&mut self, archive: &mut Archive<'_>) -> Result<()> {
        self.guard.keep(archive)?;
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
