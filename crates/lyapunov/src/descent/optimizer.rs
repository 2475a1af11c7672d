//! What all optimizers share: the gradient of the coming step, weight decay, and the order in which things move.

use super::{Action, Curvature, Descent, Edge};
use crate::{
    error::{Error, Result},
    objective::{Hessian, Objective, Product, Sample},
    operator::Operator,
    system::System,
    vector::Vector,
};

/// The update of one optimizer: how a gradient moves its state, and how that map's derivative moves deviations.
///
/// The state is the weights, or a pair that begins with them. Weight decay is not the rule's business: it is in the
/// gradient, or applied to the weights before.
pub trait UpdateRule<V: Vector>: Clone {
    /// Weights together with whatever else is remembered.
    type State: Vector;

    /// The state at rest.
    fn start(&self, weights: V) -> Self::State;

    /// A deviation of the state that moves these weights and nothing else.
    fn lift(&self, weights: V) -> Self::State {
        self.start(weights)
    }

    /// The weights to evaluate, where they are not those that gradients are taken at.
    fn evaluated(&self, state: &Self::State) -> V {
        Self::weights(state).clone()
    }

    /// The weights in a state.
    fn weights(state: &Self::State) -> &V;

    /// The weights in a state.
    fn weights_mut(state: &mut Self::State) -> &mut V;

    /// One step with this gradient.
    fn update(&self, state: &mut Self::State, gradient: &V, moment: Moment);

    /// The derivative of [`UpdateRule::update`] at `state`, applied to `deviation`, with `image` = (∂gradient/∂weights)
    /// δw.
    fn tangent(&self, state: &Self::State, gradient: &V, deviation: &mut Self::State, image: &V, moment: Moment);

    /// Where the step of a full-batch run becomes unstable at this learning rate and with this decay.
    fn edge(&self, learning_rate: f64, decay: Decay) -> Edge;

    /// m for the coming step w' = w − η P⁻¹ m.
    fn momentum(&self, state: &Self::State, gradient: &V, moment: Moment) -> V;

    /// P^-½ for the coming step, for a rule whose edge speaks of P^-½ H P^-½.
    fn preconditioner(&self, _state: &Self::State, _gradient: &V, _moment: Moment) -> Option<Action<V>> {
        None
    }

    /// Whether δ' = δ − η · image, so that the growth follows from image and deviation alone.
    fn is_plain(&self) -> bool {
        false
    }
}

/// What an update knows beside state and gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// η.
    pub learning_rate: f64,
    /// Which step this is, counted from 1.
    pub count: u64,
}

/// A pull of the weights towards zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decay {
    /// λ; 0 for none.
    pub rate: f64,
    /// Shrink the weights by 1 − ηλ before the step (Loshchilov & Hutter 2019) instead of adding λw to the gradient.
    pub decoupled: bool,
}

impl Decay {
    /// λ in the gradient, and λ apart from it.
    pub(super) fn parts(self) -> (f64, f64) {
        if self.decoupled { (0.0, self.rate) } else { (self.rate, 0.0) }
    }
}

/// An optimizer at work on the mini-batches of an objective; full-batch descent where every batch is the whole set.
///
/// [`Sgd`](super::Sgd), [`HeavyBall`](super::HeavyBall) and [`Adam`](super::Adam) are this with their rules.
#[derive(Clone, Debug)]
pub struct Optimizer<O: Objective, R: UpdateRule<O::Vector>> {
    objective: O,
    rule: R,
    state: R::State,
    learning_rate: f64,
    decay: Decay,
    product: Product,
    frozen: bool,
    step: u64,
    /// What is known of the coming step, once somebody has asked for it.
    pending: Option<Pending<O::Vector>>,
    curvatures: Vec<Curvature>,
    violation: Option<f64>,
}

#[derive(Clone, Debug)]
struct Pending<V> {
    /// Loss and gradient.
    evaluated: (f64, V),
    /// H δw of the first deviation, where it came out of the same pass.
    image: Option<V>,
}

impl<O: Objective, R: UpdateRule<O::Vector>> Optimizer<O, R> {
    /// Descent by `rule` from `weights` at rest, with learning rate η; deviations are carried by `product`.
    pub fn with_rule(objective: O, weights: O::Vector, learning_rate: f64, rule: R, product: Product) -> Self {
        Self {
            objective,
            state: rule.start(weights),
            rule,
            learning_rate,
            decay: Decay::default(),
            product,
            frozen: false,
            step: 0,
            pending: None,
            curvatures: Vec::new(),
            violation: None,
        }
    }

    /// The same with weight decay.
    ///
    /// # Errors
    /// [`Error::Argument`] for a rate that is negative or not finite.
    pub fn with_decay(mut self, decay: Decay) -> Result<Self> {
        if !(decay.rate.is_finite() && decay.rate >= 0.0) {
            return Err(Error::argument("weight_decay", decay.rate, "must be finite and not negative"));
        }
        self.decay = decay;
        Ok(self)
    }

    /// The same with weights that do not move: batches, deviations and the rest of the state do.
    #[must_use]
    pub fn frozen(mut self) -> Self {
        self.frozen = true;
        self
    }

    /// The rule.
    pub fn rule(&self) -> &R {
        &self.rule
    }

    fn moment(&self) -> Moment {
        Moment { learning_rate: self.learning_rate, count: self.step + 1 }
    }

    /// λ where weight decay is part of the gradient.
    fn coupled(&self) -> f64 {
        self.decay.parts().0
    }

    /// What decoupled weight decay leaves of the weights.
    fn shrinkage(&self) -> f64 {
        1.0 - self.learning_rate * self.decay.parts().1
    }

    /// Gradient of loss and coupled decay.
    fn effective(&self, gradient: &O::Vector) -> O::Vector {
        let mut effective = gradient.clone();
        if self.coupled() > 0.0 {
            effective.axpy(self.coupled(), R::weights(&self.state));
        }
        effective
    }

    fn move_deviations(
        &mut self,
        deviations: &mut [R::State],
        (gradient, effective): (&O::Vector, &O::Vector),
        mut first_image: Option<O::Vector>,
    ) -> Result<()> {
        self.curvatures.clear();
        self.violation = None;
        let moment = self.moment();
        let at = R::weights(&self.state);
        let on = Sample::Mini(self.step);
        let hessian = Hessian { objective: &self.objective, at, on, product: self.product, gradient: Some(gradient) };
        for deviation in deviations {
            let moved = R::weights(deviation);
            let mut image = match first_image.take() {
                Some(image) => image,
                None => hessian.apply(moved)?,
            };
            let curvature = Curvature::of(moved, &image);
            self.curvatures.push(curvature);
            // The growth is checked on the first deviation.
            let length = (self.rule.is_plain() && self.violation.is_none()).then(|| moved.norm());
            if self.coupled() > 0.0 {
                image.axpy(self.coupled(), moved);
            }
            if self.decay.decoupled {
                R::weights_mut(deviation).scale(self.shrinkage());
            }
            self.rule.tangent(&self.state, effective, deviation, &image, moment);
            if let Some(length) = length {
                let grown = (R::weights(deviation).norm() / length).ln();
                self.violation = Some((grown - curvature.growth(self.learning_rate, self.decay.rate)).abs());
            }
        }
        Ok(())
    }

    fn move_state(&mut self, effective: &O::Vector) {
        let kept = self.frozen.then(|| R::weights(&self.state).clone());
        let moment = self.moment();
        if self.decay.decoupled {
            let shrinkage = self.shrinkage();
            R::weights_mut(&mut self.state).scale(shrinkage);
        }
        self.rule.update(&mut self.state, effective, moment);
        if let Some(weights) = kept {
            *R::weights_mut(&mut self.state) = weights;
        }
    }
}

impl<O: Objective, R: UpdateRule<O::Vector>> System for Optimizer<O, R> {
    type Vector = R::State;

    fn state(&self) -> &R::State {
        &self.state
    }

    fn set_state(&mut self, state: R::State) {
        self.state = state;
        self.pending = None;
    }

    fn step(&mut self, deviations: &mut [R::State]) -> Result<()> {
        self.gradient()?;
        let Some(Pending { evaluated: (_, gradient), image }) = self.pending.take() else {
            unreachable!("the gradient was computed above")
        };
        let effective = self.effective(&gradient);
        self.move_deviations(deviations, (&gradient, &effective), image)?;
        self.move_state(&effective);
        self.step += 1;
        Ok(())
    }

    fn time_step(&self) -> f64 {
        self.learning_rate
    }
}

impl<O: Objective, R: UpdateRule<O::Vector>> Descent for Optimizer<O, R> {
    type Objective = O;

    fn objective(&self) -> &O {
        &self.objective
    }

    fn weights(&self) -> &O::Vector {
        R::weights(&self.state)
    }

    fn evaluated(&self) -> O::Vector {
        self.rule.evaluated(&self.state)
    }

    fn gradient(&mut self) -> Result<&(f64, O::Vector)> {
        let pending = match self.pending.take() {
            Some(known) => known,
            None => Pending {
                evaluated: self.objective.gradient(R::weights(&self.state), Sample::Mini(self.step))?,
                image: None,
            },
        };
        Ok(&self.pending.insert(pending).evaluated)
    }

    fn gradient_along(&mut self, deviation: &R::State) -> Result<&(f64, O::Vector)> {
        let (at, on) = (R::weights(&self.state), Sample::Mini(self.step));
        let (loss, gradient, image) =
            self.objective.gradient_and_product(self.product, at, on, R::weights(deviation))?;
        Ok(&self.pending.insert(Pending { evaluated: (loss, gradient), image: Some(image) }).evaluated)
    }

    fn lift(&self, weights: O::Vector) -> R::State {
        self.rule.lift(weights)
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

    fn resume(&mut self, state: R::State, learning_rate: f64, steps_taken: u64) {
        self.set_state(state);
        self.learning_rate = learning_rate;
        self.step = steps_taken;
    }

    fn edge(&self) -> Edge {
        self.rule.edge(self.learning_rate, self.decay)
    }

    fn edge_constant(&self) -> f64 {
        self.rule.edge(1.0, Decay::default()).threshold
    }

    fn preconditioner(&mut self) -> Result<Option<Action<O::Vector>>> {
        if !self.edge().preconditioned {
            return Ok(None);
        }
        let gradient = self.gradient()?.1.clone();
        Ok(self.rule.preconditioner(&self.state, &self.effective(&gradient), self.moment()))
    }

    fn momentum(&mut self) -> Result<O::Vector> {
        let gradient = self.gradient()?.1.clone();
        Ok(self.rule.momentum(&self.state, &self.effective(&gradient), self.moment()))
    }

    fn product(&self) -> Product {
        self.product
    }

    fn curvatures(&self) -> &[Curvature] {
        &self.curvatures
    }

    fn growth_violation(&self) -> Option<f64> {
        self.violation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        descent::{Adam, HeavyBall, Moments, Momentum, Sgd, SgdRule},
        systems::{Quadratic, ScalarNetwork},
        testing::check_tangent,
    };

    const NETWORK: ScalarNetwork = ScalarNetwork { target: 2.0 };

    fn decays() -> [Decay; 3] {
        [(0.0, false), (0.3, false), (0.3, true)].map(|(rate, decoupled)| Decay { rate, decoupled })
    }

    /// Steps along, checking the tangent of each step, and that deviations change nothing.
    fn check<R: UpdateRule<Vec<f64>>>(mut descent: Optimizer<ScalarNetwork, R>, name: &str) {
        for _ in 0..8 {
            check_tangent(&descent, 3);
            let mut carrying = descent.clone();
            let mut deviations = [descent.lift(vec![1.0, 0.5]), descent.lift(vec![-0.3, 2.0])];
            carrying.step(&mut deviations).unwrap();
            descent.step(&mut []).unwrap();
            let (plain, moved) = (R::weights(descent.state()), R::weights(carrying.state()));
            assert_eq!(plain, moved, "{name}");
        }
    }

    #[test]
    fn every_optimizer_passes_the_taylor_test_with_every_decay() {
        for decay in decays() {
            let start = || vec![0.7, 1.9];
            check(Sgd::new(NETWORK, start(), 0.1, Product::Exact).with_decay(decay).unwrap(), "sgd");
            for nesterov in [false, true] {
                let ball = if nesterov { HeavyBall::nesterov } else { HeavyBall::new };
                let ball = ball(NETWORK, start(), 0.05, 0.9, Product::Exact).unwrap();
                check(ball.with_decay(decay).unwrap(), "momentum");
            }
            // Gradients and moments of about the size of the directions that the test takes.
            let (steep, rule) = (ScalarNetwork { target: 20.0 }, Moments { beta1: 0.8, beta2: 0.9, epsilon: 1e-3 });
            let mut adam = Adam::new(steep, start(), 0.05, rule, Product::Exact).unwrap().with_decay(decay).unwrap();
            adam.step(&mut []).unwrap();
            check(adam, "adam");
        }
    }

    #[test]
    fn a_joint_pass_moves_state_and_deviation_alike() {
        let mut apart = Sgd::new(NETWORK, vec![0.7, 1.9], 0.1, Product::Exact);
        let mut joint = apart.clone();
        let mut deviations = ([vec![1.0, -0.5], vec![0.2, 0.1]], [vec![1.0, -0.5], vec![0.2, 0.1]]);
        for _ in 0..5 {
            apart.step(&mut deviations.0).unwrap();
            joint.gradient_along(&deviations.1[0]).unwrap();
            joint.step(&mut deviations.1).unwrap();
        }
        assert_eq!((apart.state(), deviations.0), (joint.state(), deviations.1));
    }

    #[test]
    fn frozen_weights_stay_and_deviations_move() {
        let mut frozen = Sgd::new(Quadratic::new(vec![2.0, -1.0]), vec![1.0, 1.0], 0.1, Product::Exact).frozen();
        let mut deviations = [vec![1.0, 1.0]];
        for _ in 0..3 {
            frozen.step(&mut deviations).unwrap();
        }
        assert_eq!(frozen.state(), &vec![1.0, 1.0]);
        assert!(
            (deviations[0][0] - 0.8_f64.powi(3)).abs() < 1e-15 && (deviations[0][1] - 1.1_f64.powi(3)).abs() < 1e-15
        );
    }

    #[test]
    fn the_growth_of_plain_descent_follows_from_the_curvature() {
        for decay in decays() {
            let mut descent = Sgd::new(NETWORK, vec![0.7, 1.9], 0.1, Product::Exact).with_decay(decay).unwrap();
            let mut deviations = [vec![0.6, 0.8]];
            for _ in 0..5 {
                descent.step(&mut deviations).unwrap();
                assert!(descent.growth_violation().unwrap() < 1e-13);
            }
        }
        let mut ball = HeavyBall::new(NETWORK, vec![0.7, 1.9], 0.1, 0.9, Product::Exact).unwrap();
        let mut deviations = [ball.lift(vec![0.6, 0.8])];
        ball.step(&mut deviations).unwrap();
        assert_eq!((ball.growth_violation(), ball.curvatures().len()), (None, 1));
    }

    /// The largest modulus of the step's Jacobian on one curvature, by its growth.
    fn grows<R: UpdateRule<Vec<f64>>>(rule: R, decay: Decay, share: f64) -> bool {
        let probe = Optimizer::with_rule(Quadratic::new(vec![1.0]), vec![1.0], 0.1, rule.clone(), Product::Exact);
        let curvature = share * probe.with_decay(decay).unwrap().edge().threshold;
        let descent = Optimizer::with_rule(Quadratic::new(vec![curvature]), vec![1.0], 0.1, rule, Product::Exact);
        let mut descent = descent.with_decay(decay).unwrap();
        (0..2000).for_each(|_| descent.step(&mut []).unwrap());
        descent.weights()[0].abs() > 1.0
    }

    #[test]
    fn every_edge_is_where_the_step_turns_unstable_with_every_decay() {
        for decay in [(0.0, false), (5.0, false), (5.0, true)].map(|(rate, decoupled)| Decay { rate, decoupled }) {
            assert!(grows(SgdRule, decay, 1.01) && !grows(SgdRule, decay, 0.99), "sgd, {decay:?}");
            for nesterov in [false, true] {
                let rule = Momentum::new(0.9, nesterov).unwrap();
                assert!(grows(rule, decay, 1.01) && !grows(rule, decay, 0.99), "nesterov: {nesterov}, {decay:?}");
            }
        }
    }

    #[test]
    fn decay_shifts_the_curvature_and_with_it_the_edge() {
        let decay = Decay { rate: 0.5, decoupled: true };
        let descent = Sgd::new(NETWORK, vec![0.7, 1.9], 0.1, Product::Exact).with_decay(decay).unwrap();
        assert_eq!(descent.edge().threshold, 19.5);
        let negative = Sgd::new(NETWORK, vec![0.7, 1.9], 0.1, Product::Exact);
        let refused = negative.with_decay(Decay { rate: -1.0, decoupled: false });
        assert!(refused.unwrap_err().to_string().contains("weight_decay = -1"));
    }
}
