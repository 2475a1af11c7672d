//! The typed row of a run, and those who watch it.

use crate::{
    descent::Edge,
    objective::{Evaluation, Product, Sample},
};

/// A measure of how sharp the loss is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// The algebraically largest eigenvalue of the Hessian.
    LambdaMax,
    /// The algebraically smallest eigenvalue of the Hessian: how fast slow descent can drift apart. No edge speaks of
    /// it.
    LambdaMin,
    /// gᵀHg/gᵀg of one mini-batch and its own gradient, whose mean over batches sits at 2/η at the edge of stability of
    /// stochastic gradient descent (Andreyev & Beneventano 2024).
    BatchSharpness,
    /// λ_max(P^-½ H P^-½) with the preconditioner P of the optimizer (Cohen and others 2022).
    PreconditionedSharpness,
}

// Checkpoints know them by their places: new ones are added at the end.
named! { Quantity, "quantity":
    LambdaMax = "lambda_max",
    LambdaMin = "lambda_min",
    BatchSharpness = "batch_sharpness",
    PreconditionedSharpness = "preconditioned_sharpness",
}

/// A sharpness as it was measured: never without its residual, its data, its kind of product and its cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sharpness {
    /// What it is.
    pub quantity: Quantity,
    /// The estimate, in units of loss per weight².
    pub value: f64,
    /// ‖Av − value·v‖ for the unit vector v that it belongs to: some eigenvalue lies within this distance. For the
    /// batch sharpness v is the direction of the gradient, which is no eigenvector: its error is the spread over
    /// batches.
    pub residual: f64,
    /// The data whose loss the Hessian belongs to.
    pub on: Sample,
    /// How the products were computed.
    pub product: Product,
    /// What this value cost, in g-eq.
    pub cost: f64,
}

impl Sharpness {
    /// Whether it is λ_max of the mini-batch.
    pub(crate) fn is_batch_lambda_max(&self) -> bool {
        self.quantity == Quantity::LambdaMax && matches!(self.on, Sample::Mini(_))
    }

    /// Whether the residual is at most 5 % of the value.
    pub fn converged(&self) -> bool {
        self.residual <= 0.05 * self.value.abs()
    }
}

/// Everything that a nearby trajectory shows at one step, of which one number is the sharpness that is reported: see
/// [`Nearby`](crate::Nearby). δ is the perturbation, v = δ/‖δ‖, and H the matrix of the quantity on the mini-batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trajectory {
    /// The quantity that it follows.
    pub quantity: Quantity,
    /// c of δ' = (I + cH)δ.
    pub factor: f64,
    /// ln(‖δ'‖/‖δ‖), in nats per step.
    pub growth: f64,
    /// (‖δ'‖/‖δ‖ − 1)/c.
    pub from_growth: f64,
    /// vᵀHv.
    pub rayleigh: f64,
    /// ‖Hv‖.
    pub image_norm: f64,
}

/// How the loss of the mini-batch slopes and curves along the coming step w' = w − η P⁻¹ m of the optimizer, in the
/// metric of its preconditioner P (the identity for most): A = P^-½ H_B P^-½ and u is the unit vector along P^-½ m.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepCurvature {
    /// (P^-½ g_B)ᵀu: how fast the loss falls along the step.
    pub slope: f64,
    /// uᵀAu.
    pub curvature: f64,
    /// ‖Au‖: at least |uᵀAu|, at most the largest |eigenvalue|.
    pub product_norm: f64,
    /// ‖P^-½ m‖: how far the step goes per unit of learning rate.
    pub direction_norm: f64,
    /// How the product was computed.
    pub product: Product,
    /// What it cost, in g-eq.
    pub cost: f64,
}

/// The last step against the change of the gradient that it made, both gradients on the batch of the coming step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Secant {
    /// ‖w_t − w_(t−1)‖.
    pub step_norm: f64,
    /// ‖g_B(w_t) − g_B(w_(t−1))‖.
    pub gradient_change: f64,
    /// What it cost, in g-eq.
    pub cost: f64,
}

/// How deviations have grown: the Lyapunov exponents so far, and what the last steps added.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningExponents {
    /// The growth of each deviation in the steps since the last row that had one, in nats per step.
    pub local: Vec<f64>,
    /// Λ_1 … Λ_k so far, in nats per step.
    pub values: Vec<f64>,
    /// Their standard errors; infinite where there is too little data.
    pub std_errors: Vec<f64>,
    /// Whether the averages have settled.
    pub aligned: bool,
    /// The mean of vᵀHv over these steps, for the weights of the first deviation scaled to length 1.
    pub rayleigh: f64,
}

/// One row of a run: what is known of the weights before step `step`. `None` and absence mean "not measured now".
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The step t that comes next; row t speaks of the weights before it.
    pub step: u64,
    /// The mean loss of the mini-batch of step t.
    pub loss: f64,
    /// The norm of that batch's gradient.
    pub gradient_norm: f64,
    /// The learning rate η that step t uses.
    pub learning_rate: f64,
    /// The threshold of stability of the optimizer at this learning rate.
    pub edge: Edge,
    /// Loss and accuracy on held-out data.
    pub evaluation: Option<Evaluation>,
    /// Sharpness, once per quantity and kind of data that was due.
    pub sharpness: Vec<Sharpness>,
    /// What nearby trajectories show, once per quantity that one follows.
    pub nearby: Vec<Trajectory>,
    /// The curvature along the coming step, where the controller asked for it.
    pub along: Option<StepCurvature>,
    /// The secant of the step before, where the controller asked for it.
    pub secant: Option<Secant>,
    /// Deviations, where they were re-orthonormalised after the step before this one.
    pub exponents: Option<RunningExponents>,
    /// The cost of all measurements up to and including this row, in g-eq.
    pub measuring_cost: f64,
}

impl Measurement {
    /// The row of a step of which nothing is known but these: for a training loop of one's own. Its edge is infinite.
    pub fn of_step(step: u64, loss: f64, gradient_norm: f64) -> Self {
        Self {
            step,
            loss,
            gradient_norm,
            learning_rate: 0.0,
            edge: Edge { threshold: f64::INFINITY, preconditioned: false, holds_batch_sharpness: false },
            evaluation: None,
            sharpness: Vec::new(),
            nearby: Vec::new(),
            along: None,
            secant: None,
            exponents: None,
            measuring_cost: 0.0,
        }
    }

    /// λ_max of the mini-batch, where it was measured.
    pub fn batch_lambda_max(&self) -> Option<&Sharpness> {
        self.sharpness.iter().find(|found| found.is_batch_lambda_max())
    }

    /// The batch sharpness of this mini-batch, where it was measured.
    pub fn batch_sharpness(&self) -> Option<&Sharpness> {
        self.sharpness.iter().find(|found| found.quantity == Quantity::BatchSharpness)
    }

    /// `sharpness` over the threshold of stability, where that speaks of this quantity.
    pub fn share_of_edge(&self, sharpness: &Sharpness) -> Option<f64> {
        let spoken_of = match sharpness.quantity {
            Quantity::LambdaMax => !self.edge.preconditioned,
            Quantity::LambdaMin => false,
            Quantity::BatchSharpness => self.edge.holds_batch_sharpness,
            Quantity::PreconditionedSharpness => self.edge.preconditioned,
        };
        // Where decay alone is beyond the threshold, every curvature is.
        let share = |threshold: f64| if threshold > 0.0 { sharpness.value / threshold } else { f64::INFINITY };
        spoken_of.then(|| share(self.edge.threshold))
    }
}

/// Someone who keeps or shows the rows of a run.
pub trait Observer {
    /// Takes the row of the coming step, in order, once each.
    ///
    /// # Errors
    /// Where the row could not be kept; the run stops.
    fn record(&mut self, measurement: &Measurement) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Keeps every row in memory.
impl Observer for Vec<Measurement> {
    fn record(&mut self, measurement: &Measurement) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.push(measurement.clone());
        Ok(())
    }
}
