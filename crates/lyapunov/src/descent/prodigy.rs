//! Prodigy: Adam that estimates how far the solution is, and so its own learning rate.

use super::{
    Action, Edge,
    adam::Moments,
    optimizer::{Decay, Moment, Optimizer, UpdateRule},
};
use crate::{
    elementwise::Elementwise,
    error::Result,
    objective::{Objective, Product},
};

/// With d the estimate of ‖w_0 − w_*‖∞, b = √β₂ and D = √v' + dε:
///
/// m' = β₁m + (1 − β₁) d g, v' = β₂v + (1 − β₂) d²g², w' = w − η d m'/D,
/// r' = b r + (1 − b) η d² gᵀ(w_0 − w), s' = b s + (1 − b) η d² g, d' = max(d, r'/‖s'‖₁).
///
/// η is 1 in the paper and has no unit; d starts at 1e-6. The state is (w, ((m, v), ((s, w_0), (r, d)))), with r and s
/// in units of d², so that single precision can hold them. The tangent differentiates all of it, the maximum on the
/// side on which it is; a weight that has never had a gradient counts as having no slope.
///
/// The edge is Adam's, with P = D/d².
///
/// **Cost** per step: one gradient, and one product per deviation. **Memory**: five vectors and one gradient.
/// **Source**: Mishchenko and Defazio, *Prodigy: an expeditiously adaptive parameter-free learner* (2024), algorithm 4.
///
/// ```
/// use lyapunov::{Descent, Moments, Prodigy, Product, System, systems::Quadratic};
/// let bowl = Quadratic::new(vec![1.0, 30.0]);
/// let mut descent = Prodigy::new(bowl, vec![1.0, -1.0], 1.0, Moments::default(), Product::Exact)?;
/// (0..600).for_each(|_| descent.step(&mut []).expect("a quadratic"));
/// assert!(descent.weights().iter().all(|w| w.abs() < 0.1));
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub type Prodigy<O> = Optimizer<O, ProdigyRule>;

/// The rule of [`Prodigy`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProdigyRule {
    moments: Moments,
}

/// The first d.
const FIRST: f64 = 1e-6;

/// Keeps δv/√v at 0 where both are 0, and the sign of 0 finite.
const TINY: f64 = 1e-30;

impl ProdigyRule {
    /// The rule with these β₁, β₂ and ε.
    ///
    /// # Errors
    /// Those of [`Moments::checked`].
    pub fn new(moments: Moments) -> Result<Self> {
        Ok(Self { moments: moments.checked()? })
    }
}

impl<O: Objective> Prodigy<O>
where
    O::Vector: Elementwise + 'static,
{
    /// Descent from `weights`; η = `learning_rate` multiplies the rule's own rate.
    ///
    /// # Errors
    /// Those of [`ProdigyRule::new`].
    pub fn new(
        objective: O,
        weights: O::Vector,
        learning_rate: f64,
        moments: Moments,
        product: Product,
    ) -> Result<Self> {
        Ok(Self::with_rule(objective, weights, learning_rate, ProdigyRule::new(moments)?, product))
    }
}

/// |v|, entry by entry.
fn magnitude<V: Elementwise>(v: &V) -> V {
    let mut magnitude = v.clone();
    magnitude.multiply(v);
    magnitude.sqrt();
    magnitude
}

/// The sum of the entries.
fn sum<V: Elementwise>(v: &V) -> f64 {
    let mut ones = v.zeros_like();
    ones.shift(1.0);
    v.dot(&ones)
}

/// All that a step computes on its way.
struct Course<V> {
    first: V,
    second: V,
    denominator: V,
    slopes: V,
    advance: f64,
    estimate: f64,
    /// Whether the estimate has grown, and so follows r'/‖s'‖₁.
    grew: bool,
}

type State<V> = (V, ((V, V), ((V, V), [f64; 2])));

impl ProdigyRule {
    fn course<V: Elementwise>(&self, state: &State<V>, gradient: &V, moment: Moment) -> Course<V> {
        let Moments { beta1, beta2, epsilon } = self.moments;
        let (weights, ((first, second), ((slopes, start), [advance, d]))) = state;
        let (mut first, mut second, mut square) = (first.clone(), second.clone(), gradient.clone());
        first.scale(beta1);
        first.axpy((1.0 - beta1) * d, gradient);
        square.multiply(gradient);
        second.scale(beta2);
        second.axpy((1.0 - beta2) * d * d, &square);
        let mut denominator = second.clone();
        denominator.sqrt();
        denominator.shift(d * epsilon);
        let (keep, weight) = self.weight(moment);
        let mut way = start.clone();
        way.axpy(-1.0, weights);
        let advance = keep * advance + weight * gradient.dot(&way);
        let mut slopes = slopes.clone();
        slopes.scale(keep);
        slopes.axpy(weight, gradient);
        let total = sum(&magnitude(&slopes));
        let found = if total > 0.0 { advance / total } else { 0.0 };
        Course { first, second, denominator, slopes, advance, estimate: found.max(*d), grew: found > *d }
    }

    /// b, and (1 − b) η.
    fn weight(&self, moment: Moment) -> (f64, f64) {
        let keep = self.moments.beta2.sqrt();
        (keep, (1.0 - keep) * moment.learning_rate)
    }

    /// (δr', δs') of the deviation.
    fn moved_estimate<V: Elementwise>(
        &self,
        state: &State<V>,
        gradient: &V,
        deviation: &State<V>,
        image: &V,
        moment: Moment,
    ) -> (f64, V) {
        let (weights, (_, ((_, start), _))) = state;
        let (moved, (_, ((moved_slopes, moved_start), [moved_advance, _]))) = deviation;
        let (keep, weight) = self.weight(moment);
        let (mut way, mut moved_way) = (start.clone(), moved_start.clone());
        way.axpy(-1.0, weights);
        moved_way.axpy(-1.0, moved);
        let advance = keep * moved_advance + weight * (image.dot(&way) + gradient.dot(&moved_way));
        let mut slopes = moved_slopes.clone();
        slopes.scale(keep);
        slopes.axpy(weight, image);
        (advance, slopes)
    }
}

impl<V: Elementwise + 'static> UpdateRule<V> for ProdigyRule {
    type State = State<V>;

    fn start(&self, weights: V) -> Self::State {
        let zero = weights.zeros_like();
        (weights.clone(), ((zero.clone(), zero.clone()), ((zero, weights), [0.0, FIRST])))
    }

    fn lift(&self, weights: V) -> Self::State {
        let zero = weights.zeros_like();
        (weights, ((zero.clone(), zero.clone()), ((zero.clone(), zero), [0.0, 0.0])))
    }

    fn weights(state: &Self::State) -> &V {
        &state.0
    }

    fn weights_mut(state: &mut Self::State) -> &mut V {
        &mut state.0
    }

    fn update(&self, state: &mut Self::State, gradient: &V, moment: Moment) {
        let mut course = self.course(state, gradient, moment);
        let (weights, (moments, ((slopes, _), numbers))) = state;
        let mut direction = course.first.clone();
        direction.divide(&course.denominator);
        weights.axpy(-moment.learning_rate * numbers[1], &direction);
        let unit = (numbers[1] / course.estimate).powi(2);
        course.slopes.scale(unit);
        *slopes = course.slopes;
        *moments = (course.first, course.second);
        *numbers = [unit * course.advance, course.estimate];
    }

    fn tangent(&self, state: &Self::State, gradient: &V, deviation: &mut Self::State, image: &V, moment: Moment) {
        let Moments { beta1, beta2, epsilon } = self.moments;
        let course = self.course(state, gradient, moment);
        let (d, moved_d) = (state.1.1.1[1], deviation.1.1.1[1]);
        let (mut moved_advance, mut moved_slopes) = self.moved_estimate(state, gradient, deviation, image, moment);
        let (moved, ((moved_first, moved_second), ((kept_slopes, _), numbers))) = deviation;

        moved_first.scale(beta1);
        moved_first.axpy((1.0 - beta1) * moved_d, gradient);
        moved_first.axpy((1.0 - beta1) * d, image);
        let (mut square, mut slope) = (gradient.clone(), gradient.clone());
        square.multiply(gradient);
        slope.multiply(image);
        moved_second.scale(beta2);
        moved_second.axpy(2.0 * (1.0 - beta2) * d * moved_d, &square);
        moved_second.axpy(2.0 * (1.0 - beta2) * d * d, &slope);

        // δ(d m'/D) = δd m'/D + d (δm' − (m'/D) δD)/D with δD = δv'/(2√v') + ε δd.
        let mut root = course.second.clone();
        root.sqrt();
        root.scale(2.0);
        root.shift(TINY);
        let mut moved_denominator = moved_second.clone();
        moved_denominator.divide(&root);
        moved_denominator.shift(epsilon * moved_d);
        let mut direction = course.first.clone();
        direction.divide(&course.denominator);
        moved_denominator.multiply(&direction);
        let mut turned = moved_first.clone();
        turned.axpy(-1.0, &moved_denominator);
        turned.divide(&course.denominator);
        moved.axpy(-moment.learning_rate * moved_d, &direction);
        moved.axpy(-moment.learning_rate * d, &turned);

        if course.grew {
            let length = magnitude(&course.slopes);
            let total = sum(&length);
            let (mut sign, mut safe) = (course.slopes.clone(), length);
            safe.shift(TINY);
            sign.divide(&safe);
            numbers[1] = (moved_advance - course.estimate * sign.dot(&moved_slopes)) / total;
        }
        // The unit of r and s changes from d² to d'².
        let unit = (d / course.estimate).powi(2);
        let moved_unit = 2.0 * unit * (moved_d / d - numbers[1] / course.estimate);
        moved_advance *= unit;
        moved_slopes.scale(unit);
        moved_slopes.axpy(moved_unit, &course.slopes);
        numbers[0] = moved_advance + moved_unit * course.advance;
        *kept_slopes = moved_slopes;
    }

    fn edge(&self, learning_rate: f64, decay: Decay) -> Edge {
        UpdateRule::<V>::edge(&self.moments, learning_rate, decay)
    }

    fn momentum(&self, state: &Self::State, gradient: &V, moment: Moment) -> V {
        let mut first = self.course(state, gradient, moment).first;
        first.scale(1.0 / state.1.1.1[1]);
        first
    }

    fn preconditioner(&self, state: &Self::State, gradient: &V, moment: Moment) -> Option<Action<V>> {
        let d = state.1.1.1[1];
        let mut power = self.course(state, gradient, moment).denominator;
        power.scale(1.0 / (d * d));
        power.sqrt();
        Some(Box::new(move |v: &mut V| v.divide(&power)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        descent::Descent,
        system::System,
        systems::Quadratic,
        testing::{check_tangent_along, short_direction},
    };

    fn descent(scale: f64) -> Prodigy<Quadratic> {
        let quadratic = Quadratic::new(vec![scale, 30.0 * scale, 5.0 * scale]);
        // Moments that forget within the test, and an ε that the differences of the test can see through.
        let moments = Moments { beta1: 0.8, beta2: 0.9, epsilon: 1e-3 };
        Prodigy::new(quadratic, vec![1.0, -0.5, 0.3], 1.0, moments, Product::Exact).unwrap()
    }

    #[test]
    fn the_tangent_passes_the_taylor_test_while_the_estimate_grows_and_after() {
        let mut descent = descent(1.0);
        let mut grew = [false, false];
        for step in 0..120 {
            let before = descent.state().1.1.1[1];
            let mut next = descent.clone();
            next.step(&mut []).unwrap();
            let grows = next.state().1.1.1[1] > before;
            // The first estimates are a millionth: there, the steps of the test are no small ones.
            if before > 0.05 && step % 5 == 0 {
                check_tangent_along(&descent, &short_direction(&descent));
                grew[usize::from(grows)] = true;
            }
            descent = next;
        }
        assert_eq!(grew, [true, true], "both sides of the maximum were seen");
    }

    #[test]
    fn a_quadratic_is_solved_without_a_learning_rate_whatever_its_scale() {
        for scale in [1e-3, 1.0, 1e3] {
            let quadratic = Quadratic::new(vec![scale, 30.0 * scale]);
            let start = vec![1.0, -0.5];
            let mut descent = Prodigy::new(quadratic, start, 1.0, Moments::default(), Product::Exact).unwrap();
            (0..3000).for_each(|_| descent.step(&mut []).unwrap());
            assert!(descent.weights().iter().all(|w| w.abs() < 0.05), "{scale}: {:?}", descent.weights());
        }
    }

    #[test]
    fn the_step_is_minus_eta_times_the_preconditioned_momentum() {
        let mut descent = descent(1.0);
        (0..30).for_each(|_| descent.step(&mut []).unwrap());
        let (before, mut push) = (descent.weights().clone(), descent.momentum().unwrap());
        let root = descent.preconditioner().unwrap().unwrap();
        root(&mut push);
        root(&mut push);
        descent.step(&mut []).unwrap();
        for i in 0..3 {
            assert!((before[i] - push[i] - descent.weights()[i]).abs() < 1e-14);
        }
    }
}
