//! The Hénon map: a strange attractor in the plane.

use crate::system::{Law, Map};

/// x' = 1 − ax² + y, y' = bx.
///
/// **Exponents** at (1.4, 0.3): 0.41922 and −1.62319; their sum is ln|b|, exactly; Kaplan–Yorke dimension 1.2583.
/// **Source**: Hénon 1976; values from Sprott, *Chaos and Time-Series Analysis*, 2003.
///
/// ```
/// use lyapunov::{SpectrumOptions, exponents, systems::Henon};
/// let found = exponents(&mut Henon::default().system(), &SpectrumOptions::default())?;
/// assert!((found.values[0] - 0.41922).abs() < 4.0 * found.std_errors[0]);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Henon {
    /// The bend a.
    pub a: f64,
    /// The contraction b: every area shrinks by |b|.
    pub b: f64,
}

impl Default for Henon {
    /// The classical (1.4, 0.3).
    fn default() -> Self {
        Self { a: 1.4, b: 0.3 }
    }
}

impl Henon {
    /// The map from (0.1, 0.1).
    pub fn system(self) -> Map<Self> {
        Map::new(self, [0.1, 0.1])
    }
}

impl Law for Henon {
    type Vector = [f64; 2];
    type Noise = ();

    fn noise(&self, _seed: u64, _step: u64) {}

    #[inline]
    fn image(&self, x: &[f64; 2], (): &(), image: &mut [f64; 2]) {
        *image = [1.0 - self.a * x[0] * x[0] + x[1], self.b * x[0]];
    }

    #[inline]
    fn tangent(&self, x: &[f64; 2], (): &(), d: &[f64; 2], image: &mut [f64; 2]) {
        *image = [-2.0 * self.a * x[0] * d[0] + d[1], self.b * d[0]];
    }
}
