//! Measurements in, learning rate out.

mod schedule;

pub use schedule::{Schedule, Scheduled, Shape};

use crate::record::Measurement;

/// A rule that decides the learning rate of the coming step from what was measured before it.
pub trait Controller {
    /// What has to be known at this step; nothing, unless the rule says otherwise.
    fn wants(&self, _step: u64) -> Probes {
        Probes::default()
    }

    /// The learning rate η for the step that `measurement` precedes; `measurement.learning_rate` is the one that the step
    /// before it used. Must be finite and not negative.
    fn next(&mut self, measurement: &Measurement) -> f64;
}

/// What a controller asks the loop to measure beside what the plan measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// [`Measurement::along`]: one product.
    pub along: bool,
    /// [`Measurement::secant`]: one gradient.
    pub secant: bool,
}

/// The rule that changes nothing: the same learning rate at every step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant(pub f64);

impl Controller for Constant {
    fn next(&mut self, _measurement: &Measurement) -> f64 {
        self.0
    }
}
