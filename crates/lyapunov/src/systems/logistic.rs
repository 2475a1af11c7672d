//! The logistic map: the simplest law with every kind of behaviour.

use crate::system::{Law, Map};

/// x' = r x (1 − x) on the unit interval, 0 ≤ r ≤ 4.
///
/// **Exponent**: ln r for r < 1; ln|2 − r| on the fixed point, 1 < r < 3; ½ ln|4 + 2r − r²| on the cycle of two,
/// 3 < r < 1 + √6; ln 2 at r = 4, where averages telescope and converge like 1/N. **Source**: Ulam & von Neumann 1947;
/// May 1976.
///
/// ```
/// use lyapunov::{SpectrumOptions, exponents, systems::Logistic};
/// let found = exponents(&mut Logistic { r: 2.5 }.system(), &SpectrumOptions::default())?;
/// assert!((found.values[0] - 0.5_f64.ln()).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logistic {
    /// The growth rate r, from 0 to 4.
    pub r: f64,
}

impl Default for Logistic {
    /// r = 4, where the exponent is ln 2.
    fn default() -> Self {
        Self { r: 4.0 }
    }
}

impl Logistic {
    /// The map from x = 0.4.
    pub fn system(self) -> Map<Self> {
        Map::new(self, [0.4])
    }

    /// The exponent, where it is known in closed form.
    pub fn exact(self) -> Option<f64> {
        let r = self.r;
        let multiplier = match r {
            _ if r == 4.0 => return Some(2.0_f64.ln()),
            _ if r < 1.0 => r,
            _ if r > 1.0 && r < 3.0 => 2.0 - r,
            _ if r > 3.0 && r < 1.0 + 6.0_f64.sqrt() => {
                // Where it is nothing but rounding, the critical point is on the cycle: super-stable.
                let multiplier = 4.0 + 2.0 * r - r * r;
                let is_zero = multiplier.abs() <= 2.0 * f64::EPSILON * r * r;
                return Some(if is_zero { f64::NEG_INFINITY } else { 0.5 * multiplier.abs().ln() });
            }
            _ => return None,
        };
        Some(multiplier.abs().ln())
    }
}

/// 1 − 2x; 0 where x is the critical point ½ to rounding, since then the difference has no digit left: its logarithm
/// would be a number that says nothing.
#[inline]
pub(super) fn slope(x: f64) -> f64 {
    let slope = 1.0 - 2.0 * x;
    if slope.abs() <= 8.0 * f64::EPSILON { 0.0 } else { slope }
}

impl Law for Logistic {
    type Vector = [f64; 1];
    type Noise = ();

    fn noise(&self, _seed: u64, _step: u64) {}

    #[inline]
    fn image(&self, x: &[f64; 1], (): &(), image: &mut [f64; 1]) {
        image[0] = self.r * x[0] * (1.0 - x[0]);
    }

    #[inline]
    fn tangent(&self, x: &[f64; 1], (): &(), d: &[f64; 1], image: &mut [f64; 1]) {
        image[0] = self.r * slope(x[0]) * d[0];
    }
}
