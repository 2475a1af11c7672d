//! Optimizers as dynamical systems: state and tangent move together.
//!
//! One file each for the rules; [`Optimizer`] is what they share.

mod adam;
mod dog;
mod heavy_ball;
mod optimizer;
mod prodigy;
mod schedule_free;
mod sgd;

pub use adam::{Adam, Moments};
pub use dog::{DistanceOverGradients, Dog};
pub use heavy_ball::{HeavyBall, Momentum};
pub use optimizer::{Decay, Moment, Optimizer, UpdateRule};
pub use prodigy::{Prodigy, ProdigyRule};
pub use schedule_free::{ScheduleFree, ScheduleFreeRule};
pub use sgd::{Sgd, SgdRule};

use crate::{
    error::Result,
    objective::{Objective, Product},
    system::System,
    vector::Vector,
};

/// An optimizer at work on an objective: a [`System`] whose step t uses the mini-batch of step t.
pub trait Descent: System {
    /// What is minimised.
    type Objective: Objective;

    /// The objective.
    fn objective(&self) -> &Self::Objective;

    /// The present weights w.
    fn weights(&self) -> &<Self::Objective as Objective>::Vector;

    /// The weights to evaluate and to keep: an average for optimizers that are built on one, else the present weights.
    fn evaluated(&self) -> <Self::Objective as Objective>::Vector;

    /// Loss and gradient at the present weights on the batch of the coming step. Computed once and used by the step
    /// itself, so asking costs nothing extra and changes nothing.
    ///
    /// # Errors
    /// Those of the objective.
    fn gradient(&mut self) -> Result<&(f64, <Self::Objective as Objective>::Vector)>;

    /// The same, together with the product that the coming step needs for its first deviation, which must be this one:
    /// cheaper where the objective offers a joint pass, whose gradient may differ from the plain one in the last bits.
    ///
    /// # Errors
    /// Those of the objective.
    fn gradient_along(&mut self, deviation: &Self::Vector) -> Result<&(f64, <Self::Objective as Objective>::Vector)>;

    /// A deviation that moves these weights and nothing else of the state.
    fn lift(&self, weights: <Self::Objective as Objective>::Vector) -> Self::Vector;

    /// The learning rate η of the coming step.
    fn learning_rate(&self) -> f64;

    /// Replaces the learning rate η of the coming steps.
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// How many steps have been taken.
    fn steps_taken(&self) -> u64;

    /// Goes on from the `state` after this many steps, the last of them with this learning rate.
    fn resume(&mut self, state: Self::Vector, learning_rate: f64, steps_taken: u64);

    /// Where the coming step would be unstable, were the batch the whole set.
    fn edge(&self) -> Edge;

    /// c, where the edge without weight decay is at c/η.
    fn edge_constant(&self) -> f64;

    /// P^-½ at the coming step, where [`Descent::edge`] speaks of the sharpness of P^-½ H P^-½: a diagonal matrix, by
    /// its action.
    ///
    /// # Errors
    /// Those of the objective.
    fn preconditioner(&mut self) -> Result<Option<Action<<Self::Objective as Objective>::Vector>>>;

    /// m, where the coming step is w' = w − η P⁻¹ m with the preconditioner P, if any: the gradient, smoothed by
    /// momentum where there is some. Decoupled weight decay is left out.
    ///
    /// # Errors
    /// Those of the objective.
    fn momentum(&mut self) -> Result<<Self::Objective as Objective>::Vector>;

    /// How deviations are carried.
    fn product(&self) -> Product;

    /// The curvature that each deviation met in the last step.
    fn curvatures(&self) -> &[Curvature];

    /// How far ln ‖δ'‖/‖δ‖ of the first deviation in the last step was from what follows from its curvature, in nats,
    /// for plain descent: see [`Curvature::growth`]. It sees rounding and errors of bookkeeping, not a wrong product,
    /// which enters both.
    fn growth_violation(&self) -> Option<f64>;
}

/// What a matrix does to a vector, in place.
pub type Action<V> = Box<dyn Fn(&mut V)>;

/// The same, lent: of an [`Action`] by `as_deref`, of a closure by `&`.
pub type ActionRef<'a, V> = &'a dyn Fn(&mut V);

/// The threshold of stability of an optimizer on the whole set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// The curvature above which steps grow: 2/η for gradient descent.
    pub threshold: f64,
    /// Whether it is the curvature of P^-½ H P^-½ instead of that of H.
    pub preconditioned: bool,
    /// Whether mini-batch runs hold the batch sharpness at this threshold: known of plain descent only.
    pub holds_batch_sharpness: bool,
}

/// What a deviation v of weights, scaled to length 1, sees of the Hessian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curvature {
    /// vᵀHv.
    pub rayleigh: f64,
    /// ‖Hv‖².
    pub square: f64,
}

impl Curvature {
    fn of<V: Vector>(deviation: &V, image: &V) -> Self {
        let length = deviation.dot(deviation);
        if length == 0.0 {
            // Velocities alone have moved so far.
            return Self { rayleigh: 0.0, square: 0.0 };
        }
        Self { rayleigh: deviation.dot(image) / length, square: image.dot(image) / length }
    }

    /// ½ ln(1 − 2η vᵀAv + η²‖Av‖²) with A = H + λI: the growth of v in one step of plain descent with weight decay λ,
    /// in nats.
    pub fn growth(&self, learning_rate: f64, decay: f64) -> f64 {
        let rayleigh = self.rayleigh + decay;
        let square = self.square + 2.0 * decay * self.rayleigh + decay * decay;
        0.5 * (learning_rate * (learning_rate * square - 2.0 * rayleigh)).ln_1p()
    }
}
