//! Losses as functions of the network's outputs, with first and second derivative in closed form.

use burn::tensor::{DType, Tensor, activation};

use crate::operations::tanh;

/// A loss ℓ(z, y) per example, for outputs z and one-hot targets y over K classes. The loss of a sample is the mean
/// over its examples.
///
/// | loss | kinks | ∂²ℓ/∂z² |
/// |---|---|---|
/// | cross-entropy, binary cross-entropy, the squared errors | no | positive semi-definite |
/// | Huber | no; the second derivative jumps where an error is 1 | positive semi-definite |
/// | focal | no | indefinite where the label has little probability: so are Gauss–Newton products |
/// | hinge | yes | 0: Gauss–Newton products are refused |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// −Σ_j y_j ln p_j with p = softmax(z); y may be smoothed.
    CrossEntropy,
    /// ½ Σ_j (z_j − y_j)²: the convention of Cohen et al. (2021).
    SquaredError,
    /// Σ_j (z_j − y_j)² / K: that of PyTorch's `MSELoss`.
    MeanSquaredError,
    /// Σ_{j ≠ label} max(0, 1 + z_j − z_label) / K: Weston & Watkins (1999), PyTorch's `MultiMarginLoss`.
    Hinge,
    /// Σ_j h(z_j − y_j) with h(r) = ½ r² up to |r| = 1 and |r| − ½ beyond: Huber (1964).
    Huber,
    /// −(1 − p_label)² ln p_label with p = softmax(z): Lin et al. (2017) with γ = 2.
    Focal,
    /// Σ_j ln(1 + exp z_j) − y_j z_j: one logistic regression per class, as with PyTorch's `BCEWithLogitsLoss`, summed
    /// over the classes.
    BinaryCrossEntropy,
}

lyapunov::named! { Loss, "loss":
    CrossEntropy = "cross-entropy",
    SquaredError = "squared-error",
    MeanSquaredError = "mean-squared-error",
    Hinge = "hinge",
    Huber = "huber",
    Focal = "focal",
    BinaryCrossEntropy = "binary-cross-entropy",
}

impl Loss {
    /// Whether ∂ℓ/∂z jumps somewhere: there, differences of gradients are wrong.
    pub fn has_kinks(self) -> bool {
        self == Self::Hinge
    }

    /// Whether ∂²ℓ/∂z² is anything but zero: without, there are no Gauss–Newton products.
    pub(super) fn is_curved(self) -> bool {
        self != Self::Hinge
    }

    /// Σ ℓ over the rows of `outputs` [examples, classes] with `targets` of the same shape.
    pub(super) fn value(self, outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        match self {
            Self::CrossEntropy => -(activation::log_softmax(outputs, 1) * targets).sum(),
            Self::SquaredError => (outputs - targets).square().sum() * 0.5,
            Self::MeanSquaredError => {
                let share = share(&outputs);
                (outputs - targets).square().sum() * share
            }
            Self::Hinge => {
                let share = share(&outputs);
                let others = targets.clone().ones_like() - targets.clone();
                (activation::relu(margins(outputs, targets)) * others).sum() * share
            }
            Self::Huber => {
                let error = outputs - targets;
                let clipped = error.clone().clamp(-1.0, 1.0);
                (clipped.clone() * (error - clipped * 0.5)).sum()
            }
            Self::Focal => {
                let u = log_probability(outputs, targets);
                -(missing(&u).square() * u).sum()
            }
            Self::BinaryCrossEntropy => {
                (activation::softplus_with_threshold(outputs.clone(), 1.0, 40.0) - outputs * targets).sum()
            }
        }
    }

    /// ∂ℓ/∂z, row by row.
    pub(super) fn slope(self, outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<2> {
        match self {
            Self::CrossEntropy => activation::softmax(outputs, 1) - targets,
            Self::SquaredError => outputs - targets,
            Self::MeanSquaredError => {
                let share = share(&outputs);
                (outputs - targets) * (2.0 * share)
            }
            Self::Hinge => {
                let (share, dtype) = (share(&outputs), outputs.dtype());
                let others = targets.clone().ones_like() - targets.clone();
                let active = positive(margins(outputs, targets.clone()), dtype) * others;
                (active.clone() - targets * active.sum_dim(1)) * share
            }
            Self::Huber => (outputs - targets).clamp(-1.0, 1.0),
            Self::Focal => {
                let (first, _) = focal_derivatives(log_probability(outputs.clone(), targets.clone()));
                first * (targets - activation::softmax(outputs, 1))
            }
            Self::BinaryCrossEntropy => logistic(outputs) - targets,
        }
    }

    /// (∂²ℓ/∂z²) ż, row by row.
    pub(super) fn curvature(self, outputs: Tensor<2>, targets: Tensor<2>, tangents: Tensor<2>) -> Tensor<2> {
        match self {
            Self::CrossEntropy => softmax_curvature(activation::softmax(outputs, 1), tangents),
            Self::SquaredError => tangents,
            Self::MeanSquaredError => tangents * (2.0 * share(&outputs)),
            Self::Hinge => tangents.zeros_like(),
            Self::Huber => {
                let dtype = outputs.dtype();
                tangents * (outputs - targets).abs().lower_equal_elem(1.0).float().cast(dtype)
            }
            Self::Focal => {
                let (first, second) = focal_derivatives(log_probability(outputs.clone(), targets.clone()));
                let p = activation::softmax(outputs, 1);
                let rise = targets - p.clone();
                let along = (rise.clone() * tangents.clone()).sum_dim(1);
                rise * along * second - softmax_curvature(p, tangents) * first
            }
            Self::BinaryCrossEntropy => {
                let p = logistic(outputs);
                (p.clone() - p.square()) * tangents
            }
        }
    }
}

/// 1/K, to multiply by: Burn's derivative of a division by a number is in 32 bits.
fn share(outputs: &Tensor<2>) -> f64 {
    1.0 / outputs.dims()[1] as f64
}

/// 1 + z_j − z_label.
fn margins(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<2> {
    let label = (outputs.clone() * targets).sum_dim(1);
    outputs - label + 1.0
}

/// 1 where x > 0, else 0.
fn positive(x: Tensor<2>, dtype: DType) -> Tensor<2> {
    x.greater_elem(0.0).float().cast(dtype)
}

/// u = ln p_label [examples, 1].
fn log_probability(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<2> {
    (activation::log_softmax(outputs, 1) * targets).sum_dim(1)
}

/// 1 − e^u.
fn missing(u: &Tensor<2>) -> Tensor<2> {
    -(u.clone().exp() - 1.0)
}

/// φ' and φ'' of φ(u) = −(1 − e^u)² u.
fn focal_derivatives(u: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let (q, rest) = (u.clone().exp(), missing(&u));
    let first = q.clone() * rest.clone() * u.clone() * 2.0 - rest.clone().square();
    let second = q.clone() * (rest.clone() * 4.0 + (rest - q) * u * 2.0);
    (first, second)
}

/// 1 / (1 + e^−x), without overflow and in the precision of x: on some devices Burn's `sigmoid` computes in 32 bits.
pub(super) fn logistic(x: Tensor<2>) -> Tensor<2> {
    (tanh(x * 0.5) + 1.0) * 0.5
}

/// (diag p − p pᵀ) ż.
fn softmax_curvature(p: Tensor<2>, tangents: Tensor<2>) -> Tensor<2> {
    let mean = (p.clone() * tangents.clone()).sum_dim(1);
    p * (tangents - mean)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    const ALL: [Loss; 7] = [
        Loss::CrossEntropy,
        Loss::SquaredError,
        Loss::MeanSquaredError,
        Loss::Hinge,
        Loss::Huber,
        Loss::Focal,
        Loss::BinaryCrossEntropy,
    ];

    fn tensor<const N: usize>(rows: [[f64; 3]; N]) -> Tensor<2> {
        Tensor::from_data(rows, (&Device::flex(), DType::F64))
    }

    #[test]
    fn slope_and_curvature_are_the_derivatives_of_the_value() {
        let outputs = tensor([[0.3, -1.2, 2.0], [0.1, 0.7, -0.4], [-0.3, 0.2, 3.0]]);
        let targets = tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]);
        let direction = tensor([[0.5, 0.1, -0.9], [-0.2, 1.1, 0.6], [0.7, -0.4, 0.3]]);
        let e = 1e-5;
        let at = |sign: f64| outputs.clone() + direction.clone() * (sign * e);
        for loss in ALL {
            let value = |sign| loss.value(at(sign), targets.clone()).into_scalar::<f64>();
            let slope = (loss.slope(outputs.clone(), targets.clone()) * direction.clone()).sum().into_scalar::<f64>();
            let difference = (value(1.0) - value(-1.0)) / (2.0 * e);
            assert!((difference - slope).abs() < 1e-9, "{loss:?}: {slope} for {difference}");
            let difference = (loss.slope(at(1.0), targets.clone()) - loss.slope(at(-1.0), targets.clone())) / (2.0 * e);
            let curvature = loss.curvature(outputs.clone(), targets.clone(), direction.clone());
            let error = (curvature - difference).abs().max().into_scalar::<f64>();
            assert!(error < 1e-9, "{loss:?}: {error}");
        }
    }

    /// Training differentiates the value by autodiff, exact products differentiate the slope.
    #[test]
    fn autodiff_agrees_with_the_closed_forms() {
        // Zeros too: that is where formulas by cases go wrong.
        let plain = tensor([[0.0, 0.0, 0.0], [40.5, -60.0, 0.4], [0.3, -1.2, 0.9]]);
        let targets = tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]);
        let direction = tensor([[0.5, 0.1, -0.9], [-0.2, 1.1, 0.6], [0.7, -0.4, 0.3]]);
        for loss in ALL {
            let outputs = plain.clone().autodiff().require_grad();
            let gradients = loss.value(outputs.clone(), targets.clone().autodiff()).backward();
            let error = outputs.grad(&gradients).unwrap() - loss.slope(plain.clone(), targets.clone());
            let error = error.abs().max().into_scalar::<f64>();
            assert!(error < 1e-12, "{loss:?}: {error}");
            if loss.has_kinks() {
                continue;
            }
            let outputs = plain.clone().autodiff().require_grad();
            let slope = loss.slope(outputs.clone(), targets.clone().autodiff());
            let gradients = (slope * direction.clone().autodiff()).sum().backward();
            let expected = loss.curvature(plain.clone(), targets.clone(), direction.clone());
            let error = outputs.grad(&gradients).unwrap() - expected;
            assert!(error.abs().max().into_scalar::<f64>() < 1e-12, "{loss:?}");
        }
    }

    #[test]
    fn values_are_those_of_the_formulas() {
        let (outputs, targets) = (tensor([[0.5, 2.0, -1.0]]), tensor([[0.0, 1.0, 0.0]]));
        let exponentials: [f64; 3] = [0.5_f64.exp(), 2.0_f64.exp(), (-1.0_f64).exp()];
        let p = exponentials[1] / exponentials.iter().sum::<f64>();
        let expected = [
            -p.ln(),
            0.5 * (0.25 + 1.0 + 1.0),
            (0.25 + 1.0 + 1.0) / 3.0,
            0.0,
            0.125 + 0.5 + 0.5,
            -(1.0 - p).powi(2) * p.ln(),
            exponentials.iter().map(|e| e.ln_1p()).sum::<f64>() - 2.0,
        ];
        for (loss, expected) in ALL.into_iter().zip(expected) {
            let value = loss.value(outputs.clone(), targets.clone()).into_scalar::<f64>();
            assert!((value - expected).abs() < 1e-12, "{loss:?}: {value} for {expected}");
        }
        // A label that trails by 1.5 and 0 misses the margin by 2.5 and 1.
        let trailing = Loss::Hinge.value(tensor([[0.5, 2.0, 0.5]]), tensor([[1.0, 0.0, 0.0]])).into_scalar::<f64>();
        assert!((trailing - 3.5 / 3.0).abs() < 1e-12, "{trailing}");
    }
}
