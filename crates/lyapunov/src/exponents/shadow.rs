//! The largest exponent from two nearby trajectories: no tangent is needed.

use super::{Exponents, Growth, is_finite};
use crate::{
    error::{Error, Result},
    noise::{Purpose, Stream},
    system::System,
    vector::{Vector, storage_epsilon},
};

/// How far apart the two trajectories are kept, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Shadow {
    /// Steps that are measured.
    pub steps: u64,
    /// Steps before them, in which the state finds its attractor and the separation its direction.
    pub warm_up: u64,
    /// The separation divided by ‖state‖ (by 1 where the state is 0); `None` takes 4e-10 in f64 and 7e-5 in f32.
    pub relative_separation: Option<f64>,
    /// The seed of the first separation.
    pub seed: u64,
}

impl Default for Shadow {
    /// 10,000 steps after 1,000 of warm-up, at the separation that suits the storage.
    fn default() -> Self {
        Self { steps: 10_000, warm_up: 1000, relative_separation: None, seed: 0 }
    }
}

/// The largest exponent of `system` from a twin that starts nearby and sees the same noise.
///
/// After every step the growth ln(d'/d) of the distance is added up and the twin is pulled back along the separation to
/// the distance r·‖state‖. d is the distance after rounding, so the storage's spacing makes noise and no bias.
///
/// **Units**: nats per step. **Cost**: two steps without deviations per step. **Memory**: the twin and one vector.
/// **Accuracy**: r in the growth, and the storage's spacing over r as noise.
///
/// # Errors
/// [`Error::Argument`] for no steps, a separation that is not positive, or one below 16 spacings of the storage, where
/// all that is measured is rounding; the system's own errors.
///
/// **Source**: Benettin, Galgani & Strelcyn, Phys. Rev. A 14 (1976) 2338.
///
/// ```
/// use lyapunov::{Shadow, shadow, systems::Logistic};
/// let found = shadow(&mut Logistic { r: 4.0 }.system(), &Shadow::default())?;
/// assert!((found.values[0] - 2.0_f64.ln()).abs() < 1e-3);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn shadow<S: System + Clone>(system: &mut S, options: &Shadow) -> Result<Exponents> {
    let separation = options.check(system.state())?;
    let mut pair = Pair::new(system, separation, options.seed);
    let mut growth = Growth::new(1, system.state().len());
    for step in 0..options.warm_up.saturating_add(options.steps) {
        let time = system.time_step();
        let factor = pair.step(system)?;
        if !(is_finite(system.state()) && factor.is_finite()) {
            growth.diverge(step + 1);
            break;
        }
        if step == options.warm_up {
            growth = Growth::new(1, system.state().len());
        }
        growth.add(1, time, &[factor]);
    }
    Ok(growth.exponents())
}

impl Shadow {
    fn check<V: Vector>(&self, state: &V) -> Result<f64> {
        if self.steps == 0 {
            return Err(Error::argument("steps", 0, "must be at least 1"));
        }
        let epsilon = storage_epsilon(state);
        let separation = self.relative_separation.unwrap_or_else(|| epsilon.powf(0.6));
        if !(separation > 0.0 && separation.is_finite()) {
            return Err(Error::argument("relative_separation", separation, "must be positive and finite"));
        }
        if separation < 16.0 * epsilon {
            let reason = format!("must be at least {:.0e}: below it, rounding is all that grows", 16.0 * epsilon);
            return Err(Error::argument("relative_separation", separation, reason));
        }
        Ok(separation)
    }
}

/// The twin, and where it stands.
struct Pair<S: System> {
    twin: S,
    relative_separation: f64,
    /// The distance after the last rescaling, as it was rounded.
    distance: f64,
    seed: u64,
}

impl<S: System + Clone> Pair<S> {
    fn new(system: &S, relative_separation: f64, seed: u64) -> Self {
        let mut pair = Self { twin: system.clone(), relative_separation, distance: 0.0, seed };
        pair.place(system, system.state().zeros_like());
        pair
    }

    /// Moves both by a step and pulls the twin back; the factor of the growth.
    fn step(&mut self, system: &mut S) -> Result<f64> {
        system.step(&mut [])?;
        self.twin.step(&mut [])?;
        let separation = system.displacement(self.twin.state());
        let factor = separation.norm() / self.distance;
        self.place(system, separation);
        Ok(factor)
    }

    /// Puts the twin at the right distance along `separation`, or along a random direction where that is zero.
    fn place(&mut self, system: &S, mut separation: S::Vector) {
        let state = system.state();
        if separation.norm() == 0.0 {
            separation.randomize(&mut Stream::new(self.seed, Purpose::Deviation, 0));
        }
        let size = state.norm();
        let target = self.relative_separation * if size > 0.0 { size } else { 1.0 };
        let mut moved = state.clone();
        moved.axpy(target / separation.norm(), &separation);
        self.distance = system.displacement(&moved).norm();
        self.twin.set_state(moved);
    }
}
