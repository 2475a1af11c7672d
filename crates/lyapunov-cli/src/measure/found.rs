//! What was measured, each number with its error.

use serde::Serialize;

/// A number, or several, with what is to be known of them.
#[derive(Clone, Debug, Serialize)]
pub struct Measured<T> {
    /// The estimate.
    pub value: T,
    /// How far it may be off.
    #[serde(flatten)]
    pub error: Uncertainty<T>,
    /// In gradient-equivalents.
    pub cost: f64,
    /// How many products with the Hessian it took.
    pub products: usize,
    /// The kind of these products.
    pub product: &'static str,
    /// The data.
    pub on: String,
    /// Whether every residual is within the tolerance; `null` for an estimate by sampling, which has a fixed budget.
    pub converged: Option<bool>,
    /// How long it took.
    pub wall_seconds: f64,
}

/// The two kinds of error.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Uncertainty<T> {
    /// Some eigenvalue lies within this distance of the value.
    Residual(T),
    /// The standard error of a mean over random vectors or over mini-batches.
    StdError(T),
    /// Half the distance between two values that lie on either side of the truth in expectation.
    HalfBracket(T),
}

impl<T> Uncertainty<T> {
    /// The error, whatever its kind.
    pub fn size(&self) -> &T {
        let (Self::Residual(error) | Self::StdError(error) | Self::HalfBracket(error)) = self;
        error
    }
}

/// The square root of an eigenvalue on one part of the images times the Rayleigh quotient of its vector on another.
#[derive(Clone, Debug, Serialize)]
pub struct TwoParts {
    /// The largest eigenvalue on the first part: too large in expectation.
    pub in_sample: f64,
    /// Its residual.
    pub residual: f64,
    /// The Rayleigh quotient on the second part: too small in expectation.
    pub out_of_sample: f64,
    /// The geometric mean of the two; `null` where one is not positive.
    #[serde(flatten)]
    pub found: Measured<f64>,
}

/// The largest eigenvalue of one layer.
#[derive(Clone, Debug, Serialize)]
pub struct LayerFound {
    /// The name of the layer: that of its weights, without `.weight`.
    pub name: String,
    /// How many weights it has.
    pub parameters: usize,
    /// The eigenvalue.
    #[serde(flatten)]
    pub found: Measured<f64>,
}

/// A mean over mini-batches.
#[derive(Clone, Debug, Serialize)]
pub struct OverBatches {
    /// The standard deviation over the batches.
    pub spread: f64,
    /// How many batches.
    pub batches: usize,
    /// The mean.
    #[serde(flatten)]
    pub found: Measured<f64>,
}

/// The density of the eigenvalues on a grid.
#[derive(Clone, Debug, Serialize)]
pub struct Spectrum {
    /// The grid.
    pub eigenvalue: Vec<f64>,
    /// Every eigenvalue is spread over a normal distribution of this standard deviation.
    pub width: f64,
    /// The mean of the eigenvalues.
    pub mean: f64,
    /// Its standard error.
    pub mean_std_error: f64,
    /// The density at the points of the grid: the share of eigenvalues per unit.
    #[serde(flatten)]
    pub found: Measured<Vec<f64>>,
}
