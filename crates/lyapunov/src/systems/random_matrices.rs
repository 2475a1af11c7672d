//! Products of random matrices: the linear random system whose every exponent is known.

use crate::{
    noise::{Purpose, Stream},
    system::{Law, Map},
};

/// δ' = A_t δ with a fresh N × N matrix of independent standard normal entries at every step; the state is the fixed
/// point 0.
///
/// **Exponents**: Λᵢ = ½ (ln 2 + ψ((N − i + 1)/2)), i = 1 … N, with the digamma function ψ; for N = 2 they are
/// ½ (ln 2 − γ) = 0.0580 and ½ (−ln 2 − γ) = −0.6352. **Source**: Newman, Commun. Math. Phys. 103 (1986) 121.
///
/// ```
/// use lyapunov::{SpectrumOptions, exponents, systems::RandomMatrices};
/// let found = exponents(&mut RandomMatrices::<2>.system(1), &SpectrumOptions::default())?;
/// for i in 0..2 {
///     assert!((found.values[i] - RandomMatrices::<2>.exact()[i]).abs() < 4.0 * found.std_errors[i]);
/// }
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomMatrices<const N: usize>;

impl<const N: usize> RandomMatrices<N> {
    /// The product with the matrices of this seed.
    pub fn system(self, seed: u64) -> Map<Self> {
        Map::new(self, [0.0; N]).seeded(seed)
    }

    /// The N exponents.
    pub fn exact(self) -> Vec<f64> {
        (1..=N).map(|i| 0.5 * (2.0_f64.ln() + digamma_of_half(N - i + 1))).collect()
    }
}

/// ψ(m/2), from ψ(1) = −γ, ψ(½) = −γ − 2 ln 2 and ψ(x + 1) = ψ(x) + 1/x.
fn digamma_of_half(m: usize) -> f64 {
    const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
    let start = if m.is_multiple_of(2) { -EULER_GAMMA } else { -EULER_GAMMA - 2.0 * 2.0_f64.ln() };
    let first = if m.is_multiple_of(2) { 2 } else { 1 };
    start + (first..m).step_by(2).map(|k| 2.0 / k as f64).sum::<f64>()
}

impl<const N: usize> Law for RandomMatrices<N> {
    type Vector = [f64; N];
    type Noise = [[f64; N]; N];

    fn noise(&self, seed: u64, step: u64) -> [[f64; N]; N] {
        let mut stream = Stream::new(seed, Purpose::System, step);
        std::array::from_fn(|_| std::array::from_fn(|_| stream.normal()))
    }

    fn image(&self, x: &[f64; N], matrix: &[[f64; N]; N], image: &mut [f64; N]) {
        *image = matrix.map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum());
    }

    fn tangent(&self, _x: &[f64; N], matrix: &[[f64; N]; N], d: &[f64; N], image: &mut [f64; N]) {
        self.image(d, matrix, image);
    }
}
