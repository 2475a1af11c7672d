//! Stochastic gradient descent: w' = w − η g_B(w), with the tangent δ' = (I − η H_B(w)) δ on the same batch.

use super::{
    Edge,
    optimizer::{Decay, Moment, Optimizer, UpdateRule},
};
use crate::{
    objective::{Objective, Product},
    vector::Vector,
};

/// Gradient descent. The edge of stability of a full-batch run is at λ_max = 2/η; mini-batch runs hold the batch
/// sharpness there (Andreyev & Beneventano 2024).
///
/// **Cost** per step: one gradient, and one product per deviation. **Memory**: weights and one gradient.
///
/// ```
/// use lyapunov::{Sgd, Product, System, systems::Quadratic};
/// let mut descent = Sgd::new(Quadratic::new(vec![1.0, 4.0]), vec![1.0, 1.0], 0.1, Product::Exact);
/// let mut deviations = [vec![1.0, 0.0], vec![0.0, 1.0]];
/// descent.step(&mut deviations)?;
/// assert_eq!(descent.state(), &vec![0.9, 0.6]);
/// assert_eq!(deviations, [vec![0.9, 0.0], vec![0.0, 0.6]]);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub type Sgd<O> = Optimizer<O, SgdRule>;

/// The rule of [`Sgd`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SgdRule;

impl<O: Objective> Sgd<O> {
    /// Descent from `weights` with learning rate η = `learning_rate`; deviations are carried by `product`.
    pub fn new(objective: O, weights: O::Vector, learning_rate: f64, product: Product) -> Self {
        Self::with_rule(objective, weights, learning_rate, SgdRule, product)
    }
}

impl<V: Vector> UpdateRule<V> for SgdRule {
    type State = V;

    fn start(&self, weights: V) -> V {
        weights
    }

    fn weights(state: &V) -> &V {
        state
    }

    fn weights_mut(state: &mut V) -> &mut V {
        state
    }

    fn update(&self, state: &mut V, gradient: &V, moment: Moment) {
        state.axpy(-moment.learning_rate, gradient);
    }

    fn tangent(&self, _state: &V, _gradient: &V, deviation: &mut V, image: &V, moment: Moment) {
        deviation.axpy(-moment.learning_rate, image);
    }

    fn edge(&self, learning_rate: f64, decay: Decay) -> Edge {
        // λ adds to every curvature, coupled or not.
        let threshold = 2.0 / learning_rate - decay.rate;
        Edge { threshold, preconditioned: false, holds_batch_sharpness: true }
    }

    fn momentum(&self, _state: &V, gradient: &V, _moment: Moment) -> V {
        gradient.clone()
    }

    fn is_plain(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        descent::Descent,
        objective::Difference,
        system::System,
        systems::{Quadratic, ScalarNetwork},
        testing::check_tangent,
    };

    #[test]
    fn the_tangent_passes_the_taylor_test() {
        let network = ScalarNetwork { target: 2.0 };
        let descent = Sgd::new(network, vec![0.7, 1.9], 0.3, Product::Exact);
        check_tangent(&descent, 11);
    }

    #[test]
    fn the_tangent_is_taken_at_the_point_left_behind_also_with_differences() {
        let network = ScalarNetwork { target: 2.0 };
        let mut exact = Sgd::new(network, vec![0.7, 1.9], 0.3, Product::Exact);
        let mut difference = Sgd::new(network, vec![0.7, 1.9], 0.3, Product::Difference(Difference::central(1e-5)));
        for _ in 0..3 {
            let (mut a, mut b) = ([vec![1.0, -0.5]], [vec![1.0, -0.5]]);
            exact.step(&mut a).unwrap();
            difference.step(&mut b).unwrap();
            b[0].axpy(-1.0, &a[0]);
            assert!(b[0].norm() < 1e-8 * a[0].norm());
        }
    }

    #[test]
    fn deviations_do_not_change_the_descent() {
        let start = Sgd::new(ScalarNetwork { target: 2.0 }, vec![0.7, 1.9], 0.3, Product::Exact);
        let (mut plain, mut carrying) = (start.clone(), start);
        for _ in 0..20 {
            plain.step(&mut []).unwrap();
            carrying.step(&mut [vec![1.0, 0.0]]).unwrap();
        }
        assert_eq!(plain.state(), carrying.state());
    }

    #[test]
    fn on_a_quadratic_every_direction_shrinks_by_its_own_factor() {
        let curvatures = vec![0.5, 3.0, 7.0];
        let mut descent = Sgd::new(Quadratic::new(curvatures.clone()), vec![1.0; 3], 0.2, Product::Exact);
        for _ in 0..10 {
            descent.step(&mut []).unwrap();
        }
        for (w, h) in descent.state().iter().zip(&curvatures) {
            assert!((w - (1.0 - 0.2 * h).powi(10)).abs() < 1e-12);
        }
    }

    #[test]
    fn a_new_state_forgets_the_gradient_of_the_old_one() {
        let mut descent = Sgd::new(Quadratic::new(vec![1.0]), vec![1.0], 0.5, Product::Exact);
        descent.gradient().unwrap();
        descent.set_state(vec![4.0]);
        descent.step(&mut []).unwrap();
        assert_eq!(descent.state(), &vec![2.0]);
    }
}
