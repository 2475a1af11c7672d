//! The Ikeda map: light in a ring cavity.

use crate::system::{Law, Map};

/// z' = 1 + u z exp(iφ), φ = 0.4 − 6/(1 + |z|²), for the complex z = x + iy.
///
/// **Exponents** at u = 0.9: 0.5076 and −0.7183; their sum is 2 ln u, exactly. **Source**: Ikeda 1979; Hammel, Jones &
/// Moloney 1985; values from Sprott, *Chaos and Time-Series Analysis*, 2003.
///
/// ```
/// use lyapunov::{SpectrumOptions, exponents, systems::Ikeda};
/// let found = exponents(&mut Ikeda::default().system(), &SpectrumOptions::default())?;
/// assert!((found.values[0] - 0.5076).abs() < 4.0 * found.std_errors[0]);
/// assert!((found.sum.value - 2.0 * 0.9_f64.ln()).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ikeda {
    /// The share u of the amplitude that comes around, above 0 and at most 1.
    pub u: f64,
}

impl Default for Ikeda {
    /// The classical u = 0.9.
    fn default() -> Self {
        Self { u: 0.9 }
    }
}

impl Ikeda {
    /// The map from (0.1, 0.1).
    pub fn system(self) -> Map<Self> {
        Map::new(self, [0.1, 0.1])
    }
}

impl Law for Ikeda {
    type Vector = [f64; 2];
    type Noise = ();

    fn noise(&self, _seed: u64, _step: u64) {}

    #[inline]
    fn image(&self, x: &[f64; 2], (): &(), image: &mut [f64; 2]) {
        let (sin, cos) = phase(x).sin_cos();
        *image = [1.0 + self.u * (x[0] * cos - x[1] * sin), self.u * (x[0] * sin + x[1] * cos)];
    }

    #[inline]
    fn tangent(&self, x: &[f64; 2], (): &(), d: &[f64; 2], image: &mut [f64; 2]) {
        let (sin, cos) = phase(x).sin_cos();
        let turn = 12.0 * (x[0] * d[0] + x[1] * d[1]) / (1.0 + x[0] * x[0] + x[1] * x[1]).powi(2);
        let (along, across) = (x[0] * cos - x[1] * sin, x[0] * sin + x[1] * cos);
        *image =
            [self.u * (d[0] * cos - d[1] * sin - across * turn), self.u * (d[0] * sin + d[1] * cos + along * turn)];
    }
}

/// φ = 0.4 − 6/(1 + |z|²).
fn phase(x: &[f64; 2]) -> f64 {
    0.4 - 6.0 / (1.0 + x[0] * x[0] + x[1] * x[1])
}
