//! Batch sharpness: how curved the loss of a mini-batch is along its own gradient.
//!
//! BS(w) = E_B\[ g_Bᵀ H_B g_B / g_Bᵀ g_B \]: the mean over mini-batches of a quotient of each. Stochastic gradient
//! descent moves along g_B, and at its edge of stability BS sits at 2/η, where λ_max of the full loss lies below that.
//!
//! Source: Andreyev and Beneventano, *Edge of stochastic stability: revisiting the edge of stability for SGD* (2024).

use super::{Hessian, Objective, Product, Sample};
use crate::{error::Result, operator::rayleigh_quotient, vector::Vector};

/// The batch sharpness as a mean over mini-batches, in units of loss per weight².
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchSharpness {
    /// The mean over the batches.
    pub value: f64,
    /// The standard deviation over the batches: how far the next batch may lie from the mean.
    pub spread: f64,
    /// The standard error of the mean.
    pub std_error: f64,
    /// How many batches it is a mean over.
    pub batches: usize,
    /// In g-eq.
    pub cost: f64,
}

/// The batch sharpness at the weights `at`, over the mini-batches `batches`.
///
/// Batches whose gradient is zero or not finite have no quotient and are left out; `None` where fewer than two remain.
/// Far from a minimum, as at initial weights, the value may be negative. Where the gradient of one batch is known
/// already, one product gives that batch's value: [`rayleigh_quotient`] of its [`Hessian`] at the gradient.
///
/// **Cost**: one gradient and one product per batch; four vectors held.
///
/// # Errors
/// Those of the objective.
///
/// ```
/// use lyapunov::{Product, Sample, batch_sharpness, systems::Quadratic};
/// // g = (1·2, 3·1), so gᵀHg / gᵀg = (1·4 + 3·9) / (4 + 9).
/// let (quadratic, batches) = (Quadratic::new(vec![1.0, 3.0]), (0..4).map(Sample::Mini));
/// let found = batch_sharpness(&quadratic, Product::Exact, &vec![2.0, 1.0], batches)?.expect("g is not zero");
/// assert!((found.value - 31.0 / 13.0).abs() < 1e-15 && found.spread < 1e-15);
/// # Ok::<(), lyapunov::Error>(())
/// ```
pub fn batch_sharpness<O: Objective>(
    objective: &O,
    product: Product,
    at: &O::Vector,
    batches: impl IntoIterator<Item = Sample>,
) -> Result<Option<BatchSharpness>> {
    let (mut values, mut cost) = (Vec::new(), 0.0);
    for on in batches {
        let (_, gradient) = objective.gradient(at, on)?;
        cost += objective.gradient_cost(on);
        // The quotient does not depend on the length, and a unit vector cannot overflow.
        let Some(direction) = gradient.unit() else { continue };
        let hessian = Hessian { objective, at, on, product, gradient: Some(&gradient) };
        values.extend(rayleigh_quotient(&hessian, &direction)?);
        cost += objective.product_cost(product, on);
    }
    Ok(summarise(&values, cost))
}

fn summarise(values: &[f64], cost: f64) -> Option<BatchSharpness> {
    if values.len() < 2 {
        return None;
    }
    let count = values.len() as f64;
    let value = values.iter().sum::<f64>() / count;
    let spread = (values.iter().map(|x| (x - value).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
    Some(BatchSharpness { value, spread, std_error: spread / count.sqrt(), batches: values.len(), cost })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::Error, objective::Difference};

    /// L_t(w) = ½ Σ (t + 1) hᵢ (wᵢ − t)²: curvature and gradient differ from batch to batch, and correlate.
    struct Bowls(Vec<f64>);

    impl Bowls {
        fn scale(on: Sample) -> f64 {
            match on {
                Sample::Mini(t) => t as f64,
                _ => panic!("only mini-batches"),
            }
        }
    }

    impl Objective for Bowls {
        type Vector = Vec<f64>;
        fn gradient(&self, at: &Vec<f64>, on: Sample) -> Result<(f64, Vec<f64>)> {
            let t = Self::scale(on);
            let slope = self.0.iter().zip(at).map(|(h, w)| (t + 1.0) * h * (w - t)).collect();
            Ok((0.0, slope))
        }
        fn product(&self, kind: Product, at: &Vec<f64>, on: Sample, v: &Vec<f64>) -> Result<Vec<f64>> {
            if kind != Product::Exact {
                return Err(Error::Product { product: kind.name(), reason: "not offered".to_owned() });
            }
            assert_eq!(at.len(), v.len());
            Ok(self.0.iter().zip(v).map(|(h, v)| (Self::scale(on) + 1.0) * h * v).collect())
        }
    }

    /// The quotients of the batches 0 … 3 at w = (5, 1), by hand: (t + 1)(1·a² + 27 b²) / (a² + 9 b²), a = 5 − t, b = 1
    /// − t.
    fn by_hand() -> [f64; 4] {
        [0.0, 1.0, 2.0, 3.0].map(|t: f64| {
            let (a, b) = ((5.0 - t).powi(2), (1.0 - t).powi(2));
            (t + 1.0) * (a + 27.0 * b) / (a + 9.0 * b)
        })
    }

    #[test]
    fn it_is_the_mean_of_the_quotients_with_their_spread() {
        let found = batch_sharpness(&Bowls(vec![1.0, 3.0]), Product::Exact, &vec![5.0, 1.0], (0..4).map(Sample::Mini));
        let (found, values) = (found.unwrap().unwrap(), by_hand());
        let mean = values.iter().sum::<f64>() / 4.0;
        let spread = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
        assert!((found.value - mean).abs() < 1e-14, "{} for {mean}", found.value);
        assert!((found.spread - spread).abs() < 1e-14 && (found.std_error - spread / 2.0).abs() < 1e-14);
        assert_eq!((found.batches, found.cost), (4, 8.0));
    }

    #[test]
    fn differences_take_the_gradient_of_their_own_batch() {
        let difference = Product::Difference(Difference { relative_step: 1e-4, central: false });
        let found = batch_sharpness(&Bowls(vec![1.0, 3.0]), difference, &vec![5.0, 1.0], (0..4).map(Sample::Mini));
        assert!((found.unwrap().unwrap().value - by_hand().iter().sum::<f64>() / 4.0).abs() < 1e-8);
    }

    #[test]
    fn batches_without_a_gradient_are_left_out() {
        let bowls = Bowls(vec![1.0, 3.0]);
        let at_the_bottom_of_2 = vec![2.0, 2.0];
        let found = |batches: u64| {
            batch_sharpness(&bowls, Product::Exact, &at_the_bottom_of_2, (0..batches).map(Sample::Mini)).unwrap()
        };
        assert_eq!(found(3).unwrap().batches, 2);
        // The gradient was paid for, the product was not.
        assert_eq!(found(3).unwrap().cost, 5.0);
        assert_eq!(found(1), None, "one batch has no spread");
    }
}
