//! Arnold's cat map: uniform expansion on the torus.

use super::standard_map::shortest;
use crate::system::{Law, Map};

/// (x, y)' = (2x + y, x + y), both modulo 1.
///
/// **Exponents**: ±ln((3 + √5)/2) = ±0.9624, exactly, on every orbit. **Source**: Arnold & Avez 1968.
///
/// ```
/// use lyapunov::{SpectrumOptions, exponents, systems::CatMap};
/// let found = exponents(&mut CatMap.system(), &SpectrumOptions::default())?;
/// assert!((found.values[0] - ((3.0 + 5.0_f64.sqrt()) / 2.0).ln()).abs() < 1e-10);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CatMap;

impl CatMap {
    /// The map from (0.1, 0.3).
    pub fn system(self) -> Map<Self> {
        Map::new(self, [0.1, 0.3])
    }
}

impl Law for CatMap {
    type Vector = [f64; 2];
    type Noise = ();

    fn noise(&self, _seed: u64, _step: u64) {}

    #[inline]
    fn image(&self, x: &[f64; 2], (): &(), image: &mut [f64; 2]) {
        *image = [(2.0 * x[0] + x[1]).rem_euclid(1.0), (x[0] + x[1]).rem_euclid(1.0)];
    }

    #[inline]
    fn tangent(&self, _x: &[f64; 2], (): &(), d: &[f64; 2], image: &mut [f64; 2]) {
        *image = [2.0 * d[0] + d[1], d[0] + d[1]];
    }

    fn displacement(&self, from: &[f64; 2], to: &[f64; 2]) -> [f64; 2] {
        shortest(from, to, 1.0)
    }
}
