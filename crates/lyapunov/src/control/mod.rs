//! Measurements in, learning rate out.

mod adgd;
mod backed_off;
mod batch_sharpness;
mod bounded;
mod edge_hold;
mod edge_step;
mod guard;
mod loss_watch;
mod on_edge;
mod quasi_newton;
mod rule;
mod schedule;

pub use adgd::Adgd;
pub use backed_off::BackedOff;
pub use batch_sharpness::BatchSharpnessRule;
pub use bounded::Bounded;
pub use edge_hold::EdgeHold;
pub use edge_step::EdgeStep;
pub use guard::Guard;
pub(crate) use guard::Turn;
pub use on_edge::OnEdge;
pub use quasi_newton::QuasiNewton;
pub use rule::{Rule, RuleOptions};
pub use schedule::{Schedule, Scheduled, Shape};

use crate::{
    error::{Error, Result},
    record::Measurement,
    snapshot::Archive,
};

/// A rule that decides the learning rate of the coming step from what was measured before it.
pub trait Controller {
    /// What has to be known at this step; nothing, unless the rule says otherwise.
    fn wants(&self, _step: u64) -> Probes {
        Probes::default()
    }

    /// The learning rate η for the step that `measurement` precedes; `measurement.learning_rate` is the one that the
    /// step before it used. Must be finite and not negative.
    ///
    /// # Errors
    /// [`Error::Unmeasured`] where the rule has nothing to decide by; [`Error::NoCurvature`] where it goes by curvature
    /// and there is none.
    fn next(&mut self, measurement: &Measurement) -> Result<f64>;

    /// By what factor the rule has lowered its learning rate because the loss had gone up: see [`BackedOff`]. 1 where
    /// it has not.
    fn back_off(&self) -> f64 {
        1.0
    }

    /// What watches over the loss of the run and takes back what has raised it, where the rule has such a thing:
    /// [`BackedOff`].
    fn guard(&mut self) -> Option<&mut Guard> {
        None
    }

    /// Leads `archive` past all that the rule remembers between steps, so that a run can be saved and resumed; nothing,
    /// unless the rule says otherwise. A rule with a memory that leaves this out decides otherwise after a resumption.
    ///
    /// # Errors
    /// [`Error::Saved`] where what was saved does not fit the rule.
    fn keep(&mut self, _keeper: &mut Archive<'_>) -> Result<()> {
        Ok(())
    }
}

/// So that rules can be chosen while the program runs.
impl<C: Controller + ?Sized> Controller for Box<C> {
    fn wants(&self, step: u64) -> Probes {
        (**self).wants(step)
    }

    fn next(&mut self, measurement: &Measurement) -> Result<f64> {
        (**self).next(measurement)
    }

    fn back_off(&self) -> f64 {
        (**self).back_off()
    }

    fn guard(&mut self) -> Option<&mut Guard> {
        (**self).guard()
    }

    fn keep(&mut self, archive: &mut Archive<'_>) -> Result<()> {
        (**self).keep(archive)
    }
}

/// What a controller asks the loop to measure beside what the plan measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// [`Measurement::along`]: one product.
    pub along: bool,
    /// [`Measurement::secant`]: one gradient.
    pub secant: bool,
    /// [`Measurement::batch_lambda_max`], by a burst of so many products; 0 asks for none.
    pub sharpness: usize,
}

/// The rule that changes nothing: the same learning rate at every step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant(pub f64);

impl Controller for Constant {
    fn next(&mut self, _measurement: &Measurement) -> Result<f64> {
        Ok(self.0)
    }
}

/// The `value` of an option that must be positive.
fn positive(name: &'static str, value: f64) -> Result<f64> {
    if value.is_finite() && value > 0.0 {
        return Ok(value);
    }
    Err(Error::argument(name, value, "must be a number greater than 0"))
}
