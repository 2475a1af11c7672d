//! The Lorenz equations: convection, and the butterfly.

use crate::system::{Field, Flow};

/// dx/dt = σ(y − x), dy/dt = x(ρ − z) − y, dz/dt = xy − βz.
///
/// **Exponents** at (10, 28, 8/3), per unit of time: 0.9056, 0, −14.5721; their sum is −(σ + 1 + β), exactly;
/// Kaplan–Yorke dimension 2.0622. **Source**: Lorenz 1963; values from Sprott, *Chaos and Time-Series Analysis*, 2003.
///
/// ```
/// use lyapunov::{SpectrumOptions, exponents, systems::Lorenz63};
/// let found = exponents(&mut Lorenz63::default().system(0.01), &SpectrumOptions::default())?.per_time();
/// assert!((found.values[0] - 0.9056).abs() < 4.0 * found.std_errors[0]);
/// assert!((found.sum.value + 10.0 + 1.0 + 8.0 / 3.0).abs() < 1e-3);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lorenz63 {
    /// The Prandtl number σ.
    pub sigma: f64,
    /// The Rayleigh number ρ, in units of its critical value.
    pub rho: f64,
    /// The aspect ratio β.
    pub beta: f64,
}

impl Default for Lorenz63 {
    /// The classical (10, 28, 8/3).
    fn default() -> Self {
        Self { sigma: 10.0, rho: 28.0, beta: 8.0 / 3.0 }
    }
}

impl Lorenz63 {
    /// The flow from (1, 1, 20) in Runge–Kutta steps of length `time_step`.
    pub fn system(self, time_step: f64) -> Flow<Self> {
        Flow::new(self, [1.0, 1.0, 20.0], time_step)
    }
}

impl Field for Lorenz63 {
    type Vector = [f64; 3];

    #[inline]
    fn velocity(&self, _time: f64, x: &[f64; 3], velocity: &mut [f64; 3]) {
        velocity[0] = self.sigma * (x[1] - x[0]);
        velocity[1] = x[0] * (self.rho - x[2]) - x[1];
        velocity[2] = x[0] * x[1] - self.beta * x[2];
    }

    #[inline]
    fn tangent(&self, _time: f64, x: &[f64; 3], d: &[f64; 3], velocity: &mut [f64; 3]) {
        velocity[0] = self.sigma * (d[1] - d[0]);
        velocity[1] = (self.rho - x[2]) * d[0] - d[1] - x[0] * d[2];
        velocity[2] = x[1] * d[0] + x[0] * d[1] - self.beta * d[2];
    }
}
