//! The heavy ball: gradient descent with momentum, its velocity part of the state.

use super::Descent;
use crate::{
    error::{Error, Result},
    objective::{Hessian, Objective, Product, Sample},
    operator::Operator,
    system::System,
    vector::Vector,
};

/// v' = βv + g_B(w), w' = w − ηv', in the convention of PyTorch; the state is the pair (w, v).
///
/// The tangent carries both: δv' = βδv + H_B(w) δw, δw' = δw − ηδv'. Every step shrinks the volume of the 2n dimensions
/// by βⁿ, so the 2n exponents add up to n ln β, exactly. On a quadratic loss they are the log moduli of the roots of
/// z² − (1 + β − ηh)z + β, one pair for each curvature h; the edge of stability is at h = (2 + 2β)/η.
///
/// **Cost** per step: one gradient, and one product per deviation. **Memory**: weights, velocity and one gradient.
/// **Source**: Polyak 1964; Cohen and others 2021, appendix B, for the edge.
///
/// ```
/// use lyapunov::{HeavyBall, Product, Spectrum, exponents, systems::Quadratic};
/// let mut descent = HeavyBall::new(Quadratic::new(vec![3.0]), vec![0.0], 0.1, 0.9, Product::Exact)?;
/// let found = exponents(&mut descent, &Spectrum::default())?;
/// // Complex roots: both have the modulus √β.
/// assert!((found.values[0] - 0.5 * 0.9_f64.ln()).abs() < 1e-3);
/// assert!((found.sum.value - 0.9_f64.ln()).abs() < 1e-10);
/// # Ok::<(), lyapunov::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HeavyBall<O: Objective> {
    objective: O,
    /// (w, v).
    state: (O::Vector, O::Vector),
    learning_rate: f64,
    momentum: f64,
    product: Product,
    step: u64,
    /// Loss and gradient of the coming step, once somebody has asked for them.
    pending: Option<(f64, O::Vector)>,
}

impl<O: Objective> HeavyBall<O> {
    /// Descent from `weights` at rest, with learning rate η and momentum β; deviations are carried by `product`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a momentum outside [0, 1).
    pub fn new(objective: O, weights: O::Vector, learning_rate: f64, momentum: f64, product: Product) -> Result<Self> {
        if !(0.0..1.0).contains(&momentum) {
            return Err(Error::argument("momentum", momentum, "must be at least 0 and below 1"));
        }
        let velocity = weights.zeros_like();
        Ok(Self { objective, state: (weights, velocity), learning_rate, momentum, product, step: 0, pending: None })
    }

    /// The moduli |z| of the two roots of z² − (1 + β − ηh)z + β, largest first: what one step does to a curvature h.
    ///
    /// ```
    /// use lyapunov::{HeavyBall, systems::Quadratic};
    /// // Without momentum one root is 1 - ηh and the other 0.
    /// assert_eq!(HeavyBall::<Quadratic>::moduli(4.0, 0.1, 0.0), [0.6, 0.0]);
    /// ```
    pub fn moduli(curvature: f64, learning_rate: f64, momentum: f64) -> [f64; 2] {
        let half_trace = 0.5 * (1.0 + momentum - learning_rate * curvature);
        let discriminant = half_trace * half_trace - momentum;
        if discriminant < 0.0 {
            return [momentum.sqrt(); 2];
        }
        let largest = half_trace.abs() + discriminant.sqrt();
        [largest, if largest > 0.0 { momentum / largest } else { 0.0 }]
    }
}

impl<O: Objective> System for HeavyBall<O> {
    type Vector = (O::Vector, O::Vector);

    fn state(&self) -> &(O::Vector, O::Vector) {
        &self.state
    }

    fn set_state(&mut self, state: (O::Vector, O::Vector)) {
        self.state = state;
        self.pending = None;
    }

    fn step(&mut self, deviations: &mut [(O::Vector, O::Vector)]) -> Result<()> {
        self.gradient()?;
        let on = Sample::Mini(self.step);
        let known = self.pending.as_ref().map(|(_, gradient)| gradient);
        let hessian =
            Hessian { objective: &self.objective, at: &self.state.0, on, product: self.product, gradient: known };
        for (weights, velocity) in deviations {
            let image = hessian.apply(weights)?;
            velocity.scale(self.momentum);
            velocity.axpy(1.0, &image);
            weights.axpy(-self.learning_rate, velocity);
        }
        if let Some((_, gradient)) = self.pending.take() {
            let (weights, velocity) = &mut self.state;
            velocity.scale(self.momentum);
            velocity.axpy(1.0, &gradient);
            weights.axpy(-self.learning_rate, velocity);
        }
        self.step += 1;
        Ok(())
    }

    fn time_step(&self) -> f64 {
        self.learning_rate
    }
}

impl<O: Objective> Descent for HeavyBall<O> {
    type Objective = O;

    fn objective(&self) -> &O {
        &self.objective
    }

    fn weights(&self) -> &O::Vector {
        &self.state.0
    }

    fn gradient(&mut self) -> Result<&(f64, O::Vector)> {
        let evaluated = match self.pending.take() {
            Some(known) => known,
            None => self.objective.gradient(&self.state.0, Sample::Mini(self.step))?,
        };
        Ok(self.pending.insert(evaluated))
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    fn steps_taken(&self) -> u64 {
        self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        descent::Sgd,
        systems::{Quadratic, ScalarNetwork},
        testing::check_tangent,
    };

    fn network() -> HeavyBall<ScalarNetwork> {
        HeavyBall::new(ScalarNetwork { target: 2.0 }, vec![0.7, 1.9], 0.1, 0.9, Product::Exact).unwrap()
    }

    #[test]
    fn the_tangent_passes_the_taylor_test_along_the_run() {
        let mut descent = network();
        for _ in 0..10 {
            check_tangent(&descent, 3);
            descent.step(&mut []).unwrap();
        }
    }

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
    fn deviations_do_not_change_the_descent() {
        let (mut plain, mut carrying) = (network(), network());
        let mut deviations = [(vec![1.0, 0.0], vec![0.0, 1.0])];
        for _ in 0..20 {
            plain.step(&mut []).unwrap();
            carrying.step(&mut deviations).unwrap();
        }
        assert_eq!(plain.state(), carrying.state());
    }

    #[test]
    fn a_momentum_outside_its_domain_is_refused() {
        let refused = HeavyBall::new(Quadratic::new(vec![1.0]), vec![1.0], 0.1, 1.0, Product::Exact);
        assert!(refused.unwrap_err().to_string().contains("momentum = 1"));
    }
}
