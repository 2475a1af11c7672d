//! Losses as functions of the network's outputs, with first and second derivative in closed form.

use burn::tensor::{Tensor, activation};

/// A loss ℓ(z, y) per example, summed over the examples given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// −log softmax(z)_y.
    CrossEntropy,
}

impl Loss {
    /// Σ ℓ over the rows of `outputs` [examples, classes] with one-hot `targets` of the same shape.
    pub(super) fn value(self, outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        match self {
            Self::CrossEntropy => -(activation::log_softmax(outputs, 1) * targets).sum(),
        }
    }

    /// ∂ℓ/∂z, row by row.
    pub(super) fn slope(self, outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<2> {
        match self {
            Self::CrossEntropy => activation::softmax(outputs, 1) - targets,
        }
    }

    /// (∂²ℓ/∂z²) ż, row by row.
    pub(super) fn curvature(self, outputs: Tensor<2>, tangents: Tensor<2>) -> Tensor<2> {
        match self {
            Self::CrossEntropy => {
                let p = activation::softmax(outputs, 1);
                let mean = (p.clone() * tangents.clone()).sum_dim(1);
                p * (tangents - mean)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::*;

    fn tensor(rows: [[f64; 3]; 2]) -> Tensor<2> {
        Tensor::from_data(rows, (&Device::flex(), DType::F64))
    }

    #[test]
    fn slope_and_curvature_are_the_derivatives_of_the_value() {
        let loss = Loss::CrossEntropy;
        let outputs = tensor([[0.3, -1.2, 2.0], [0.0, 0.7, -0.4]]);
        let targets = tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]);
        let direction = tensor([[0.5, 0.1, -0.9], [-0.2, 1.1, 0.6]]);
        let e = 1e-5;
        let at = |sign: f64| outputs.clone() + direction.clone() * (sign * e);
        let value = |sign| loss.value(at(sign), targets.clone()).into_scalar::<f64>();
        let slope = (loss.slope(outputs.clone(), targets.clone()) * direction.clone()).sum().into_scalar::<f64>();
        assert!(((value(1.0) - value(-1.0)) / (2.0 * e) - slope).abs() < 1e-9);
        let difference = (loss.slope(at(1.0), targets.clone()) - loss.slope(at(-1.0), targets)) / (2.0 * e);
        let error = (loss.curvature(outputs, direction.clone()) - difference).abs().max().into_scalar::<f64>();
        assert!(error < 1e-9, "{error}");
    }
}
