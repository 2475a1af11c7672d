//! Learning rates that are known in advance: pure functions of the step.

use super::{Controller, Guard, Probes};
use crate::{
    error::{Error, Result},
    record::Measurement,
    snapshot::Archive,
};

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Not at all, until a cooldown.
    #[default]
    Constant,
    /// By half a cosine to zero at the end of the run.
    Cosine,
}

named! { Shape, "schedule": Constant = "constant", Cosine = "cosine" }

/// η of step t as a share of the learning rate: up on a line over the warm-up, then by its shape, and down on a line to
/// zero over the cooldown.
///
/// With T steps, W = ⌈warm_up · T⌉ and C = ⌈cooldown · T⌉: (t + 1)/(W + 1) for t < W; (T − t)/(C + 1) for the last C
/// steps; ½(1 + cos π(t − W)/(T − W)) or 1 between.
///
/// ```
/// use lyapunov::{Schedule, Shape};
/// let schedule = Schedule::new(Shape::Constant, 10, 0.2, 0.3)?;
/// let shares: Vec<f64> = (0..10).map(|t| schedule.share(t)).collect();
/// assert_eq!(shares, [1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    shape: Shape,
    steps: u64,
    warm_up: u64,
    cooldown: u64,
}

impl Schedule {
    /// The schedule of a run of `steps` steps, with these shares of it for warm-up and cooldown.
    ///
    /// # Errors
    /// [`Error::Argument`] for shares outside [0, 1] or together longer than the run, and for a cooldown after a shape
    /// that falls to zero by itself.
    pub fn new(shape: Shape, steps: u64, warm_up: f64, cooldown: f64) -> Result<Self> {
        for (name, share) in [("warm_up", warm_up), ("cooldown", cooldown)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(Error::argument(name, share, "must be a share of the run, from 0 to 1"));
            }
        }
        if warm_up + cooldown > 1.0 {
            let reason = format!("must leave room for the warm-up, {warm_up}: together they are longer than the run");
            return Err(Error::argument("cooldown", cooldown, reason));
        }
        if shape == Shape::Cosine && cooldown > 0.0 {
            return Err(Error::argument(
                "cooldown",
                cooldown,
                "must be 0 where the schedule is a cosine, which decays already",
            ));
        }
        let part = |share: f64| (share * steps as f64).ceil() as u64;
        Ok(Self { shape, steps, warm_up: part(warm_up), cooldown: part(cooldown) })
    }

    /// What the learning rate of step t is multiplied by.
    pub fn share(&self, step: u64) -> f64 {
        let rise = (step + 1) as f64 / (self.warm_up + 1) as f64;
        let left = self.steps.saturating_sub(step);
        let fall = left as f64 / (self.cooldown + 1) as f64;
        let shape = match self.shape {
            Shape::Constant => 1.0,
            Shape::Cosine => {
                let passed = step.saturating_sub(self.warm_up) as f64 / (self.steps - self.warm_up).max(1) as f64;
                0.5 * (1.0 + (std::f64::consts::PI * passed.min(1.0)).cos())
            }
        };
        shape * rise.min(1.0) * if self.cooldown > 0 { fall.min(1.0) } else { 1.0 }
    }
}

/// A rule on a schedule: its learning rate times the schedule's share of the step. The rule itself knows nothing of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scheduled<C> {
    /// The rule.
    pub rule: C,
    /// The schedule.
    pub schedule: Schedule,
}

impl<C: Controller> Controller for Scheduled<C> {
    fn wants(&self, step: u64) -> Probes {
        self.rule.wants(step)
    }

    fn next(&mut self, measurement: &Measurement) -> Result<f64> {
        Ok(self.rule.next(measurement)? * self.schedule.share(measurement.step))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_schedule_is_exactly_one() {
        let schedule = Schedule::new(Shape::Constant, 1000, 0.0, 0.0).unwrap();
        assert!((0..1000).all(|t| schedule.share(t) == 1.0));
    }

    #[test]
    fn a_cosine_starts_at_one_after_its_warm_up_and_ends_near_zero() {
        let schedule = Schedule::new(Shape::Cosine, 100, 0.1, 0.0).unwrap();
        assert_eq!(schedule.share(10), 1.0);
        assert!((schedule.share(55) - 0.5).abs() < 1e-12);
        assert!(schedule.share(99) < 1e-3 && schedule.share(99) > 0.0);
        assert!((0..9).all(|t| schedule.share(t) < schedule.share(t + 1)));
    }

    #[test]
    fn schedules_longer_than_the_run_and_double_decays_are_refused() {
        let refused = |shape, warm_up, cooldown| Schedule::new(shape, 10, warm_up, cooldown).unwrap_err().to_string();
        assert!(refused(Shape::Constant, 0.7, 0.4).contains("longer than the run"));
        assert!(refused(Shape::Constant, -0.1, 0.0).contains("warm_up = -0.1"));
        assert!(refused(Shape::Constant, 0.0, f64::NAN).contains("cooldown = NaN"));
        assert!(refused(Shape::Cosine, 0.0, 0.3).contains("decays already"));
    }
}
