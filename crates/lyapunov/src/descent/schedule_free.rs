//! Schedule-free descent: the average of the iterates takes the place of a falling learning rate.

use super::{
    Edge,
    optimizer::{Decay, Moment, Optimizer, UpdateRule},
};
use crate::{
    error::{Error, Result},
    objective::{Objective, Product},
    vector::Vector,
};

/// z' = z − η g(y), x' = (1 − c) x + c z' with c = m²/Σmᵢ² up to this step, y' = (1 − β) z' + β x'. Gradients are taken
/// at y, which is the state's weights; x is what is evaluated. The state is (y, (z, (Σmᵢ², m))).
///
/// The weight m is η; where η has fallen to half of the m before it or below, m stays. By η² alone a rate that falls far,
/// as a rule lets it after steps that were too long, would leave x where those steps had taken it.
///
/// The edge is at 2/((1 − β)η): once x hardly moves, y and with it the gradient move by 1 − β of what z moves.
///
/// **Cost** per step: one gradient, and one product per deviation. **Memory**: two vectors and one gradient.
/// **Source**: Defazio and others,
/// *The road less scheduled* (2024), equations 2–4, with the weights of their section on warm-up; the code that
/// they published has the largest η so far for m.
///
/// ```
/// use lyapunov::{Descent, Product, ScheduleFree, System, systems::Quadratic};
/// let mut descent = ScheduleFree::new(Quadratic::new(vec![1.0, 3.0]), vec![1.0, 1.0], 0.5, 0.9, Product::Exact)?;
/// (0..200).for_each(|_| descent.step(&mut []).expect("a quadratic"));
/// assert!(descent.evaluated().iter().all(|w| w.abs() < 0.02));
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub type ScheduleFree<O> = Optimizer<O, ScheduleFreeRule>;

/// The rule of [`ScheduleFree`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScheduleFreeRule {
    momentum: f64,
}

impl ScheduleFreeRule {
    /// The rule with β = `momentum`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a β outside (0, 1).
    pub fn new(momentum: f64) -> Result<Self> {
        if momentum > 0.0 && momentum < 1.0 {
            return Ok(Self { momentum });
        }
        Err(Error::argument("momentum", momentum, "must be above 0 and below 1"))
    }

    /// What y has of x: x = (y − (1 − β) z)/β.
    fn average<V: Vector>(self, weights: &V, fast: &V) -> V {
        let mut average = weights.clone();
        average.axpy(self.momentum - 1.0, fast);
        average.scale(1.0 / self.momentum);
        average
    }

    /// The step, which is linear in (y, z, g) for a given c.
    fn advance<V: Vector>(self, weights: &mut V, fast: &mut V, gradient: &V, learning_rate: f64, share: f64) {
        let mut average = self.average(weights, fast);
        fast.axpy(-learning_rate, gradient);
        average.scale(1.0 - share);
        average.axpy(share, fast);
        *weights = fast.clone();
        weights.scale(1.0 - self.momentum);
        weights.axpy(self.momentum, &average);
    }
}

/// c, with Σmᵢ² and m after this step.
fn share([sum, weight]: [f64; 2], learning_rate: f64) -> (f64, [f64; 2]) {
    let weight = if keeps(weight, learning_rate) { weight } else { learning_rate };
    let (square, sum) = (weight * weight, sum + weight * weight);
    // Nothing has moved as long as every η was zero.
    (if sum > 0.0 { square / sum } else { 0.0 }, [sum, weight])
}

/// Whether m stays what it is at this η.
fn keeps(weight: f64, learning_rate: f64) -> bool {
    learning_rate <= 0.5 * weight
}

impl<O: Objective> ScheduleFree<O> {
    /// Descent from `weights` with learning rate η and β = `momentum`; deviations are carried by `product`.
    ///
    /// # Errors
    /// Those of [`ScheduleFreeRule::new`].
    pub fn new(objective: O, weights: O::Vector, learning_rate: f64, momentum: f64, product: Product) -> Result<Self> {
        Ok(Self::with_rule(objective, weights, learning_rate, ScheduleFreeRule::new(momentum)?, product))
    }
}

impl<V: Vector> UpdateRule<V> for ScheduleFreeRule {
    type State = (V, (V, [f64; 2]));

    fn start(&self, weights: V) -> Self::State {
        (weights.clone(), (weights, [0.0; 2]))
    }

    fn lift(&self, weights: V) -> Self::State {
        let zero = weights.zeros_like();
        (weights, (zero, [0.0; 2]))
    }

    fn weights(state: &Self::State) -> &V {
        &state.0
    }

    fn weights_mut(state: &mut Self::State) -> &mut V {
        &mut state.0
    }

    fn evaluated(&self, (weights, (fast, _)): &Self::State) -> V {
        self.average(weights, fast)
    }

    fn update(&self, (weights, (fast, sum)): &mut Self::State, gradient: &V, moment: Moment) {
        let (share, total) = share(*sum, moment.learning_rate);
        *sum = total;
        self.advance(weights, fast, gradient, moment.learning_rate, share);
    }

    fn tangent(&self, state: &Self::State, gradient: &V, deviation: &mut Self::State, image: &V, moment: Moment) {
        let (weights, (fast, moved_sum)) = deviation;
        let (before, rate) = (state.1.1, moment.learning_rate);
        let (share, [total, weight]) = share(before, rate);
        // c depends on the state by its sum, and by m where that stays: Σ' = Σ + m², δc = (2m δm − c δΣ')/Σ', and x'
        // moves by δc (z' − x).
        if !keeps(before[1], rate) {
            moved_sum[1] = 0.0;
        }
        let square = 2.0 * weight * moved_sum[1];
        moved_sum[0] += square;
        let moved_share = if total > 0.0 { (square - share * moved_sum[0]) / total } else { 0.0 };
        let (at, (fast_at, _)) = state;
        let mut lag = fast_at.clone();
        lag.axpy(-1.0, &self.average(at, fast_at));
        lag.axpy(-rate, gradient);
        self.advance(weights, fast, image, rate, share);
        weights.axpy(self.momentum * moved_share, &lag);
    }

    fn edge(&self, learning_rate: f64, decay: Decay) -> Edge {
        let threshold = 2.0 / ((1.0 - self.momentum) * learning_rate) - decay.rate;
        Edge { threshold, preconditioned: false, holds_batch_sharpness: false }
    }

    fn momentum(&self, (weights, (fast, sum)): &Self::State, gradient: &V, moment: Moment) -> V {
        // y' − y = −η ((1 − β + βc) g + …): the part that the averages add is no gradient, and belongs to the step all
        // the same.
        let (mut to, mut fast, rate) = (weights.clone(), fast.clone(), moment.learning_rate);
        let (share, _) = share(*sum, rate);
        self.advance(&mut to, &mut fast, gradient, rate, share);
        to.axpy(-1.0, weights);
        to.scale(if rate > 0.0 { -1.0 / rate } else { 0.0 });
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{descent::Descent, system::System, systems::Quadratic, testing::check_tangent};

    fn descent(curvatures: Vec<f64>, rate: f64) -> ScheduleFree<Quadratic> {
        let start = vec![1.0; curvatures.len()];
        ScheduleFree::new(Quadratic::new(curvatures), start, rate, 0.9, Product::Exact).unwrap()
    }

    #[test]
    fn the_tangent_passes_the_taylor_test_all_along() {
        let mut descent = descent(vec![1.0, 30.0, -0.1], 0.05);
        for _ in 0..20 {
            descent.step(&mut []).unwrap();
            check_tangent(&descent, 5);
        }
    }

    #[test]
    fn what_is_evaluated_is_the_mean_of_the_fast_iterates() {
        let mut descent = descent(vec![2.0], 0.3);
        let mut sum = 0.0;
        for t in 1..=20 {
            descent.step(&mut []).unwrap();
            sum += descent.state().1.0[0];
            assert!((descent.evaluated()[0] - sum / f64::from(t)).abs() < 1e-14);
        }
    }

    #[test]
    fn a_rate_that_falls_leaves_the_average_where_it_goes() {
        let mut falling = descent(vec![2.0, 0.5], 0.5);
        for t in 0..40 {
            falling.set_learning_rate(if t < 5 { 0.5 } else { 0.005 });
            if t > 4 {
                check_tangent(&falling, 5);
            }
            falling.step(&mut []).unwrap();
        }
        // Five steps of forty, not nearly all of it, are from before.
        assert!((falling.state().1.1[0] - 40.0 * 0.25).abs() < 1e-12, "{:?}", falling.state().1.1);
    }

    #[test]
    fn it_turns_unstable_at_its_edge() {
        for (share, grows) in [(0.98, false), (1.02, true)] {
            let curvature = share * descent(vec![1.0], 0.1).edge().threshold;
            let mut descent = descent(vec![curvature], 0.1);
            (0..6000).for_each(|_| descent.step(&mut []).unwrap());
            assert_eq!(descent.weights()[0].abs() > 1.0, grows, "{share}: {:?}", descent.weights());
        }
    }

    #[test]
    fn the_momentum_is_the_step() {
        let mut descent = descent(vec![2.0, 5.0], 0.1);
        (0..7).for_each(|_| descent.step(&mut []).unwrap());
        let (before, push) = (descent.weights().clone(), descent.momentum().unwrap());
        descent.step(&mut []).unwrap();
        for i in 0..2 {
            assert!((before[i] - 0.1 * push[i] - descent.weights()[i]).abs() < 1e-15);
        }
    }

    #[test]
    fn a_momentum_outside_its_domain_is_refused() {
        assert!(ScheduleFreeRule::new(0.0).unwrap_err().to_string().contains("momentum = 0 must be above 0"));
        assert!(ScheduleFreeRule::new(1.0).is_err());
    }
}
