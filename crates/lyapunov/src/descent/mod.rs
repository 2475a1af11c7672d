//! Optimizers as dynamical systems: state and tangent move together.

mod heavy_ball;
mod sgd;

pub use heavy_ball::HeavyBall;
pub use sgd::Sgd;

use crate::{error::Result, objective::Objective, system::System};

/// An optimizer at work on an objective: a [`System`] whose step t uses the mini-batch of step t.
pub trait Descent: System {
    /// What is minimised.
    type Objective: Objective;

    /// The objective.
    fn objective(&self) -> &Self::Objective;

    /// The present weights w.
    fn weights(&self) -> &<Self::Objective as Objective>::Vector;

    /// Loss and gradient at the present weights on the batch of the coming step. Computed once and used by the step
    /// itself, so asking costs nothing extra and changes nothing.
    ///
    /// # Errors
    /// Those of the objective.
    fn gradient(&mut self) -> Result<&(f64, <Self::Objective as Objective>::Vector)>;

    /// The learning rate η of the coming step.
    fn learning_rate(&self) -> f64;

    /// Replaces the learning rate η of the coming steps.
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// How many steps have been taken.
    fn steps_taken(&self) -> u64;
}
