//! The smallest network whose boundary of trainability is a fractal: one hidden layer on random points.

use crate::{
    error::{Error, Result},
    noise::{Purpose, Stream},
    objective::{Objective, Product, Sample, difference_product},
};

/// What a hidden unit of a [`TwoLayer`] network does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// tanh z.
    #[default]
    Tanh,
    /// max(z, 0).
    Relu,
    /// z: a deep linear network.
    Identity,
}

named! { Unit, "unit": Tanh = "tanh", Relu = "relu", Identity = "identity" }

impl Unit {
    /// Value, slope and curvature at z.
    fn at(self, z: f64) -> (f64, f64, f64) {
        match self {
            Self::Tanh => {
                let value = z.tanh();
                let slope = 1.0 - value * value;
                (value, slope, -2.0 * value * slope)
            }
            Self::Relu => (z.max(0.0), f64::from(u8::from(z > 0.0)), 0.0),
            Self::Identity => (z, 1.0, 0.0),
        }
    }
}

/// y(x) = W₂ φ(W₁ x/√n)/√n with n inputs, n hidden units and one output, under ½ the mean square of y − t over random
/// points x and random targets t, all of them standard normal: L(W₁, W₂).
///
/// Its weights are given as u = (W₁/√η₁, W₂/√η₂), n² + n numbers: gradient descent on u at a learning rate of η is
/// gradient descent on W with the rates η·η₁ and η·η₂ in its layers.
///
/// Source: Sohl-Dickstein, *The boundary of neural network trainability is fractal* (2024), section 2.
///
/// ```
/// use lyapunov::{Objective, Sample, systems::{TwoLayer, Unit}};
/// let network = TwoLayer::random(16, 16, Unit::Tanh, 0)?;
/// let weights = network.initial_weights(1.0, 0);
/// let (loss, gradient) = network.gradient(&weights, Sample::Full)?;
/// assert!(loss > 0.0 && gradient.len() == 16 * 16 + 16);
/// // Four times the rate of both layers is twice the gradient in weights of half the size.
/// let faster = network.clone().with_rates([4.0, 4.0])?;
/// let (same, twice) = faster.gradient(&faster.initial_weights(1.0, 0), Sample::Full)?;
/// assert!((loss - same).abs() < 1e-12 && (twice[7] - 2.0 * gradient[7]).abs() < 1e-12);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TwoLayer {
    units: usize,
    unit: Unit,
    /// Point after point, over √n.
    points: Vec<f64>,
    targets: Vec<f64>,
    /// √η of each layer.
    scales: [f64; 2],
}

impl TwoLayer {
    /// A network with this many `units` and inputs, on this many random `points`; both rates are 1.
    ///
    /// # Errors
    /// [`Error::Argument`] for no units or no points.
    pub fn random(units: usize, points: usize, unit: Unit, seed: u64) -> Result<Self> {
        for (name, count) in [("units", units), ("points", points)] {
            if count == 0 {
                return Err(Error::argument(name, count, "must be at least 1"));
            }
        }
        let mut stream = Stream::new(seed, Purpose::Data, 0);
        let root = (units as f64).sqrt().recip();
        let inputs = (0..points * units).map(|_| root * stream.normal()).collect();
        let targets = (0..points).map(|_| stream.normal()).collect();
        Ok(Self { units, unit, points: inputs, targets, scales: [1.0; 2] })
    }

    /// The same with these rates of the two layers.
    ///
    /// # Errors
    /// [`Error::Argument`] for a rate that is not a positive number.
    pub fn with_rates(self, rates: [f64; 2]) -> Result<Self> {
        match rates.iter().find(|rate| !(rate.is_finite() && **rate > 0.0)) {
            None => Ok(Self { scales: rates.map(f64::sqrt), ..self }),
            Some(rate) => Err(Error::argument("rate", rate, "must be a number greater than 0")),
        }
    }

    /// u for weights W that are normal with this standard deviation.
    pub fn initial_weights(&self, deviation: f64, seed: u64) -> Vec<f64> {
        let mut stream = Stream::new(seed, Purpose::Weights, 0);
        let first = self.units * self.units;
        let scale = |i: usize| deviation / self.scales[usize::from(i >= first)];
        (0..first + self.units).map(|i| scale(i) * stream.normal()).collect()
    }

    /// W of u, or what is tangent to it.
    fn unscaled(&self, u: &[f64]) -> Vec<f64> {
        let mut weights = u.to_vec();
        self.scale(&mut weights);
        weights
    }

    fn scale(&self, vector: &mut [f64]) {
        let (first, second) = vector.split_at_mut(self.units * self.units);
        for (part, scale) in [first, second].into_iter().zip(self.scales) {
            for x in part {
                *x *= scale;
            }
        }
    }

    /// Each point with its target.
    fn data(&self) -> impl Iterator<Item = (&[f64], f64)> {
        self.points.chunks_exact(self.units).zip(self.targets.iter().copied())
    }

    /// H v in W, of which the Gauss–Newton matrix leaves out what belongs to the errors.
    fn hessian_times(&self, weights: &[f64], v: &[f64], whole: bool) -> Vec<f64> {
        let n = self.units;
        let (first, second) = weights.split_at(n * n);
        let (v_first, v_second) = v.split_at(n * n);
        let (root, mut product) = ((n as f64).sqrt().recip(), vec![0.0; weights.len()]);
        let (p_first, p_second) = product.split_at_mut(n * n);
        let each = (self.targets.len() as f64).recip();
        for (x, target) in self.data() {
            let units: Vec<(f64, f64, f64)> = first.chunks_exact(n).map(|row| self.unit.at(dot(row, x))).collect();
            let moved: Vec<f64> = v_first.chunks_exact(n).map(|row| dot(row, x)).collect();
            let (mut output, mut tangent) = (0.0, 0.0);
            for j in 0..n {
                output += root * second[j] * units[j].0;
                tangent += root * (v_second[j] * units[j].0 + second[j] * units[j].1 * moved[j]);
            }
            let error = if whole { output - target } else { 0.0 };
            for j in 0..n {
                let (value, slope, bend) = units[j];
                p_second[j] += each * root * (tangent * value + error * slope * moved[j]);
                let back = slope * (tangent * second[j] + error * v_second[j]) + error * second[j] * bend * moved[j];
                axpy(each * root * back, x, &mut p_first[j * n..(j + 1) * n]);
            }
        }
        product
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn axpy(a: f64, x: &[f64], y: &mut [f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

impl Objective for TwoLayer {
    type Vector = Vec<f64>;

    fn gradient(&self, at: &Vec<f64>, _on: Sample) -> Result<(f64, Vec<f64>)> {
        let (n, weights) = (self.units, self.unscaled(at));
        let (first, second) = weights.split_at(n * n);
        let (root, each) = ((n as f64).sqrt().recip(), (self.targets.len() as f64).recip());
        let (mut loss, mut gradient) = (0.0, vec![0.0; weights.len()]);
        let (g_first, g_second) = gradient.split_at_mut(n * n);
        let mut units = vec![(0.0, 0.0, 0.0); n];
        for (x, target) in self.data() {
            let mut output = 0.0;
            for (j, row) in first.chunks_exact(n).enumerate() {
                units[j] = self.unit.at(dot(row, x));
                output += root * second[j] * units[j].0;
            }
            let error = output - target;
            loss += 0.5 * each * error * error;
            for (j, (value, slope, _)) in units.iter().enumerate() {
                g_second[j] += each * root * error * value;
                axpy(each * root * error * second[j] * slope, x, &mut g_first[j * n..(j + 1) * n]);
            }
        }
        self.scale(&mut gradient);
        Ok((loss, gradient))
    }

    fn offers(&self, _kind: Product) -> bool {
        true
    }

    fn has_kinks(&self) -> bool {
        self.unit == Unit::Relu
    }

    fn product(&self, kind: Product, at: &Vec<f64>, on: Sample, v: &Vec<f64>) -> Result<Vec<f64>> {
        let whole = match kind {
            Product::Exact => true,
            Product::GaussNewton => false,
            Product::Difference(difference) => return difference_product(self, difference, at, on, v, None),
        };
        let mut product = self.hessian_times(&self.unscaled(at), &self.unscaled(v), whole);
        self.scale(&mut product);
        Ok(product)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        descent::{Descent, Sgd},
        objective::{Difference, Hessian},
        system::System,
        testing::{check_operator, check_tangent},
        vector::Vector,
    };

    fn network(unit: Unit) -> (TwoLayer, Vec<f64>) {
        let network = TwoLayer::random(5, 7, unit, 3).unwrap().with_rates([0.3, 2.0]).unwrap();
        let weights = network.initial_weights(1.5, 4);
        (network, weights)
    }

    #[test]
    fn gradient_and_products_are_the_derivatives() {
        for unit in Unit::ALL {
            let (network, at) = network(unit);
            let (_, gradient) = network.gradient(&at, Sample::Full).unwrap();
            let loss = |at: &Vec<f64>| network.gradient(at, Sample::Full).unwrap().0;
            for (i, slope) in gradient.iter().enumerate() {
                let (mut up, mut down) = (at.clone(), at.clone());
                (up[i], down[i]) = (at[i] + 1e-6, at[i] - 1e-6);
                assert!(((loss(&up) - loss(&down)) / 2e-6 - slope).abs() < 1e-8, "{unit}, {i}");
            }
            let mut v = at.zeros_like();
            v.randomize(&mut Stream::new(5, Purpose::Probe, 0));
            let product = |kind| network.product(kind, &at, Sample::Full, &v).unwrap();
            let (exact, mut difference) =
                (product(Product::Exact), product(Product::Difference(Difference::central(1e-6))));
            difference.axpy(-1.0, &exact);
            assert!(difference.norm() < 1e-7 * exact.norm(), "{unit}: {}", difference.norm());
            for kind in [Product::Exact, Product::GaussNewton] {
                check_operator(&Hessian::new(&network, &at, Sample::Full).product(kind), &at, 1e-10);
            }
            assert!(product(Product::GaussNewton).dot(&v) > 0.0);
        }
    }

    #[test]
    fn rates_of_the_layers_are_those_of_descent_on_its_weights() {
        // By hand: W' = W − η_layer ∂L/∂W, from a network whose rates are 1.
        let rates = [0.3, 2.0];
        let plain = TwoLayer::random(5, 7, Unit::Tanh, 3).unwrap();
        let mut weights = plain.initial_weights(1.5, 4);
        let (network, start) = network(Unit::Tanh);
        let mut descent = Sgd::new(network.clone(), start, 1.0, Product::Exact);
        for _ in 0..20 {
            let (loss, gradient) = plain.gradient(&weights, Sample::Full).unwrap();
            assert!((descent.gradient().unwrap().0 - loss).abs() < 1e-12 * loss);
            for (i, (w, g)) in weights.iter_mut().zip(&gradient).enumerate() {
                *w -= rates[usize::from(i >= 25)] * g;
            }
            descent.step(&mut []).unwrap();
        }
        assert!(network.unscaled(descent.weights()).iter().zip(&weights).all(|(a, b)| (a - b).abs() < 1e-12));
        check_tangent(&descent, 6);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        assert!(TwoLayer::random(0, 1, Unit::Tanh, 0).is_err() && TwoLayer::random(1, 0, Unit::Tanh, 0).is_err());
        assert!(TwoLayer::random(1, 1, Unit::Tanh, 0).unwrap().with_rates([1.0, 0.0]).is_err());
    }
}
