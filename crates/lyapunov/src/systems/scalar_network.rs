//! The smallest network with a minimum valley: one weight after another, f(x) = a·b·x.

use crate::{
    error::Result,
    objective::{Objective, Product, Sample, difference_product},
};

/// Two scalar weights (a, b) that fit one number: L = ½(ab − y)².
///
/// Its Hessian is [[b², 2ab − y], [2ab − y, a²]]; on the valley ab = y the eigenvalues are 0 and a² + b² exactly, so
/// the sharpness of a minimum depends on where in the valley the descent arrives. Used in Cohen et al. 2021 and many
/// others as the smallest model of the edge of stability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScalarNetwork {
    /// The target y.
    pub target: f64,
}

impl Objective for ScalarNetwork {
    type Vector = Vec<f64>;

    fn gradient(&self, at: &Vec<f64>, _on: Sample) -> Result<(f64, Vec<f64>)> {
        let (a, b) = (at[0], at[1]);
        let error = a * b - self.target;
        Ok((0.5 * error * error, vec![error * b, error * a]))
    }

    fn offers(&self, _kind: Product) -> bool {
        true
    }

    fn product(&self, kind: Product, at: &Vec<f64>, on: Sample, v: &Vec<f64>) -> Result<Vec<f64>> {
        let (a, b) = (at[0], at[1]);
        let mixed = match kind {
            Product::Exact => 2.0 * a * b - self.target,
            Product::GaussNewton => a * b,
            Product::Difference(difference) => return difference_product(self, difference, at, on, v, None),
        };
        Ok(vec![b * b * v[0] + mixed * v[1], mixed * v[0] + a * a * v[1]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::Error,
        objective::{Difference, Hessian},
        operator::Dense,
        testing::check_operator,
    };

    #[test]
    fn in_the_valley_the_eigenvalues_are_zero_and_a2_plus_b2() {
        let network = ScalarNetwork { target: 2.0 };
        let at = vec![0.5, 4.0];
        for product in [Product::Exact, Product::GaussNewton, Product::Difference(Difference::central(1e-5))] {
            let hessian = Hessian { objective: &network, at: &at, on: Sample::Full, product, gradient: None };
            let values = Dense::of(&hessian, 2).unwrap().eigenvalues();
            assert!((values[0] - 16.25).abs() < 1e-7 && values[1].abs() < 1e-7, "{product:?}: {values:?}");
        }
    }

    #[test]
    fn away_from_the_valley_the_kinds_differ_by_the_residual_term() {
        let network = ScalarNetwork { target: 2.0 };
        let at = vec![1.0, 1.0];
        let product = |kind| network.product(kind, &at, Sample::Full, &vec![1.0, 0.0]).unwrap();
        assert_eq!(product(Product::Exact), vec![1.0, 0.0]);
        assert_eq!(product(Product::GaussNewton), vec![1.0, 1.0]);
        let hessian =
            Hessian { objective: &network, at: &at, on: Sample::Full, product: Product::Exact, gradient: None };
        check_operator(&hessian, &at, 1e-14);
    }

    #[test]
    fn a_step_below_the_float_spacing_is_refused() {
        let difference = Product::Difference(Difference { relative_step: 1e-17, central: false });
        let error = ScalarNetwork { target: 2.0 }.product(difference, &vec![1.0, 1.0], Sample::Full, &vec![1.0, 0.0]);
        assert!(matches!(error, Err(Error::Argument { name: "relative_step", .. })));
        let difference = Product::Difference(Difference { relative_step: f64::INFINITY, central: true });
        assert!(
            ScalarNetwork { target: 2.0 }.product(difference, &vec![1.0, 1.0], Sample::Full, &vec![1.0, 0.0]).is_err()
        );
    }
}
