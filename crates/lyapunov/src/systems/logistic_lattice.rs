//! The coupled logistic lattice: chaos in space and time.

use super::logistic::slope;
use crate::system::{Law, Map};

/// xᵢ' = (1 − ε) f(xᵢ) + ½ε (f(xᵢ₋₁) + f(xᵢ₊₁)) on a ring, with f(x) = r x (1 − x).
///
/// **Exponents**: without coupling (ε = 0) all are that of [`Logistic`](super::Logistic). Where all sites agree, the
/// exponents are Λ(r) + ln|1 − ε(1 − cos(2πj/n))| for j = 0 … n − 1. **Source**: Kaneko, Prog. Theor. Phys. 72 (1984)
/// 480.
///
/// ```
/// use lyapunov::{SpectrumOptions, exponents, systems::LogisticLattice};
/// // On the fixed point of r = 2.5 every site multiplies by -½; the coupling damps what is not uniform.
/// let lattice = LogisticLattice { r: 2.5, coupling: 0.2 };
/// let found = exponents(&mut lattice.system(4), &SpectrumOptions::default())?;
/// for (value, damping) in found.values.iter().zip([1.0, 0.8, 0.8, 0.6]) {
///     assert!((value - (0.5_f64 * damping).ln()).abs() < 1e-10);
/// }
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogisticLattice {
    /// The growth rate r of every site, from 0 to 4.
    pub r: f64,
    /// The coupling ε, from 0 to 1.
    pub coupling: f64,
}

impl Default for LogisticLattice {
    /// r = 4 and ε = 0.3: developed turbulence.
    fn default() -> Self {
        Self { r: 4.0, coupling: 0.3 }
    }
}

impl LogisticLattice {
    /// The lattice of `n` sites that start apart.
    pub fn system(self, n: usize) -> Map<Self> {
        // The golden rotation: no two sites agree.
        Map::new(self, (0..n).map(|i| 0.1 + 0.8 * (i as f64 * 0.618_033_988_749_895).fract()).collect())
    }

    /// Spreads values over the neighbours.
    fn couple(&self, value: impl Fn(usize) -> f64, image: &mut [f64]) {
        let n = image.len();
        let (mut before, mut here, first) = (value(n - 1), value(0), value(0));
        for (i, entry) in image.iter_mut().enumerate() {
            let after = if i + 1 == n { first } else { value(i + 1) };
            *entry = (1.0 - self.coupling) * here + 0.5 * self.coupling * (before + after);
            (before, here) = (here, after);
        }
    }
}

impl Law for LogisticLattice {
    type Vector = Vec<f64>;
    type Noise = ();

    fn noise(&self, _seed: u64, _step: u64) {}

    fn image(&self, x: &Vec<f64>, (): &(), image: &mut Vec<f64>) {
        self.couple(|i| self.r * x[i] * (1.0 - x[i]), image);
    }

    fn tangent(&self, x: &Vec<f64>, (): &(), d: &Vec<f64>, image: &mut Vec<f64>) {
        self.couple(|i| self.r * slope(x[i]) * d[i], image);
    }
}
