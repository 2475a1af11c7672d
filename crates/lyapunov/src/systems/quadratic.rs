//! The quadratic loss ½ Σ hᵢ wᵢ²: under gradient descent every exponent is ln|1 − ηhᵢ|, exactly.

use crate::{
    error::Result,
    objective::{Objective, Product, Sample, difference_product},
};

/// L(w) = ½ Σ hᵢ wᵢ² with curvatures hᵢ of any sign, the same on every batch.
///
/// Gradient descent multiplies the i-th coordinate by 1 − ηhᵢ at every step: it diverges for ηhᵢ > 2 and is
/// super-stable at ηhᵢ = 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Quadratic {
    curvatures: Vec<f64>,
}

impl Quadratic {
    /// The loss with these curvatures, the eigenvalues of its Hessian.
    pub fn new(curvatures: Vec<f64>) -> Self {
        Self { curvatures }
    }

    fn hessian_times(&self, v: &[f64]) -> Vec<f64> {
        self.curvatures.iter().zip(v).map(|(h, x)| h * x).collect()
    }
}

impl Objective for Quadratic {
    type Vector = Vec<f64>;

    fn gradient(&self, at: &Vec<f64>, _on: Sample) -> Result<(f64, Vec<f64>)> {
        let loss = 0.5 * self.curvatures.iter().zip(at).map(|(h, x)| h * x * x).sum::<f64>();
        Ok((loss, self.hessian_times(at)))
    }

    fn offers(&self, _kind: Product) -> bool {
        true
    }

    fn product(&self, kind: Product, at: &Vec<f64>, on: Sample, v: &Vec<f64>) -> Result<Vec<f64>> {
        match kind {
            Product::Exact | Product::GaussNewton => Ok(self.hessian_times(v)),
            Product::Difference(difference) => difference_product(self, difference, at, on, v, None),
        }
    }
}
