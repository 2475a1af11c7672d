//! The tangent of a map or a field of which only the values are known.

use std::marker::PhantomData;

use super::{Field, Law};
use crate::{
    error::{Error, Result},
    noise::{Purpose, Stream},
    vector::{Vector, storage_epsilon},
};

/// A function f with its tangent by central differences: Df(x) δ ≈ (f(x + εδ̂) − f(x − εδ̂)) ‖δ‖ / 2ε, ε = r·‖x‖.
///
/// The relative step r is chosen when the tangent is made: of seven steps around the cube root of the storage's spacing
/// (6e-6 in f64, 5e-3 in f32), the one at which halving changes Df·v least, for three random directions v. Where no
/// step settles, f has a kink or a jump there, and that is an error and not a bad tangent.
///
/// **Cost** per tangent: two values of f. **Accuracy**: about 1e-9 in f64 and 1e-4 in f32, for a smooth f.
///
/// ```
/// use lyapunov::{Map, System};
/// let mut square = Map::by_differences([3.0], |x: &[f64; 1]| [x[0] * x[0]])?;
/// let mut deviations = [[1.0]];
/// square.step(&mut deviations)?;
/// assert!((deviations[0][0] - 6.0).abs() < 1e-8);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Differences<V, F> {
    function: F,
    relative_step: f64,
    vector: PhantomData<V>,
}

impl<V: Vector, F: Fn(&V) -> V> Differences<V, F> {
    /// The tangent of `function`, its step chosen and checked at the point `at`.
    ///
    /// # Errors
    /// [`Error::Argument`] where no step gives a derivative that halving the step confirms to 1e-5 in f64, 1e-2 in f32.
    pub fn new(function: F, at: &V) -> Result<Self> {
        let epsilon = storage_epsilon(at);
        let centre = epsilon.cbrt();
        let candidate =
            |step| Differences { function: &function, relative_step: step, vector: PhantomData::<V> }.doubt(at);
        let steps = (-3..=3).map(|k| centre * 4.0_f64.powi(k));
        let best = steps.map(|step| (candidate(step), step)).min_by(|a, b| a.0.total_cmp(&b.0));
        let (doubt, relative_step) = best.unwrap_or((f64::INFINITY, centre));
        let tolerance = if epsilon < 1e-10 { 1e-5 } else { 1e-2 };
        if doubt.is_nan() || doubt > tolerance {
            let reason = format!("must be smooth: halving the step of its difference changes it by {doubt:.0e}");
            return Err(Error::argument("function", "the given one", reason));
        }
        Ok(Self { function, relative_step, vector: PhantomData })
    }
}

impl<V: Vector, F: Fn(&V) -> V> Differences<V, F> {
    /// The largest relative change of Df·v when the step is halved, over three directions.
    fn doubt(&self, at: &V) -> f64 {
        let doubts = (0..3).map(|direction| {
            let mut v = at.clone();
            v.randomize(&mut Stream::new(0, Purpose::Probe, direction));
            let mut image = at.zeros_like();
            self.difference(at, &v, self.relative_step, &mut image);
            let mut halved = at.zeros_like();
            self.difference(at, &v, 0.5 * self.relative_step, &mut halved);
            let size = image.norm().max(f64::MIN_POSITIVE);
            halved.axpy(-1.0, &image);
            halved.norm() / size
        });
        // A NaN must not lose the comparison.
        doubts.fold(0.0, |worst, doubt| if doubt <= worst { worst } else { doubt })
    }

    fn difference(&self, x: &V, deviation: &V, relative_step: f64, image: &mut V) {
        let norm = deviation.norm();
        if norm == 0.0 {
            *image = x.zeros_like();
            return;
        }
        let size = x.norm();
        let step = relative_step * if size > 0.0 { size } else { 1.0 };
        let value_at = |offset: f64| {
            let mut point = x.clone();
            point.axpy(offset / norm, deviation);
            (self.function)(&point)
        };
        *image = value_at(step);
        image.axpy(-1.0, &value_at(-step));
        image.scale(norm / (2.0 * step));
    }
}

impl<V: Vector, F: Fn(&V) -> V> Law for Differences<V, F> {
    type Vector = V;
    type Noise = ();

    fn noise(&self, _seed: u64, _step: u64) {}

    fn image(&self, x: &V, (): &(), image: &mut V) {
        *image = (self.function)(x);
    }

    fn tangent(&self, x: &V, (): &(), deviation: &V, image: &mut V) {
        self.difference(x, deviation, self.relative_step, image);
    }
}

impl<V: Vector, F: Fn(&V) -> V + Clone> Field for Differences<V, F> {
    type Vector = V;

    fn velocity(&self, _time: f64, x: &V, velocity: &mut V) {
        *velocity = (self.function)(x);
    }

    fn tangent(&self, _time: f64, x: &V, deviation: &V, velocity: &mut V) {
        self.difference(x, deviation, self.relative_step, velocity);
    }
}

#[cfg(test)]
mod tests {
    use crate::system::{Map, System};

    #[test]
    fn a_difference_tangent_is_near_the_exact_one_in_both_precisions() {
        let mut double = Map::by_differences([0.4_f64], |x: &[f64; 1]| [3.9 * x[0] * (1.0 - x[0])]).unwrap();
        let mut d = [[2.0_f64]];
        double.step(&mut d).unwrap();
        assert!((d[0][0] - 2.0 * 3.9 * 0.2).abs() < 1e-8);
        let mut single = Map::by_differences([0.4_f32], |x: &[f32; 1]| [3.9 * x[0] * (1.0 - x[0])]).unwrap();
        let mut d = [[2.0_f32]];
        single.step(&mut d).unwrap();
        assert!((d[0][0] - 2.0 * 3.9 * 0.2).abs() < 1e-3);
    }

    #[test]
    fn a_jump_is_refused() {
        let jump = Map::by_differences([1.0], |x: &[f64; 1]| [if x[0] < 1.0 { 0.0 } else { 1.0 }]);
        assert!(jump.err().unwrap().to_string().contains("must be smooth"));
    }
}
