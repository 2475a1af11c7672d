//! A dynamical system with its tangent map.

mod adaptive;
mod differences;
mod flow;
mod map;

pub use adaptive::AdaptiveFlow;
pub use differences::Differences;
pub use flow::{Field, FieldClosures, Flow};
pub use map::{Closures, Law, Map, RandomClosures};

use crate::{error::Result, vector::Vector};

/// A discrete-time dynamical system, deterministic or random, that moves a state and deviations from it together.
///
/// One call does both, so that state and deviations are bound to see the same noise, the same batch and the same
/// Jacobian: the one at the point that is left behind. With x' = f(x, noise), a deviation moves by δ' = Df(x) δ.
///
/// [`Map`] makes a system of a map, random or not, and [`Flow`] of a differential equation.
pub trait System {
    /// States and deviations. Where the optimizer carries a state of its own, this is the pair.
    type Vector: Vector;

    /// The present state.
    fn state(&self) -> &Self::Vector;

    /// Replaces the state; time and noise stay where they are.
    fn set_state(&mut self, state: Self::Vector);

    /// Moves the state by one step and each deviation by the Jacobian at the state left behind. With `&mut []` the
    /// state moves exactly as it would with deviations, bit for bit.
    ///
    /// # Errors
    /// Those of the model behind the system; a state that becomes non-finite is not an error.
    fn step(&mut self, deviations: &mut [Self::Vector]) -> Result<()>;

    /// The time that one step takes: 1 for maps, η for gradient descent.
    fn time_step(&self) -> f64 {
        1.0
    }

    /// The same system at the same state and time, computed twice as finely: a flow in steps half as long. `None` for
    /// what is no approximation, such as maps.
    fn refined(&self) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// The way from the state to `other`: their difference, or on a torus the shortest of the ways.
    fn displacement(&self, other: &Self::Vector) -> Self::Vector {
        difference(self.state(), other)
    }
}

/// `to` − `from`.
pub(crate) fn difference<V: Vector>(from: &V, to: &V) -> V {
    let mut difference = to.clone();
    difference.axpy(-1.0, from);
    difference
}

/// How a run ended. Blowing up is a result, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps were taken.
    Completed,
    /// State, loss or gradient was not finite before this step; what was measured up to it is kept.
    Diverged {
        /// The step that could not be taken.
        step: u64,
    },
}
