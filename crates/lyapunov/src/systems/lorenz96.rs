//! Lorenz 96: a ring of weather stations, chaos in as many dimensions as one likes.

use crate::system::{Field, Flow};

/// dxᵢ/dt = (xᵢ₊₁ − xᵢ₋₂) xᵢ₋₁ − xᵢ + F on a ring of n ≥ 4 sites.
///
/// **Exponents** at n = 40, F = 8, per unit of time: the largest is about 1.68, 13 are positive, the Kaplan–Yorke
/// dimension is about 27.1; their sum is −n, exactly. **Source**: Lorenz, *Predictability: a problem partly solved*,
/// 1996; Lorenz & Emanuel 1998, section 3.
///
/// ```
/// use lyapunov::{SpectrumOptions, exponents, systems::Lorenz96};
/// let options = SpectrumOptions { steps: 500, warm_up: 200, ..SpectrumOptions::default() };
/// let found = exponents(&mut Lorenz96::default().system(12, 0.01), &options)?.per_time();
/// assert!((found.sum.value + 12.0).abs() < 1e-4);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lorenz96 {
    /// The forcing F.
    pub forcing: f64,
}

impl Default for Lorenz96 {
    /// The classical F = 8.
    fn default() -> Self {
        Self { forcing: 8.0 }
    }
}

impl Lorenz96 {
    /// The flow on `n` sites from the rest state xᵢ = F, slightly disturbed at one site.
    ///
    /// # Panics
    /// For fewer than 4 sites, where a site would be its own neighbour.
    pub fn system(self, n: usize, time_step: f64) -> Flow<Self> {
        assert!(n >= 4, "a ring of at least four sites");
        let mut state = vec![self.forcing; n];
        state[0] += 0.01;
        Flow::new(self, state, time_step)
    }
}

impl Field for Lorenz96 {
    type Vector = Vec<f64>;

    fn velocity(&self, _time: f64, x: &Vec<f64>, velocity: &mut Vec<f64>) {
        let n = x.len();
        let at = |before2: f64, before: f64, here: f64, after: f64| (after - before2) * before - here + self.forcing;
        velocity[0] = at(x[n - 2], x[n - 1], x[0], x[1]);
        velocity[1] = at(x[n - 1], x[0], x[1], x[2]);
        for (v, w) in velocity[2..n - 1].iter_mut().zip(x.windows(4)) {
            *v = at(w[0], w[1], w[2], w[3]);
        }
        velocity[n - 1] = at(x[n - 3], x[n - 2], x[n - 1], x[0]);
    }

    fn tangent(&self, _time: f64, x: &Vec<f64>, d: &Vec<f64>, velocity: &mut Vec<f64>) {
        let n = x.len();
        let site = |x: [f64; 3], d: [f64; 4]| (d[3] - d[0]) * x[1] + (x[2] - x[0]) * d[1] - d[2];
        let wrapped = |i: usize| {
            let (before2, before, after) = ((i + n - 2) % n, (i + n - 1) % n, (i + 1) % n);
            site([x[before2], x[before], x[after]], [d[before2], d[before], d[i], d[after]])
        };
        (velocity[0], velocity[1], velocity[n - 1]) = (wrapped(0), wrapped(1), wrapped(n - 1));
        for ((v, x), d) in velocity[2..n - 1].iter_mut().zip(x.windows(4)).zip(d.windows(4)) {
            *v = site([x[0], x[1], x[3]], [d[0], d[1], d[2], d[3]]);
        }
    }
}
