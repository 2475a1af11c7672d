//! Descent with momentum, its velocity part of the state: the heavy ball, and Nesterov's variant.

use super::{
    Edge,
    optimizer::{Decay, Moment, Optimizer, UpdateRule},
};
use crate::{
    error::{Error, Result},
    objective::{Objective, Product},
    vector::Vector,
};

/// v' = βv + g_B(w), w' = w − ηv', in the convention of PyTorch; the state is the pair (w, v). Nesterov's variant steps
/// by w' = w − η(g_B(w) + βv').
///
/// The tangent carries both: δv' = βδv + H_B(w) δw, δw' = δw − ηδv'. Every step of the heavy ball shrinks the volume of
/// the 2n dimensions by βⁿ, so the 2n exponents add up to n ln β, exactly. On a quadratic loss they are the log moduli
/// of the roots of z² − (1 + β − ηh)z + β, one pair for each curvature h; the edge of stability is at h = (2 + 2β)/η.
/// Nesterov has the roots of z² − (1 + β)(1 − ηh)z + β(1 − ηh) and the edge (2 + 2β)/((1 + 2β)η).
///
/// **Cost** per step: one gradient, and one product per deviation. **Memory**: weights, velocity and one gradient.
/// **Source**: Polyak 1964; Nesterov 1983 as in Sutskever and others 2013; Cohen and others 2021, appendix B, for the
/// edges.
///
/// ```
/// use lyapunov::{HeavyBall, Product, SpectrumOptions, exponents, systems::Quadratic};
/// let mut descent = HeavyBall::new(Quadratic::new(vec![3.0]), vec![0.0], 0.1, 0.9, Product::Exact)?;
/// let found = exponents(&mut descent, &SpectrumOptions::default())?;
/// // Complex roots: both have the modulus √β.
/// assert!((found.values[0] - 0.5 * 0.9_f64.ln()).abs() < 1e-3);
/// assert!((found.sum.value - 0.9_f64.ln()).abs() < 1e-10);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub type HeavyBall<O> = Optimizer<O, Momentum>;

/// The rule of [`HeavyBall`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Momentum {
    /// β.
    momentum: f64,
    nesterov: bool,
}

impl Momentum {
    /// The heavy ball with momentum β, or Nesterov's variant.
    ///
    /// # Errors
    /// [`Error::Argument`] for a momentum outside [0, 1).
    pub fn new(momentum: f64, nesterov: bool) -> Result<Self> {
        if !(0.0..1.0).contains(&momentum) {
            return Err(Error::argument("momentum", momentum, "must be at least 0 and below 1"));
        }
        Ok(Self { momentum, nesterov })
    }
}

impl<O: Objective> HeavyBall<O> {
    /// The heavy ball from `weights` at rest, with learning rate η and momentum β; deviations are carried by `product`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a momentum outside [0, 1).
    pub fn new(objective: O, weights: O::Vector, learning_rate: f64, momentum: f64, product: Product) -> Result<Self> {
        Ok(Self::with_rule(objective, weights, learning_rate, Momentum::new(momentum, false)?, product))
    }

    /// The same by Nesterov's variant.
    ///
    /// # Errors
    /// [`Error::Argument`] for a momentum outside [0, 1).
    pub fn nesterov(
        objective: O,
        weights: O::Vector,
        learning_rate: f64,
        momentum: f64,
        product: Product,
    ) -> Result<Self> {
        Ok(Self::with_rule(objective, weights, learning_rate, Momentum::new(momentum, true)?, product))
    }

    /// The moduli |z| of the two roots of z² − (1 + β − ηh)z + β, largest first: what one step of the heavy ball does
    /// to a curvature h.
    ///
    /// ```
    /// use lyapunov::{HeavyBall, systems::Quadratic};
    /// // Without momentum one root is 1 - ηh and the other 0.
    /// assert_eq!(HeavyBall::<Quadratic>::moduli(4.0, 0.1, 0.0), [0.6, 0.0]);
    /// ```
    pub fn moduli(curvature: f64, learning_rate: f64, momentum: f64) -> [f64; 2] {
        moduli_of_roots(1.0 + momentum - learning_rate * curvature, momentum)
    }

    /// The moduli |z| of the two roots of z² − (1 + β)(1 − ηh)z + β(1 − ηh), largest first: what one step of Nesterov's
    /// variant does to a curvature h.
    ///
    /// ```
    /// use lyapunov::{HeavyBall, systems::Quadratic};
    /// let edge = (2.0 + 2.0 * 0.9) / (1.0 + 2.0 * 0.9) / 0.1;
    /// assert!((HeavyBall::<Quadratic>::nesterov_moduli(edge, 0.1, 0.9)[0] - 1.0).abs() < 1e-12);
    /// ```
    pub fn nesterov_moduli(curvature: f64, learning_rate: f64, momentum: f64) -> [f64; 2] {
        let kept = 1.0 - learning_rate * curvature;
        moduli_of_roots((1.0 + momentum) * kept, momentum * kept)
    }
}

/// The moduli of the roots of z² − trace·z + determinant, largest first.
fn moduli_of_roots(trace: f64, determinant: f64) -> [f64; 2] {
    let discriminant = 0.25 * trace * trace - determinant;
    if discriminant < 0.0 {
        return [determinant.sqrt(); 2];
    }
    let largest = 0.5 * trace.abs() + discriminant.sqrt();
    [largest, if largest > 0.0 { determinant.abs() / largest } else { 0.0 }]
}

impl Momentum {
    /// The update and its derivative are the same linear map of ((w, v), g).
    fn advance<V: Vector>(&self, (weights, velocity): &mut (V, V), gradient: &V, learning_rate: f64) {
        velocity.scale(self.momentum);
        velocity.axpy(1.0, gradient);
        if self.nesterov {
            weights.axpy(-learning_rate, gradient);
            weights.axpy(-learning_rate * self.momentum, velocity);
        } else {
            weights.axpy(-learning_rate, velocity);
        }
    }
}

impl<V: Vector> UpdateRule<V> for Momentum {
    type State = (V, V);

    fn start(&self, weights: V) -> (V, V) {
        let velocity = weights.zeros_like();
        (weights, velocity)
    }

    fn weights(state: &(V, V)) -> &V {
        &state.0
    }

    fn weights_mut(state: &mut (V, V)) -> &mut V {
        &mut state.0
    }

    fn update(&self, state: &mut (V, V), gradient: &V, moment: Moment) {
        self.advance(state, gradient, moment.learning_rate);
    }

    fn tangent(&self, _state: &(V, V), _gradient: &V, deviation: &mut (V, V), image: &V, moment: Moment) {
        self.advance(deviation, image, moment.learning_rate);
    }

    fn edge(&self, learning_rate: f64, decay: Decay) -> Edge {
        let stretch = if self.nesterov { 1.0 + 2.0 * self.momentum } else { 1.0 };
        let (coupled, decoupled) = decay.parts();
        let room = (2.0 - learning_rate * decoupled) / learning_rate;
        let threshold = room * (1.0 + self.momentum) / stretch - coupled;
        Edge { threshold, preconditioned: false, holds_batch_sharpness: false }
    }

    fn momentum(&self, (_, velocity): &(V, V), gradient: &V, _moment: Moment) -> V {
        let mut velocity = velocity.clone();
        velocity.scale(self.momentum);
        velocity.axpy(1.0, gradient);
        if self.nesterov {
            velocity.scale(self.momentum);
            velocity.axpy(1.0, gradient);
        }
        velocity
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        descent::{Descent, Sgd},
        exponents::{SpectrumOptions, exponents},
        system::System,
        systems::{Quadratic, ScalarNetwork},
        testing::check_tangent,
    };

    #[test]
    fn without_momentum_it_is_gradient_descent() {
        let mut ball = HeavyBall::new(ScalarNetwork { target: 2.0 }, vec![0.7, 1.9], 0.1, 0.0, Product::Exact).unwrap();
        let mut plain = Sgd::new(ScalarNetwork { target: 2.0 }, vec![0.7, 1.9], 0.1, Product::Exact);
        for _ in 0..20 {
            ball.step(&mut []).unwrap();
            plain.step(&mut []).unwrap();
        }
        assert_eq!(ball.weights(), plain.weights());
    }

    #[test]
    fn the_first_steps_on_a_quadratic_are_those_of_the_formula() {
        let mut descent = HeavyBall::new(Quadratic::new(vec![2.0]), vec![1.0], 0.1, 0.5, Product::Exact).unwrap();
        descent.step(&mut []).unwrap();
        assert_eq!(descent.state(), &(vec![0.8], vec![2.0]));
        descent.step(&mut []).unwrap();
        // v = 0.5·2 + 2·0.8, w = 0.8 − 0.1 v.
        assert!((descent.state().1[0] - 2.6).abs() < 1e-15 && (descent.state().0[0] - 0.54).abs() < 1e-15);
    }

    #[test]
    fn the_exponents_of_nesterov_on_a_quadratic_are_the_log_moduli_of_its_roots() {
        // One curvature, in both regimes of the roots, and one above the edge.
        for (curvature, tolerance) in [(-0.5, 1e-9), (20.0, 1e-9), (1.0, 2e-3)] {
            let quadratic = Quadratic::new(vec![curvature]);
            let mut descent = HeavyBall::nesterov(quadratic, vec![0.0], 0.1, 0.9, Product::Exact).unwrap();
            check_tangent(&descent, 1);
            let found = exponents(&mut descent, &SpectrumOptions::default()).unwrap();
            let exact = HeavyBall::<Quadratic>::nesterov_moduli(curvature, 0.1, 0.9).map(f64::ln);
            for (found, exact) in found.values.iter().zip(exact) {
                assert!((found - exact).abs() < tolerance, "{curvature}: {found} for {exact}");
            }
        }
    }

    #[test]
    fn a_full_batch_run_turns_unstable_at_its_edge() {
        for nesterov in [false, true] {
            let rule = Momentum::new(0.9, nesterov).unwrap();
            let grows = |share: f64| {
                let curvature = share * UpdateRule::<Vec<f64>>::edge(&rule, 0.1, Decay::default()).threshold;
                let quadratic = Quadratic::new(vec![curvature]);
                let mut descent = HeavyBall::with_rule(quadratic, vec![1.0], 0.1, rule, Product::Exact);
                (0..2000).for_each(|_| descent.step(&mut []).unwrap());
                descent.weights()[0].abs() > 1.0
            };
            assert!(grows(1.01) && !grows(0.99), "nesterov: {nesterov}");
        }
    }

    #[test]
    fn a_momentum_outside_its_domain_is_refused() {
        let refused = HeavyBall::new(Quadratic::new(vec![1.0]), vec![1.0], 0.1, 1.0, Product::Exact);
        assert!(refused.unwrap_err().to_string().contains("momentum = 1"));
    }
}
