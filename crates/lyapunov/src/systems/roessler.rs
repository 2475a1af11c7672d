//! The Rössler equations: a folded band.

use crate::system::{Field, Flow};

/// dx/dt = −y − z, dy/dt = x + ay, dz/dt = b + z(x − c).
///
/// **Exponents** at (0.2, 0.2, 5.7), per unit of time: 0.0714, 0, −5.3943; Kaplan–Yorke dimension 2.0132.
/// Where the band folds, contraction is fast: steps of 0.05 move the last exponent by 0.007, steps of 0.02 by less than
/// 0.003.
/// **Source**: Rössler 1976; values from Sprott, *Chaos and Time-Series Analysis*, 2003.
///
/// ```
/// use lyapunov::{SpectrumOptions, exponents, systems::Roessler};
/// let options = SpectrumOptions { steps: 20_000, ..SpectrumOptions::default() };
/// let found = exponents(&mut Roessler::default().system(0.05), &options)?.per_time();
/// assert!((found.values[0] - 0.0714).abs() < 4.0 * found.std_errors[0]);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roessler {
    /// The growth rate a of the spiral.
    pub a: f64,
    /// The supply b.
    pub b: f64,
    /// The threshold c of the fold.
    pub c: f64,
}

impl Default for Roessler {
    /// The classical (0.2, 0.2, 5.7).
    fn default() -> Self {
        Self { a: 0.2, b: 0.2, c: 5.7 }
    }
}

impl Roessler {
    /// The flow from (1, 1, 0) in Runge–Kutta steps of length `time_step`.
    pub fn system(self, time_step: f64) -> Flow<Self> {
        Flow::new(self, [1.0, 1.0, 0.0], time_step)
    }
}

impl Field for Roessler {
    type Vector = [f64; 3];

    #[inline]
    fn velocity(&self, _time: f64, x: &[f64; 3], velocity: &mut [f64; 3]) {
        velocity[0] = -x[1] - x[2];
        velocity[1] = x[0] + self.a * x[1];
        velocity[2] = self.b + x[2] * (x[0] - self.c);
    }

    #[inline]
    fn tangent(&self, _time: f64, x: &[f64; 3], d: &[f64; 3], velocity: &mut [f64; 3]) {
        velocity[0] = -d[1] - d[2];
        velocity[1] = d[0] + self.a * d[1];
        velocity[2] = x[2] * d[0] + (x[0] - self.c) * d[2];
    }
}
