//! Covariant Lyapunov vectors: the directions that themselves grow at the exponents' rates.
//!
//! The deviations of Benettin's method are orthogonal by force; only the first has a meaning of its own. The method of
//! Ginelli and others goes forward with QR, keeping Q and R, and then backward: any vectors in the spaces that Q spans,
//! carried by R⁻¹, fall onto the covariant ones.

use super::{check_count, is_finite};
use crate::{
    error::{Error, Result},
    noise::{Purpose, Stream},
    system::{Outcome, System},
    vector::{Vector, orthonormalize},
};

/// How many covariant vectors, and over which stretch of the trajectory.
#[derive(Clone, Debug, PartialEq)]
pub struct Covariant {
    /// The number k of vectors; `None` asks for all n.
    pub count: Option<usize>,
    /// Points of the trajectory at which the vectors are given.
    pub points: usize,
    /// Steps between two points, and between two QR factorisations.
    pub every: u64,
    /// Steps before the first point, in which the deviations find the backward directions.
    pub warm_up: u64,
    /// Points after the last one, in which the vectors, going backward, find the forward directions.
    pub settle: usize,
    /// The seed of the initial deviations and of the last vectors.
    pub seed: u64,
}

impl Default for Covariant {
    /// All vectors at 1,000 points, one per step, with 1,000 of warm-up on either side.
    fn default() -> Self {
        Self { count: None, points: 1000, every: 1, warm_up: 1000, settle: 1000, seed: 0 }
    }
}

/// Covariant vectors along a trajectory.
#[derive(Clone, Debug)]
pub struct CovariantVectors<V> {
    /// The points.
    pub states: Vec<V>,
    /// At each point, k unit vectors, in the order of their exponents.
    pub vectors: Vec<Vec<V>>,
    /// From each point to the next, ln of the growth of each vector per step; their means are the exponents.
    pub rates: Vec<Vec<f64>>,
    /// How the forward run ended. After a divergence nothing else is given.
    pub outcome: Outcome,
}

/// The covariant Lyapunov vectors of `system`, which is left after the last point of the settling.
///
/// A vector v_i at one point is carried onto v_i at the next by the tangent map, to rounding; the sign is arbitrary.
///
/// **Shapes**: `points` × k vectors of n entries. **Units**: rates in nats per step. **Cost**: (warm-up + every ·
/// (points + settle)) steps with k deviations. **Memory**: k·points vectors, and k² numbers for every point and
/// settling point.
///
/// # Errors
/// [`Error::Argument`] for k = 0 or k > n, no points, or a point every 0 steps; the system's own errors.
///
/// **Source**: Ginelli, Poggi, Turchi, Chaté, Livi & Politi, Phys. Rev. Lett. 99 (2007) 130601.
///
/// ```
/// use lyapunov::{Covariant, Map, covariant_vectors};
/// // A constant matrix: the covariant vectors are its eigenvectors (1, 0) and (2, -3)/√13, and not orthogonal.
/// let times = |x: &[f64; 2]| [2.0 * x[0] + x[1], 0.5 * x[1]];
/// let found = covariant_vectors(&mut Map::of([0.0; 2], times, move |_, d| times(d)), &Covariant::default())?;
/// let [x, y] = found.vectors[0][1];
/// assert!((y / x + 1.5).abs() < 1e-12 && (found.rates[0][1] - 0.5_f64.ln()).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn covariant_vectors<S: System>(system: &mut S, options: &Covariant) -> Result<CovariantVectors<S::Vector>> {
    let mut deviations = options.start(system.state())?;
    let mut found =
        CovariantVectors { states: Vec::new(), vectors: Vec::new(), rates: Vec::new(), outcome: Outcome::Completed };
    for step in 0..options.warm_up {
        system.step(&mut deviations)?;
        orthonormalize(&mut deviations);
        if !is_finite(system.state()) {
            return Ok(CovariantVectors { outcome: Outcome::Diverged { step: step + 1 }, ..found });
        }
    }
    let mut triangles = Vec::new();
    for point in 0..options.points + options.settle {
        if point < options.points {
            found.states.push(system.state().clone());
            found.vectors.push(deviations.clone());
        }
        for _ in 0..options.every {
            system.step(&mut deviations)?;
        }
        triangles.push(factorize(&mut deviations));
        if !is_finite(system.state()) {
            let step = options.warm_up + (point as u64 + 1) * options.every;
            return Ok(CovariantVectors {
                states: Vec::new(),
                vectors: Vec::new(),
                rates: Vec::new(),
                outcome: Outcome::Diverged { step },
            });
        }
    }
    go_back(&mut found, &triangles, options);
    Ok(found)
}

impl Covariant {
    fn start<V: Vector>(&self, state: &V) -> Result<Vec<V>> {
        let count = self.count.unwrap_or(state.len());
        check_count(count, state.len())?;
        if self.points == 0 {
            return Err(Error::argument("points", 0, "must be at least 1"));
        }
        if self.every == 0 {
            return Err(Error::argument("every", 0, "must be at least 1"));
        }
        let draw = |i| {
            let mut deviation = state.zeros_like();
            deviation.randomize(&mut Stream::new(self.seed, Purpose::Deviation, i));
            deviation
        };
        let mut deviations: Vec<V> = (0..count as u64).map(draw).collect();
        orthonormalize(&mut deviations);
        Ok(deviations)
    }
}

/// Gram–Schmidt in place, twice over; returns the columns of R.
fn factorize<V: Vector>(vectors: &mut [V]) -> Vec<Vec<f64>> {
    (0..vectors.len())
        .map(|i| {
            let (basis, rest) = vectors.split_at_mut(i);
            let mut column = vec![0.0; i + 1];
            for _ in 0..2 {
                for (direction, entry) in basis.iter().zip(&mut column) {
                    let component = rest[0].dot(direction);
                    rest[0].axpy(-component, direction);
                    *entry += component;
                }
            }
            column[i] = rest[0].norm();
            rest[0].scale(1.0 / column[i]);
            column
        })
        .collect()
}

/// Carries coefficients backward through the triangles, and turns Q into the covariant vectors at the points.
fn go_back<V: Vector>(found: &mut CovariantVectors<V>, triangles: &[Vec<Vec<f64>>], options: &Covariant) {
    let count = triangles[0].len();
    let mut stream = Stream::new(options.seed, Purpose::Deviation, u64::MAX);
    // The i-th vector lies in the space of the first i + 1 deviations, on the side of the last.
    let mut coefficients: Vec<Vec<f64>> =
        (0..count).map(|i| (0..=i).map(|j| if i == j { 1.0 } else { 0.1 * stream.normal() }).collect()).collect();
    for point in (0..triangles.len()).rev() {
        let rates: Vec<f64> =
            coefficients.iter_mut().map(|c| -solve(&triangles[point], c).ln() / options.every as f64).collect();
        if point < options.points {
            found.rates.push(rates);
            let combined = |c: &Vec<f64>| {
                let mut sum = found.vectors[point][0].zeros_like();
                c.iter().zip(&found.vectors[point]).for_each(|(c, deviation)| sum.axpy(*c, deviation));
                sum
            };
            found.vectors[point] = coefficients.iter().map(combined).collect();
        }
    }
    found.rates.reverse();
}

/// Replaces c by R⁻¹c, normalised, and returns the norm that it had.
fn solve(columns: &[Vec<f64>], c: &mut Vec<f64>) -> f64 {
    for i in (0..c.len()).rev() {
        c[i] /= columns[i][i];
        let pivot = c[i];
        c[..i].iter_mut().zip(&columns[i]).for_each(|(entry, r)| *entry -= pivot * r);
    }
    let norm = c.norm();
    c.scale(1.0 / norm);
    norm
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        exponents::{SpectrumOptions, exponents},
        systems::{Henon, Lorenz63},
    };

    /// Carries every vector to the next point by the tangent map and compares the direction and the growth.
    fn check_covariance<S: System + Clone>(system: &S, options: &Covariant, tolerance: f64) {
        let found = covariant_vectors(&mut system.clone(), options).unwrap();
        for point in 0..options.points - 1 {
            let mut copy = system.clone();
            copy.set_state(found.states[point].clone());
            let mut carried = found.vectors[point].clone();
            for _ in 0..options.every {
                copy.step(&mut carried).unwrap();
            }
            for (i, vector) in carried.iter().enumerate() {
                let rate = vector.norm().ln() / options.every as f64;
                assert!((rate - found.rates[point][i]).abs() < tolerance, "rate {i} at {point}");
                let cosine = vector.dot(&found.vectors[point + 1][i]).abs() / vector.norm();
                assert!((cosine - 1.0).abs() < tolerance, "vector {i} at {point}: cosine {cosine}");
            }
        }
    }

    #[test]
    fn the_tangent_map_carries_covariant_vectors_onto_each_other() {
        check_covariance(&Henon::default().system(), &Covariant { points: 300, ..Covariant::default() }, 1e-8);
        let options = Covariant { points: 100, every: 5, ..Covariant::default() };
        check_covariance(&Lorenz63::default().system(0.01), &options, 1e-7);
    }

    #[test]
    fn their_mean_rates_are_the_exponents() {
        let options = Covariant { points: 5000, ..Covariant::default() };
        let found = covariant_vectors(&mut Henon::default().system(), &options).unwrap();
        let mean = |i: usize| found.rates.iter().map(|rates| rates[i]).sum::<f64>() / 5000.0;
        let spectrum =
            exponents(&mut Henon::default().system(), &SpectrumOptions { steps: 5000, ..SpectrumOptions::default() })
                .unwrap();
        // The two averages differ by what happens at the ends.
        assert!((mean(0) - spectrum.values[0]).abs() < 2e-3 && (mean(1) - spectrum.values[1]).abs() < 2e-3);
    }

    #[test]
    fn the_neutral_vector_of_a_flow_points_along_the_flow() {
        let options = Covariant { points: 200, ..Covariant::default() };
        let found = covariant_vectors(&mut Lorenz63::default().system(0.01), &options).unwrap();
        for (x, vectors) in found.states.iter().zip(&found.vectors) {
            let along = [10.0 * (x[1] - x[0]), x[0] * (28.0 - x[2]) - x[1], x[0] * x[1] - 8.0 / 3.0 * x[2]];
            assert!((along.dot(&vectors[1]).abs() / along.norm() - 1.0).abs() < 1e-3);
        }
    }

    #[test]
    fn a_divergence_gives_no_vectors() {
        let mut runaway = Henon { a: 3.0, b: 0.3 }.system();
        let found = covariant_vectors(&mut runaway, &Covariant::default()).unwrap();
        assert!(matches!(found.outcome, Outcome::Diverged { .. }) && found.vectors.is_empty());
    }
}
