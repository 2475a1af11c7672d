//! The standard map: a kicked rotor, chaos that preserves area.

use std::f64::consts::TAU;

use crate::system::{Law, Map};

/// p' = p + K sin θ, θ' = θ + p', both modulo 2π; the state is (p, θ).
///
/// **Exponents**: they come in a pair ±Λ, and Λ ≈ ln(K/2) for large K, within 1/K² (Chirikov). For small K the answer
/// depends on where the orbit starts: regular orbits have 0. **Source**: Chirikov, Phys. Rep. 52 (1979) 263.
///
/// ```
/// use lyapunov::{SpectrumOptions, exponents, systems::StandardMap};
/// let found = exponents(&mut StandardMap { k: 10.0 }.system(), &SpectrumOptions::default())?;
/// assert!((found.values[0] - 5.0_f64.ln()).abs() < 0.03);
/// assert!(found.sum.value.abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StandardMap {
    /// The strength K of the kick.
    pub k: f64,
}

impl Default for StandardMap {
    /// K = 10, where hardly an island is left.
    fn default() -> Self {
        Self { k: 10.0 }
    }
}

impl StandardMap {
    /// The map from (p, θ) = (0.5, 1.0).
    pub fn system(self) -> Map<Self> {
        Map::new(self, [0.5, 1.0])
    }
}

impl Law for StandardMap {
    type Vector = [f64; 2];
    type Noise = ();

    fn noise(&self, _seed: u64, _step: u64) {}

    #[inline]
    fn image(&self, x: &[f64; 2], (): &(), image: &mut [f64; 2]) {
        let p = x[0] + self.k * x[1].sin();
        *image = [p.rem_euclid(TAU), (x[1] + p).rem_euclid(TAU)];
    }

    #[inline]
    fn tangent(&self, x: &[f64; 2], (): &(), d: &[f64; 2], image: &mut [f64; 2]) {
        let kick = d[0] + self.k * x[1].cos() * d[1];
        *image = [kick, d[1] + kick];
    }

    fn displacement(&self, from: &[f64; 2], to: &[f64; 2]) -> [f64; 2] {
        shortest(from, to, TAU)
    }
}

/// The shortest way between two points of a torus whose sides have this length.
pub(super) fn shortest(from: &[f64; 2], to: &[f64; 2], side: f64) -> [f64; 2] {
    [0, 1].map(|i| {
        let way = to[i] - from[i];
        way - side * (way / side).round()
    })
}
