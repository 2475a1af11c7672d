//! A rule that may not leave a range.

use super::{Controller, Guard, Probes};
use crate::{
    error::{Error, Result},
    record::Measurement,
    snapshot::Archive,
};

/// The learning rate of a rule, cut off at the ends of a range. The rule itself knows nothing of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounded<C> {
    rule: C,
    least: f64,
    most: f64,
}

impl<C: Controller> Bounded<C> {
    /// The rule between `least` and `most`, which may be infinite.
    ///
    /// # Errors
    /// [`Error::Argument`] for a range that is empty, negative or zero.
    ///
    /// ```
    /// use lyapunov::{Bounded, Constant, Controller, Measurement};
    /// let mut rule = Bounded::new(Constant(3.0), 0.0, 0.5)?;
    /// assert_eq!(rule.next(&Measurement::of_step(0, 1.0, 1.0))?, 0.5);
    /// # Ok::<(), lyapunov::Error>(())
    /// ```
    pub fn new(rule: C, least: f64, most: f64) -> Result<Self> {
        if least >= 0.0 && least <= most && most > 0.0 {
            return Ok(Self { rule, least, most });
        }
        let reason = "must be from a number that is at least 0 to a larger one";
        Err(Error::argument("bounds", format!("{least} to {most}"), reason))
    }
}

impl<C: Controller> Controller for Bounded<C> {
    fn wants(&self, step: u64) -> Probes {
        self.rule.wants(step)
    }

    fn next(&mut self, measurement: &Measurement) -> Result<f64> {
        Ok(self.rule.next(measurement)?.clamp(self.least, self.most))
    }

    fn back_off(&self) -> f64 {
        self.rule.back_off()
    }

    fn guard(&mut self) -> Option<&mut Guard> {
        self.rule.guard()
    }

    fn keep(&mut self, archive: &mut Archive<'_>) -> Result<()> {
        self.rule.keep(archive)
    }
}
