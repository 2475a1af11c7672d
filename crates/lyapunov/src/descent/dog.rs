//! DoG: the learning rate is the distance covered over the gradients met.

use super::{
    Action, Edge,
    optimizer::{Decay, Moment, Optimizer, UpdateRule},
};
use crate::{
    objective::{Objective, Product},
    vector::Vector,
};

/// w' = w − η r̄/√G · g with r̄ = max(r_ε, max over steps of ‖w − w_0‖), r_ε = 1e-6 (1 + ‖w_0‖), and G = Σ‖g‖² + 1e-8
/// up to this step. η is 1 in the paper and has no unit. What is evaluated is the average of the iterates that weighs
/// step t by about t⁸: w̄ moves towards w' by (1 + 8)/(t + 8).
///
/// The state is (w, ((w_0, w̄), (r̄, G))); the tangent differentiates all of it, the maximum on the side on which it
/// is.
///
/// The edge speaks of η_t H, η_t = r̄/√G: as preconditioned sharpness, at 2/η.
///
/// **Cost** per step: one gradient, and one product per deviation. **Memory**: three vectors. **Source**: Ivgi, Hinder
/// and Carmon,
/// *DoG is SGD's best friend* (2023), equation 1 and the averaging of section 4.
///
/// ```
/// use lyapunov::{Descent, Dog, Product, System, systems::Quadratic};
/// let mut descent = Dog::new(Quadratic::new(vec![1.0, 3.0]), vec![1.0, 1.0], 1.0, Product::Exact);
/// (0..200).for_each(|_| descent.step(&mut []).expect("a quadratic"));
/// // No learning rate was given.
/// assert!(descent.weights().iter().all(|w| w.abs() < 0.02));
/// ```
pub type Dog<O> = Optimizer<O, DistanceOverGradients>;

/// The rule of [`Dog`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DistanceOverGradients;

impl<O: Objective> Dog<O>
where
    O::Vector: 'static,
{
    /// Descent from `weights`; η = `learning_rate` multiplies the rule's own rate.
    pub fn new(objective: O, weights: O::Vector, learning_rate: f64, product: Product) -> Self {
        Self::with_rule(objective, weights, learning_rate, DistanceOverGradients, product)
    }
}

/// The least distance, relative to 1 + ‖w_0‖.
const FIRST: f64 = 1e-6;

/// Keeps G positive.
const TINY: f64 = 1e-8;

/// The exponent of the average.
const POWER: f64 = 8.0;

/// ‖w − w_0‖ and the difference itself.
fn distance<V: Vector>(weights: &V, start: &V) -> (f64, V) {
    let mut difference = weights.clone();
    difference.axpy(-1.0, start);
    (difference.norm(), difference)
}

/// How far the average follows the weights after this step.
fn follows(moment: Moment) -> f64 {
    (1.0 + POWER) / (moment.count as f64 + POWER)
}

impl<V: Vector + 'static> UpdateRule<V> for DistanceOverGradients {
    type State = (V, ((V, V), [f64; 2]));

    fn start(&self, weights: V) -> Self::State {
        let first = FIRST * (1.0 + weights.norm());
        (weights.clone(), ((weights.clone(), weights), [first, TINY]))
    }

    fn lift(&self, weights: V) -> Self::State {
        let zero = weights.zeros_like();
        (weights, ((zero.clone(), zero), [0.0, 0.0]))
    }

    fn weights(state: &Self::State) -> &V {
        &state.0
    }

    fn weights_mut(state: &mut Self::State) -> &mut V {
        &mut state.0
    }

    fn evaluated(&self, state: &Self::State) -> V {
        state.1.0.1.clone()
    }

    fn update(&self, (weights, ((start, average), numbers)): &mut Self::State, gradient: &V, moment: Moment) {
        numbers[0] = numbers[0].max(distance(weights, start).0);
        numbers[1] += gradient.dot(gradient);
        weights.axpy(-moment.learning_rate * numbers[0] / numbers[1].sqrt(), gradient);
        let follows = follows(moment);
        average.scale(1.0 - follows);
        average.axpy(follows, weights);
    }

    fn tangent(&self, state: &Self::State, gradient: &V, deviation: &mut Self::State, image: &V, moment: Moment) {
        let (weights, ((start, _), [farthest, squares])) = state;
        let (moved, ((moved_start, moved_average), moved_numbers)) = deviation;
        let (length, difference) = distance(weights, start);
        if length > *farthest {
            moved_numbers[0] = (difference.dot(moved) - difference.dot(moved_start)) / length;
        }
        moved_numbers[1] += 2.0 * gradient.dot(image);
        let (farthest, squares) = (farthest.max(length), squares + gradient.dot(gradient));
        let rate = farthest / squares.sqrt();
        let moved_rate = moved_numbers[0] / squares.sqrt() - 0.5 * rate * moved_numbers[1] / squares;
        moved.axpy(-moment.learning_rate * rate, image);
        moved.axpy(-moment.learning_rate * moved_rate, gradient);
        let follows = follows(moment);
        moved_average.scale(1.0 - follows);
        moved_average.axpy(follows, moved);
    }

    fn edge(&self, learning_rate: f64, _decay: Decay) -> Edge {
        // Decay would belong to H in the metric, as H + λI, and is left out as in Adam's edge.
        let threshold = 2.0 / learning_rate;
        Edge { threshold, preconditioned: true, holds_batch_sharpness: false }
    }

    fn momentum(&self, _state: &Self::State, gradient: &V, _moment: Moment) -> V {
        gradient.clone()
    }

    fn preconditioner(&self, state: &Self::State, gradient: &V, _moment: Moment) -> Option<Action<V>> {
        let (weights, ((start, _), [farthest, squares])) = state;
        let farthest = farthest.max(distance(weights, start).0);
        let root = (farthest / (squares + gradient.dot(gradient)).sqrt()).sqrt();
        Some(Box::new(move |v: &mut V| v.scale(root)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        descent::Descent,
        system::System,
        systems::Quadratic,
        testing::{check_tangent_along, short_direction as short},
    };

    #[test]
    fn the_tangent_passes_the_taylor_test_on_both_sides_of_the_maximum() {
        let mut descent = Dog::new(Quadratic::new(vec![0.5, 1.0, 4.0]), vec![1.0, -0.4, 0.3], 1.0, Product::Exact);
        (0..5).for_each(|_| descent.step(&mut []).unwrap());
        for farthest in [0.1, 5.0] {
            let state = (vec![0.2, -0.1, 0.5], ((vec![1.0, -0.4, 0.3], vec![0.5, 0.0, 0.2]), [farthest, 3.0]));
            descent.set_state(state);
            check_tangent_along(&descent, &short(&descent));
        }
    }

    #[test]
    fn a_quadratic_is_solved_without_a_learning_rate_whatever_its_scale() {
        for scale in [1e-3, 1.0, 1e3] {
            let curvatures = vec![scale, 3.0 * scale];
            let mut descent = Dog::new(Quadratic::new(curvatures), vec![1.0, 1.0], 1.0, Product::Exact);
            (0..400).for_each(|_| descent.step(&mut []).unwrap());
            assert!(descent.evaluated().norm() < 0.05, "{scale}: {:?}", descent.evaluated());
        }
    }

    #[test]
    fn the_preconditioner_is_the_rate_of_the_coming_step() {
        let mut descent = Dog::new(Quadratic::new(vec![2.0]), vec![1.0], 1.0, Product::Exact);
        (0..30).for_each(|_| descent.step(&mut []).unwrap());
        let mut root = vec![1.0];
        descent.preconditioner().unwrap().unwrap()(&mut root);
        let before = descent.weights()[0];
        let gradient = descent.gradient().unwrap().1[0];
        descent.step(&mut []).unwrap();
        assert!((before - root[0] * root[0] * gradient - descent.weights()[0]).abs() < 1e-15);
    }
}
