//! The tent map: a constant rate of expansion.

use crate::system::{Law, Map};

/// x' = μ min(x, 1 − x) on the unit interval, 0 < μ ≤ 2.
///
/// **Exponent**: ln μ, exactly, on every orbit. In binary arithmetic the orbit of μ = 2 falls onto 0 after 53 steps;
/// the rate of expansion is the same there. **Source**: Collet & Eckmann 1980.
///
/// ```
/// use lyapunov::{SpectrumOptions, exponents, systems::Tent};
/// let found = exponents(&mut Tent { mu: 1.5 }.system(), &SpectrumOptions::default())?;
/// assert!((found.values[0] - 1.5_f64.ln()).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tent {
    /// The slope μ, above 0 and at most 2.
    pub mu: f64,
}

impl Default for Tent {
    /// μ = 1.9.
    fn default() -> Self {
        Self { mu: 1.9 }
    }
}

impl Tent {
    /// The map from x = 0.4.
    pub fn system(self) -> Map<Self> {
        Map::new(self, [0.4])
    }
}

impl Law for Tent {
    type Vector = [f64; 1];
    type Noise = ();

    fn noise(&self, _seed: u64, _step: u64) {}

    #[inline]
    fn image(&self, x: &[f64; 1], (): &(), image: &mut [f64; 1]) {
        image[0] = self.mu * x[0].min(1.0 - x[0]);
    }

    #[inline]
    fn tangent(&self, x: &[f64; 1], (): &(), d: &[f64; 1], image: &mut [f64; 1]) {
        image[0] = if x[0] < 0.5 { self.mu } else { -self.mu } * d[0];
    }
}
