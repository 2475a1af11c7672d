//! The spectral density by stochastic Lanczos quadrature.
//!
//! The density φ(t) = (1/n) Σ δ(t − λᵢ) is an average over random unit vectors v of Σ (vᵀuᵢ)² δ(t − λᵢ). For one v, m
//! Lanczos steps give m nodes θ with weights s₁², the Gauss quadrature of that measure: exact for polynomials up to
//! degree 2m − 1.
//!
//! Source: Golub and Welsch (1969) for the quadrature; Lin, Saad and Yang, *Approximating spectral densities of large
//! matrices* (2016); Ghorbani, Krishnan and Xiao (2019) for Hessians of networks.

use super::space::Space;
use crate::{
    error::{Error, Result},
    noise::{Purpose, Stream},
    operator::Operator,
    vector::Vector,
};

/// How the density is sampled.
#[derive(Clone, Debug, PartialEq)]
pub struct DensityOptions {
    /// Random vectors; their spread is the error. At least 2.
    pub probes: usize,
    /// Lanczos steps per vector: the number of nodes, and of vectors held.
    pub steps: usize,
    /// Decides the vectors.
    pub seed: u64,
}

impl Default for DensityOptions {
    /// Ten vectors of 40 steps, seed 0: 400 applications.
    fn default() -> Self {
        Self { probes: 10, steps: 40, seed: 0 }
    }
}

/// A spectral density as nodes and weights, one quadrature per random vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Density {
    /// Per random vector, the nodes with their weights: (θ, s₁²), largest first; the weights of a vector sum to 1.
    pub quadratures: Vec<Vec<(f64, f64)>>,
    /// The dimension n.
    pub dimension: usize,
    /// How often the operator was applied.
    pub applications: usize,
}

/// A smoothed spectral density on evenly spread points.
#[derive(Clone, Debug, PartialEq)]
pub struct DensityCurve {
    /// The points t, smallest first.
    pub eigenvalues: Vec<f64>,
    /// The density at each, in eigenvalues per unit of t, as a share of all: the integral is 1.
    pub values: Vec<f64>,
    /// Its standard error at each.
    pub std_errors: Vec<f64>,
    /// The standard deviation of the normal distribution by which it is smoothed.
    pub width: f64,
}

impl Density {
    /// The mean of `function` over the spectrum, (1/n) Σ f(λᵢ), with its standard error over the random vectors.
    pub fn mean(&self, function: impl Fn(f64) -> f64) -> (f64, f64) {
        let values: Vec<f64> = self
            .quadratures
            .iter()
            .map(|nodes| nodes.iter().map(|(value, weight)| weight * function(*value)).sum())
            .collect();
        mean_and_error(&values)
    }

    /// The density at `t`, smoothed by a normal distribution of standard deviation `width`, with its standard error.
    pub fn at(&self, t: f64, width: f64) -> (f64, f64) {
        let peak = 1.0 / (width * std::f64::consts::TAU.sqrt());
        self.mean(|value| peak * (-0.5 * ((t - value) / width).powi(2)).exp())
    }

    /// The share of eigenvalues that are at most `t`, with its standard error.
    pub fn cumulative(&self, t: f64) -> (f64, f64) {
        self.mean(|value| f64::from(u8::from(value <= t)))
    }

    /// The density at `points` values of t, evenly spread over the range of the nodes and a twentieth of it beyond
    /// either end; each eigenvalue is spread by four times their distance, so that the curve is smooth to the eye.
    ///
    /// # Errors
    /// [`Error::Argument`] for fewer than two points.
    ///
    /// ```
    /// use lyapunov::{Dense, DensityOptions, density};
    /// let found = density(&Dense::diagonal(&[1.0, 2.0, 3.0]), &vec![0.0; 3], &DensityOptions::default())?;
    /// let curve = found.on_grid(201)?;
    /// assert!((curve.eigenvalues[0] - 0.9).abs() < 1e-12 && (curve.eigenvalues[200] - 3.1).abs() < 1e-12);
    /// # Ok::<(), lyapunov::Error>(())
    /// ```
    pub fn on_grid(&self, points: usize) -> Result<DensityCurve> {
        if points < 2 {
            return Err(Error::argument("points", points, "must be at least 2"));
        }
        let (low, high) = self.range();
        let span = (high - low).max(f64::MIN_POSITIVE);
        let (margin, step) = (0.05 * span, 1.1 * span / (points - 1) as f64);
        let width = 4.0 * step;
        let eigenvalues: Vec<f64> = (0..points).map(|i| low - margin + step * i as f64).collect();
        let (values, std_errors) = eigenvalues.iter().map(|t| self.at(*t, width)).unzip();
        Ok(DensityCurve { eigenvalues, values, std_errors, width })
    }

    /// The smallest and the largest node.
    pub fn range(&self) -> (f64, f64) {
        let nodes = self.quadratures.iter().flatten().map(|node| node.0);
        nodes.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), t| (low.min(t), high.max(t)))
    }
}

/// The mean of independent values and the standard error of the mean.
pub(super) fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}

/// The spectral density of the symmetric `operator` on vectors shaped like `like`.
///
/// **Cost**: `probes` × `steps` applications; `steps` + 1 vectors held.
///
/// # Errors
/// [`Error::Argument`] for fewer than two probes, for no steps, and for an operator whose images are not finite; the
/// operator's own errors.
///
/// ```
/// use lyapunov::{Dense, DensityOptions, density};
/// let entries: Vec<f64> = (0..100).map(f64::from).collect();
/// let found = density(&Dense::diagonal(&entries), &vec![0.0; 100], &DensityOptions::default())?;
/// let (mean, error) = found.mean(|t| t);
/// assert!((mean - 49.5).abs() < 4.0 * error);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn density<V: Vector>(operator: &impl Operator<V>, like: &V, options: &DensityOptions) -> Result<Density> {
    if options.probes < 2 {
        return Err(Error::argument("probes", options.probes, "must be at least 2: their spread is the error"));
    }
    if options.steps == 0 {
        return Err(Error::argument("steps", 0, "must be at least 1"));
    }
    let mut found = Density { quadratures: Vec::new(), dimension: like.len(), applications: 0 };
    for probe in 0..options.probes {
        let mut start = like.zeros_like();
        start.randomize(&mut Stream::new(options.seed, Purpose::Probe, probe as u64));
        let mut space = Space::new(&start)?;
        // A space that has closed has all the nodes that this vector sees.
        while space.order() < options.steps && !space.is_closed() {
            if !space.extend(operator, &[])? {
                return Err(Error::argument("operator", "an image", "must be finite"));
            }
        }
        found.applications += space.order();
        found.quadratures.push(space.pairs().iter().map(|p| (p.value, p.coordinates[0].powi(2))).collect());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Dense;

    /// Eigenvalues spread evenly over [0, 1], with one outlier.
    fn bulk_and_outlier() -> Dense {
        let mut entries: Vec<f64> = (0..399).map(|i| (f64::from(i) + 0.5) / 399.0).collect();
        entries.push(25.0);
        Dense::diagonal(&entries)
    }

    #[test]
    fn the_mass_is_where_the_eigenvalues_are() {
        let found = density(&bulk_and_outlier(), &vec![0.0; 400], &DensityOptions::default()).unwrap();
        assert_eq!(found.applications, 400);
        let (below, error) = found.cumulative(0.5);
        assert!((below - 199.5 / 400.0).abs() < 4.0 * error + 0.01, "{below} ± {error}");
        let (inside, error) = found.at(0.5, 0.05);
        assert!((inside - 399.0 / 400.0).abs() < 4.0 * error + 0.01, "{inside} ± {error}");
        assert!(found.at(10.0, 0.5).0 < 1e-12, "nothing lies between bulk and outlier");
        let (share, error) = found.mean(|t| f64::from(u8::from(t > 10.0)));
        assert!((share - 1.0 / 400.0).abs() < 4.0 * error, "{share} ± {error}");
        assert!((found.range().1 - 25.0).abs() < 1e-8);
    }

    #[test]
    fn the_curve_covers_the_spectrum_and_integrates_to_one() {
        let found = density(&bulk_and_outlier(), &vec![0.0; 400], &DensityOptions::default()).unwrap();
        let curve = found.on_grid(600).unwrap();
        let (low, high) = found.range();
        let step = curve.eigenvalues[1] - curve.eigenvalues[0];
        assert!((curve.width - 4.0 * step).abs() < 1e-12 && (step * 599.0 - 1.1 * (high - low)).abs() < 1e-9);
        assert!(curve.eigenvalues[0] < low && curve.eigenvalues[599] > high);
        assert_eq!((curve.values[300], curve.std_errors[300]), found.at(curve.eigenvalues[300], curve.width));
        let integral = curve.values.iter().sum::<f64>() * step;
        assert!((integral - 1.0).abs() < 1e-3, "{integral}");
        assert!(found.on_grid(1).is_err());
    }

    #[test]
    fn moments_are_exact_up_to_the_error_of_the_probes_and_the_error_is_honest() {
        let matrix = bulk_and_outlier();
        let exact = matrix.rows().iter().enumerate().map(|(i, row)| row[i].powi(2)).sum::<f64>() / 400.0;
        let runs = 100;
        let within = (0..runs)
            .filter(|seed| {
                let options = DensityOptions { probes: 20, steps: 3, seed: *seed };
                let (mean, error) = density(&matrix, &vec![0.0; 400], &options).unwrap().mean(|t| t * t);
                (mean - exact).abs() < 2.0 * error
            })
            .count();
        // Few probes of a skewed distribution: a little under the 95 % of a normal one.
        assert!((80..=100).contains(&within), "{within} of {runs} within two standard errors");
    }

    #[test]
    fn an_operator_with_one_eigenvalue_needs_one_step() {
        let found = density(&Dense::diagonal(&[2.0; 10]), &vec![0.0; 10], &DensityOptions::default()).unwrap();
        assert_eq!(found.applications, 10);
        assert!((found.mean(|t| t).0 - 2.0).abs() < 1e-12 && (found.cumulative(1.9).0).abs() < 1e-12);
    }

    #[test]
    fn one_probe_has_no_error_and_is_refused() {
        let options = DensityOptions { probes: 1, ..DensityOptions::default() };
        let error = density(&Dense::diagonal(&[1.0]), &vec![0.0], &options).unwrap_err();
        assert!(error.to_string().contains("probes = 1 must be at least 2"));
    }
}
