//! Stochastic gradient descent: w' = w − η g_B(w), with the tangent δ' = (I − η H_B(w)) δ on the same batch.

use super::Descent;
use crate::{
    error::Result,
    objective::{Hessian, Objective, Product, Sample},
    operator::Operator,
    system::System,
    vector::Vector,
};

/// Gradient descent on the mini-batches of an objective; full-batch descent where every batch is the whole set.
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
#[derive(Clone, Debug)]
pub struct Sgd<O: Objective> {
    objective: O,
    weights: O::Vector,
    learning_rate: f64,
    product: Product,
    step: u64,
    /// Loss and gradient of the coming step, once somebody has asked for them.
    pending: Option<(f64, O::Vector)>,
}

impl<O: Objective> Sgd<O> {
    /// Descent from `weights` with learning rate η = `learning_rate`; deviations are carried by `product`.
    pub fn new(objective: O, weights: O::Vector, learning_rate: f64, product: Product) -> Self {
        Self { objective, weights, learning_rate, product, step: 0, pending: None }
    }
}

impl<O: Objective> System for Sgd<O> {
    type Vector = O::Vector;

    fn state(&self) -> &O::Vector {
        &self.weights
    }

    fn set_state(&mut self, state: O::Vector) {
        self.weights = state;
        self.pending = None;
    }

    fn step(&mut self, deviations: &mut [O::Vector]) -> Result<()> {
        self.gradient()?;
        let on = Sample::Mini(self.step);
        let known = self.pending.as_ref().map(|(_, gradient)| gradient);
        let hessian =
            Hessian { objective: &self.objective, at: &self.weights, on, product: self.product, gradient: known };
        for deviation in deviations {
            let image = hessian.apply(deviation)?;
            deviation.axpy(-self.learning_rate, &image);
        }
        if let Some((_, gradient)) = self.pending.take() {
            self.weights.axpy(-self.learning_rate, &gradient);
        }
        self.step += 1;
        Ok(())
    }

    fn time_step(&self) -> f64 {
        self.learning_rate
    }
}

impl<O: Objective> Descent for Sgd<O> {
    type Objective = O;

    fn objective(&self) -> &O {
        &self.objective
    }

    fn weights(&self) -> &O::Vector {
        &self.weights
    }

    fn gradient(&mut self) -> Result<&(f64, O::Vector)> {
        let evaluated = match self.pending.take() {
            Some(known) => known,
            None => self.objective.gradient(&self.weights, Sample::Mini(self.step))?,
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
        objective::Difference,
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
