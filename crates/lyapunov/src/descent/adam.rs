//! Adam, with its moments part of the state: the only optimizer here whose update is not linear in the gradient.

use super::{
    Action, Edge,
    optimizer::{Decay, Moment, Optimizer, UpdateRule},
};
use crate::{
    elementwise::Elementwise,
    error::{Error, Result},
    objective::{Objective, Product},
};

/// m' = β₁m + (1 − β₁)g, v' = β₂v + (1 − β₂)g², w' = w − η m̂/(√v̂ + ε) with m̂ = m'/(1 − β₁ᵗ) and v̂ = v'/(1 − β₂ᵗ),
/// as in PyTorch; the state is (w, (m, v)). With decoupled [`Decay`](super::Decay) it is AdamW.
///
/// The tangent differentiates all of it: δm' = β₁δm + (1 − β₁)Hδw, δv' = β₂δv + 2(1 − β₂) g∘Hδw, and with D = √v̂ + ε,
/// δw' = δw − η(δm̂/D − m̂ δD/D²), δD = δv̂/(2√v̂). Where v̂ = 0 the root has no derivative; there δD counts as 0: such
/// a weight has never had a gradient.
///
/// The edge of a full-batch run speaks of the preconditioned sharpness λ_max(P^-½ H P^-½) with
/// P = (1 − β₁ᵗ) diag(√v̂ + ε), at (2 + 2β₁)/((1 − β₁)η), 38/η for β₁ = 0.9. Coupled decay would belong to H there, as
/// H + λI, and is left out.
///
/// **Cost** per step: one gradient, and one product per deviation. **Memory**: weights, two moments and one gradient,
/// three vectors of n for each deviation. **Source**: Kingma & Ba 2015; Loshchilov & Hutter 2019; Cohen and others 2022
/// for the edge.
///
/// ```
/// use lyapunov::{Adam, Descent, Moments, Product, System, systems::Quadratic};
/// let bowl = Quadratic::new(vec![1.0, 100.0]);
/// let mut descent = Adam::new(bowl, vec![1.0, 1.0], 0.1, Moments::default(), Product::Exact)?;
/// descent.step(&mut [])?;
/// // The first step has the length η in every coordinate, whatever its curvature.
/// assert!(descent.weights().iter().all(|w| (w - 0.9).abs() < 1e-8));
/// assert!((descent.edge().threshold - 380.0).abs() < 1e-9);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub type Adam<O> = Optimizer<O, Moments>;

/// The rule of [`Adam`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// β₁, the memory of the first moment.
    pub beta1: f64,
    /// β₂, the memory of the second moment.
    pub beta2: f64,
    /// ε, added to the root of the second moment.
    pub epsilon: f64,
}

impl Default for Moments {
    /// PyTorch's defaults: β₁ = 0.9, β₂ = 0.999, ε = 1e-8.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

impl<O: Objective> Adam<O>
where
    O::Vector: Elementwise + 'static,
{
    /// Descent from `weights` at rest, with learning rate η; deviations are carried by `product`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a β outside [0, 1) and for an ε that is not positive.
    pub fn new(objective: O, weights: O::Vector, learning_rate: f64, rule: Moments, product: Product) -> Result<Self> {
        Ok(Self::with_rule(objective, weights, learning_rate, rule.checked()?, product))
    }
}

/// Keeps δv̂/(2√v̂) at 0 where both are 0, and far below any root that matters.
const TINY: f64 = 1e-30;

impl Moments {
    /// The same, where every number lies in its domain.
    ///
    /// # Errors
    /// [`Error::Argument`] for a β outside [0, 1) and for an ε that is not positive.
    pub fn checked(self) -> Result<Self> {
        for (name, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return Err(Error::argument(name, beta, "must be at least 0 and below 1"));
            }
        }
        if !(self.epsilon.is_finite() && self.epsilon > 0.0) {
            return Err(Error::argument("epsilon", self.epsilon, "must be positive"));
        }
        Ok(self)
    }

    /// 1 − βᵗ.
    fn warmth(beta: f64, moment: Moment) -> f64 {
        1.0 - beta.powf(moment.count as f64)
    }

    /// (m', v') after this gradient.
    fn moments<V: Elementwise>(&self, (first, second): &(V, V), gradient: &V) -> (V, V) {
        let (mut first, mut second, mut square) = (first.clone(), second.clone(), gradient.clone());
        first.scale(self.beta1);
        first.axpy(1.0 - self.beta1, gradient);
        square.multiply(gradient);
        second.scale(self.beta2);
        second.axpy(1.0 - self.beta2, &square);
        (first, second)
    }

    /// √v̂ of v'.
    fn root<V: Elementwise>(&self, second: &V, moment: Moment) -> V {
        let mut root = second.clone();
        root.sqrt();
        root.scale(1.0 / Self::warmth(self.beta2, moment).sqrt());
        root
    }

    /// √v̂ + ε of v'.
    fn denominator<V: Elementwise>(&self, second: &V, moment: Moment) -> V {
        let mut denominator = self.root(second, moment);
        denominator.shift(self.epsilon);
        denominator
    }
}

impl<V: Elementwise + 'static> UpdateRule<V> for Moments {
    type State = (V, (V, V));

    fn start(&self, weights: V) -> Self::State {
        let zero = weights.zeros_like();
        (weights, (zero.clone(), zero))
    }

    fn weights(state: &Self::State) -> &V {
        &state.0
    }

    fn weights_mut(state: &mut Self::State) -> &mut V {
        &mut state.0
    }

    fn update(&self, (weights, moments): &mut Self::State, gradient: &V, moment: Moment) {
        *moments = self.moments(moments, gradient);
        let mut direction = moments.0.clone();
        direction.divide(&self.denominator(&moments.1, moment));
        weights.axpy(-moment.learning_rate / Self::warmth(self.beta1, moment), &direction);
    }

    fn tangent(&self, state: &Self::State, gradient: &V, deviation: &mut Self::State, image: &V, moment: Moment) {
        let (first, second) = self.moments(&state.1, gradient);
        let (moved, (moved_first, moved_second)) = deviation;
        moved_first.scale(self.beta1);
        moved_first.axpy(1.0 - self.beta1, image);
        let mut slope = gradient.clone();
        slope.multiply(image);
        moved_second.scale(self.beta2);
        moved_second.axpy(2.0 * (1.0 - self.beta2), &slope);

        let denominator = self.denominator(&second, moment);
        let mut twice_root = self.root(&second, moment);
        twice_root.scale(2.0);
        twice_root.shift(TINY);
        // δm'/D − m' δD/D², δD = δv̂/(2√v̂).
        let mut correction = moved_second.clone();
        correction.scale(1.0 / Self::warmth(self.beta2, moment));
        correction.divide(&twice_root);
        correction.multiply(&first);
        correction.divide(&denominator);
        let mut direction = moved_first.clone();
        direction.axpy(-1.0, &correction);
        direction.divide(&denominator);
        moved.axpy(-moment.learning_rate / Self::warmth(self.beta1, moment), &direction);
    }

    fn edge(&self, learning_rate: f64, decay: Decay) -> Edge {
        let room = (2.0 - learning_rate * decay.parts().1) / learning_rate;
        let threshold = room * (1.0 + self.beta1) / (1.0 - self.beta1);
        Edge { threshold, preconditioned: true, holds_batch_sharpness: false }
    }

    fn momentum(&self, state: &Self::State, gradient: &V, _moment: Moment) -> V {
        self.moments(&state.1, gradient).0
    }

    fn preconditioner(&self, state: &Self::State, gradient: &V, moment: Moment) -> Option<Action<V>> {
        let mut power = self.denominator(&self.moments(&state.1, gradient).1, moment);
        power.scale(Self::warmth(self.beta1, moment));
        power.sqrt();
        Some(Box::new(move |v: &mut V| v.divide(&power)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        descent::Descent,
        operator::{Dense, Operator},
        system::System,
        systems::Quadratic,
        testing::check_tangent,
        vector::Vector,
    };

    fn descent() -> Adam<Quadratic> {
        let quadratic = Quadratic::new(vec![1.0, 30.0, -2.0]);
        Adam::new(quadratic, vec![1.0, -0.5, 0.3], 0.01, Moments::default(), Product::Exact).unwrap()
    }

    /// The 9 × 9 Jacobian of the step on a separable quadratic: coordinates do not mix, so it is one 3 × 3 block for
    /// each, written out entry by entry.
    fn jacobian(descent: &Adam<Quadratic>, curvatures: &[f64]) -> Dense {
        let Moments { beta1, beta2, epsilon } = *descent.rule();
        let (t, eta, n) = (descent.steps_taken() as i32 + 1, descent.learning_rate(), curvatures.len());
        let (w, (m, v)) = descent.state();
        let (c1, c2) = (1.0 - beta1.powi(t), 1.0 - beta2.powi(t));
        let mut rows = vec![vec![0.0; 3 * n]; 3 * n];
        for (i, h) in curvatures.iter().enumerate() {
            let g = h * w[i];
            let (first, second) = (beta1 * m[i] + (1.0 - beta1) * g, beta2 * v[i] + (1.0 - beta2) * g * g);
            let root = (second / c2).sqrt();
            let d = root + epsilon;
            // Derivatives of (m', v') by (w, m, v), and of w' through them.
            let by_first = [(1.0 - beta1) * h, beta1, 0.0];
            let by_second = [2.0 * (1.0 - beta2) * g * h, 0.0, beta2];
            for (k, (a, b)) in by_first.into_iter().zip(by_second).enumerate() {
                rows[n + i][k * n + i] = a;
                rows[2 * n + i][k * n + i] = b;
                let own = f64::from(u8::from(k == 0));
                rows[i][k * n + i] = own - eta / c1 * (a / d - first / (d * d) * b / c2 / (2.0 * root));
            }
        }
        Dense::new(rows)
    }

    #[test]
    fn the_tangent_equals_the_dense_jacobian_on_a_separable_quadratic() {
        let mut descent = descent();
        for _ in 0..30 {
            let dense = jacobian(&descent, &[1.0, 30.0, -2.0]);
            let flat = vec![0.3, -1.0, 0.7, 0.2, 0.5, -0.4, 1e-2, -3e-2, 2e-2];
            let mut deviations = [(flat[..3].to_vec(), (flat[3..6].to_vec(), flat[6..].to_vec()))];
            descent.step(&mut deviations).unwrap();
            let [(w, (m, v))] = deviations;
            let expected = dense.apply(&flat).unwrap();
            for (found, expected) in [w, m, v].concat().iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} for {expected}");
            }
        }
    }

    #[test]
    fn the_tangent_passes_the_taylor_test_late_in_a_run_too() {
        let mut descent = descent();
        (0..200).for_each(|_| descent.step(&mut []).unwrap());
        check_tangent(&descent, 5);
    }

    #[test]
    fn a_weight_that_never_had_a_gradient_stays_finite_in_the_tangent() {
        let adam = Adam::new(Quadratic::new(vec![0.0, 1.0]), vec![1.0, 1.0], 0.01, Moments::default(), Product::Exact);
        let mut adam = adam.unwrap();
        let mut deviations = [adam.lift(vec![1.0, 1.0])];
        (0..5).for_each(|_| adam.step(&mut deviations).unwrap());
        assert_eq!(deviations[0].0[0], 1.0);
        assert!(deviations[0].norm().is_finite());
    }

    #[test]
    fn a_quadratic_turns_unstable_at_the_preconditioned_edge() {
        // With ε far above the gradients the preconditioner is constant: momentum descent at η/ε.
        for (share, grows) in [(0.99, false), (1.01, true)] {
            let rule = Moments { epsilon: 1e6, ..Moments::default() };
            let curvature = share * 38.0 / 0.1 * 1e6;
            // Small enough that not even the first steps, magnified by the bias correction, are seen beside ε.
            let start = 1e-60;
            let mut adam = Adam::new(Quadratic::new(vec![curvature]), vec![start], 0.1, rule, Product::Exact).unwrap();
            (0..1500).for_each(|_| adam.step(&mut []).unwrap());
            assert_eq!(adam.weights()[0].abs() > start, grows, "{share}: {}", adam.weights()[0]);
            if !grows {
                let mut scale = vec![1.0];
                adam.preconditioner().unwrap().unwrap()(&mut scale);
                let sharpness = scale[0] * scale[0] * curvature;
                assert!((sharpness / adam.edge().threshold - share).abs() < 1e-3, "{sharpness}");
            }
        }
    }

    #[test]
    fn moments_outside_their_domain_are_refused() {
        let refused = |rule| Adam::new(Quadratic::new(vec![1.0]), vec![1.0], 0.1, rule, Product::Exact).unwrap_err();
        assert!(refused(Moments { beta2: 1.0, ..Moments::default() }).to_string().contains("beta2 = 1"));
        assert!(refused(Moments { epsilon: 0.0, ..Moments::default() }).to_string().contains("epsilon = 0"));
    }
}
